// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import type { Refusal } from '../entity.js';
import { numberOf, type MessageContent } from '../message-content.js';

/** Capability of a link whose events are numbered by their producer, so that what is sent twice is kept once. */
export const IDEMPOTENT = 'com.microsoft:idempotent-producer';
/** Properties of such a link, and annotations of its events: a short, a long, an int. */
export const PRODUCER_EPOCH = 'com.microsoft:producer-epoch';
export const PRODUCER_ID = 'com.microsoft:producer-id';
export const PRODUCER_SEQUENCE = 'com.microsoft:producer-sequence-number';

const SEQUENCE_MAX = 0x7fff_ffff;
const EPOCH_MAX = 0x7fff;
/** Latest batches of a producer that are known again when they are sent once more. */
const BATCHES_KNOWN = 5;
/** Producers that a partition remembers; beyond them it forgets who has been silent for longest. */
const PRODUCERS_MAX = 1_000;

/** Who sends, as a link says it and the answer to it. */
export interface Producer {
  readonly id: number;
  readonly epoch: number;
  /** Number of the last event that is known to be there. */
  readonly sequence: number;
}

/** As far as one has come. */
export interface ProducerState {
  epoch: number;
  last: number;
  /** First and last number, oldest first. */
  batches: (readonly [first: number, last: number])[];
}

/** What a partition knows of its producers that number their events. */
export class ProducerStates {
  readonly #states = new Map<number, ProducerState>();

  /** By id, who was silent for longest first. */
  get all(): Iterable<readonly [id: number, state: ProducerState]> {
    return this.#states;
  }

  of(id: number): ProducerState | undefined {
    return this.#states.get(id);
  }

  restore(states: Iterable<readonly [id: number, state: ProducerState]>): void {
    for (const [id, state] of states) this.#remember(id, state);
  }

  /**
   * A link begins. What it leaves open is filled in.
   *
   * @param properties - of the attach
   * @param newId - an id that nobody has
   */
  attach(properties: ReadonlyMap<string, AmqpValue> | undefined, newId: () => number): Producer | Refusal {
    const given = (name: string): number | undefined => numberOf(properties?.get(name));
    const [epoch, id, sequence] = [given(PRODUCER_EPOCH), given(PRODUCER_ID), given(PRODUCER_SEQUENCE)];
    if ((epoch ?? 0) < 0 || (id ?? 0) < 0 || (sequence ?? 0) < 0 || (epoch ?? 0) > EPOCH_MAX)
      return {
        condition: 'com.microsoft:argument-out-of-range',
        description:
          'Invalid range for idempotent producer state. Producer Id, Epoch, and Sequence Number must be zero or positive.',
      };
    const state = id === undefined ? undefined : this.#states.get(id);
    if (state === undefined) {
      const producer = { id: id ?? newId(), epoch: epoch ?? 0, sequence: sequence ?? 0 };
      this.#remember(producer.id, { epoch: producer.epoch, last: producer.sequence, batches: [] });
      return producer;
    }
    const own = epoch ?? state.epoch;
    if (own < state.epoch) return stolen(own, state.epoch);
    if (own > state.epoch) {
      state.epoch = own;
      // Whoever takes over says where it goes on.
      if (sequence !== undefined) [state.last, state.batches] = [sequence, []];
    }
    return { id: id!, epoch: own, sequence: sequence ?? state.last };
  }

  /**
   * Events of one transfer come.
   *
   * @returns whether they are to be kept: false where they are there already
   */
  take({ id, epoch }: Producer, contents: readonly MessageContent[]): boolean | Refusal {
    const state = this.#states.get(id) ?? { epoch, last: 0, batches: [] };
    if (epoch < state.epoch) return stolen(epoch, state.epoch);
    const numbers = contents.map(({ annotations }) => numberOf(annotations?.get(PRODUCER_SEQUENCE)));
    const [first, last] = [numbers[0], numbers.at(-1)];
    if (first === undefined || last === undefined || numbers.some((n, i) => i > 0 && n !== next(numbers[i - 1]!)))
      return outOfOrder('the events of a batch are numbered one by one', first ?? -1, state.last);
    if (state.batches.some((batch) => batch[0] === first && batch[1] === last)) return false;
    if (first !== next(state.last))
      return outOfOrder(first <= state.last ? 'old sequence' : 'gap in the sequence', first, state.last);
    state.last = last;
    state.batches.push([first, last]);
    if (state.batches.length > BATCHES_KNOWN) state.batches.shift();
    this.#remember(id, state);
    return true;
  }

  #remember(id: number, state: ProducerState): void {
    // Behind all others: the first is who was silent for longest.
    this.#states.delete(id);
    this.#states.set(id, state);
    if (this.#states.size <= PRODUCERS_MAX) return;
    for (const oldest of this.#states.keys()) {
      this.#states.delete(oldest);
      return;
    }
  }
}

function next(sequence: number): number {
  return sequence === SEQUENCE_MAX ? 0 : sequence + 1;
}

function stolen(received: number, current: number): Refusal {
  return {
    condition: 'com.microsoft:producer-epoch-stolen',
    description: `The producer has been displaced by one with a higher epoch. Received:${received} Current:${current}`,
  };
}

function outOfOrder(why: string, received: number, last: number): Refusal {
  return {
    condition: 'com.microsoft:out-of-order-sequence',
    description: `The producer sequence number is out of order (${why}). Received:${received} Last:${last}`,
  };
}
