// SPDX-License-Identifier: Apache-2.0
import { copyOf } from '@pointsman/engine';
import type { IncomingDelivery, TransferFrame } from '@pointsman/engine';

/**
 * Puts the frames of a delivery together. The bytes are copied: a message may lie in a queue for days, and the chunk
 * that it came in would lie there with it.
 */
export class IncomingPayload {
  #parts: Uint8Array[] = [];
  #bytes = 0;

  /** Bytes so far. */
  get size(): number {
    return this.#bytes;
  }

  /** Forgets what has come so far. */
  clear(): undefined {
    this.#parts = [];
    this.#bytes = 0;
  }

  /** @returns the whole payload with the last frame, undefined before, and where the delivery was aborted */
  add(delivery: IncomingDelivery, frame: TransferFrame): Uint8Array | undefined {
    const part = copyOf(frame.bytes, frame.payloadStart, frame.payloadEnd);
    if (delivery.complete && this.#parts.length === 0) return delivery.aborted ? undefined : part;
    this.#parts.push(part);
    this.#bytes += part.length;
    if (!delivery.complete) return undefined;
    const whole = joined(this.#parts);
    this.clear();
    return delivery.aborted ? undefined : whole;
  }
}

/** Pieces as one run of bytes. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const only = parts[0];
  if (only !== undefined && parts.length === 1) return only;
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
