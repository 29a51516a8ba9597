// SPDX-License-Identifier: Apache-2.0
import { copyOf } from '@pointsman/engine';
import type { IncomingDelivery, TransferFrame } from '@pointsman/engine';

/** A frame with less is put together with others: each part costs a few hundred bytes, however small it is. */
const SMALL = 4_096;
/** Bytes that small frames are gathered in. */
const GATHERED = 16_384;

/**
 * Puts the frames of a delivery together. The bytes are copied: a message may lie in a queue for days, and the chunk
 * that it came in would lie there with it.
 */
export class IncomingPayload {
  #parts: Uint8Array[] = [];
  /** What came in small frames behind the parts. */
  #small: Uint8Array | undefined;
  #smallBytes = 0;
  #bytes = 0;

  /** Bytes so far. */
  get size(): number {
    return this.#bytes;
  }

  /** Forgets what has come so far. */
  clear(): undefined {
    this.#parts = [];
    this.#small = undefined;
    this.#smallBytes = 0;
    this.#bytes = 0;
  }

  /** @returns the whole payload with the last frame, undefined before, and where the delivery was aborted */
  add(delivery: IncomingDelivery, frame: TransferFrame): Uint8Array | undefined {
    const { bytes, payloadStart, payloadEnd } = frame;
    if (delivery.complete && this.#bytes === 0)
      return delivery.aborted ? undefined : copyOf(bytes, payloadStart, payloadEnd);
    const length = payloadEnd - payloadStart;
    this.#bytes += length;
    if (length >= SMALL) {
      this.#endSmall();
      this.#parts.push(copyOf(bytes, payloadStart, payloadEnd));
    } else if (length > 0) this.#addSmall(bytes.subarray(payloadStart, payloadEnd));
    if (!delivery.complete) return undefined;
    this.#endSmall();
    const whole = joined(this.#parts);
    this.clear();
    return delivery.aborted ? undefined : whole;
  }

  #addSmall(part: Uint8Array): void {
    if (this.#smallBytes + part.length > GATHERED) this.#endSmall();
    this.#small ??= new Uint8Array(GATHERED);
    this.#small.set(part, this.#smallBytes);
    this.#smallBytes += part.length;
  }

  #endSmall(): void {
    if (this.#small !== undefined) this.#parts.push(this.#small.slice(0, this.#smallBytes));
    this.#small = undefined;
    this.#smallBytes = 0;
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
