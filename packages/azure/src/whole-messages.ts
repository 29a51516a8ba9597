// SPDX-License-Identifier: Apache-2.0
import { copyOf } from '@pointsman/engine';
import type { IncomingDelivery, SenderLink, TransferFrame } from '@pointsman/engine';

const NONE = new Uint8Array();

/** A message that is to leave whole. */
export interface WholeMessage {
  readonly bytes: Uint8Array;
  /** Of its delivery. */
  readonly context?: unknown;
}

/** Writes one message after another on a link, each in as many frames as it takes and as there is room for. */
export class MessageWriter {
  /** What is left of a message of which a part is written. */
  #rest: { readonly bytes: Uint8Array; position: number } | undefined;

  /**
   * Writes until there is no room, or nothing to write. To be called again when the link can send.
   *
   * @param next - takes the next message out of what waits; asked only where it can begin
   */
  write(link: SenderLink, settled: boolean, next: () => WholeMessage | undefined): void {
    const rest = this.#rest;
    if (rest !== undefined) {
      rest.position += link.resume(rest.bytes, rest.position, rest.bytes.length, true);
      if (rest.position < rest.bytes.length) return;
      this.#rest = undefined;
    }
    while (link.sendable) {
      const message = next();
      if (message === undefined) return;
      const { bytes, context } = message;
      link.send(undefined, 0, settled, context, bytes, 0, bytes.length, true);
      if (link.sentBytes < bytes.length) {
        this.#rest = { bytes, position: link.sentBytes };
        return;
      }
    }
  }

  /** The link is gone, and the next one begins with a message of its own. */
  reset(): void {
    this.#rest = undefined;
  }
}

/** Puts the pieces of one message after another together, in room that grows with its bytes: pieces cost nothing, however many. */
export class MessageReader {
  readonly #sizeMax: number;
  #room = NONE;
  #size = 0;

  /** @param sizeMax - bytes of a message; larger ones are dropped. Default: the link sees to that */
  constructor(sizeMax: number = Infinity) {
    this.#sizeMax = sizeMax;
  }

  /** @returns the message, where this was its last piece; undefined where more comes, or it was withdrawn or too large */
  read(
    delivery: Pick<IncomingDelivery, 'complete' | 'aborted'>,
    frame: Pick<TransferFrame, 'bytes' | 'payloadStart' | 'payloadEnd'>,
  ): Uint8Array | undefined {
    const { bytes, payloadStart, payloadEnd } = frame;
    const at = this.#size;
    this.#size += payloadEnd - payloadStart;
    const fits = this.#size <= this.#sizeMax;
    if (delivery.complete && at === 0 && fits && !delivery.aborted) {
      this.reset();
      return copyOf(bytes, payloadStart, payloadEnd);
    }
    if (fits) this.#append(at, bytes.subarray(payloadStart, payloadEnd));
    else this.#room = NONE;
    if (!delivery.complete) return undefined;
    const whole = fits && !delivery.aborted ? this.#room.subarray(0, this.#size) : undefined;
    this.reset();
    return whole;
  }

  #append(at: number, piece: Uint8Array): void {
    if (this.#size > this.#room.length) {
      const room = new Uint8Array(Math.max(this.#size, 2 * this.#room.length));
      room.set(this.#room.subarray(0, at));
      this.#room = room;
    }
    this.#room.set(piece, at);
  }

  /** The link is gone, and what it had brought of a message with it. */
  reset(): void {
    this.#room = NONE;
    this.#size = 0;
  }
}
