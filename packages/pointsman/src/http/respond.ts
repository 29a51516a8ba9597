// SPDX-License-Identifier: Apache-2.0
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** Answers with a short text, which is never kept. A HEAD gets the head alone. */
export function respond(
  response: ServerResponse,
  status: number,
  text: string,
  headers: OutgoingHttpHeaders = {},
): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  });
  response.end(text);
}
