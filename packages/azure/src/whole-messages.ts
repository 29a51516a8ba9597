// SPDX-License-Identifier: Apache-2.0
import { copyOf } from '@pointsman/engine';
import type { IncomingDelivery, SenderLink, TransferFrame } from '@pointsman/engine';

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

/** Puts the pieces of one message after another together. */
export class MessageReader {
  readonly #sizeMax: number;
  #parts: Uint8Array[] = [];
  #size = 0;

  /** @param sizeMax - bytes of a message; larger ones are dropped. Default: the link sees to that */
  constructor(sizeMax: number = Infinity) {
    this.#sizeMax = sizeMax;
  }

  /** @returns the message, where this was its last piece; undefined where more comes, or it was withdrawn or too large */
  read(delivery: IncomingDelivery, frame: TransferFrame): Uint8Array | undefined {
    this.#size += frame.payloadEnd - frame.payloadStart;
    if (this.#size <= this.#sizeMax) this.#parts.push(copyOf(frame.bytes, frame.payloadStart, frame.payloadEnd));
    else this.#parts = [];
    if (!delivery.complete) return undefined;
    const bytes = this.#size <= this.#sizeMax && !delivery.aborted ? joined(this.#parts) : undefined;
    this.reset();
    return bytes;
  }

  /** The link is gone, and what it had brought of a message with it. */
  reset(): void {
    this.#parts = [];
    this.#size = 0;
  }
}

/** Pieces as one. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(parts.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
