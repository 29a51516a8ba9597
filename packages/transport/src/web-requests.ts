// SPDX-License-Identifier: Apache-2.0
import { ServerResponse, createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { WebSocketServer } from 'ws';
import { recognizeFirstBytes } from './first-bytes.js';
import { httpRefusal } from './http-refusal.js';
import type { ListenOptions, RefusalKind } from './listen-options.js';
import { streamInfoOf } from './socket-stream.js';
import type { SocketLimit } from './socket-limit.js';
import type { ByteStream, StreamInfo } from './stream.js';
import { codeOf, readable } from './transport-error.js';
import { webSockets } from './websocket-library.js';
import { WEBSOCKET_MESSAGE_BYTES_MAX, WEBSOCKET_PROTOCOLS, WebSocketStream } from './websocket-stream.js';

/** Headers of a WebSocket request. Browsers send cookies, but not these sizes. */
const HTTP_HEADER_BYTES_MAX = 16 * 1024;

/** Silence on an HTTP connection without a WebSocket after which it is closed. */
const IDLE_HTTP_MS = 60_000;

/** What a port does for those who speak HTTP to it. */
export interface WebPort {
  readonly isClosing: boolean;
  /** Bounds the time of a handshake. @param missing - what a peer did not do in time */
  limitHandshake(socket: Socket, missing: string): SocketLimit;
  /** Drops the socket after a time, or when the port closes. */
  limitIdle(socket: Socket, ms: number): SocketLimit;
  refuse(socket: Socket, kind: RefusalKind, text: string, answer?: string): void;
  report(kind: RefusalKind, text: string, socket: Socket): void;
  start(socket: Socket, stream: ByteStream): void;
}

/** The requests that come to a port for WebSockets: those for a WebSocket with AMQP in it, and others. */
export class WebRequests {
  readonly #port: WebPort;
  readonly #options: ListenOptions;
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  /** The limits of the connections from which a request is awaited. */
  readonly #awaited = new WeakMap<Socket, SocketLimit>();

  constructor(port: WebPort, options: ListenOptions) {
    this.#port = port;
    this.#options = options;
    this.#http = this.#makeServer();
    this.#webSockets = new (webSockets().WebSocketServer)({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: WEBSOCKET_MESSAGE_BYTES_MAX,
      handleProtocols: (offered) => this.#chooseProtocol([...offered]) ?? false,
    });
  }

  /** Takes a connection whose first request is still to come. */
  take(socket: Socket): void {
    this.#awaited.set(socket, this.#port.limitHandshake(socket, 'it sent no HTTP request.'));
    this.#http.emit('connection', socket);
  }

  #makeServer(): Server {
    const server = createServer({ maxHeaderSize: HTTP_HEADER_BYTES_MAX });
    // For connections that stay open between requests; a WebSocket lifts it.
    server.timeout = IDLE_HTTP_MS;
    server.on('request', (request, response) => this.#onRequest(request, response));
    if (this.#options.websockets !== false) {
      server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
        this.#awaited.get(socket)?.end();
        if (request.headers.upgrade?.toLowerCase() === 'websocket') this.#upgrade(request, socket, head);
        else this.#ignoreUpgrade(request, socket);
      });
    }
    server.on('clientError', (error: Error, socket: Socket) => this.#onClientError(error, socket));
    return server;
  }

  #onClientError(error: Error, socket: Socket): void {
    const port = this.#port;
    this.#awaited.get(socket)?.end();
    const raw: unknown = Reflect.get(error, 'rawPacket');
    const seen = raw instanceof Uint8Array ? recognizeFirstBytes(raw) : undefined;
    if (seen === 'amqp' || seen === 'amqp-tls') {
      const text =
        'it began with AMQP on a port for AMQP over WebSocket. Let the client use WebSocket, or another port.';
      port.refuse(socket, 'amqp-on-websocket-port', text);
    } else if (seen === 'tls') {
      port.refuse(socket, 'tls-on-plain-port', 'it began with a TLS handshake on a port without TLS.');
    } else if (codeOf(error) === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
    } else {
      const isLong = codeOf(error) === 'HPE_HEADER_OVERFLOW';
      const text = isLong
        ? `the headers of its HTTP request are longer than ${HTTP_HEADER_BYTES_MAX} bytes.`
        : `it sent something that is not HTTP (${readable(codeOf(error), 60)}).`;
      const answer = isLong
        ? httpRefusal(431, `Headers of more than ${HTTP_HEADER_BYTES_MAX} bytes are not accepted.`)
        : httpRefusal(400, 'This is not HTTP.');
      port.refuse(socket, 'not-websocket', text, answer);
    }
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const port = this.#port;
    this.#awaited.get(socket)?.end();
    if (port.isClosing) response.shouldKeepAlive = false;
    response.once('close', () => {
      if (socket.destroyed) return;
      if (port.isClosing) {
        socket.end();
        return;
      }
      // A byte now and then would keep the connection for ever: the next request has its time, too.
      this.#awaited.get(socket)?.end();
      this.#awaited.set(socket, port.limitIdle(socket, IDLE_HTTP_MS));
    });
    const { onRequest } = this.#options;
    if (onRequest !== undefined) {
      onRequest(request, response);
      return;
    }
    const text = 'it sent a plain HTTP request to a port for AMQP over WebSocket.';
    port.report('not-websocket', text, socket);
    response.writeHead(426, { Upgrade: 'websocket', Connection: 'close', 'Content-Type': 'text/plain' });
    response.end('This port speaks AMQP 1.0 over WebSocket.\n');
  }

  /** A request for another protocol than WebSocket (HTTP/2, say) gets its answer in HTTP/1.1. @see RFC 9110, 7.8 */
  #ignoreUpgrade(request: IncomingMessage, socket: Socket): void {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once('finish', () => socket.end());
    socket.resume();
    this.#onRequest(request, response);
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const path = (request.url ?? '').split('?', 1)[0] as string;
    const { websocketPaths } = this.#options;
    if (websocketPaths !== undefined && !websocketPaths.some((one) => trimmed(one) === trimmed(path))) {
      const text = `it asked for a WebSocket at ${readable(path, 80)}, where there is none.`;
      this.#port.refuse(socket, 'websocket-path', text, httpRefusal(404, 'There is no WebSocket at this path.'));
      return;
    }
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
    if (this.#chooseProtocol(offered) === undefined) {
      const accepted = this.#protocols.join(', ');
      const text = `of its WebSocket subprotocols (${readable(offered.join(', '), 80)}) none is one of ${accepted}.`;
      const answer = httpRefusal(400, `The subprotocol must be one of ${accepted}.`);
      this.#port.refuse(socket, 'websocket-subprotocol', text, answer);
      return;
    }
    const info = streamInfoOf(socket);
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const full: StreamInfo = { ...info, websocket: true, websocketProtocol: webSocket.protocol, websocketPath: path };
      this.#port.start(socket, new WebSocketStream(webSocket, full));
    });
  }

  get #protocols(): readonly string[] {
    return this.#options.websocketProtocols ?? WEBSOCKET_PROTOCOLS;
  }

  #chooseProtocol(offered: readonly string[]): string | undefined {
    return offered.find((one) => this.#protocols.includes(one));
  }
}

function trimmed(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
