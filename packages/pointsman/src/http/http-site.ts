// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ListenerConfig } from '../config/model.js';
import type { Logger } from '../log.js';
import { METRICS_TYPE, renderMetrics } from './metrics.js';
import type { ConnectorHealth, MetricsSource } from './metrics.js';
import { respond } from './respond.js';
import { StaticFiles } from './static-files.js';

/** How far the router is. */
export interface Readiness {
  /** It has started, and is not stopping. */
  readonly isRunning: boolean;
  /** Names of listeners whose ports are not open. */
  readonly closedListeners: readonly string[];
  readonly connectors: readonly ConnectorHealth[];
}

export interface HttpSiteOptions {
  readonly config: Pick<ListenerConfig, 'httpRootDir' | 'healthz' | 'metrics'>;
  readonly log: Logger;
  readonly metrics: () => MetricsSource;
  readonly readiness: () => Readiness;
}

type Page = (response: ServerResponse) => void;

/** What an HTTP listener answers to requests that ask for no WebSocket. */
export class HttpSite {
  readonly #pages = new Map<string, Page>();
  readonly #files: StaticFiles | undefined;
  readonly #log: Logger;

  constructor({ config, log, metrics, readiness }: HttpSiteOptions) {
    this.#log = log;
    if (config.healthz) {
      this.#pages.set('/healthz', (response) => respond(response, 200, 'OK\n'));
      this.#pages.set('/readyz', (response) => answerReadiness(response, readiness()));
    }
    if (config.metrics) {
      this.#pages.set('/metrics', (response) =>
        respond(response, 200, renderMetrics(metrics(), readiness().connectors), { 'Content-Type': METRICS_TYPE }),
      );
    }
    if (config.httpRootDir !== undefined) this.#files = new StaticFiles(config.httpRootDir);
  }

  /** Answers a request; whatever happens, it is answered or cut. */
  readonly answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { method, url } = request;
    response.once('close', () => {
      if (!this.#log.isEnabled('HTTP', 'debug')) return;
      const { remoteAddress, remotePort } = request.socket;
      this.#log.log('HTTP', 'debug', `${method} ${url} ${response.statusCode} from ${remoteAddress}:${remotePort}`);
    });
    this.#answer(request, response).catch((error: unknown) => {
      this.#log.log('HTTP', 'error', `Answering ${method} ${url} failed: ${String(error)}`);
      if (response.headersSent) response.destroy();
      else respond(response, 500, 'Internal Server Error\n', { Connection: 'close' });
    });
  };

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      // A body that nobody asked for is not waited for.
      respond(response, 405, 'Method Not Allowed\n', { Allow: 'GET, HEAD', Connection: 'close' });
      return;
    }
    const path = pathOf(request.url ?? '');
    const page = this.#pages.get(path);
    if (page !== undefined) page(response);
    else if (this.#files !== undefined) await this.#files.serve(request, response, path);
    else respond(response, 404, 'Not Found\n');
  }
}

/** The path of a request target without its query, of `http://host/path` too. @see RFC 9112, 3.2 */
function pathOf(target: string): string {
  const path = target.split(/[?#]/, 1)[0] as string;
  if (path.startsWith('/')) return path;
  const absolute = /^https?:\/\/[^/]*(\/.*)?$/i.exec(path);
  return absolute === null ? path : (absolute[1] ?? '/');
}

function answerReadiness(response: ServerResponse, readiness: Readiness): void {
  const { isRunning, closedListeners, connectors } = readiness;
  const awaitedConnectors = connectors.filter(({ hasBeenOpen }) => !hasBeenOpen).map(({ name }) => name);
  let missing = isRunning ? '' : 'The router is starting or stopping.\n';
  if (closedListeners.length > 0) missing += `Not listening: ${closedListeners.join(', ')}\n`;
  if (awaitedConnectors.length > 0) missing += `Not connected yet: ${awaitedConnectors.join(', ')}\n`;
  if (missing === '') respond(response, 200, 'OK\n');
  else respond(response, 503, missing);
}
