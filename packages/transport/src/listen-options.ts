// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ProtocolEndpoint } from '@pointsman/engine';
import type { DrivenConnection, Driver } from './drive.js';
import type { StreamInfo } from './stream.js';
import type { TlsCredentials } from './tls-credentials.js';

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
