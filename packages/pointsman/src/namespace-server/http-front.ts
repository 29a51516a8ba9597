// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Administration } from '@pointsman/namespace';

/** Bytes of a description; real ones have a few thousand. */
const BODY_MAX = 1_048_576;

/** What the health check tells. */
export interface Health {
  readonly healthy: boolean;
  readonly message: string;
}

/** Answers HTTP at a port of a namespace: `/health`, and the management API everywhere else. */
export function answerHttp(
  request: IncomingMessage,
  response: ServerResponse,
  administration: Administration,
  health: () => Health,
): void {
  const { method = '', url = '/' } = request;
  if (/^\/health\/?(?:\?|$)/u.test(url) && (method === 'GET' || method === 'HEAD')) {
    const { healthy, message } = health();
    const body = JSON.stringify({ status: healthy ? 'healthy' : 'unhealthy', message });
    respond(response, healthy ? 200 : 503, 'application/json', method === 'HEAD' ? '' : body);
    return;
  }
  const parts: Buffer[] = [];
  let size = 0;
  request.on('data', (part: Buffer) => {
    size += part.length;
    if (size <= BODY_MAX) parts.push(part);
  });
  request.on('error', () => response.destroy());
  request.on('end', () => {
    if (size > BODY_MAX) {
      respond(response, 413, 'text/plain', `A body of more than ${BODY_MAX} bytes is not taken.`);
      return;
    }
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
    );
    const { status, contentType, body } = administration.handle({
      method,
      target: url,
      headers,
      body: Buffer.concat(parts).toString('utf8'),
    });
    respond(response, status, contentType, body);
  });
}

function respond(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(body);
}
