// SPDX-License-Identifier: Apache-2.0
import { Alarm } from './alarm.js';
import { REFUSALS, type Refusal } from './entity.js';
import { hexOf, randomGuid } from './guid.js';
import type { NamespaceHost } from './host.js';
import { MESSAGE_BYTES, type MemoryBudget } from './memory-budget.js';

/** One thing that is done when its transaction commits, or not at all. */
export interface TransactionWork {
  /** Path of the queue or topic that it belongs to, lower case. */
  readonly entityPath: string;
  /** Bytes that are kept for it until then. */
  readonly sizeBytes: number;
  /** One unless given. */
  readonly messages?: number;
  /** Of messages that go to an entity with partitions; null where they have none. A transaction is of one partition. */
  readonly partitionKey?: string | null | undefined;
  /** Where it settles a message: the lock token. A message is settled once in a transaction. */
  readonly lockToken?: string;
  /** Why it cannot be done now. */
  check(): Refusal | undefined;
  apply(): void;
}

interface Transaction {
  readonly id: Uint8Array;
  readonly key: string;
  readonly works: TransactionWork[];
  readonly deadline: Alarm;
  hasTimedOut: boolean;
}

/** Of one transaction. */
const MESSAGES_MAX = 100;
/** Ms from the first operation. */
const DURATION_MAX = 120_000;
/** Transactions of one connection that are neither committed nor rolled back. */
const OPEN_MAX = 100;
/** Bytes that the open transactions of one connection keep. */
const BYTES_MAX = 67_108_864;

/** Bytes of a journal that one work needs at the most, beside its own. */
const WORK_BYTES = 4_096;

const UNKNOWN: Refusal = { condition: 'amqp:transaction:unknown-id', description: 'There is no such transaction.' };
const TIMED_OUT: Refusal = {
  condition: 'amqp:transaction:timeout',
  description: `The transaction was rolled back: it was open for more than ${DURATION_MAX / 60_000} minutes.`,
};

/** The transactions of one connection. What they do is gathered and carried out at the commit, all of it or nothing. */
export class Transactions {
  readonly #host: NamespaceHost;
  readonly #memory: MemoryBudget;
  readonly #open = new Map<string, Transaction>();
  #bytes = 0;

  /** @param memory - that messages take, those of open transactions included */
  constructor(host: NamespaceHost, memory: MemoryBudget) {
    this.#host = host;
    this.#memory = memory;
  }

  /** @returns the id of a new transaction */
  declare(): Uint8Array | Refusal {
    if (this.#open.size >= OPEN_MAX)
      return {
        condition: 'amqp:resource-limit-exceeded',
        description: `A connection has at most ${OPEN_MAX} transactions open.`,
      };
    const id = randomGuid(this.#host.random);
    const deadline = new Alarm(this.#host.clock, () => {
      transaction.hasTimedOut = true;
      this.#forget(transaction);
    });
    const transaction: Transaction = { id, key: hexOf(id), works: [], deadline, hasTimedOut: false };
    this.#open.set(transaction.key, transaction);
    return id;
  }

  /** Adds to a transaction. @returns why that is not possible */
  enlist(id: Uint8Array, work: TransactionWork): Refusal | undefined {
    const transaction = this.#open.get(hexOf(id));
    if (transaction === undefined) return UNKNOWN;
    if (transaction.hasTimedOut) return TIMED_OUT;
    const { works } = transaction;
    const messages = works.reduce((sum, other) => sum + messagesOf(other), messagesOf(work));
    if (messages > MESSAGES_MAX)
      return {
        condition: 'amqp:resource-limit-exceeded',
        description: `A transaction has at most ${MESSAGES_MAX} messages.`,
      };
    const { lockToken, partitionKey } = work;
    if (
      partitionKey === null ||
      (partitionKey !== undefined && works.some((other) => isElsewhere(other, partitionKey)))
    )
      return {
        condition: 'amqp:not-allowed',
        description:
          'Messages that a transaction sends to a partitioned entity must all have the same partition key (SessionId, ' +
          'PartitionKey, or MessageId where duplicates are detected).',
      };
    // Sends go by way of the entity that came first; what is settled must lie there.
    if (lockToken !== undefined && works.some((other) => other.entityPath !== work.entityPath && isFirst(works, other)))
      return {
        condition: 'amqp:not-allowed',
        description:
          'Transactions cannot span multiple top-level entities: all messages must be settled on one of them.',
      };
    if (lockToken !== undefined && works.some((other) => other.lockToken === lockToken))
      return {
        condition: 'com.microsoft:message-lock-lost',
        description: 'The message is settled in this transaction already.',
      };
    if (this.#bytes + work.sizeBytes > BYTES_MAX)
      return {
        condition: 'amqp:resource-limit-exceeded',
        description: `The open transactions of a connection have at most ${BYTES_MAX} bytes.`,
      };
    const refusal = work.check() ?? (this.#memory.hasRoom(memoryOf(work)) ? undefined : REFUSALS.noMemory);
    if (refusal !== undefined) return refusal;
    if (works.length === 0) transaction.deadline.atLatest(this.#host.clock.now() + DURATION_MAX);
    works.push(work);
    this.#bytes += work.sizeBytes;
    this.#memory.take(memoryOf(work));
    return undefined;
  }

  /** Adds several to a transaction, all or none. @returns why that is not possible */
  enlistAll(id: Uint8Array, works: readonly TransactionWork[]): Refusal | undefined {
    for (const [at, work] of works.entries()) {
      const refusal = this.enlist(id, work);
      if (refusal === undefined) continue;
      const undone = this.#open.get(hexOf(id))?.works.splice(-at, at) ?? [];
      for (const one of undone) this.#giveBack(one);
      return refusal;
    }
    return undefined;
  }

  /** Commits or rolls back. @returns why it was rolled back where it should have been committed */
  discharge(id: Uint8Array, fail: boolean): Refusal | undefined {
    const transaction = this.#open.get(hexOf(id));
    if (transaction === undefined) return UNKNOWN;
    this.#end(transaction);
    if (transaction.hasTimedOut) return TIMED_OUT;
    if (fail) {
      this.#forget(transaction);
      return undefined;
    }
    const works = this.#forget(transaction);
    const bytes = works.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const hasRoom = this.#host.journal?.hasRoom(bytes + works.length * WORK_BYTES) !== false;
    for (const work of works) {
      const refusal = hasRoom ? work.check() : REFUSALS.noRoom;
      if (refusal !== undefined)
        return {
          condition: 'amqp:transaction:rollback',
          description: `The transaction was rolled back: ${refusal.description}`,
        };
    }
    for (const work of works) work.apply();
    return undefined;
  }

  /** The coordinator has gone. */
  rollBackAll(): void {
    for (const transaction of this.#open.values()) {
      this.#end(transaction);
      this.#forget(transaction);
    }
  }

  /** Takes the works out of a transaction. */
  #forget(transaction: Transaction): TransactionWork[] {
    const works = transaction.works.splice(0);
    for (const work of works) this.#giveBack(work);
    return works;
  }

  #giveBack(work: TransactionWork): void {
    this.#bytes -= work.sizeBytes;
    this.#memory.take(-memoryOf(work));
  }

  #end(transaction: Transaction): void {
    transaction.deadline.stop();
    this.#open.delete(transaction.key);
  }
}

const messagesOf = ({ messages = 1 }: TransactionWork): number => messages;
/** Bytes of memory; what brings no message has none. */
const memoryOf = (work: TransactionWork): number =>
  work.sizeBytes === 0 ? 0 : work.sizeBytes + messagesOf(work) * MESSAGE_BYTES;
const isElsewhere = (work: TransactionWork, partitionKey: string): boolean =>
  work.partitionKey !== undefined && work.partitionKey !== partitionKey;
const isFirst = (works: readonly TransactionWork[], work: TransactionWork): boolean => works[0] === work;
