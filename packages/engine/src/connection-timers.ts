// SPDX-License-Identifier: Apache-2.0
import { RemoteProtocolError } from '@pointsman/wire';

/** Defaults of what a peer has time for, in ms. */
const HANDSHAKE_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 5_000;

/** A frame without a body. 2.4.5 */
export const HEARTBEAT: Uint8Array = Uint8Array.of(0, 0, 0, 8, 2, 0, 0, 0);

/** Shortest idle-time-out of a peer that we keep up with: below, heartbeats would be all that we do. */
const IDLE_TIME_OUT_MIN = 100;

/** @throws RemoteProtocolError `amqp:not-allowed` for an idle-time-out that we cannot keep up with. 0 is none. */
export function checkIdleTimeOut(ms: number): void {
  if (ms === 0 || ms >= IDLE_TIME_OUT_MIN) return;
  const told = `idle-time-out ${ms} ms is too short to keep up with: ${IDLE_TIME_OUT_MIN} ms or more`;
  throw new RemoteProtocolError('amqp:not-allowed', told, { scope: 'connection', section: '2.4.5' });
}

/** What has to be done when a time has come. */
export type Due = 'close' | 'handshake' | 'silence' | 'heartbeat';

/** The times of a connection, in monotonic ms. @see OASIS AMQP 1.0, 2.4.5 */
export class ConnectionTimers {
  now: number;
  #received: number;
  #sent: number;
  /** The open of the peer has to be here. */
  #handshakeAt: number;
  /** The close of the peer has to be here. */
  #closeAt = Infinity;
  readonly #closeMs: number;
  /** Silence of the peer that ends the connection; Infinity before its open, and where it may be silent for ever. */
  #silenceMs = Infinity;
  /** Silence of ours that the peer does not bear, halved, and Infinity before our open. */
  #heartbeatMs = Infinity;

  constructor(now: number, handshakeMs: number = HANDSHAKE_TIMEOUT_MS, closeMs: number = CLOSE_TIMEOUT_MS) {
    this.#closeMs = closeMs;
    this.now = this.#received = this.#sent = now;
    this.#handshakeAt = handshakeMs > 0 ? now + handshakeMs : Infinity;
  }

  /** A sign of life of the peer. */
  received(now: number): void {
    this.now = this.#received = now;
  }

  sent(now: number): void {
    this.now = this.#sent = now;
  }

  /** The peer has opened. @param silenceMs - time that it may be silent, 0 for any */
  peerOpened(silenceMs: number): void {
    this.#handshakeAt = Infinity;
    this.#silenceMs = silenceMs > 0 ? silenceMs : Infinity;
  }

  /** Both have opened. @param idleTimeOut - of the peer's open, 0 for none */
  keepUpWith(idleTimeOut: number): void {
    this.#heartbeatMs = idleTimeOut > 0 ? Math.floor(idleTimeOut / 2) : Infinity;
  }

  /** Our close is out. Nothing else counts from here on. */
  closing(): void {
    this.#closeAt = this.now + this.#closeMs;
  }

  /** When {@link due} has something to say at the latest; undefined for never. */
  deadline(): number | undefined {
    if (this.#closeAt !== Infinity) return this.#closeAt;
    const at = Math.min(this.#handshakeAt, this.#received + this.#silenceMs, this.#sent + this.#heartbeatMs);
    return at === Infinity ? undefined : at;
  }

  due(now: number): Due | undefined {
    this.now = now;
    if (this.#closeAt !== Infinity) return now >= this.#closeAt ? 'close' : undefined;
    if (now >= this.#handshakeAt) return 'handshake';
    if (now >= this.#received + this.#silenceMs) return 'silence';
    return now >= this.#sent + this.#heartbeatMs ? 'heartbeat' : undefined;
  }
}
