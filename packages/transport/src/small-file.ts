// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, openSync, readSync } from 'node:fs';

const PART_BYTES = 65_536;
/** Time for whoever is to write into a pipe, and how often it is looked. */
const PATIENCE_MS = 2_000;
const LOOK_MS = 10;

/**
 * Reads a file that is small by its nature, in bounded time and memory whatever the name leads to: a device that never ends, a
 * pipe that nobody writes to. Pipes that are written to do.
 *
 * @throws what node:fs throws, with its `code`; `EFBIG` for more than `bytesMax`, `EAGAIN` for a pipe without an end
 */
export function readSmallFile(path: string, bytesMax: number): Buffer {
  // Otherwise opening a pipe waits for a writer.
  const descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    let bytes = Buffer.allocUnsafe(PART_BYTES);
    const end = performance.now() + PATIENCE_MS;
    for (let size = 0; ;) {
      const length = readSome(descriptor, bytes.subarray(size), end);
      if (length === 0) return bytes.subarray(0, size);
      size += length;
      if (size > bytesMax) throw Object.assign(new Error(`more than ${bytesMax} bytes`), { code: 'EFBIG' });
      if (size < bytes.length) continue;
      const larger = Buffer.allocUnsafe(2 * size);
      bytes.copy(larger);
      bytes = larger;
    }
  } finally {
    closeSync(descriptor);
  }
}

function readSome(descriptor: number, into: Buffer, end: number): number {
  for (;;) {
    try {
      return readSync(descriptor, into);
    } catch (error) {
      const mayStillCome = error instanceof Error && 'code' in error && error.code === 'EAGAIN';
      if (!mayStillCome || performance.now() >= end) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
    }
  }
}
