// SPDX-License-Identifier: Apache-2.0
import { letGo, takeChunk } from './chunk.js';
import { FRAME_HEADER_SIZE, PROTOCOL_HEADER_SIZE, frameSizeAt } from '@pointsman/wire';

/** Who takes what a stream is cut into. */
export interface FrameTaker {
  /** Frames come now, not a protocol header. */
  readonly isFramed: boolean;
  /** Largest frame that is taken now, in bytes. */
  readonly frameSizeMax: number;
  /** Nothing more is taken, now or ever: the stream goes on at {@link IncomingFrames.next}. */
  readonly stops: boolean;
  takeHeader(bytes: Uint8Array, at: number): void;
  takeFrame(bytes: Uint8Array, start: number, end: number): void;
}

/** Frames that are shorter get room of their own: they must not keep a whole chunk. */
const CHUNK_FROM = 4_096;

/**
 * Cuts a stream into protocol headers and frames. Whole ones are handed on where they lie in the chunk; what a chunk ends
 * within is kept, and only that is copied.
 */
export class IncomingFrames {
  /** Where the stream goes on behind the frame that is being taken; -1 where no frame could be told. */
  next = 0;
  #partial: Uint8Array | undefined = undefined;
  /** Bytes of the partial frame that are here, and that it will have. A head of eight comes first. */
  #length = 0;
  #size = 0;

  /**
   * Hands on what is whole from `from` on. What a taker throws is thrown: cut again from {@link next}.
   *
   * @throws RemoteProtocolError `amqp:connection:framing-error` where the stream cannot be cut any more
   */
  cut(bytes: Uint8Array, from: number, taker: FrameTaker): void {
    let p = from;
    const end = bytes.length;
    while (this.#partial !== undefined) {
      p = this.#complete(bytes, p, taker);
      if (taker.stops || (p === end && this.#partial !== undefined)) return;
    }
    while (end - p >= FRAME_HEADER_SIZE) {
      if (!taker.isFramed) {
        taker.takeHeader(bytes, p);
        if (taker.stops) return;
        p += PROTOCOL_HEADER_SIZE;
        continue;
      }
      this.next = -1;
      const size = frameSizeAt(bytes, p, taker.frameSizeMax);
      if (size > end - p) {
        this.#await(size);
        break;
      }
      this.next = p + size;
      taker.takeFrame(bytes, p, p + size);
      if (taker.stops) return;
      p += size;
    }
    if (p === end) return;
    if (this.#partial === undefined) this.#await(FRAME_HEADER_SIZE);
    this.#complete(bytes, p, taker);
  }

  /** Lets go of what is unfinished. */
  clear(): void {
    this.#drop();
  }

  #drop(): void {
    if (this.#partial !== undefined) letGo(this.#partial);
    this.#partial = undefined;
  }

  #await(size: number): Uint8Array {
    this.#size = size;
    this.#length = 0;
    this.#drop();
    return (this.#partial = size < CHUNK_FROM ? new Uint8Array(size) : takeChunk());
  }

  /** Adds to what an earlier chunk left unfinished. @returns where the chunk goes on */
  #complete(bytes: Uint8Array, position: number, taker: FrameTaker): number {
    const count = Math.min(this.#size - this.#length, bytes.length - position);
    const length = this.#length + count;
    const partial = this.#roomFor(length);
    partial.set(bytes.subarray(position, position + count), this.#length);
    this.#length = length;
    const next = position + count;
    if (length < this.#size) return next;
    if (length === FRAME_HEADER_SIZE && taker.isFramed) {
      this.next = -1;
      const size = frameSizeAt(partial, 0, taker.frameSizeMax);
      if (size > FRAME_HEADER_SIZE) {
        this.#await(size).set(partial.subarray(0, FRAME_HEADER_SIZE));
        this.#length = FRAME_HEADER_SIZE;
        return next;
      }
    }
    this.#partial = undefined;
    this.next = next;
    try {
      if (taker.isFramed) taker.takeFrame(partial, 0, length);
      else taker.takeHeader(partial, 0);
    } finally {
      letGo(partial);
    }
    return next;
  }

  /** A frame that is larger than most gets its room as it comes: what a peer claims costs nothing. */
  #roomFor(length: number): Uint8Array {
    const partial = this.#partial!;
    if (length <= partial.length) return partial;
    const grown = new Uint8Array(Math.min(this.#size, Math.max(length, partial.length * 2)));
    grown.set(partial.subarray(0, this.#length));
    letGo(partial);
    return (this.#partial = grown);
  }
}
