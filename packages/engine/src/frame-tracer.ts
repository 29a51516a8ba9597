// SPDX-License-Identifier: Apache-2.0
import { FRAME_HEADER_SIZE, PROTOCOL_HEADER_SIZE } from '@pointsman/wire';
import { frameTrace, headerTrace } from './frame-trace.js';
import type { TraceDirection } from './frame-trace.js';

/** Is shown what goes over a connection. Bytes are to be read within the call, and must not be changed. */
export interface FrameTracer {
  /** A protocol header. */
  incomingHeader(bytes: Uint8Array, at: number): void;
  /** A whole frame. */
  incomingFrame(bytes: Uint8Array, start: number, end: number): void;
  /** Whole headers and frames, one behind the other, cut into buffers anywhere. */
  outgoing(buffers: readonly Uint8Array[]): void;
}

/** Bytes of a frame that are looked at where it lies in several buffers. The performative is in them. */
const GATHER_MAX = 1 << 16;

/** Writes everything that goes over a connection as a line of text. */
export class TextTracer implements FrameTracer {
  readonly #head: string;
  readonly #write: (text: string) => void;
  /** Links on which the rest of a delivery is to be kept back. */
  readonly #hidden = new Set<string>();

  /** @param connectionId - lines begin with it: `[C5]:` */
  constructor(connectionId: number | string, write: (text: string) => void) {
    this.#head = `[C${connectionId}]:`;
    this.#write = write;
  }

  incomingHeader(bytes: Uint8Array, at: number): void {
    this.#write(`${this.#head} ${headerTrace('<-', bytes, at)}`);
  }

  incomingFrame(bytes: Uint8Array, start: number, end: number): void {
    this.#frame('<-', bytes, start, end, end - start);
  }

  outgoing(buffers: readonly Uint8Array[]): void {
    const cursor = new Cursor(buffers);
    while (cursor.left >= FRAME_HEADER_SIZE) {
      const head = cursor.peek(PROTOCOL_HEADER_SIZE);
      const size = ((head[0]! << 24) | (head[1]! << 16) | (head[2]! << 8) | head[3]!) >>> 0;
      if (size === PROTOCOL_MARK) {
        this.#write(`${this.#head} ${headerTrace('->', head, 0)}`);
        cursor.skip(PROTOCOL_HEADER_SIZE);
        continue;
      }
      if (size < FRAME_HEADER_SIZE) return;
      const here = cursor.peek(Math.min(size, GATHER_MAX, cursor.left));
      this.#frame('->', here, 0, here.length, size);
      cursor.skip(size);
    }
  }

  #frame(direction: TraceDirection, bytes: Uint8Array, start: number, end: number, size: number): void {
    const place = `${direction}${(bytes[start + 6]! << 8) | bytes[start + 7]!}`;
    const handle = this.#hidden.size === 0 ? undefined : frameTrace(direction, bytes, start, end, size, true).handle;
    const hide = handle !== undefined && this.#hidden.has(`${place}/${handle}`);
    const traced = frameTrace(direction, bytes, start, end, size, hide);
    if (traced.handle !== undefined) {
      const key = `${place}/${traced.handle}`;
      if (traced.isHidden && traced.more && this.#hidden.size < HIDDEN_MAX) this.#hidden.add(key);
      else this.#hidden.delete(key);
    }
    this.#write(`${this.#head}${traced.text}`);
  }
}

/** `AMQP` where the size of a frame would be. */
const PROTOCOL_MARK = 0x414d5150;
/** Links of one connection whose deliveries may be kept back in the middle. */
const HIDDEN_MAX = 1_000;

/** Walks over bytes that lie in several buffers. */
class Cursor {
  readonly #buffers: readonly Uint8Array[];
  #index = 0;
  #at = 0;
  left: number;

  constructor(buffers: readonly Uint8Array[]) {
    this.#buffers = buffers;
    this.left = buffers.reduce((sum, { length }) => sum + length, 0);
  }

  /** The next bytes: where they lie in one buffer as they lie there, else a copy. */
  peek(count: number): Uint8Array {
    this.#settle();
    const first = this.#buffers[this.#index]!;
    if (first.length - this.#at >= count) return first.subarray(this.#at, this.#at + count);
    const copy = new Uint8Array(count);
    let done = 0;
    for (let index = this.#index, at = this.#at; done < count; index++, at = 0) {
      const piece = this.#buffers[index]!.subarray(at, at + count - done);
      copy.set(piece, done);
      done += piece.length;
    }
    return copy;
  }

  skip(count: number): void {
    this.left = Math.max(0, this.left - count);
    this.#at += count;
    this.#settle();
  }

  #settle(): void {
    let buffer = this.#buffers[this.#index];
    while (buffer !== undefined && this.#at >= buffer.length) {
      this.#at -= buffer.length;
      buffer = this.#buffers[++this.#index];
    }
  }
}
