// SPDX-License-Identifier: Apache-2.0
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import { sharedDriver } from './drive.js';
import type { DrivenConnection, Driver } from './drive.js';
import { PROTOCOL_HEADER_BYTES, TLS_PROTOCOL_HEADER, isTlsProtocolHeader, recognizeFirstBytes } from './first-bytes.js';
import { httpRefusal } from './http-refusal.js';
import { describeListenError } from './listen-error.js';
import type { EndpointFactory, ListenOptions, Listener, RefusalKind, ServerTlsOptions } from './listen-options.js';
import { SocketLimit } from './socket-limit.js';
import { SocketStream, streamInfoOf } from './socket-stream.js';
import type { SocketStreamOptions } from './socket-stream.js';
import type { ByteStream } from './stream.js';
import type { TlsCredentials } from './tls-credentials.js';
import { codeOf, describeTransportError, readable } from './transport-error.js';
import { WebRequests } from './web-requests.js';
import type { WebPort } from './web-requests.js';

const DEFAULT_HANDSHAKE_TIMEOUT_MS = 10_000;

/** Each connection costs some tens of kilobytes before it has said anything; 10,000 are half a gigabyte at the very worst. */
const DEFAULT_CONNECTIONS_MAX = 10_000;

const KEEP_ALIVE_MS = 60_000;

/** Time for a peer to read why it was refused. */
const REFUSAL_LINGER_MS = 1_000;

const STREAM_OPTIONS: SocketStreamOptions = {
  describeError: (error, { remoteAddress, remotePort }) =>
    describeTransportError(error, { host: remoteAddress, port: remotePort, stage: 'established' }),
};

function ignore(): void {}

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

class Port implements Listener, WebPort {
  address = '';
  port = 0;
  readonly connections = new Set<DrivenConnection>();
  readonly #options: ListenOptions;
  readonly #onConnection: EndpointFactory;
  readonly #driver: Driver;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  readonly #web: WebRequests | undefined;
  /** Every socket that was accepted and is not closed. */
  readonly #sockets = new Set<Socket>();
  /** Handshakes that are under way. */
  readonly #limits = new Set<SocketLimit>();
  #onEmpty: (() => void) | undefined;
  isClosing = false;
  readonly #onClosed = (_cause: Error | undefined, connection: DrivenConnection): void => {
    this.connections.delete(connection);
    if (this.connections.size === 0) this.#onEmpty?.();
  };

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
    if (mode === 'websocket' || mode === 'websocket-tls') this.#web = new WebRequests(this, options);
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
      (socket) => this.#accept(socket),
    );
    this.#server.maxConnections = options.maxConnections ?? DEFAULT_CONNECTIONS_MAX;
    this.#server.on('drop', (data) => {
      this.report('too-many-connections', `${this.#server.maxConnections} connections are open, no more are allowed.`, {
        remoteAddress: data?.remoteAddress ?? '',
        remotePort: data?.remotePort ?? 0,
      });
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
    this.isClosing = true;
    for (const limit of this.#limits) limit.expireNow();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', ignore);
    // Not once: what stays for the life of a connection is to cost little.
    socket.on('close', () => this.#sockets.delete(socket));
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
    const limit = this.limitHandshake(socket, 'it sent nothing that shows which protocol it speaks.');
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
      if (this.#web !== undefined && seen !== 'tls') {
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
            this.refuse(
              socket,
              'tls-on-plain-port',
              'it began with a TLS handshake on a port without TLS. Set an sslProfile on the listener, or let the client connect without TLS.',
            );
          }
          break;
        case 'http':
          this.refuse(
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
      this.refuse(socket, 'tls-handshake', 'it asked for an unknown version of in-band TLS.');
      return;
    }
    giveBack(socket, chunks, PROTOCOL_HEADER_BYTES);
    this.#injectTls(socket);
  }

  #onPlain(socket: Socket, chunks: readonly Buffer[]): void {
    const { inBandTls } = this.#options;
    if (inBandTls?.use === 'required' && (inBandTls.plain ?? 'refuse') === 'refuse') {
      this.refuse(
        socket,
        'tls-required',
        'it began without TLS, which this port requires. Let the client use TLS.',
        TLS_PROTOCOL_HEADER,
      );
      return;
    }
    giveBack(socket, chunks);
    this.start(socket, this.#streamOf(socket));
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
      socket.on('error', ignore);
      socket.allowHalfOpen = true;
      if (this.#web === undefined) this.start(socket, this.#streamOf(socket));
      else this.#injectHttp(socket);
    });
    server.on('tlsClientError', (error, socket) => this.#onTlsClientError(error, socket));
    return server;
  }

  #onTlsClientError(error: Error, socket: TLSSocket): void {
    const code = codeOf(error);
    const refused: unknown = socket.authorizationError;
    if (refused !== undefined && refused !== null) {
      this.report('client-certificate', `its certificate is not accepted: ${String(refused)}.`, socket, error);
    } else if (/PEER_DID_NOT_RETURN_A_CERTIFICATE/.test(code)) {
      this.report('client-certificate', 'it has shown no certificate, which this port requires.', socket, error);
    } else if (
      /WRONG_VERSION_NUMBER|HTTP_REQUEST|HTTPS_PROXY_REQUEST|PACKET_LENGTH_TOO_LONG|BAD_RECORD_TYPE/.test(code)
    ) {
      const text = 'it began without TLS on a port for TLS. Let the client connect with TLS.';
      this.report('plain-on-tls-port', text, socket, error);
    } else if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
      this.report('timed-out', 'it did not finish the TLS handshake in time.', socket, error);
    } else if (code !== 'ECONNRESET') {
      this.report('tls-handshake', `the TLS handshake failed: ${code} ${readable(error.message, 120)}`, socket, error);
    }
    socket.destroy();
  }

  #injectHttp(socket: Socket): void {
    (this.#web as WebRequests).take(socket);
  }

  #streamOf(socket: Socket): SocketStream {
    // From here on the stream hears of errors.
    socket.off('error', ignore);
    return new SocketStream(socket, streamInfoOf(socket), STREAM_OPTIONS);
  }

  start(socket: Socket, stream: ByteStream): void {
    const endpoint = this.#onConnection(stream.info);
    if (endpoint === undefined) {
      stream.destroy();
      socket.destroy();
      return;
    }
    this.connections.add(this.#driver.drive(endpoint, stream, this.#onClosed));
  }

  refuse(socket: Socket, kind: RefusalKind, text: string, answer?: Uint8Array | string): void {
    this.report(kind, text, socket);
    if (answer === undefined) socket.end();
    else socket.end(answer);
    // Bytes that nobody read would turn our end into a reset, and the peer would not see the answer.
    socket.resume();
    socket.once('end', () => socket.destroy());
    void new SocketLimit(this.#driver, socket, REFUSAL_LINGER_MS, () => socket.destroy());
  }

  report(kind: RefusalKind, what: string, peer: RefusedPeer, cause?: Error): void {
    const { remoteAddress = '', remotePort = 0 } = peer;
    const text = `A connection from ${remoteAddress}:${remotePort} to port ${this.port} was refused: ${what}`;
    this.#options.onRefused?.({ kind, text, remoteAddress, remotePort, ...(cause === undefined ? {} : { cause }) });
  }

  limitHandshake(socket: Socket, missing: string): SocketLimit {
    const onExpired = (late: boolean): void => {
      if (late) this.report('timed-out', missing, socket);
      socket.destroy();
    };
    return new SocketLimit(this.#driver, socket, this.#handshakeTimeoutMs, onExpired, this.#limits);
  }

  limitIdle(socket: Socket, ms: number): SocketLimit {
    return new SocketLimit(this.#driver, socket, ms, () => socket.destroy(), this.#limits);
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
