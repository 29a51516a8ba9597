// SPDX-License-Identifier: Apache-2.0
import type { Connection } from '@pointsman/engine';

/** Brings to each of two connections what the other has to say, until neither has more. */
export function carry(one: Connection, other: Connection): void {
  for (let moved = true; moved;) {
    moved = false;
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      const buffers = from.takeOutput(0);
      if (buffers === undefined) continue;
      moved = true;
      for (const buffer of buffers) to.receive(Uint8Array.from(buffer), 0);
      from.releaseOutput(buffers, 0);
    }
  }
}
