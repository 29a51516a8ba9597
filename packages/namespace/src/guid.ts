// SPDX-License-Identifier: Apache-2.0

/** Bytes of a random GUID (version 4) in network order. */
export function randomGuid(random: () => number): Uint8Array {
  const bytes = new Uint8Array(16);
  for (let at = 0; at < 16; at += 2) {
    const value = Math.floor(random() * 0x1_0000);
    bytes[at] = value >>> 8;
    bytes[at + 1] = value & 0xff;
  }
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes;
}

/**
 * Turns a GUID in network order into the layout of .NET, or back: the first three groups have their bytes reversed.
 *
 * A delivery-tag is a lock token in .NET layout; on `$management` the same token is a uuid in network order.
 */
export function swapGuid(bytes: Uint8Array): Uint8Array {
  const [b0, b1, b2, b3, b4, b5, b6, b7] = bytes;
  const swapped = Uint8Array.from(bytes);
  swapped.set([b3!, b2!, b1!, b0!, b5!, b4!, b7!, b6!]);
  return swapped;
}

/** Text of a GUID in network order: `00112233-4455-6677-8899-aabbccddeeff`. */
export function guidText(bytes: Uint8Array): string {
  const hex = hexOf(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Joined at once: put together piece by piece, the text would remain a tree of its pieces, and take ten times the memory. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => HEX[byte]).join('');
}
