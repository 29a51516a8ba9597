// SPDX-License-Identifier: Apache-2.0
import { ProtocolError, Reader, SECTION, plainOf, readAnnotations, sectionAt } from '@pointsman/wire';

const OFFSET = 'x-opt-offset';
/** A selector by position, which is all that Event Hubs knows. */
const BY_POSITION = /^\s*amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-time)\s*>/u;
/** Positions that are kept: those of so many partitions. */
const POSITIONS_MAX = 10_000;

/** How far the partitions of event hubs have been read: a link that is attached again goes on from there. */
export class HubPositions {
  readonly #offsets = new Map<string, string>();

  /** @param reader - whose position it is: the same for all links that follow each other */
  filterOf(reader: string, filter: string | undefined): string | undefined {
    const offset = this.#offsets.get(reader);
    if (filter === undefined || offset === undefined || !BY_POSITION.test(filter)) return filter;
    return `amqp.annotation.${OFFSET} > '${offset.replaceAll("'", "''")}'`;
  }

  /** @param bytes - the first of an event */
  saw(reader: string, bytes: Uint8Array): void {
    const offset = offsetOf(bytes);
    if (offset === undefined) return;
    if (this.#offsets.size < POSITIONS_MAX || this.#offsets.has(reader)) this.#offsets.set(reader, offset);
  }
}

function offsetOf(bytes: Uint8Array): string | undefined {
  try {
    let at = 0;
    while (at < bytes.length) {
      const { code, valueStart, end } = sectionAt(bytes, at, bytes.length);
      if (code === SECTION.messageAnnotations) {
        const offset = plainOf(readAnnotations(new Reader(bytes, valueStart, end))?.get(OFFSET));
        return offset === undefined ? undefined : String(offset);
      }
      if (code !== SECTION.header && code !== SECTION.deliveryAnnotations) return undefined;
      at = end;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  return undefined;
}
