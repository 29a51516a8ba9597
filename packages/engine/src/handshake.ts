// SPDX-License-Identifier: Apache-2.0
import { PROTOCOL_AMQP, PROTOCOL_SASL, protocolIdOf } from '@pointsman/wire';
import type { SaslFrame, Writer } from '@pointsman/wire';
import type { ConnectionOptions } from './connection-options.js';
import { HeldInput } from './held-input.js';
import { OPEN_DOOR, SaslClientExchange, SaslServerExchange, headerMismatch, unfitHeader } from './sasl-exchange.js';
import type { SaslExchange, SaslStep } from './sasl-exchange.js';

/** What a handshake has done by its connection. */
export interface HandshakeHost {
  /** The connection has ended. */
  readonly done: boolean;
  sendHeader(id: number): void;
  sendSasl(write: (w: Writer) => void): void;
  /** Client: what the server offers, and what was chosen of it. */
  chose(offered: readonly string[], mechanism: string | undefined): void;
  authenticated(mechanism: string, user: string | undefined): void;
  /** AMQP frames come next: the handshake is over. @param mechanism - `none` where there was no SASL layer */
  amqpBegins(mechanism: 'none' | undefined): void;
  /** Authentication failed. */
  refused(description: string): void;
  /** What came while the decision was open. */
  takeHeld(parts: readonly Uint8Array[]): void;
}

/**
 * What is said on a connection before AMQP frames: protocol headers and SASL. Gone once they have begun.
 *
 * @see OASIS AMQP 1.0, 2.2 and 5.3
 */
export class Handshake {
  readonly #host: HandshakeHost;
  readonly #options: ConnectionOptions;
  #layer: 'start' | 'sasl-header' | 'sasl' | 'amqp-header' = 'start';
  #exchange: SaslExchange | undefined = undefined;
  /** What came while it is not decided yet whether the peer is let in. */
  #held: HeldInput | undefined = undefined;

  constructor(host: HandshakeHost, options: ConnectionOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** The client speaks first. */
  begin(): void {
    const { role, saslClient } = this.#options;
    if (role !== 'client') return;
    this.#layer = saslClient === undefined ? 'amqp-header' : 'sasl-header';
    this.#host.sendHeader(saslClient === undefined ? PROTOCOL_AMQP : PROTOCOL_SASL);
  }

  /** SASL frames come now, not a protocol header. */
  get isFramed(): boolean {
    return this.#layer === 'sasl';
  }

  /** How far it has come. */
  get phase(): 'header' | 'sasl' {
    return this.#layer === 'sasl' || this.#layer === 'amqp-header' ? 'sasl' : 'header';
  }

  /** Somebody takes time to decide whether the peer is let in: what comes meanwhile has to be held. */
  get isUndecided(): boolean {
    return this.#held !== undefined;
  }

  /** Keeps what comes too early. @returns false where it is too much */
  hold(bytes: Uint8Array): boolean {
    return this.#held!.add(bytes);
  }

  /** @throws RemoteProtocolError `amqp:connection:framing-error` for a header that does not do here */
  takeHeader(bytes: Uint8Array, at: number): void {
    const id = protocolIdOf(bytes, at);
    if (this.#options.role === 'server') return this.#clientHeader(id);
    const wanted = this.#layer === 'sasl-header' ? PROTOCOL_SASL : PROTOCOL_AMQP;
    if (id !== wanted) throw headerMismatch(wanted, id);
    if (wanted === PROTOCOL_SASL) this.#beginSasl(new SaslClientExchange(this.#options.saslClient!));
    else this.#host.amqpBegins(undefined);
  }

  #clientHeader(id: number | string): void {
    const sasl = this.#options.saslServer ?? OPEN_DOOR;
    if (id === PROTOCOL_SASL && this.#layer === 'start') {
      this.#host.sendHeader(PROTOCOL_SASL);
      return this.#beginSasl(new SaslServerExchange(sasl));
    }
    const authenticated = this.#layer === 'amqp-header';
    if (id === PROTOCOL_AMQP && (authenticated || sasl.optional))
      return this.#host.amqpBegins(authenticated ? undefined : 'none');
    // 2.2: say what would have been right, then close.
    this.#host.sendHeader(authenticated || sasl.optional ? PROTOCOL_AMQP : PROTOCOL_SASL);
    throw unfitHeader(id);
  }

  #beginSasl(exchange: SaslExchange): void {
    this.#exchange = exchange;
    this.#layer = 'sasl';
    if (exchange.first !== undefined) this.#host.sendSasl(exchange.first);
  }

  /** @throws RemoteProtocolError for a frame out of turn */
  takeSasl(frame: SaslFrame): void {
    const exchange = this.#exchange!;
    const step = exchange.take(frame);
    if (step.later !== undefined) {
      this.#held = new HeldInput();
      void step.later.then((decided) => this.#decided(decided));
      return;
    }
    if (exchange instanceof SaslClientExchange) this.#host.chose(exchange.offered, exchange.mechanism);
    this.#step(step);
  }

  #decided(step: SaslStep): void {
    const { parts } = this.#held!;
    this.#held = undefined;
    if (this.#host.done) return;
    this.#step(step);
    this.#host.takeHeld(parts);
  }

  #step({ write, done, failed }: SaslStep): void {
    const host = this.#host;
    if (write !== undefined) host.sendSasl(write);
    if (failed !== undefined) return host.refused(failed);
    if (done === undefined) return;
    this.#layer = 'amqp-header';
    if (this.#options.role === 'client') host.sendHeader(PROTOCOL_AMQP);
    host.authenticated(done.mechanism, done.user);
  }
}
