// SPDX-License-Identifier: Apache-2.0
import { Alarm } from './alarm.js';
import { hexOf, randomGuid, swapGuid } from './guid.js';
import { MinHeap } from './heap.js';
import type { LockWatcher } from './lock-watcher.js';
import type { MessageQueueHost } from './queue-settings.js';
import type { Settlement } from './settlement.js';
import type { Lock, StoredMessage } from './stored-message.js';

/** What is over may stay in the heap until there is this much of it, and as much again as what is not. */
const SLACK = 64;

interface LockEnd {
  readonly lock: Lock;
  readonly at: number;
}

export interface LockTableHandler {
  /** The lock of a message has ended, and is not there any more. */
  onLockEnded(message: StoredMessage): void;
  /** All that ended at this moment have been told. */
  onLocksEnded(): void;
}

/**
 * The locks on the messages of one queue, by token. Those of messages in a message session end with the session, which is not
 * this table's affair.
 */
export class LockTable {
  watcher: LockWatcher | undefined;
  readonly #host: MessageQueueHost;
  readonly #handler: LockTableHandler;
  readonly #locks = new Map<string, Lock>();
  /** Locks by an end that they once had. A renewed one is put in again when that comes up. */
  readonly #ends = new MinHeap<LockEnd>((end) => end.at);
  readonly #alarm: Alarm;

  constructor(host: MessageQueueHost, handler: LockTableHandler) {
    this.#host = host;
    this.#handler = handler;
    this.#alarm = new Alarm(host.clock, () => this.#endDue());
  }

  get size(): number {
    return this.#locks.size;
  }

  /** Locks a message under a token of its own. @param until - ms of the clock */
  add(message: StoredMessage, until: number): Lock {
    const tag = swapGuid(randomGuid(this.#host.random));
    const lock: Lock = { tag, token: hexOf(tag), message, until };
    this.#locks.set(lock.token, lock);
    this.watcher?.onLocked?.(message);
    if (message.session !== undefined) return lock;
    this.#ends.push({ lock, at: until });
    this.#alarm.atLatest(until);
    return lock;
  }

  /** A lock that still holds. The timer may be late: an ended lock must settle nothing even so. */
  find(token: string): Lock | undefined {
    const lock = this.#locks.get(token);
    return lock !== undefined && lock.until > this.#host.clock.now() ? lock : undefined;
  }

  /** @param how - its message was settled; undefined where it was not */
  end({ token, message }: Lock, how: Settlement['kind'] | undefined): void {
    this.#locks.delete(token);
    if (this.#ends.size > 2 * this.#locks.size + SLACK)
      this.#ends.retain((end) => this.#locks.get(end.lock.token) === end.lock);
    if (how === undefined) this.watcher?.onExpired?.(message);
    else this.watcher?.onSettled?.(message, how);
  }

  /** Ends all locks, as if their time was over. @returns how many there were; those of message sessions are not among them */
  endAll(): number {
    const now = this.#host.clock.now();
    const all = [...this.#locks.values()].filter(({ message }) => message.session === undefined);
    for (const lock of all) {
      lock.until = now;
      this.end(lock, undefined);
      this.#handler.onLockEnded(lock.message);
    }
    this.#handler.onLocksEnded();
    return all.length;
  }

  /** No lock holds any more. */
  stop(): void {
    this.#alarm.stop();
    this.#locks.clear();
  }

  #endDue(): void {
    const now = this.#host.clock.now();
    for (let end = this.#ends.peek(); end !== undefined && end.at <= now; end = this.#ends.peek()) {
      this.#ends.pop();
      const { lock } = end;
      if (this.#locks.get(lock.token) !== lock) continue;
      if (lock.until > now) {
        this.#ends.push({ lock, at: lock.until });
        continue;
      }
      this.end(lock, undefined);
      this.#handler.onLockEnded(lock.message);
    }
    const next = this.#ends.peek();
    if (next !== undefined) this.#alarm.atLatest(next.at);
    this.#handler.onLocksEnded();
  }
}
