// SPDX-License-Identifier: Apache-2.0

/**
 * Size of the buffers that bytes from the network are read into: what Node.js reads at once, and a frame of the size that
 * most peers take.
 */
export const CHUNK_BYTES = 65_536;

/** Idle chunks that are kept for all connections together: beyond that the garbage collector has them. */
const POOL_MAX = 128;

/** Less than this is copied rather than held: a few bytes must not keep a whole chunk. */
const HOLD_MIN = 4_096;

/** A buffer that is used again once nobody holds it. */
class Chunk {
  readonly bytes: Uint8Array = new Uint8Array(CHUNK_BYTES);
  holds = 0;
}

const pool: Chunk[] = [];
const chunkOf = new WeakMap<ArrayBufferLike, Chunk>();

/**
 * The one buffer that all connections with little to say are read into. What is in it is gone with the next read, of
 * whichever connection: it cannot be held, only copied.
 */
export const scratch: Uint8Array = new Uint8Array(CHUNK_BYTES);

/** A chunk that its taker holds, of any content. */
export function takeChunk(): Uint8Array {
  let chunk = pool.pop();
  if (chunk === undefined) {
    chunk = new Chunk();
    chunkOf.set(chunk.bytes.buffer, chunk);
  }
  chunk.holds = 1;
  return chunk.bytes;
}

/**
 * Bytes for whoever needs them beyond the call that passed them: the same, and held, or a copy. To be followed by one
 * {@link letGo} of the result, or by none: then the chunk is left to the garbage collector.
 */
export function keep(bytes: Uint8Array): Uint8Array {
  if (bytes.buffer === scratch.buffer) return copied(bytes);
  const chunk = chunkOf.get(bytes.buffer);
  if (chunk === undefined) return bytes;
  if (bytes.length < HOLD_MIN) return copied(bytes);
  chunk.holds++;
  return bytes;
}

/** Takes back the hold of {@link keep} or {@link takeChunk}. With the last one the chunk is used again. */
export function letGo(bytes: Uint8Array): void {
  const chunk = chunkOf.get(bytes.buffer);
  if (chunk === undefined) return;
  if (--chunk.holds === 0 && pool.length < POOL_MAX) pool.push(chunk);
}

/** There is one hold on the chunk: the caller's. */
export function isHeldOnce(bytes: Uint8Array): boolean {
  return chunkOf.get(bytes.buffer)?.holds === 1;
}

function copied(bytes: Uint8Array): Uint8Array {
  return copyOf(bytes, 0, bytes.length);
}

/** Part of `bytes` as bytes of its own. Not `bytes.slice()`: of a Buffer that is no copy. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, start, end);
}
