// SPDX-License-Identifier: Apache-2.0

/** What a producer was told of an attempt to send; `unknown` where it cannot know. */
export type Told = 'accepted' | 'released' | 'unknown';

interface Delivery {
  readonly key: string;
  /** The queue's count of earlier deliveries. */
  readonly deliveryCount: number;
}

/**
 * Every message by its number, from what a producer and a consumer on either side of a queue saw. The queue gives each
 * message that it takes a sequence number: two of one number were sent twice, one that comes twice was delivered twice.
 */
export class Ledger {
  /** What was told of each attempt, by `NUMBER/ATTEMPT`. */
  readonly #told = new Map<string, Told>();
  readonly #accepted = new Set<number>();
  readonly #received = new Set<number>();
  /** Deliveries by sequence number. */
  readonly #deliveries = new Map<number, Delivery[]>();
  readonly #confirmed = new Set<number>();
  /** Deliveries whose consumer has not heard what became of its outcome. */
  #open = 0;
  #unconfirmed = 0;
  readonly #problems: string[] = [];

  sent(number: number, attempt: number, told: Told): void {
    this.#told.set(`${number}/${attempt}`, told);
    if (told === 'accepted') this.#accepted.add(number);
  }

  came(number: number, attempt: number, sequence: number, deliveryCount: number): void {
    this.#received.add(number);
    this.#open++;
    const known = this.#deliveries.get(sequence) ?? [];
    known.push({ key: `${number}/${attempt}`, deliveryCount });
    this.#deliveries.set(sequence, known);
    if (this.#confirmed.has(sequence))
      this.#problems.push(`${number}/${attempt} came again after the queue had confirmed`);
  }

  /** The consumer's outcome has reached the queue. */
  confirmed(sequence: number): void {
    this.#open--;
    if (this.#confirmed.has(sequence)) this.#problems.push(`sequence number ${sequence} was confirmed twice`);
    this.#confirmed.add(sequence);
  }

  /** The consumer cannot know whether its outcome has reached the queue. */
  unconfirmed(_sequence: number): void {
    this.#open--;
    this.#unconfirmed++;
  }

  get numbersAccepted(): number {
    return this.#accepted.size;
  }

  get numbersReceived(): number {
    return this.#received.size;
  }

  get open(): number {
    return this.#open;
  }

  /** What was lost, and what is there twice though somebody could have known. */
  problems(): string[] {
    const problems = [...this.#problems];
    const sequencesOf = new Map<string, number>();
    for (const [sequence, deliveries] of this.#deliveries) {
      const [first] = deliveries;
      sequencesOf.set(first!.key, (sequencesOf.get(first!.key) ?? 0) + 1);
      for (const [i, { key, deliveryCount }] of deliveries.entries()) {
        if (key !== first!.key) problems.push(`sequence number ${sequence} is both ${first!.key} and ${key}`);
        if (i > 0 && deliveryCount === 0) problems.push(`${key} came again as new`);
      }
    }
    for (const number of this.#accepted) if (!this.#received.has(number)) problems.push(`${number} is lost`);
    for (const [key, told] of this.#told) {
      const copies = sequencesOf.get(key) ?? 0;
      const isPossible = told === 'accepted' ? copies === 1 : told === 'released' ? copies === 0 : copies <= 1;
      if (!isPossible) problems.push(`the attempt ${key} was told '${told}', and the queue had it ${copies} times`);
    }
    for (const key of sequencesOf.keys()) if (!this.#told.has(key)) problems.push(`nobody has sent ${key}`);
    return problems;
  }

  toString(): string {
    const told = [...this.#told.values()];
    const count = (kind: Told): number => told.filter((one) => one === kind).length;
    const deliveries = [...this.#deliveries.values()].reduce((sum, { length }) => sum + length, 0);
    return [
      `${told.length} attempts (${count('accepted')} accepted, ${count('released')} released, ${count('unknown')} unknown)`,
      `${this.#accepted.size} messages accepted, ${this.#received.size} received as ${this.#deliveries.size} in ${deliveries} deliveries`,
      `${this.#confirmed.size} confirmed, ${this.#unconfirmed} not, ${this.#open} open`,
    ].join('; ');
  }
}
