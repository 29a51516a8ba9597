// SPDX-License-Identifier: Apache-2.0
import { keep, letGo, scratch } from './chunk.js';

/** Size of the buffers that frames are written into. Large enough for what one turn of the event loop forwards. */
const BUFFER_BYTES = 1 << 17;

/** Idle buffers that are kept for all connections together: beyond that the garbage collector has them. */
const POOL_MAX = 64;

const pool: Uint8Array[] = [];

/** One write to the socket: what it consists of, and which of it goes back to the pool. */
interface Batch {
  readonly buffers: Uint8Array[];
  readonly pooled: Uint8Array[];
  /** Those that were referenced. */
  readonly kept: Uint8Array[];
  readonly bytes: number;
  next: Batch | undefined;
}

/**
 * Collects what a connection says in one turn. Small things are copied into pooled buffers, large payloads are
 * referenced, and everything leaves in one vectored write.
 */
export class Output {
  /** Buffer that is being filled, and the place of the next byte. Writers fill it directly after {@link room}. */
  bytes: Uint8Array = EMPTY;
  position = 0;
  /** Bytes that wait here or with the socket. */
  pendingBytes = 0;
  #segmentStart = 0;
  // Shared while they are empty: idle connections should cost little. Only `added` adds to them.
  #sealed: Uint8Array[] = NOTHING;
  #pooled: Uint8Array[] = NOTHING;
  #kept: Uint8Array[] = NOTHING;
  #sealedBytes = 0;
  /** Batches that are with the socket, from the oldest on. */
  #oldest: Batch | undefined;
  #latest: Batch | undefined;

  /** Makes sure that `count` bytes fit behind {@link position} in one piece; `count` is at most the buffer size. */
  room(count: number): void {
    if (this.bytes.length - this.position >= count) return;
    this.#seal();
    this.bytes = count > BUFFER_BYTES ? new Uint8Array(count) : (pool.pop() ?? new Uint8Array(BUFFER_BYTES));
    if (this.bytes.length === BUFFER_BYTES) this.#pooled = added(this.#pooled, this.bytes);
    this.position = this.#segmentStart = 0;
  }

  /** Copies `bytes` behind what was written. */
  append(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.bytes.set(bytes, this.position);
    this.position += bytes.length;
  }

  /**
   * Lets `bytes` follow what was written, by reference: they must not change until they are on the wire. What lies in a
   * chunk is kept so long; what lies where it cannot be kept is copied.
   */
  reference(bytes: Uint8Array): void {
    if (bytes.buffer === scratch.buffer) {
      this.append(bytes);
      return;
    }
    this.#seal();
    const kept = keep(bytes);
    this.#kept = added(this.#kept, kept);
    this.#sealed = added(this.#sealed, kept);
    this.#sealedBytes += bytes.length;
  }

  /** Bytes that wait to be taken. */
  get waiting(): number {
    return this.#sealedBytes + this.position - this.#segmentStart;
  }

  /** Bytes that wait here or are with the socket. */
  get backlog(): number {
    return this.pendingBytes + this.waiting;
  }

  take(): Uint8Array[] | undefined {
    this.#seal();
    if (this.#sealed.length === 0) return undefined;
    const batch: Batch = {
      buffers: this.#sealed,
      pooled: this.#pooled,
      kept: this.#kept,
      bytes: this.#sealedBytes,
      next: undefined,
    };
    if (this.#latest === undefined) this.#oldest = batch;
    else this.#latest.next = batch;
    this.#latest = batch;
    this.pendingBytes += batch.bytes;
    this.#sealed = this.#pooled = this.#kept = NOTHING;
    this.#sealedBytes = 0;
    this.bytes = EMPTY;
    this.position = this.#segmentStart = 0;
    return batch.buffers;
  }

  /** The earliest batch that was taken is on the wire, or the socket is gone. */
  release(): void {
    const batch = this.#oldest;
    if (batch === undefined) return;
    this.#oldest = batch.next;
    if (batch.next === undefined) this.#latest = undefined;
    this.pendingBytes -= batch.bytes;
    for (let i = 0; i < batch.kept.length; i++) letGo(batch.kept[i]!);
    for (let i = 0; i < batch.pooled.length; i++) if (pool.length < POOL_MAX) pool.push(batch.pooled[i]!);
  }

  #seal(): void {
    if (this.position === this.#segmentStart) return;
    const whole = this.#segmentStart === 0 && this.position === this.bytes.length;
    const segment = whole ? this.bytes : this.bytes.subarray(this.#segmentStart, this.position);
    this.#sealed = added(this.#sealed, segment);
    this.#sealedBytes += segment.length;
    this.#segmentStart = this.position;
  }
}

const EMPTY = new Uint8Array(0);
const NOTHING: Uint8Array[] = [];

/** A list with room for one more is made with the first: most batches are one buffer. */
function added(list: Uint8Array[], bytes: Uint8Array): Uint8Array[] {
  if (list.length === 0) return [bytes];
  list.push(bytes);
  return list;
}
