// SPDX-License-Identifier: Apache-2.0
import type { AmqpErrorFields, Attach, Open, OpenFields, ProtocolError } from '@pointsman/wire';
import type { Connection } from './connection.js';
import type { ReceiverLink, SenderLink } from './link.js';
import type { SaslClientOptions, SaslServerOptions } from './sasl.js';
import type { Session } from './session.js';

export interface ConnectionOptions {
  /** The client speaks first. */
  readonly role: 'client' | 'server';
  readonly containerId: string;
  /** Monotonic ms at the beginning. */
  readonly now: number;
  readonly hostname?: string | undefined;
  /** Largest frame that we take, 512 or more. */
  readonly maxFrameSize?: number | undefined;
  /** Highest channel that the peer may use. */
  readonly channelMax?: number | undefined;
  /** Links of all sessions together; more are refused with `amqp:resource-limit-exceeded`. Default: 20,000. */
  readonly maxLinks?: number | undefined;
  /** Silence after which we close, in ms; 0 for never. Half of it is advertised, so that the peer sends in time. 2.4.5 */
  readonly idleTimeoutMs?: number | undefined;
  /** Time until the open of the peer has to be here, in ms; 0 for any. */
  readonly handshakeTimeoutMs?: number | undefined;
  /** Time that the peer has to answer our close, in ms. */
  readonly closeTimeoutMs?: number | undefined;
  readonly offeredCapabilities?: readonly string[] | undefined;
  readonly desiredCapabilities?: readonly string[] | undefined;
  readonly properties?: OpenFields['properties'];
  /** Client: authenticate by SASL; left out, there is no SASL layer. */
  readonly saslClient?: SaslClientOptions | undefined;
  /** Server: left out, ANONYMOUS is offered and the layer is optional. */
  readonly saslServer?: SaslServerOptions | undefined;
  /** Output that waits beyond this holds transfers back, in bytes. */
  readonly outputMax?: number | undefined;
  /** All fields of all performatives are written, absent ones as null: some peers index without counting. */
  readonly padded?: boolean | undefined;
}

/** How far the connection had come when it ended. */
export type ConnectionPhase = 'header' | 'sasl' | 'open' | 'opened';

/** Why a connection ended. */
export interface ConnectionEnd {
  /**
   * local: we closed. remote: the peer closed. protocol: the peer broke the protocol. idle: the peer fell silent.
   * sasl: authentication failed. lost: the socket went away.
   */
  readonly by: 'local' | 'remote' | 'protocol' | 'idle' | 'sasl' | 'lost';
  readonly phase: ConnectionPhase;
  readonly error?: AmqpErrorFields | undefined;
  readonly cause?: Error | undefined;
}

/** Happenings of a connection. The engine calls; it never emits. */
export interface ConnectionHandler {
  /** The SASL layer is done. `user` is undefined where it was left out. */
  onAuthenticated?(connection: Connection, mechanism: string, user: string | undefined): void;
  /** The peer's open. Answer with {@link Connection.open} where that has not been done. */
  onOpen(connection: Connection, open: Open): void;
  /** The peer began a session: answer with {@link Session.begin}. Called for sessions of ours too, once answered. */
  onBegin(session: Session): void;
  /** The peer ended a session, or we did for its breach of the protocol. Its links have been told. */
  onEnd(session: Session, error: AmqpErrorFields | undefined): void;
  /** The peer attached a link: accept or refuse it, now or later. */
  onAttach(link: SenderLink | ReceiverLink, attach: Attach): void;
  /** A breach of the protocol by the peer, for the log. What it costs is done by the engine. */
  onProtocolError?(connection: Connection, error: ProtocolError): void;
  /** The connection is over. Called once, last of all. */
  onClosed(connection: Connection, end: ConnectionEnd): void;
}
