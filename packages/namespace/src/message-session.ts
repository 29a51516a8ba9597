// SPDX-License-Identifier: Apache-2.0
import type { Consumer } from './consumer.js';
import { MemoryBudget, SESSION_BYTES } from './memory-budget.js';
import { MessageLine } from './message-line.js';
import { OrderedMessages } from './ordered-messages.js';
import type { Lock } from './stored-message.js';

/** A consumer that holds a message session. */
export interface SessionConsumer extends Consumer {
  readonly session: MessageSession;
  /** Whoever the session's requests must come from: its connection. */
  readonly owner: unknown;
  /** Undefined where it is no link. */
  readonly linkName?: string | undefined;
  /** The lock of the session has ended; the consumer is no consumer any more. */
  onSessionLost(): void;
}

/** Someone who wants a message session. */
export interface SessionWaiter {
  /** The session wanted, undefined for any. */
  readonly sessionId: string | undefined;
  /** The session is there: who consumes it from now on, or undefined where it is not wanted any more. */
  accept(session: MessageSession): SessionConsumer | undefined;
}

/** Messages with the same group-id, which one receiver at a time takes in order, and a state of a few bytes. */
export class MessageSession {
  readonly id: string;
  readonly line: MessageLine = new MessageLine();
  /** What its holder has taken and not settled. */
  readonly locks: Set<Lock> = new Set();
  holder: SessionConsumer | undefined;
  /** Ms of the clock; of use only while there is a holder. */
  lockedUntil = 0;
  state: Uint8Array | undefined;
  /** Ms of the clock at which the state was set; -Infinity for never. */
  stateUpdatedAt: number = -Infinity;
  /** Messages that are not gone, whatever their state. */
  readonly messages: OrderedMessages = new OrderedMessages();
  /** Where it stands among those that are ready. */
  ready: ReadySession | undefined;

  constructor(id: string) {
    this.id = id;
  }
}

/** A place among the sessions that are ready; void once the session has another, or none. */
interface ReadySession {
  readonly session: MessageSession;
}

/** Places that are void may stay until there are this many, and as many as the others. */
const SLACK = 1024;

/** The message sessions of one queue: which there are, and who waits for the next free one. */
export class MessageSessions {
  readonly #all = new Map<string, MessageSession>();
  /** Free ones with something to be received, the longest ready first. A set would have to look past all that were in it. */
  #ready: ReadySession[] = [];
  #head = 0;
  readonly #waiters = new Set<SessionWaiter>();
  readonly #held = new Set<MessageSession>();
  readonly #memory: MemoryBudget;

  constructor(memory: MemoryBudget = new MemoryBudget()) {
    this.#memory = memory;
  }

  get(id: string): MessageSession | undefined {
    return this.#all.get(id);
  }

  /** The session of an id, made where there is none. */
  of(id: string): MessageSession {
    const known = this.#all.get(id);
    if (known !== undefined) return known;
    const session = new MessageSession(id);
    this.#all.set(id, session);
    this.#memory.take(SESSION_BYTES);
    return session;
  }

  get held(): ReadonlySet<MessageSession> {
    return this.#held;
  }

  get all(): Iterable<MessageSession> {
    return this.#all.values();
  }

  /** Whether there is memory for another state. */
  hasRoomFor(session: MessageSession, state: Uint8Array | null): boolean {
    const growth = (state?.length ?? 0) - (session.state?.length ?? 0);
    return growth <= 0 || this.#memory.hasRoom(growth);
  }

  /** @param state - undefined for none. @param now - ms of the clock */
  setState(session: MessageSession, state: Uint8Array | undefined, now: number): void {
    this.#memory.take((state?.length ?? 0) - (session.state?.length ?? 0));
    session.state = state;
    session.stateUpdatedAt = now;
  }

  /**
   * Ids of sessions that have messages or a state, in order of their making.
   *
   * @param stateSince - ms of the clock: those alone whose state was set after it
   */
  ids(stateSince: number | undefined, skip: number, count: number): string[] {
    const ids: string[] = [];
    let skipped = 0;
    for (const { stateUpdatedAt, id } of this.#all.values()) {
      if (ids.length >= count) break;
      if (stateSince !== undefined && stateUpdatedAt <= stateSince) continue;
      if (skipped < skip) skipped += 1;
      else ids.push(id);
    }
    return ids;
  }

  hold(session: MessageSession, holder: SessionConsumer, until: number): void {
    session.holder = holder;
    session.lockedUntil = until;
    this.#held.add(session);
    session.ready = undefined;
  }

  release(session: MessageSession): void {
    session.holder = undefined;
    this.#held.delete(session);
  }

  addWaiter(waiter: SessionWaiter): void {
    this.#waiters.add(waiter);
  }

  removeWaiter(waiter: SessionWaiter): void {
    this.#waiters.delete(waiter);
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** The one who has waited longest, no longer waiting. */
  takeWaiter(): SessionWaiter | undefined {
    const [first] = this.#waiters;
    if (first !== undefined) this.#waiters.delete(first);
    return first;
  }

  /** A free session may have become ready, or have ceased to be. */
  review(session: MessageSession): void {
    if (session.holder === undefined && session.line.peek() !== undefined) {
      if (session.ready === undefined) this.#ready.push((session.ready = { session }));
    } else session.ready = undefined;
    const isEmpty = session.messages.isEmpty && session.state === undefined;
    if (session.holder === undefined && isEmpty && this.#all.delete(session.id)) this.#memory.take(-SESSION_BYTES);
  }

  /** The session that has been ready longest. */
  next(): MessageSession | undefined {
    for (; this.#head < this.#ready.length; this.#head += 1) {
      const place = this.#ready[this.#head]!;
      const { session } = place;
      if (session.ready !== place) continue;
      if (session.line.peek() !== undefined) break;
      session.ready = undefined;
    }
    if (this.#head > SLACK && this.#head * 2 > this.#ready.length) {
      this.#ready = this.#ready.slice(this.#head);
      this.#head = 0;
    }
    return this.#ready[this.#head]?.session;
  }

  clear(): void {
    for (const { state } of this.#all.values()) this.#memory.take(-SESSION_BYTES - (state?.length ?? 0));
    this.#all.clear();
    this.#waiters.clear();
    this.#ready = [];
    this.#held.clear();
  }
}
