// SPDX-License-Identifier: Apache-2.0
import { copyOf } from './chunk.js';

/** What a client has to say before it knows whether it is let in: a header, an open, a few links. */
const HELD_BYTES_MAX = 65_536;

/** Bytes that came too early, kept until they can be read. */
export class HeldInput {
  #parts: Uint8Array[] = [];
  #size = 0;

  /** Keeps a copy. @returns false where it is too much to keep */
  add(bytes: Uint8Array): boolean {
    this.#size += bytes.length;
    if (this.#size > HELD_BYTES_MAX) return false;
    if (bytes.length > 0) this.#parts.push(copyOf(bytes, 0, bytes.length));
    return true;
  }

  get parts(): readonly Uint8Array[] {
    return this.#parts;
  }
}
