// SPDX-License-Identifier: Apache-2.0
import {
  PROTOCOL_SASL,
  PROTOCOL_TLS,
  RemoteProtocolError,
  decodeError,
  writeSaslChallenge,
  writeSaslInit,
  writeSaslMechanisms,
  writeSaslOutcome,
} from '@pointsman/wire';
import type { SaslFrame, Writer } from '@pointsman/wire';
import { SASL_CODE_NAMES, chooseMechanism, decideByDefault, requestOf } from './sasl.js';
import type { SaslClientOptions, SaslDecision, SaslServerOptions } from './sasl.js';

/** What follows from a SASL frame: a frame to send, where there is one, and how the exchange stands behind it. */
export interface SaslStep {
  readonly write?: (w: Writer) => void;
  /** Authenticated: the AMQP header comes next. */
  readonly done?: { readonly mechanism: string; readonly user: string | undefined };
  /** Why not. The exchange is over, and the connection with it. */
  readonly failed?: string;
  /** It is not known yet: this follows in its place. */
  readonly later?: Promise<SaslStep>;
}

/** One side of a SASL exchange, frame by frame. @see OASIS AMQP 1.0, 5.3.2 */
export interface SaslExchange {
  /** The frame to begin with, without one of the peer. */
  readonly first?: (w: Writer) => void;
  /** @throws RemoteProtocolError `amqp:not-allowed` for a frame out of turn */
  take(frame: SaslFrame): SaslStep;
}

function outOfTurn(frame: SaslFrame, wanted: string): Error {
  return new RemoteProtocolError('amqp:not-allowed', `${frame.type} where ${wanted} belongs`, {
    scope: 'connection',
    section: '5.3.2',
  });
}

const NO_BYTES = new Uint8Array(0);

/** The side that lets in. One mechanism is tried, once: whoever fails connects anew. */
export class SaslServerExchange implements SaslExchange {
  readonly #options: SaslServerOptions;
  /** Mechanism whose response we have asked for. */
  #challenged: { readonly mechanism: string; readonly hostname: string | undefined } | undefined;

  constructor(options: SaslServerOptions) {
    this.#options = options;
  }

  readonly first = (w: Writer): void => writeSaslMechanisms(w, { saslServerMechanisms: this.#options.mechanisms });

  take(frame: SaslFrame): SaslStep {
    const challenged = this.#challenged;
    if (challenged !== undefined) {
      if (frame.type !== 'sasl-response') throw outOfTurn(frame, 'sasl-response');
      return this.#decide(challenged.mechanism, frame.response, challenged.hostname);
    }
    if (frame.type !== 'sasl-init') throw outOfTurn(frame, 'sasl-init');
    const { mechanism, hostname, initialResponse } = frame;
    if (mechanism === 'PLAIN' && initialResponse === undefined && this.#options.mechanisms.includes(mechanism)) {
      // The client speaks first in PLAIN: an empty challenge asks for what it has left out. RFC 4422, 3.3
      this.#challenged = { mechanism, hostname };
      return { write: (w) => writeSaslChallenge(w, { challenge: NO_BYTES }) };
    }
    return this.#decide(mechanism, initialResponse ?? NO_BYTES, hostname);
  }

  #decide(mechanism: string, response: Uint8Array, hostname: string | undefined): SaslStep {
    const { mechanisms, authenticate = decideByDefault } = this.#options;
    // The same text, and the string that all connections share.
    const offered = mechanisms.find((one) => one === mechanism);
    const request = offered === undefined ? undefined : requestOf(offered, response, hostname);
    const decision =
      request === undefined
        ? { ok: false, reason: `SASL ${mechanism} is not offered here, or its response is malformed` }
        : authenticate(request);
    if (decision instanceof Promise) return { later: decision.then((made) => this.#say(offered ?? mechanism, made)) };
    return this.#say(offered ?? mechanism, decision);
  }

  #say(mechanism: string, decision: SaslDecision): SaslStep {
    const refusal = decision.busy === true ? 4 : 1;
    const write = (w: Writer): void =>
      writeSaslOutcome(w, { code: decision.ok ? 0 : refusal, additionalData: decision.additionalData });
    return decision.ok
      ? { write, done: { mechanism, user: decision.user } }
      : { write, failed: decision.reason ?? 'SASL refused' };
  }
}

/** The side that wants in. */
export class SaslClientExchange implements SaslExchange {
  readonly #options: SaslClientOptions;
  /** What was chosen. */
  mechanism: string | undefined;
  /** What the server announced. */
  offered: readonly string[] = [];

  constructor(options: SaslClientOptions) {
    this.#options = options;
  }

  take(frame: SaslFrame): SaslStep {
    if (frame.type === 'sasl-mechanisms') return this.#choose(frame.saslServerMechanisms);
    const { mechanism } = this;
    if (mechanism === undefined) throw outOfTurn(frame, 'sasl-mechanisms');
    if (frame.type === 'sasl-challenge') {
      return {
        failed: `the peer asks for more than SASL ${mechanism} has to say: it is another mechanism than ours of that name`,
      };
    }
    if (frame.type !== 'sasl-outcome') throw outOfTurn(frame, 'sasl-outcome');
    const { username } = this.#options;
    if (frame.code === 0) return { done: { mechanism, user: username } };
    const who = username === undefined ? '' : ` as '${username}'`;
    return {
      failed: `Authentication failed [mech=${mechanism}]: the peer refused SASL ${mechanism}${who}: ${SASL_CODE_NAMES[frame.code] ?? frame.code}`,
    };
  }

  #choose(offered: readonly string[]): SaslStep {
    if (this.mechanism !== undefined) throw decodeError('sasl-mechanisms twice', '5.3.2');
    this.offered = offered;
    const choice = chooseMechanism(this.#options, offered);
    if (typeof choice === 'string') return { failed: choice };
    this.mechanism = choice.mechanism;
    const { mechanism, initialResponse } = choice;
    return { write: (w) => writeSaslInit(w, { mechanism, initialResponse, hostname: this.#options.hostname }) };
  }
}

/** Who comes is let in: what a listener without any settings does. */
export const OPEN_DOOR: SaslServerOptions = { mechanisms: ['ANONYMOUS'], optional: true };

/** What to say where a client began with a header that does not do here. 2.2 */
export function unfitHeader(id: number | string): RemoteProtocolError {
  const what =
    typeof id === 'string'
      ? id
      : id === PROTOCOL_TLS
        ? 'the TLS header of AMQP, but this port has no TLS'
        : `the AMQP header without SASL, which is required here`;
  return new RemoteProtocolError('amqp:connection:framing-error', `the peer sent ${what}`, {
    scope: 'connection',
    section: '2.2',
  });
}

/** What to say where a peer answered our protocol header with another one. 2.2 */
export function headerMismatch(wanted: number, got: number | string): RemoteProtocolError {
  const names: Readonly<Record<number, string>> = {
    0: 'plain AMQP without SASL',
    2: 'TLS first (AMQP header id 2)',
    3: 'SASL first',
  };
  const what =
    typeof got === 'string'
      ? `the peer sent ${got}`
      : `we asked for ${wanted === PROTOCOL_SASL ? 'SASL' : 'AMQP'}, the peer insists on ${names[got] ?? `protocol id ${got}`}`;
  return new RemoteProtocolError('amqp:connection:framing-error', what, { scope: 'connection', section: '2.2' });
}
