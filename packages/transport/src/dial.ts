// SPDX-License-Identifier: Apache-2.0
import { connect, isIP } from 'node:net';
import type { LookupFunction, Socket } from 'node:net';
import * as tls from 'node:tls';
import { PROTOCOL_HEADER_BYTES, TLS_PROTOCOL_HEADER, isTlsProtocolHeader, recognizeFirstBytes } from './first-bytes.js';
import { openTunnel } from './proxy.js';
import type { HttpProxy } from './proxy.js';
import { checkServerIdentity } from './server-identity.js';
import { SocketStream, streamInfoOf } from './socket-stream.js';
import type { ByteStream, StreamInfo } from './stream.js';
import { loadTlsCredentials } from './tls-credentials.js';
import type { TlsCredentials } from './tls-credentials.js';
import {
  TransportError,
  closedEarly,
  codeOf,
  describeCertificateError,
  describeTransportError,
  notHttp,
  placeText,
  readable,
  sentence,
  timedOut,
} from './transport-error.js';
import { webSockets } from './websocket-library.js';
import type { ErrorPlace } from './transport-error.js';
import { SERVICE_BUS_WEBSOCKET_PATH, WEBSOCKET_MESSAGE_BYTES_MAX, WebSocketStream } from './websocket-stream.js';

/** How bytes travel: `tls-in-band` is TLS that the AMQP protocol header with id 2 asks for, on a port that begins plain. */
export type DialMode = 'tcp' | 'tls' | 'tls-in-band' | 'websocket' | 'websocket-tls';

export interface DialOptions {
  /** Name or IP address. A name is looked up anew each time, and all its addresses are tried. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  readonly mode: DialMode;
  /** Name to ask for (SNI) and to find in the certificate. Default: `host`. */
  readonly servername?: string | undefined;
  /** False: any name in the certificate will do. Its chain is checked all the same. Default: true. */
  readonly verifyHostname?: boolean | undefined;
  /** Asked for a tunnel to `host` and `port`; it looks the name up, then. */
  readonly proxy?: HttpProxy | undefined;
  /** Default: the authorities of this machine, no client certificate. */
  readonly credentials?: TlsCredentials | undefined;
  /** For everything together, from the name to the last handshake. Default: 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Of the WebSocket request. Default: that of Service Bus. */
  readonly websocketPath?: string | undefined;
  /** In order of preference. Default: `AMQPWSB10`, `amqp`. */
  readonly websocketProtocols?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Default: that of the operating system (`dns.lookup`). */
  readonly lookup?: LookupFunction | undefined;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const DIAL_PROTOCOLS: readonly string[] = ['AMQPWSB10', 'amqp'];

/** An address that does not answer holds up the next one for so long, as long as there is a next one. */
const ADDRESS_ATTEMPT_MS = 1_000;

/** TCP probes on an idle connection, for peers whose idle time-out is switched off. */
const KEEP_ALIVE_MS = 60_000;

/** Bytes of a refusing HTTP answer that are shown. */
const REFUSAL_BODY_BYTES = 300;

let defaultCredentials: TlsCredentials | undefined;

/**
 * Connects once.
 *
 * @throws TransportError what was wrong, and what to change; nothing is left open then
 */
export async function dial(options: DialOptions): Promise<ByteStream> {
  const attempt = new Attempt(options);
  try {
    return await attempt.run();
  } catch (error) {
    attempt.abandon();
    throw error;
  } finally {
    attempt.finish();
  }
}

export interface DialSocketOptions extends DialOptions {
  /** Stops where TLS would begin. Default: false. */
  readonly beforeTls?: boolean | undefined;
}

/**
 * Connects once, as {@link dial} does, for whoever speaks something else than AMQP there: to a socket, with its TLS where `mode`
 * has that, and never with a WebSocket. It was made with `allowHalfOpen`.
 *
 * @throws TransportError as {@link dial}
 */
export async function dialSocket(options: DialSocketOptions): Promise<Socket> {
  const attempt = new Attempt(options);
  try {
    return await attempt.socket(options.beforeTls === true);
  } catch (error) {
    attempt.abandon();
    throw error;
  } finally {
    attempt.finish();
  }
}

class Attempt {
  readonly #options: DialOptions;
  readonly #credentials: TlsCredentials | undefined;
  readonly #timer: NodeJS.Timeout;
  /** Everything that is to be torn down if the attempt fails. */
  readonly #sockets: Socket[] = [];
  #stage: ErrorPlace['stage'] = 'connect';
  #failure: TransportError | undefined;
  /** Rejects the step that is being waited for. */
  #interrupt: ((error: TransportError) => void) | undefined;
  readonly #onAbort = (): void => {
    this.#fail(
      new TransportError('cancelled', `The attempt to connect to ${this.#where} was cancelled.`, 'Nothing to do.'),
    );
  };

  constructor(options: DialOptions) {
    this.#options = options;
    const { mode, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    if (mode !== 'tcp' && mode !== 'websocket') {
      this.#credentials = options.credentials ?? (defaultCredentials ??= loadTlsCredentials());
    }
    this.#timer = setTimeout(() => this.#fail(timedOut(this.#place(), timeoutMs)), timeoutMs);
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  async run(): Promise<ByteStream> {
    const { mode } = this.#options;
    const socket = await this.socket(false);
    return mode === 'websocket' || mode === 'websocket-tls' ? this.#upgradeToWebSocket(socket) : this.#streamOf(socket);
  }

  async socket(beforeTls: boolean): Promise<Socket> {
    const { mode } = this.#options;
    const plain = this.#options.proxy === undefined ? await this.#connect() : await this.#connectByProxy();
    if (mode === 'tls-in-band') await this.#agreeOnTls(plain);
    return beforeTls || mode === 'tcp' || mode === 'websocket' ? plain : this.#secure(plain);
  }

  finish(): void {
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
  }

  abandon(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  get #where(): string {
    return placeText(this.#options);
  }

  #place(stage: ErrorPlace['stage'] = this.#stage): ErrorPlace {
    const { proxy } = this.#options;
    const byProxy = proxy !== undefined && (stage === 'connect' || stage === 'proxy');
    const { host, port } = byProxy ? proxy : this.#options;
    return {
      host,
      port,
      stage,
      byProxy,
      tunnel: proxy === undefined || byProxy ? undefined : placeText(proxy),
      webSocket: this.#options.mode.startsWith('websocket'),
      hasCertificate: this.#credentials?.hasCertificate === true,
    };
  }

  #fail(error: TransportError): void {
    this.#failure ??= error;
    this.#interrupt?.(this.#failure);
  }

  /** Waits for `arrange` to call one of its arguments, for the time limit, or for the end of the socket. */
  #step<T>(
    stage: ErrorPlace['stage'],
    socket: Socket,
    arrange: (resolve: (value: T) => void, reject: (error: TransportError) => void) => void,
  ): Promise<T> {
    this.#stage = stage;
    this.#sockets.push(socket);
    return new Promise<T>((resolve, reject) => {
      const onError = (error: Error): void => reject(describeTransportError(error, this.#place()));
      const onClose = (): void => reject(closedEarly(this.#place()));
      const settle = (): void => {
        this.#interrupt = undefined;
        socket.off('close', onClose);
        socket.off('end', onClose);
      };
      // `ws` and HTTP report the end and the errors of their sockets themselves; and who refuses in HTTP answers first, then
      // hangs up.
      if (stage !== 'websocket' && stage !== 'proxy') {
        // This one stays: an error after a failed attempt is nobody's business, but must find a listener.
        socket.on('error', onError);
        socket.once('close', onClose);
        socket.once('end', onClose);
      }
      this.#interrupt = reject;
      if (this.#failure !== undefined) reject(this.#failure);
      arrange(
        (value) => {
          settle();
          resolve(value);
        },
        (error) => {
          settle();
          reject(error);
        },
      );
    });
  }

  /** @see RFC 9110, 9.3.6 */
  async #connectByProxy(): Promise<Socket> {
    const { proxy, host, port } = this.#options as DialOptions & { readonly proxy: HttpProxy };
    const socket = await this.#connect(proxy);
    await this.#step<void>('proxy', socket, (resolve, reject) =>
      openTunnel(socket, proxy, { host, port }, resolve, reject),
    );
    return socket;
  }

  #connect({ host, port }: { readonly host: string; readonly port: number } = this.#options): Promise<Socket> {
    const { lookup } = this.#options;
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new TransportError(
        'other',
        `${port} is not a port.`,
        "Set the connector's port to a number from 1 to 65535.",
      );
    }
    const socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      allowHalfOpen: true,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
      ...(lookup === undefined ? {} : { lookup }),
    });
    return this.#step('connect', socket, (resolve) => socket.once('connect', () => resolve(socket)));
  }

  /** Exchanges the AMQP TLS header. @see OASIS AMQP 1.0, 5.2.1 */
  #agreeOnTls(socket: Socket): Promise<void> {
    return this.#step('in-band', socket, (resolve, reject) => {
      let answer: Buffer = Buffer.alloc(0);
      const onData = (bytes: Buffer): void => {
        answer = Buffer.concat([answer, bytes]);
        const seen = recognizeFirstBytes(answer);
        if (seen === undefined || (seen === 'amqp' && answer.length < PROTOCOL_HEADER_BYTES)) return;
        socket.off('data', onData);
        socket.pause();
        if (seen !== 'amqp-tls' || !isTlsProtocolHeader(answer)) {
          reject(this.#noInBandTls(seen, answer));
          return;
        }
        if (answer.length > PROTOCOL_HEADER_BYTES) socket.unshift(answer.subarray(PROTOCOL_HEADER_BYTES));
        resolve();
      };
      socket.on('data', onData);
      socket.write(TLS_PROTOCOL_HEADER);
    });
  }

  #noInBandTls(seen: string, answer: Buffer): TransportError {
    switch (seen) {
      case 'amqp':
        return new TransportError(
          'not-tls',
          `${this.#where} answered the AMQP TLS header with protocol id ${answer[4]}: it offers no in-band TLS.`,
          "Set the connector's port to the one that takes TLS from the first byte (usually 5671).",
        );
      case 'tls':
        return new TransportError(
          'not-tls',
          `${this.#where} takes TLS from the first byte, not through the AMQP header.`,
          'Connect with TLS from the first byte, as is usual on port 5671.',
        );
      case 'http':
        return notAmqp(this.#where);
      default:
        return new TransportError(
          'not-tls',
          `${this.#where} did not answer the AMQP TLS header with one of its own.`,
          "Check the connector's port: something else than AMQP may listen there.",
        );
    }
  }

  #secure(plain: Socket): Promise<tls.TLSSocket> {
    const { host, verifyHostname = true } = this.#options;
    const name = this.#options.servername ?? host;
    const context = (this.#credentials as TlsCredentials).clientContext;
    const socket = tls.connect({
      socket: plain,
      secureContext: context,
      // An IP address is never sent as a server name. @see RFC 6066, 3
      ...(isIP(name) === 0 ? { servername: name } : {}),
      checkServerIdentity: (_, certificate) => (verifyHostname ? checkServerIdentity(name, certificate) : undefined),
      // The chain is checked by OpenSSL as ever, and refused below: here, where the certificate can still be looked at.
      rejectUnauthorized: false,
    });
    return this.#step('tls', socket, (resolve, reject) => {
      socket.once('secureConnect', () => {
        if (socket.authorized) {
          resolve(socket);
          return;
        }
        const reason: unknown = socket.authorizationError;
        const code = typeof reason === 'string' ? reason : codeOf(reason);
        const cause = reason instanceof Error ? reason : undefined;
        reject(describeCertificateError(code, socket.getPeerCertificate(true), name, this.#place(), cause));
        socket.destroy();
      });
    });
  }

  #streamOf(socket: Socket): ByteStream {
    const place = this.#place('established');
    const encrypted = socket instanceof tls.TLSSocket;
    return new SocketStream(socket, streamInfoOf(socket), {
      describeError: (error) => describeTransportError(error, place),
      inspectFirst: (bytes) => inspectAnswer(bytes, this.#where, encrypted),
    });
  }

  #upgradeToWebSocket(socket: Socket): Promise<ByteStream> {
    const { host, port, servername, websocketPath = SERVICE_BUS_WEBSOCKET_PATH } = this.#options;
    const protocols = this.#options.websocketProtocols ?? DIAL_PROTOCOLS;
    const name = servername ?? host;
    const scheme = socket instanceof tls.TLSSocket ? 'wss' : 'ws';
    const authority = isIP(name) === 6 ? `[${name}]` : name;
    const info = streamInfoOf(socket);
    return this.#step('websocket', socket, (resolve, reject) => {
      const websocket = new (webSockets().WebSocket)(
        `${scheme}://${authority}:${port}${websocketPath}`,
        [...protocols],
        {
          createConnection: () => socket,
          perMessageDeflate: false,
          followRedirects: false,
          maxPayload: WEBSOCKET_MESSAGE_BYTES_MAX,
        },
      );
      websocket.once('open', () => {
        const full: StreamInfo = { ...info, websocket: true, websocketProtocol: websocket.protocol, websocketPath };
        resolve(new WebSocketStream(websocket, full));
      });
      websocket.once('unexpected-response', (_, response) => {
        let body = '';
        response.setEncoding('utf8');
        const { statusCode = 0, statusMessage = '' } = response;
        const refuse = (): void => reject(this.#refusedUpgrade(statusCode, statusMessage, body, websocketPath));
        response.on('data', (text: string) => {
          body += text;
          // Some never end.
          if (body.length >= REFUSAL_BODY_BYTES) refuse();
        });
        response.once('end', refuse);
        response.once('close', refuse);
      });
      websocket.on('error', (error) => {
        if (/subprotocol/.test(error.message)) {
          reject(
            new TransportError(
              'websocket-subprotocol',
              `${this.#where} accepted the WebSocket, but none of the subprotocols ${protocols.join(', ')}.`,
              "Check the connector's host and port: the server there is no AMQP server.",
              error,
            ),
          );
        } else if (/^(?:Invalid|Unexpected|Server sent)/.test(error.message)) {
          // The library's own judgement of an answer in HTTP has no code.
          reject(codeOf(error) === '' ? this.#noUpgrade(error) : notHttp(this.#where, error));
        } else {
          reject(describeTransportError(error, this.#place()));
        }
      });
    });
  }

  #refusedUpgrade(status: number, reason: string, body: string, path: string): TransportError {
    const said = [`${status} ${reason}`, body.replaceAll(/<[^>]*>/g, ' ')]
      .map((text) => readable(text, REFUSAL_BODY_BYTES))
      .filter((text) => text !== '')
      .join(': ');
    return new TransportError(
      'websocket-refused',
      `${this.#where} answered the WebSocket request for ${path} with HTTP status ${sentence(said)}`,
      cureOfRefusal(status),
    );
  }

  #noUpgrade(error: Error): TransportError {
    return new TransportError(
      'websocket-refused',
      `${this.#where} answered the WebSocket request as no WebSocket server does: ${sentence(readable(error.message))}`,
      "Check the connector's host and webSocketPort, and what on the way looks into HTTP.",
      error,
    );
  }
}

/** What to do where HTTP, but no WebSocket, is the answer. */
function cureOfRefusal(status: number): string {
  if (status === 404)
    return 'There is no AMQP over WebSocket at this path; the Service Bus emulator has none at all: use port 5672 with it.';
  if (status === 401 || status === 403)
    return 'The namespace may refuse the address of this machine (its settings for firewalls and private endpoints), or something on the way does.';
  if (status >= 300 && status < 400)
    return "Something on the way wants a sign-in, or the connector's host is not the namespace.";
  if (status >= 500) return 'It may pass by itself; where it stays so, ask whoever runs what is on the way.';
  return "Check the connector's host and port.";
}

/** Looks at the first bytes that a peer sends us after the handshakes. */
function inspectAnswer(bytes: Uint8Array, where: string, encrypted: boolean): TransportError | undefined {
  const seen = recognizeFirstBytes(bytes);
  if (seen === 'http') return notAmqp(where);
  if (encrypted) return undefined;
  if (seen === 'amqp-tls') {
    return new TransportError(
      'tls-required',
      `${where} insists on TLS: it answered with the AMQP TLS header.`,
      'Give the connector an sslProfile.',
    );
  }
  if (seen === 'tls') {
    return new TransportError(
      'tls-required',
      `${where} speaks TLS on this port, and was spoken to without it.`,
      'Give the connector an sslProfile.',
    );
  }
  return undefined;
}

function notAmqp(where: string): TransportError {
  return new TransportError(
    'not-amqp',
    `${where} answered in HTTP, not in AMQP.`,
    "Check the connector's port: AMQP is usually on 5671 or 5672; on 443 it travels inside a WebSocket.",
  );
}
