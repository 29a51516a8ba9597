// SPDX-License-Identifier: Apache-2.0

/**
 * The partition that a key leads to, as the service and its clients agree on it: a 64-bit hash of the key's UTF-8 bytes, both
 * halves folded into 16 bits with a sign, by the number of partitions. Clients that gather events before they send them
 * compute it themselves, so the two must be the same for every key.
 */
export function partitionOf(key: string, partitions: number): number {
  const [b, c] = lookup3(new TextEncoder().encode(key));
  const folded = ((b ^ c) << 16) >> 16;
  return Math.abs(folded % partitions);
}

/** Bytes that go into one round. */
const BLOCK = 12;

/**
 * Both halves of the hash of all bytes, from initial values of 0. Sums are of 32 bits, and wrap.
 *
 * @see Bob Jenkins, lookup3.c (public domain), hashlittle2; https://burtleburtle.net/bob/c/lookup3.c
 */
function lookup3(bytes: Uint8Array): readonly [b: number, c: number] {
  let a = (0xdeadbeef + bytes.length) | 0;
  let b = a;
  let c = a;
  let at = 0;
  const take = (): void => {
    a = (a + word(bytes, at)) | 0;
    b = (b + word(bytes, at + 4)) | 0;
    c = (c + word(bytes, at + 8)) | 0;
    at += BLOCK;
  };
  // The last block, whole or not, is mixed in another way. Without any bytes there is none.
  while (bytes.length - at > BLOCK) {
    take();
    a = ((a - c) ^ rotated(c, 4)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotated(a, 6)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotated(b, 8)) | 0;
    b = (b + a) | 0;
    a = ((a - c) ^ rotated(c, 16)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotated(a, 19)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotated(b, 4)) | 0;
    b = (b + a) | 0;
  }
  if (bytes.length === 0) return [b, c];
  take();
  c = ((c ^ b) - rotated(b, 14)) | 0;
  a = ((a ^ c) - rotated(c, 11)) | 0;
  b = ((b ^ a) - rotated(a, 25)) | 0;
  c = ((c ^ b) - rotated(b, 16)) | 0;
  a = ((a ^ c) - rotated(c, 4)) | 0;
  b = ((b ^ a) - rotated(a, 14)) | 0;
  c = ((c ^ b) - rotated(b, 24)) | 0;
  return [b, c];
}

/** Four bytes, the lowest first; those behind the end count as 0. */
function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
}

function rotated(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
