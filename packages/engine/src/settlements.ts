// SPDX-License-Identifier: Apache-2.0
import { MIN_MAX_FRAME_SIZE } from '@pointsman/wire';
import type { DeliveryState } from '@pointsman/wire';
import { ACCEPTED } from './delivery.js';
import { writeDispositionFrame } from './hot-writers.js';
import type { Output } from './output.js';

interface Run {
  readonly first: number;
  last: number;
  readonly settled: boolean;
  readonly state: DeliveryState | undefined;
  readonly receiver: boolean;
}

const NO_IDS = new Uint32Array(0);

/**
 * What a session has to say of deliveries and has not said yet: it leaves with the next write, runs of ids as one frame.
 *
 * @see OASIS AMQP 1.0, 2.7.6
 */
export class Settlements {
  /** Ids that we accepted and settled since the last write, by far the most of what is said. */
  #accepted: Uint32Array = NO_IDS;
  #count = 0;
  #sorted = true;
  #run: Run | undefined;
  readonly #padded: boolean;

  /** @param padded - all fields are written */
  constructor(padded: boolean) {
    this.#padded = padded;
  }

  /** We took a message, and are done with it. */
  accept(id: number): void {
    const count = this.#count;
    if (count === this.#accepted.length) {
      const grown = new Uint32Array(Math.max(64, count * 2));
      grown.set(this.#accepted);
      this.#accepted = grown;
    }
    if (count > 0 && ((id - this.#accepted[count - 1]!) | 0) < 0) this.#sorted = false;
    this.#accepted[count] = id;
    this.#count = count + 1;
  }

  /** Everything else. What was said before and is no run with it is written. */
  add(
    id: number,
    state: DeliveryState | undefined,
    settled: boolean,
    receiver: boolean,
    out: Output,
    channel: number,
    frameSizeMax: number,
  ): void {
    const run = this.#run;
    const goesOn = run !== undefined && (run.last + 1) >>> 0 === id;
    if (goesOn && run.receiver === receiver && run.settled === settled && run.state === state) {
      run.last = id;
      return;
    }
    this.#flushRun(out, channel, frameSizeMax);
    this.#run = { first: id, last: id, settled, state, receiver };
  }

  /** @param base - an id past all that were accepted, so that a wrap does not tear the order */
  flush(out: Output, channel: number, frameSizeMax: number, base: number): void {
    if (this.#count > 0) this.#flushAccepted(out, channel, base);
    if (this.#run !== undefined) this.#flushRun(out, channel, frameSizeMax);
  }

  clear(): void {
    this.#count = 0;
    this.#sorted = true;
    this.#run = undefined;
  }

  #flushRun(out: Output, channel: number, frameSizeMax: number): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    writeDispositionFrame(
      out,
      channel,
      run.receiver,
      run.first,
      run.last,
      run.settled,
      run.state,
      frameSizeMax,
      this.#padded,
    );
  }

  #flushAccepted(out: Output, channel: number, base: number): void {
    const count = this.#count;
    const ids = this.#accepted;
    if (!this.#sorted) {
      // Relative to the base: the oldest are the smallest.
      const run = ids.subarray(0, count);
      for (let i = 0; i < count; i++) run[i] = run[i]! - base;
      run.sort();
      for (let i = 0; i < count; i++) run[i] = run[i]! + base;
    }
    let first = ids[0]!;
    let last = first;
    for (let i = 1; i < count; i++) {
      const id = ids[i]!;
      if (id === (last + 1) >>> 0) {
        last = id;
        continue;
      }
      writeDispositionFrame(out, channel, true, first, last, true, ACCEPTED, MIN_MAX_FRAME_SIZE, this.#padded);
      first = last = id;
    }
    writeDispositionFrame(out, channel, true, first, last, true, ACCEPTED, MIN_MAX_FRAME_SIZE, this.#padded);
    this.#count = 0;
    this.#sorted = true;
  }
}
