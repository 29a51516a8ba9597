// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import { Alarm } from './alarm.js';
import { Expiry } from './expiry.js';
import type { Consumer, ReceiveMode } from './consumer.js';
import { ConsumerLine } from './consumer-line.js';
import type { QueueJournal } from './journal.js';
import type { LockWatcher } from './lock-watcher.js';
import { LockTable } from './lock-table.js';
import { HEADER_MAX, type MessageContent } from './message-content.js';
import { MessageLine, type Line } from './message-line.js';
import { MessageStore } from './message-store.js';
import { MessageSessions, type MessageSession, type SessionWaiter } from './message-session.js';
import { PartitionedLine } from './partitioned-line.js';
import { partitionOfKey, partitionOfSequence, SequenceCounter } from './partitions.js';
import type { MessageCounts, MessageQueueHost, MessageQueueSettings } from './queue-settings.js';
import { Schedule } from './schedule.js';
import { deadLetterProperties, HEADER_SIZE_EXCEEDED, type Settlement, type SettleResult } from './settlement.js';
import { StoredMessage, type Arrival, type Lock } from './stored-message.js';

/** Receive requests that an entity keeps waiting at a time. */
export const CONSUMERS_MAX = 5000;

/** Receivers that wait for a message session to become free, at one entity. */
const SESSION_WAITERS_MAX = 1000;

/**
 * The messages of a queue, a subscription or a dead-letter queue, and who waits for them.
 *
 *     schedule ──▶ scheduled ──when due, with a new number──▶ enqueue
 *     enqueue ──▶ available ──take──▶ locked ──complete──▶ gone
 *                     ▲                 │ ├──defer──▶ deferred (found by its sequence number alone)
 *                     │                 │ └──dead-letter, or count at its maximum──▶ the dead-letter queue
 *                     └──unlock, abandon, end of lock (by sequence number, so near the front)
 *
 * With message sessions each of them has a line of its own, and the locks of its messages live and end with its own.
 */
export class MessageQueue {
  settings: MessageQueueSettings;
  /** Undefined for a dead-letter queue: nothing is dead-lettered twice. */
  readonly deadLetters: MessageQueue | undefined;
  readonly #host: MessageQueueHost;
  readonly #messages: MessageStore;
  /** @internal messages that belong to no session. */
  readonly line: Line;
  readonly sessions: MessageSessions | undefined;
  readonly #locks: LockTable;
  readonly #expiry: Expiry;
  readonly #schedule: Schedule;
  readonly #sessionAlarm: Alarm;
  readonly #consumers = new ConsumerLine();
  /** @internal numbers of messages. */
  readonly sequences: SequenceCounter = new SequenceCounter();
  /** Writes down what happens, where the namespace is to survive. */
  journal: QueueJournal | undefined;
  #sizeBytes = 0;
  #deferred = 0;
  #onDue: ((content: MessageContent, arrival: Arrival) => void) | undefined;
  #pumping = false;
  #paused = false;

  constructor(settings: MessageQueueSettings, host: MessageQueueHost, isDeadLetterQueue = false) {
    this.settings = settings;
    this.#host = host;
    this.#messages = new MessageStore(host.memory);
    this.#locks = new LockTable(host, {
      onLockEnded: (message) => this.#giveBack(message, true),
      onLocksEnded: () => this.#pump(),
    });
    this.#expiry = new Expiry(host.clock, (message) => this.#expireOne(message));
    this.line = settings.partitioned === true ? new PartitionedLine() : new MessageLine();
    this.#schedule = new Schedule(host.clock, () => this.#activate());
    this.#sessionAlarm = new Alarm(host.clock, () => this.#endSessions());
    this.sessions = settings.requiresSession === true ? new MessageSessions(host.memory) : undefined;
    this.deadLetters = isDeadLetterQueue
      ? undefined
      : new MessageQueue(
          {
            ...settings,
            maxDeliveryCount: Infinity,
            defaultTtlMs: Infinity,
            deadLetterOnExpiration: false,
            maxSizeBytes: Infinity,
            requiresSession: false,
          },
          host,
          true,
        );
  }

  /** From now on; what a message has been given already, an end of its lock or of its life, it keeps. */
  change(settings: Partial<Omit<MessageQueueSettings, 'requiresSession'>>): void {
    this.settings = { ...this.settings, ...settings };
    const { lockDurationMs } = settings;
    // A dead-letter queue has its own idea of the rest.
    if (lockDurationMs !== undefined) this.deadLetters?.change({ lockDurationMs });
  }

  get consumers(): number {
    return this.#consumers.size;
  }

  /** Told of its locks from now on. */
  set watcher(watcher: LockWatcher | undefined) {
    this.#locks.watcher = watcher;
  }

  counts(): MessageCounts {
    return {
      active: this.#messages.size - this.#deferred - this.#schedule.count,
      locked: this.#locks.size,
      deferred: this.#deferred,
      scheduled: this.#schedule.count,
      deadLetter: this.deadLetters?.counts().active ?? 0,
      sizeBytes: this.#sizeBytes,
    };
  }

  /** Messages that wait for their time. */
  get scheduled(): number {
    return this.#schedule.count;
  }

  /** Whether `bytes` more would go beyond the size of the queue, its dead letters included. */
  isFull(bytes: number): boolean {
    return this.#sizeBytes + (this.deadLetters?.sizeBytes ?? 0) + bytes > this.settings.maxSizeBytes;
  }

  /** Bytes of its messages and of what sessions keep, dead letters apart. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Appends a message. The caller has asked {@link isFull}. @returns its sequence number */
  enqueue(content: MessageContent, arrival?: Arrival): number {
    const sequence = this.reserveSequence(arrival?.partition);
    const now = this.#host.clock.now();
    // A dead-letter queue ignores time to live.
    const ttl =
      this.deadLetters === undefined ? Infinity : Math.min(content.ttlMs ?? Infinity, this.settings.defaultTtlMs);
    return this.#append(
      new StoredMessage({
        ...arrival,
        sequence,
        content,
        enqueuedAt: now,
        expiresAt: now + ttl,
        session: this.sessions?.of(content.groupId ?? ''),
      }),
    );
  }

  /** Appends a message to the dead-letter queue, because it could not become one of this queue. */
  enqueueDeadLetter(content: MessageContent, changes: ReadonlyMap<string, AmqpValue>, arrival?: Arrival): void {
    const sequence = this.reserveSequence(arrival?.partition);
    const enqueuedAt = this.#host.clock.now();
    const all = new Map([...(arrival?.changes ?? []), ...changes]);
    this.deadLetters?.adopt(
      new StoredMessage({ ...arrival, sequence, content, enqueuedAt, expiresAt: Infinity, changes: all }),
    );
  }

  /** A number for a message that comes later, or never. @param partition - where the queue has them; the first unless given */
  reserveSequence(partition?: number): number {
    return this.sequences.next(this.settings.partitioned === true ? partition || 1 : 0);
  }

  /** What becomes of scheduled messages whose time has come; left out, they are enqueued here. */
  set onDue(onDue: (content: MessageContent, arrival: Arrival) => void) {
    this.#onDue = onDue;
  }

  /**
   * Keeps a message until its time. It gets another number then.
   *
   * @param dueAt - ms of the clock
   * @param sequence - one of {@link reserveSequence}
   * @returns the number to cancel it by
   */
  schedule(content: MessageContent, dueAt: number, sequence: number = this.reserveSequence()): number {
    const { clock } = this.#host;
    const message = new StoredMessage({ sequence, content, enqueuedAt: clock.now(), expiresAt: Infinity, dueAt });
    message.state = 'scheduled';
    this.journal?.stored(message);
    this.#keepUntilDue(message);
    return sequence;
  }

  #keepUntilDue(message: StoredMessage): void {
    this.#messages.add(message);
    this.#sizeBytes += message.content.sizeBytes;
    this.#schedule.add(message);
  }

  // ---- after a restart ----

  /** Puts a message back as it was; before there are consumers, in the order of sequence numbers. */
  restore(message: StoredMessage): void {
    this.sequences.raise(message.sequence);
    if (message.state === 'scheduled') {
      this.#keepUntilDue(message);
      return;
    }
    this.#append(message);
    // Found by its number alone, it is in no line.
    if (message.state === 'deferred') this.#deferred += 1;
  }

  /** Whether all of them are scheduled, and none is there twice. */
  areScheduled(sequences: readonly number[]): boolean {
    if (new Set(sequences).size !== sequences.length) return false;
    return sequences.every((sequence) => this.#messages.get(sequence)?.state === 'scheduled');
  }

  /** Removes scheduled messages, all or none. @returns whether all were there */
  cancelScheduled(sequences: readonly number[]): boolean {
    if (!this.areScheduled(sequences)) return false;
    for (const sequence of sequences) this.#remove(this.#messages.get(sequence)!);
    return true;
  }

  #activate(): void {
    const now = this.#host.clock.now();
    for (let message = this.#schedule.next(now); message !== undefined; message = this.#schedule.next(now)) {
      this.#remove(message);
      const arrival: Arrival = { wasScheduled: true, partition: partitionOfSequence(message.sequence) };
      if (this.#onDue === undefined) this.enqueue(message.content, arrival);
      else this.#onDue(message.content, arrival);
    }
  }

  #append(message: StoredMessage): number {
    const { session } = message;
    this.journal?.stored(message);
    this.#messages.add(message);
    this.#sizeBytes += message.content.sizeBytes;
    (session ?? this).line.push(message);
    this.#expiry.add(message, this.#messages.size);
    this.#pump(session);
    return message.sequence;
  }

  addConsumer(consumer: Consumer): void {
    this.#consumers.add(consumer);
    this.wake(consumer);
  }

  /**
   * Takes a consumer away. What it holds stays locked until settled or until the lock ends; within a message session it is
   * free at once, uncounted, as is the session.
   */
  removeConsumer(consumer: Consumer): void {
    this.#consumers.delete(consumer);
    const { session } = consumer;
    if (session?.holder === consumer) this.#releaseSession(session, false);
  }

  /** The consumer may have room again. */
  wake(consumer: Consumer): void {
    if (!this.#consumers.couldWait(consumer)) return;
    if (consumer.session !== undefined) {
      this.#pump(consumer.session);
      return;
    }
    this.#consumers.wait(consumer);
    this.#pump();
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Hands nothing out while paused: a disabled entity. */
  set paused(paused: boolean) {
    this.#paused = paused;
    this.#pump();
    for (const session of this.sessions?.all ?? []) this.#pump(session);
  }

  // ---- message sessions ----

  /**
   * Gives a message session to who wants it, now or when one is free.
   *
   * @returns held where the session asked for is somebody else's, busy where too many wait
   */
  acceptSession(waiter: SessionWaiter): 'granted' | 'waiting' | 'held' | 'busy' {
    const sessions = this.sessions!;
    const { sessionId } = waiter;
    if (sessionId !== undefined && sessions.get(sessionId)?.holder !== undefined) return 'held';
    const session = sessionId === undefined ? sessions.next() : sessions.of(sessionId);
    if (session !== undefined) {
      this.#grant(session, waiter);
      return 'granted';
    }
    if (sessions.waiting >= SESSION_WAITERS_MAX) return 'busy';
    sessions.addWaiter(waiter);
    return 'waiting';
  }

  stopWaiting(waiter: SessionWaiter): void {
    this.sessions?.removeWaiter(waiter);
  }

  /** @returns whether the session has a holder now */
  #grant(session: MessageSession, waiter: SessionWaiter): boolean {
    const sessions = this.sessions!;
    const until = this.#host.clock.now() + this.settings.lockDurationMs;
    session.lockedUntil = until;
    const holder = waiter.accept(session);
    if (holder === undefined) {
      sessions.review(session);
      return false;
    }
    sessions.hold(session, holder, until);
    this.#sessionAlarm.atLatest(until);
    this.addConsumer(holder);
    return true;
  }

  /** The session that `owner` holds, while its lock lasts. */
  sessionOf(id: string, owner: unknown): MessageSession | undefined {
    const session = this.sessions?.get(id);
    if (session?.holder?.owner !== owner || session === undefined) return undefined;
    return session.lockedUntil > this.#host.clock.now() ? session : undefined;
  }

  /** As {@link sessionOf}, by the name of the link that has it. */
  sessionOfLink(name: string, owner: unknown): MessageSession | undefined {
    for (const { id, holder } of this.sessions?.all ?? [])
      if (holder !== undefined && holder.owner === owner && holder.linkName === name) return this.sessionOf(id, owner);
    return undefined;
  }

  /** Starts the lock of a session anew. @returns its new end */
  renewSession(session: MessageSession): number {
    session.lockedUntil = this.#host.clock.now() + this.settings.lockDurationMs;
    for (const lock of session.locks) lock.until = session.lockedUntil;
    return session.lockedUntil;
  }

  /** @returns whether there was room */
  setSessionState(session: MessageSession, state: Uint8Array | undefined): boolean {
    // One of no bytes takes room, too: as many sessions could have one as there are names.
    const bytesOf = (kept: Uint8Array | undefined): number =>
      kept === undefined ? 0 : kept.length + session.id.length;
    const growth = bytesOf(state) - bytesOf(session.state);
    if (growth > 0 && this.isFull(growth)) return false;
    this.#sizeBytes += growth;
    this.sessions!.setState(session, state, this.#host.clock.now());
    this.journal?.session(session);
    return true;
  }

  #releaseSession(session: MessageSession, counted: boolean): void {
    const sessions = this.sessions!;
    const holder = session.holder!;
    sessions.release(session);
    this.#consumers.delete(holder);
    for (const lock of session.locks) {
      this.#locks.end(lock, undefined);
      this.#giveBack(lock.message, counted);
    }
    session.locks.clear();
    this.#pump(session);
  }

  #endSessions(): void {
    const now = this.#host.clock.now();
    let next = Infinity;
    for (const session of this.sessions!.held) {
      next = session.lockedUntil > now ? Math.min(next, session.lockedUntil) : next;
      if (session.lockedUntil > now) continue;
      const holder = session.holder!;
      this.#releaseSession(session, true);
      holder.onSessionLost();
    }
    this.#sessionAlarm.atLatest(next);
  }

  /** Ends all locks, those of message sessions too, as if their time was over. @returns how many */
  endLocks(): number {
    const { sessions } = this;
    if (sessions === undefined) return this.#locks.endAll();
    const now = this.#host.clock.now();
    for (const session of sessions.held) session.lockedUntil = now;
    const count = sessions.held.size;
    this.#endSessions();
    return count;
  }

  /** Gives free sessions to those who wait for one. */
  #serveWaiters(): void {
    const sessions = this.sessions!;
    while (sessions.waiting > 0 && !this.#paused) {
      const session = sessions.next();
      if (session === undefined) return;
      this.#grant(session, sessions.takeWaiter()!);
    }
  }

  // ---- settling ----

  /** What {@link settle} would come to. */
  wouldSettle(token: string, settlement: Settlement): SettleResult {
    const lock = this.#locks.find(token);
    if (lock === undefined) return 'lock-lost';
    const { message } = lock;
    const { kind } = settlement;
    if (kind === 'dead-letter' && this.deadLetters === undefined) return 'dead-letter-twice';
    // What goes to the dead-letter queue goes there with or without them.
    const isTooLarge = kind !== 'dead-letter' && 'changes' in settlement && !message.canChange(settlement.changes);
    if (isTooLarge) return 'too-large';
    if ('changes' in settlement && !this.#messages.hasRoomToChange(message, settlement.changes)) return 'no-room';
    const bytes = kind === 'complete' || kind === 'unlock' ? 0 : message.content.sizeBytes + HEADER_MAX;
    return this.journal?.hasRoomToSettle(bytes) === false ? 'no-room' : 'done';
  }

  settle(token: string, settlement: Settlement): SettleResult {
    const result = this.wouldSettle(token, settlement);
    const lock = this.#locks.find(token);
    if (lock === undefined || result !== 'done') return result;
    const { message } = lock;
    this.#locks.end(lock, settlement.kind);
    const { session } = message;
    session?.locks.delete(lock);
    switch (settlement.kind) {
      case 'complete':
        this.#remove(message);
        break;
      case 'unlock':
        this.#giveBack(message, false);
        break;
      case 'abandon':
        this.#messages.change(message, settlement.changes);
        this.#giveBack(message, true);
        break;
      case 'defer':
        this.#messages.change(message, settlement.changes);
        this.#count(message);
        this.#defer(message);
        break;
      case 'dead-letter':
        this.#deadLetter(message, message.canChange(settlement.changes) ? settlement.changes : HEADER_SIZE_EXCEEDED);
        break;
    }
    this.#pump(session);
    return 'done';
  }

  /** Starts the lock's duration anew. @returns its new end, or undefined where it has ended */
  renew(token: string): number | undefined {
    const lock = this.#locks.find(token);
    if (lock === undefined) return undefined;
    // Within a session it is the session that is renewed.
    if (lock.message.session === undefined) lock.until = this.#host.clock.now() + this.settings.lockDurationMs;
    return lock.until;
  }

  /** All messages in whatever state, in the order of their numbers. */
  all(): Iterable<StoredMessage> {
    return this.#messages.from(0);
  }

  /**
   * Messages from a sequence number on, in whatever state, without taking them; of one session where one is given. They are all of
   * one partition: the next peek goes on with the next. A session has one partition alone: numbers of others, as clients remember
   * them that peeked another session before, say nothing about it.
   */
  peek(fromSequence: number, count: number, sessionId?: string): StoredMessage[] {
    const found: StoredMessage[] = [];
    let partition: number | undefined;
    const session = sessionId === undefined ? undefined : this.sessions?.get(sessionId);
    const isElsewhere =
      session !== undefined &&
      this.settings.partitioned === true &&
      partitionOfSequence(fromSequence) !== partitionOfKey(session.id);
    for (const message of (session?.messages ?? this.#messages).from(isElsewhere ? 0 : fromSequence)) {
      if (found.length >= count) break;
      if (found.length > 0 && partitionOfSequence(message.sequence) !== partition) break;
      partition = partitionOfSequence(message.sequence);
      if (sessionId === undefined || message.content.groupId === sessionId) found.push(message);
    }
    return found;
  }

  /**
   * Takes deferred messages, all or none.
   *
   * @param session - the one that they belong to, held by who asks
   * @returns undefined where one of them is not deferred, is held, or belongs to another session
   */
  receiveDeferred(
    sequences: readonly number[],
    mode: ReceiveMode,
    session?: MessageSession,
  ): { message: StoredMessage; lock: Lock | undefined }[] | undefined {
    const messages = sequences.map((sequence) => this.#messages.get(sequence));
    if (new Set(sequences).size !== sequences.length) return undefined;
    if (messages.some((message) => message?.state !== 'deferred' || message.session !== session)) return undefined;
    return messages.map((found) => {
      const message = found!;
      this.#deferred -= 1;
      message.state = 'available';
      return { message, lock: this.#hold(message, mode) };
    });
  }

  /**
   * Removes messages that nobody holds, oldest first; not those that are deferred or scheduled.
   *
   * @param before - ms of the clock: those that came later stay
   * @param session - those of this one alone
   * @returns how many it removed
   */
  deleteBatch(count: number, before: number, session?: MessageSession): number {
    const chosen: StoredMessage[] = [];
    for (const message of this.#messages.from(0)) {
      if (chosen.length >= count) break;
      // Dead letters keep the time at which they came to the queue: their order is another.
      if (message.state !== 'available' || message.enqueuedAt > before) continue;
      if (session === undefined || message.session === session) chosen.push(message);
    }
    for (const message of chosen) this.#remove(message);
    return chosen.length;
  }

  /** Gives orders with the clock back, and lets go of all locks. What happens afterwards is nowhere written down. */
  close(): void {
    this.journal = undefined;
    this.#locks.stop();
    this.#expiry.stop();
    this.#schedule.stop();
    this.#sessionAlarm.stop();
    this.sessions?.clear();
    this.#messages.clear();
    this.#consumers.clear();
    this.deadLetters?.close();
  }

  /** Hands out what can be handed out: of one session, or what belongs to none. */
  #pump(session?: MessageSession): void {
    // A consumer that takes a message may send, settle or leave within the call.
    if (session !== undefined) this.#pumpSession(session);
    if (this.#pumping || this.#paused || session !== undefined) return;
    this.#pumping = true;
    try {
      while (this.#consumers.isAnyWaiting) {
        const message = this.#next(this.line);
        if (message === undefined) break;
        const consumer = this.#consumers.next();
        if (consumer === undefined) {
          this.line.giveBack(message);
          break;
        }
        const lock = this.#hold(message, consumer.mode);
        consumer.take(message, lock);
        if (this.#consumers.couldWait(consumer)) this.#consumers.wait(consumer);
        if (this.#paused) break;
      }
    } finally {
      this.#pumping = false;
    }
  }

  #pumpSession(session: MessageSession): void {
    const { holder } = session;
    while (holder !== undefined && session.holder === holder && !this.#paused && holder.hasRoom()) {
      const message = this.#next(session.line);
      if (message === undefined) break;
      holder.take(message, this.#hold(message, holder.mode));
    }
    if (session.holder !== undefined) return;
    this.sessions!.review(session);
    this.#serveWaiters();
  }

  /** Takes the available message with the lowest sequence number; expired ones are put away on the way. */
  #next(line: Line): StoredMessage | undefined {
    const now = this.#host.clock.now();
    for (;;) {
      const message = line.shift();
      if (message === undefined || message.expiresAt > now) return message;
      this.#expireOne(message);
    }
  }

  /** Locks a message, or removes it where it is received and deleted in one. */
  #hold(message: StoredMessage, mode: ReceiveMode): Lock | undefined {
    if (mode === 'receive-and-delete') {
      this.#remove(message);
      return undefined;
    }
    const { session } = message;
    message.state = 'locked';
    const until = session?.lockedUntil ?? this.#host.clock.now() + this.settings.lockDurationMs;
    const lock = this.#locks.add(message, until);
    session?.locks.add(lock);
    return lock;
  }

  /** An attempt has ended. In a dead-letter queue none is counted. */
  #count(message: StoredMessage): void {
    if (this.deadLetters !== undefined) message.deliveryCount += 1;
  }

  /** Ends an attempt: back to where it was, or to the dead-letter queue. */
  #giveBack(message: StoredMessage, counted: boolean): void {
    if (counted) this.#count(message);
    if (message.expiresAt <= this.#host.clock.now() && !message.deferred) {
      // Time to live does not touch a message while it is locked; now it does.
      this.#expireOne(message);
      return;
    }
    if (counted && message.deliveryCount >= this.settings.maxDeliveryCount) {
      this.#deadLetter(
        message,
        deadLetterProperties(
          'MaxDeliveryCountExceeded',
          `Message could not be consumed after ${message.deliveryCount} delivery attempts.`,
        ),
      );
      return;
    }
    if (message.deferred) {
      this.#defer(message);
      return;
    }
    if (counted) this.journal?.changed(message);
    message.state = 'available';
    (message.session ?? this).line.giveBack(message);
  }

  #defer(message: StoredMessage): void {
    message.deferred = true;
    message.state = 'deferred';
    this.#deferred += 1;
    this.journal?.changed(message);
  }

  #deadLetter(message: StoredMessage, changes: ReadonlyMap<string, AmqpValue> | undefined): void {
    this.#remove(message);
    message.change(changes);
    this.deadLetters?.adopt(message);
  }

  /** Takes over a message that another queue dead-letters. */
  adopt(message: StoredMessage): void {
    this.#append(
      new StoredMessage({
        sequence: this.reserveSequence(partitionOfSequence(message.sequence)),
        originalSequence: message.originalSequence ?? message.sequence,
        content: message.content,
        enqueuedAt: message.enqueuedAt,
        expiresAt: Infinity,
        deliveryCount: message.deliveryCount,
        hops: message.hops,
        changes: message.changes,
      }),
    );
  }

  #expireOne(message: StoredMessage): void {
    if (!this.settings.deadLetterOnExpiration) {
      this.#remove(message);
      return;
    }
    this.#deadLetter(
      message,
      deadLetterProperties('TTLExpiredException', 'The message expired and was dead lettered.'),
    );
  }

  #remove(message: StoredMessage): void {
    const { session, state } = message;
    if (state === 'deferred') this.#deferred -= 1;
    message.state = 'gone';
    if (state === 'scheduled') this.#schedule.onGone();
    if (state === 'available') (session ?? this).line.onGone(message);
    this.#messages.delete(message);
    this.#expiry.onGone(this.#messages.size);
    this.journal?.gone(message);
    this.#sizeBytes -= message.content.sizeBytes;
    if (session !== undefined) this.sessions!.review(session);
  }
}
