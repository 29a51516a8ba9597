// SPDX-License-Identifier: Apache-2.0
import { ServerResponse, createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import type { WebSocketServer } from 'ws';
import type { WheelEntry } from './deadline-wheel.js';
import { sharedDriver } from './drive.js';
import type { DrivenConnection, Driver } from './drive.js';
import type { ProtocolEndpoint } from '@pointsman/engine';
import { PROTOCOL_HEADER_BYTES, TLS_PROTOCOL_HEADER, isTlsProtocolHeader, recognizeFirstBytes } from './first-bytes.js';
import { SocketStream, streamInfoOf } from './socket-stream.js';
import type { ByteStream, StreamInfo } from './stream.js';
import type { TlsCredentials } from './tls-credentials.js';
import { TransportError, codeOf, describeTransportError, readable } from './transport-error.js';
import { webSockets } from './websocket-library.js';
import { WEBSOCKET_MESSAGE_BYTES_MAX, WEBSOCKET_PROTOCOLS, WebSocketStream } from './websocket-stream.js';

export type ListenMode = 'tcp' | 'tls' | 'websocket' | 'websocket-tls';

export interface ServerTlsOptions {
  readonly credentials: TlsCredentials;
  /**
   * `optional`: a certificate is asked for, and `info.peerCertificate.verified` says what it is worth; `required`: there is no
   * connection without one that verifies. Default: `none`.
   */
  readonly clientCertificate?: 'none' | 'optional' | 'required' | undefined;
}

export interface InBandTlsOptions {
  /** What becomes of the AMQP header with id 2. `required`: and of peers that do not send it, see `plain`. */
  readonly use: 'off' | 'allowed' | 'required';
  /**
   * With `required`, for a peer that starts without TLS: `refuse` answers with the AMQP TLS header and closes, `pass` hands it
   * to the endpoint, which sees `encrypted: false` and decides. Default: `refuse`.
   */
  readonly plain?: 'refuse' | 'pass' | undefined;
}

export type RefusalKind =
  | 'tls-on-plain-port'
  | 'plain-on-tls-port'
  | 'http-on-amqp-port'
  | 'amqp-on-websocket-port'
  | 'tls-required'
  | 'tls-handshake'
  | 'client-certificate'
  | 'timed-out'
  | 'too-many-connections'
  | 'not-websocket'
  | 'websocket-path'
  | 'websocket-subprotocol'
  | 'endpoint';

/** A connection that was turned away before an endpoint saw it. */
export interface Refusal {
  readonly kind: RefusalKind;
  /** What the peer did, what was expected, what to change: one line. */
  readonly text: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly cause?: Error;
}

export interface ListenOptions {
  /** Address or name to listen on. Default: all interfaces. */
  readonly host?: string | undefined;
  /** 0 to 65535; 0 lets the system choose. */
  readonly port: number;
  readonly mode: ListenMode;
  /** Needed for `tls` and `websocket-tls`, for in-band TLS and for `detectTls`. */
  readonly tls?: ServerTlsOptions | undefined;
  /** On `tcp`. Default: off. */
  readonly inBandTls?: InBandTlsOptions | undefined;
  /** On `tcp` and `websocket`: a TLS handshake as the first bytes is taken up, beside plain connections. Default: false. */
  readonly detectTls?: boolean | undefined;
  /** In the WebSocket modes. False: a request for a WebSocket is treated as any other. Default: true. */
  readonly websockets?: boolean | undefined;
  /** Paths of WebSocket requests that are taken, without query, a trailing `/` apart. Default: any. */
  readonly websocketPaths?: readonly string[] | undefined;
  /** Default: `amqp`, `AMQPWSB10`. Of several that a client offers, its first that stands here is taken. */
  readonly websocketProtocols?: readonly string[] | undefined;
  /** In the WebSocket modes: what to do with requests that ask for no WebSocket. Default: they get status 426. */
  readonly onRequest?: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  /** For each handshake below AMQP: first bytes, TLS, WebSocket. Default: 10,000. */
  readonly handshakeTimeoutMs?: number | undefined;
  /** Connections open at a time, those in a handshake included. Default: 10,000. */
  readonly maxConnections?: number | undefined;
  /** Connections that the system holds until they are accepted. Default: 511. */
  readonly backlog?: number | undefined;
  readonly onRefused?: ((refusal: Refusal) => void) | undefined;
  /** Default: the one of the process. */
  readonly driver?: Driver | undefined;
}

export interface Listener {
  readonly address: string;
  readonly port: number;
  /** Connections that are driven by an endpoint. */
  readonly connections: ReadonlySet<DrivenConnection>;
  /** Stops listening, and leaves alone whoever is connected. Resolves when the last of them is gone. */
  stopListening(): Promise<void>;
  /** What TLS handshakes from now on use. Whom it asks for a certificate stays as it was. */
  renew(credentials: TlsCredentials): void;
  /**
   * Stops listening, gives open connections `graceMs` to end by themselves, then drops them. Resolves when all are gone.
   * Default: 0.
   */
  close(graceMs?: number): Promise<void>;
}

/** Makes the endpoint of a new connection, or undefined to turn it away. */
export type EndpointFactory = (info: StreamInfo) => ProtocolEndpoint | undefined;

const DEFAULT_HANDSHAKE_TIMEOUT_MS = 10_000;

/** Each connection costs some tens of kilobytes before it has said anything; 10,000 are half a gigabyte at the very worst. */
const DEFAULT_CONNECTIONS_MAX = 10_000;

/** Headers of a WebSocket request. Browsers send cookies, but not these sizes. */
const HTTP_HEADER_BYTES_MAX = 16 * 1024;

const KEEP_ALIVE_MS = 60_000;

/** Silence on an HTTP connection without a WebSocket after which it is closed. */
const IDLE_HTTP_MS = 60_000;

/** Time for a peer to read why it was refused. */
const REFUSAL_LINGER_MS = 1_000;

/**
 * Opens a port.
 *
 * @throws TransportError where the port cannot be opened
 */
export async function listen(options: ListenOptions, onConnection: EndpointFactory): Promise<Listener> {
  const port = new Port(options, onConnection);
  await port.open();
  return port;
}

class Port implements Listener {
  address = '';
  port = 0;
  readonly connections = new Set<DrivenConnection>();
  readonly #options: ListenOptions;
  readonly #onConnection: EndpointFactory;
  readonly #driver: Driver;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  readonly #http: HttpServer | undefined;
  readonly #webSockets: WebSocketServer | undefined;
  /** Every socket that was accepted and is not closed. */
  readonly #sockets = new Set<Socket>();
  /** Handshakes that are under way. */
  readonly #limits = new Set<Limit>();
  #onEmpty: (() => void) | undefined;
  #isClosing = false;
  /** The limits of the connections from which an HTTP request is awaited. */
  readonly #requests = new WeakMap<Socket, Limit>();

  constructor(options: ListenOptions, onConnection: EndpointFactory) {
    this.#options = options;
    this.#onConnection = onConnection;
    this.#driver = options.driver ?? sharedDriver;
    const { mode, tls, inBandTls, detectTls } = options;
    const usesTls = mode === 'tls' || mode === 'websocket-tls';
    if (usesTls || detectTls === true || (inBandTls !== undefined && inBandTls.use !== 'off')) {
      if (tls === undefined) throw new TypeError(`listen: mode ${mode} with TLS needs tls.credentials`);
      this.#tls = this.#makeTlsServer(tls);
    }
    if (mode === 'websocket' || mode === 'websocket-tls') {
      this.#http = this.#makeHttpServer();
      this.#webSockets = new (webSockets().WebSocketServer)({
        noServer: true,
        clientTracking: false,
        perMessageDeflate: false,
        maxPayload: WEBSOCKET_MESSAGE_BYTES_MAX,
        handleProtocols: (offered) => this.#chooseProtocol([...offered]) ?? false,
      });
    }
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
      (socket) => this.#accept(socket),
    );
    this.#server.maxConnections = options.maxConnections ?? DEFAULT_CONNECTIONS_MAX;
    this.#server.on('drop', (data) => {
      this.#report(
        'too-many-connections',
        `${this.#server.maxConnections} connections are open, no more are allowed.`,
        {
          remoteAddress: data?.remoteAddress ?? '',
          remotePort: data?.remotePort ?? 0,
        },
      );
    });
  }

  open(): Promise<void> {
    const { host, port, backlog = 511 } = this.#options;
    return new Promise((resolve, reject) => {
      const server = this.#server;
      const onError = (error: Error): void => reject(describeListenError(error, host ?? '', port));
      server.once('error', onError);
      try {
        server.listen({ port, backlog, ...(host === undefined || host === '' ? {} : { host }) }, () => {
          server.off('error', onError);
          // Errors of accepting, such as too many open files: the port stays open, the peer comes again.
          server.on('error', () => {});
          const address = server.address() as AddressInfo;
          this.address = address.address;
          this.port = address.port;
          resolve();
        });
      } catch (error) {
        onError(error as Error);
      }
    });
  }

  stopListening(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#dropUndecided();
    });
  }

  renew(credentials: TlsCredentials): void {
    if (this.#tls !== undefined) credentials.renewServer(this.#tls);
  }

  close(graceMs = 0): Promise<void> {
    return new Promise((resolve) => {
      const dropAll = (): void => {
        for (const connection of this.connections) connection.destroy();
        for (const socket of this.#sockets) socket.destroy();
      };
      const timer = graceMs > 0 ? setTimeout(dropAll, graceMs) : undefined;
      const finish = (): void => {
        clearTimeout(timer);
        resolve();
      };
      // Sockets are gone for the server a moment before their endpoints have heard of it.
      this.#server.close(() => {
        if (this.connections.size === 0) finish();
        else this.#onEmpty = finish;
      });
      this.#dropUndecided();
      if (graceMs <= 0) dropAll();
    });
  }

  /** The port closes: who has not said yet what it wants deserves no grace, nor an HTTP connection without a request. */
  #dropUndecided(): void {
    this.#isClosing = true;
    for (const limit of this.#limits) limit.expireNow();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
    switch (this.#options.mode) {
      case 'tcp':
        this.#recognize(socket);
        break;
      case 'tls':
      case 'websocket-tls':
        this.#injectTls(socket);
        break;
      case 'websocket':
        if (this.#options.detectTls === true) this.#recognize(socket);
        else this.#injectHttp(socket);
        break;
    }
  }

  /** Waits for the first bytes of a peer on a plain port, which say what it is. */
  #recognize(socket: Socket): void {
    const limit = this.#limit(socket, 'it sent nothing that shows which protocol it speaks.');
    const chunks: Buffer[] = [];
    const head = new Uint8Array(PROTOCOL_HEADER_BYTES);
    let known = 0;
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      const part = chunk.subarray(0, head.length - known);
      head.set(part, known);
      known += part.length;
      const seen = recognizeFirstBytes(head.subarray(0, known));
      if (seen === undefined) return;
      limit.end();
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.pause();
      if (this.#http !== undefined && seen !== 'tls') {
        giveBack(socket, chunks);
        this.#injectHttp(socket);
        socket.resume();
        return;
      }
      switch (seen) {
        case 'tls':
          if (this.#options.detectTls === true) {
            giveBack(socket, chunks);
            this.#injectTls(socket);
          } else {
            this.#refuse(
              socket,
              'tls-on-plain-port',
              'it began with a TLS handshake on a port without TLS. Set an sslProfile on the listener, or let the client connect without TLS.',
            );
          }
          break;
        case 'http':
          this.#refuse(
            socket,
            'http-on-amqp-port',
            'it sent an HTTP request to a port for AMQP. Set http: yes on the listener if web clients are to use it.',
            httpRefusal(400, 'This port speaks AMQP 1.0, not HTTP.'),
          );
          break;
        case 'amqp-tls':
          this.#onTlsHeader(socket, head, chunks);
          break;
        default:
          this.#onPlain(socket, chunks);
      }
    };
    const onEnd = (): void => {
      // Port scanners and health checks connect and leave; that is no news.
      limit.end();
      socket.destroy();
    };
    socket.on('data', onData);
    socket.once('end', onEnd);
  }

  #onTlsHeader(socket: Socket, head: Uint8Array, chunks: readonly Buffer[]): void {
    if (this.#options.inBandTls === undefined || this.#options.inBandTls.use === 'off') {
      // The endpoint knows which header to answer with.
      this.#onPlain(socket, chunks);
      return;
    }
    socket.write(TLS_PROTOCOL_HEADER);
    if (!isTlsProtocolHeader(head)) {
      // An unknown version is answered with the known one. @see OASIS AMQP 1.0, 2.2
      this.#refuse(socket, 'tls-handshake', 'it asked for an unknown version of in-band TLS.');
      return;
    }
    giveBack(socket, chunks, PROTOCOL_HEADER_BYTES);
    this.#injectTls(socket);
  }

  #onPlain(socket: Socket, chunks: readonly Buffer[]): void {
    const { inBandTls } = this.#options;
    if (inBandTls?.use === 'required' && (inBandTls.plain ?? 'refuse') === 'refuse') {
      this.#refuse(
        socket,
        'tls-required',
        'it began without TLS, which this port requires. Let the client use TLS.',
        TLS_PROTOCOL_HEADER,
      );
      return;
    }
    giveBack(socket, chunks);
    this.#start(socket, this.#streamOf(socket));
  }

  #injectTls(socket: Socket): void {
    // Who hangs up in the middle of the handshake is gone; after it, the end of a direction is the endpoint's affair.
    socket.allowHalfOpen = false;
    (this.#tls as TlsServer).emit('connection', socket);
  }

  #makeTlsServer(options: ServerTlsOptions): TlsServer {
    const { credentials, clientCertificate = 'none' } = options;
    if (clientCertificate !== 'none' && !credentials.hasAuthorities) {
      throw new TypeError('listen: client certificates can only be checked with the authorities of a caCertFile');
    }
    const server = credentials.makeServer({
      requestCert: clientCertificate !== 'none',
      rejectUnauthorized: clientCertificate === 'required',
      handshakeTimeout: this.#handshakeTimeoutMs,
    });
    server.on('secureConnection', (socket) => {
      // After the handshake errors come here; those of it went to tlsClientError.
      socket.on('error', () => {});
      socket.allowHalfOpen = true;
      if (this.#http === undefined) this.#start(socket, this.#streamOf(socket));
      else this.#injectHttp(socket);
    });
    server.on('tlsClientError', (error, socket) => this.#onTlsClientError(error, socket));
    return server;
  }

  #onTlsClientError(error: Error, socket: TLSSocket): void {
    const code = codeOf(error);
    const refused: unknown = socket.authorizationError;
    if (refused !== undefined && refused !== null) {
      this.#report('client-certificate', `its certificate is not accepted: ${String(refused)}.`, socket, error);
    } else if (/PEER_DID_NOT_RETURN_A_CERTIFICATE/.test(code)) {
      this.#report('client-certificate', 'it has shown no certificate, which this port requires.', socket, error);
    } else if (
      /WRONG_VERSION_NUMBER|HTTP_REQUEST|HTTPS_PROXY_REQUEST|PACKET_LENGTH_TOO_LONG|BAD_RECORD_TYPE/.test(code)
    ) {
      const text = 'it began without TLS on a port for TLS. Let the client connect with TLS.';
      this.#report('plain-on-tls-port', text, socket, error);
    } else if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
      this.#report('timed-out', 'it did not finish the TLS handshake in time.', socket, error);
    } else if (code !== 'ECONNRESET') {
      this.#report('tls-handshake', `the TLS handshake failed: ${code} ${readable(error.message, 120)}`, socket, error);
    }
    socket.destroy();
  }

  #injectHttp(socket: Socket): void {
    this.#requests.set(socket, this.#limit(socket, 'it sent no HTTP request.'));
    socket.once('close', () => this.#requests.get(socket)?.end());
    (this.#http as HttpServer).emit('connection', socket);
  }

  #makeHttpServer(): HttpServer {
    const server = createHttpServer({ maxHeaderSize: HTTP_HEADER_BYTES_MAX });
    // For connections that stay open between requests; a WebSocket lifts it.
    server.timeout = IDLE_HTTP_MS;
    server.on('request', (request, response) => this.#onRequest(request, response));
    if (this.#options.websockets !== false) {
      server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
        this.#requests.get(socket)?.end();
        if (request.headers.upgrade?.toLowerCase() === 'websocket') this.#upgrade(request, socket, head);
        else this.#ignoreUpgrade(request, socket);
      });
    }
    server.on('clientError', (error: Error, socket: Socket) => {
      this.#requests.get(socket)?.end();
      const raw: unknown = Reflect.get(error, 'rawPacket');
      const seen = raw instanceof Uint8Array ? recognizeFirstBytes(raw) : undefined;
      if (seen === 'amqp' || seen === 'amqp-tls') {
        const text =
          'it began with AMQP on a port for AMQP over WebSocket. Let the client use WebSocket, or another port.';
        this.#refuse(socket, 'amqp-on-websocket-port', text);
      } else if (seen === 'tls') {
        this.#refuse(socket, 'tls-on-plain-port', 'it began with a TLS handshake on a port without TLS.');
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
        this.#refuse(socket, 'not-websocket', text, answer);
      }
    });
    return server;
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    this.#requests.get(socket)?.end();
    if (this.#isClosing) response.shouldKeepAlive = false;
    response.once('close', () => {
      if (socket.destroyed) return;
      if (this.#isClosing) {
        socket.end();
        return;
      }
      // A byte now and then would keep the connection for ever: the next request has its time, too.
      this.#requests.get(socket)?.end();
      this.#requests.set(socket, new Limit(this.#driver, IDLE_HTTP_MS, () => socket.destroy(), this.#limits));
    });
    const { onRequest } = this.#options;
    if (onRequest !== undefined) {
      onRequest(request, response);
      return;
    }
    const text = 'it sent a plain HTTP request to a port for AMQP over WebSocket.';
    this.#report('not-websocket', text, socket);
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
      this.#refuse(socket, 'websocket-path', text, httpRefusal(404, 'There is no WebSocket at this path.'));
      return;
    }
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((one) => one.trim());
    if (this.#chooseProtocol(offered) === undefined) {
      const accepted = this.#protocols.join(', ');
      const text = `of its WebSocket subprotocols (${readable(offered.join(', '), 80)}) none is one of ${accepted}.`;
      this.#refuse(
        socket,
        'websocket-subprotocol',
        text,
        httpRefusal(400, `The subprotocol must be one of ${accepted}.`),
      );
      return;
    }
    const info = streamInfoOf(socket);
    (this.#webSockets as WebSocketServer).handleUpgrade(request, socket, head, (webSocket) => {
      const full: StreamInfo = { ...info, websocket: true, websocketProtocol: webSocket.protocol, websocketPath: path };
      this.#start(socket, new WebSocketStream(webSocket, full));
    });
  }

  get #protocols(): readonly string[] {
    return this.#options.websocketProtocols ?? WEBSOCKET_PROTOCOLS;
  }

  #chooseProtocol(offered: readonly string[]): string | undefined {
    return offered.find((one) => this.#protocols.includes(one));
  }

  #streamOf(socket: Socket): SocketStream {
    const info = streamInfoOf(socket);
    const place = { host: info.remoteAddress, port: info.remotePort, stage: 'established' } as const;
    return new SocketStream(socket, info, { describeError: (error) => describeTransportError(error, place) });
  }

  #start(socket: Socket, stream: ByteStream): void {
    const endpoint = this.#onConnection(stream.info);
    if (endpoint === undefined) {
      stream.destroy();
      socket.destroy();
      return;
    }
    const connection = this.#driver.drive(endpoint, stream, () => {
      this.connections.delete(connection);
      if (this.connections.size === 0) this.#onEmpty?.();
    });
    this.connections.add(connection);
  }

  #refuse(socket: Socket, kind: RefusalKind, text: string, answer?: Uint8Array | string): void {
    this.#report(kind, text, socket);
    if (answer === undefined) socket.end();
    else socket.end(answer);
    // Bytes that nobody read would turn our end into a reset, and the peer would not see the answer.
    socket.resume();
    socket.once('end', () => socket.destroy());
    const limit = new Limit(this.#driver, REFUSAL_LINGER_MS, () => socket.destroy());
    socket.once('close', () => limit.end());
  }

  #report(kind: RefusalKind, what: string, peer: RefusedPeer, cause?: Error): void {
    const { remoteAddress = '', remotePort = 0 } = peer;
    const text = `A connection from ${remoteAddress}:${remotePort} was refused: ${what}`;
    this.#options.onRefused?.({ kind, text, remoteAddress, remotePort, ...(cause === undefined ? {} : { cause }) });
  }

  /** Bounds the time of a handshake. */
  #limit(socket: Socket, missing: string): Limit {
    const onExpired = (late: boolean): void => {
      if (late) this.#report('timed-out', missing, socket);
      socket.destroy();
    };
    const limit = new Limit(this.#driver, this.#handshakeTimeoutMs, onExpired, this.#limits);
    socket.once('close', () => limit.end());
    return limit;
  }

  get #handshakeTimeoutMs(): number {
    return this.#options.handshakeTimeoutMs ?? DEFAULT_HANDSHAKE_TIMEOUT_MS;
  }
}

/** Puts chunks back to where they were read from, but for their first `skip` bytes. */
function giveBack(socket: Socket, chunks: readonly Buffer[], skip = 0): void {
  const first = chunks.findIndex((chunk) => (skip -= chunk.length) < 0);
  if (first === -1) return;
  for (let i = chunks.length - 1; i > first; i--) socket.unshift(chunks[i]);
  const rest = chunks[first] as Buffer;
  socket.unshift(rest.subarray(rest.length + skip));
}

interface RefusedPeer {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** A time limit on the shared timer. */
class Limit implements WheelEntry {
  wheelSlot = -1;
  readonly #driver: Driver;
  readonly #at: number;
  readonly #onExpired: (late: boolean) => void;
  readonly #among: Set<Limit> | undefined;

  /** @param among - where it stands until it ends */
  constructor(driver: Driver, ms: number, onExpired: (late: boolean) => void, among?: Set<Limit>) {
    this.#driver = driver;
    this.#among = among;
    among?.add(this);
    this.#at = driver.clock.now() + ms;
    this.#onExpired = onExpired;
    driver.wheel.add(this);
  }

  deadline(): number {
    return this.#at;
  }

  expire(): void {
    this.end();
    this.#onExpired(true);
  }

  /** The port closes: what is limited ends before its time. */
  expireNow(): void {
    this.end();
    this.#onExpired(false);
  }

  end(): void {
    this.#driver.wheel.remove(this);
    this.#among?.delete(this);
  }
}

function trimmed(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  404: 'Not Found',
  431: 'Request Header Fields Too Large',
};

function httpRefusal(status: number, text: string): string {
  return [
    `HTTP/1.1 ${status} ${STATUS_TEXT[status]}`,
    'Content-Type: text/plain',
    `Content-Length: ${text.length + 1}`,
    'Connection: close',
    '',
    `${text}\n`,
  ].join('\r\n');
}

function describeListenError(error: Error, host: string, port: number): TransportError {
  const where = host === '' ? `port ${port}` : `${host}:${port}`;
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new TransportError(
        'address-in-use',
        `${where} cannot be opened: another program listens there.`,
        "Stop the other program, or change the listener's port.",
        error,
      );
    case 'EACCES':
      return new TransportError(
        'not-permitted',
        `${where} cannot be opened: this process has no right to it.`,
        "Set the listener's port to 1024 or above, or give the process the right.",
        error,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAFNOSUPPORT':
      return new TransportError(
        'address-not-available',
        `${where} cannot be opened: ${host} is no address of this machine.`,
        "Set the listener's host to an address of this machine, or leave it out to listen on all.",
        error,
      );
    default:
      return new TransportError(
        'other',
        `${where} cannot be opened: ${readable(error.message)}`,
        "Check the listener's host and port (0 to 65535).",
        error,
      );
  }
}
