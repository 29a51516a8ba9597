// SPDX-License-Identifier: Apache-2.0
import type { Clock, ProtocolEndpoint } from '@pointsman/engine';
import { DeadlineWheel } from './deadline-wheel.js';
import type { WheelEntry } from './deadline-wheel.js';
import type { ByteStream, StreamHandler, StreamInfo } from './stream.js';

/**
 * Bytes of one connection that may wait in the process for its socket. Above it the output stays in the engine, which bounds
 * it. Four times what a socket on loopback takes at once, so that a fast reader is never kept waiting for us.
 */
const OUTSTANDING_BYTES_MAX = 256 * 1024;

/** Time that a peer has to end its direction after ours ended, and to take what it still has to read, before it is cut off. */
const LINGER_MS = 5_000;

/** Longest delay of a timer of Node.js. One that is longer by a millisecond has no delay at all. */
const DELAY_MAX_MS = 2_147_483_647;

/** Monotonic time of this process. Its timers do not keep the process alive: sockets do. */
export const processClock: Clock = {
  now: () => performance.now(),
  after(ms, action) {
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      timer =
        left <= DELAY_MAX_MS
          ? setTimeout(action, left).unref()
          : setTimeout(() => wait(left - DELAY_MAX_MS), DELAY_MAX_MS).unref();
    };
    wait(ms);
    return () => clearTimeout(timer);
  },
};

/** An endpoint on its stream. */
export interface DrivenConnection {
  readonly info: StreamInfo;
  /** Bytes that came from the peer. */
  readonly receivedBytes: number;
  /** Bytes that were handed to the socket. */
  readonly sentBytes: number;
  /** Bytes that were handed to the socket and have not left yet. */
  readonly outstandingBytes: number;
  /** The stream is gone. */
  readonly closed: boolean;
  /** Drops the connection at once; the endpoint hears of it with `cause`. */
  destroy(cause?: Error): void;
}

/** Hears once that the stream of a connection is gone, after its endpoint. */
export type OnDrivenClosed = (cause: Error | undefined, connection: DrivenConnection) => void;

/** What a driver's list of connections with output holds. */
export interface Flushable {
  /** It is on the list. Only the driver sets it, only the connection takes it back. */
  isDirty: boolean;
  flush(now: number): void;
}

/**
 * Runs endpoints over their streams: all input, all output and the clock of their connections.
 *
 * Endpoints that wake in one turn share one flush, in which each writes once. All deadlines share one timer.
 */
export class Driver {
  readonly wheel: DeadlineWheel;
  readonly clock: Clock;
  #dirty: Flushable[] = [];
  #spare: Flushable[] = [];
  readonly #flushAt: 'callbacks' | 'turn';
  #scheduled = false;
  readonly #flushAll = (): void => this.#flush();

  /**
   * @param flushAt - when connections that woke write: `callbacks`, as soon as the running callback and what it queued are
   *   done, which answers soonest; `turn`, once per turn of the event loop, which saves writes where many peers feed one
   */
  constructor(clock: Clock = processClock, flushAt: 'callbacks' | 'turn' = 'callbacks') {
    this.clock = clock;
    this.#flushAt = flushAt;
    this.wheel = new DeadlineWheel(clock);
  }

  /**
   * Puts an endpoint onto a stream.
   *
   * @param onClosed - called once, when the stream is gone and the endpoint has been told
   */
  drive(endpoint: ProtocolEndpoint, stream: ByteStream, onClosed?: OnDrivenClosed): DrivenConnection {
    const driven = new Driven(this, endpoint, stream, onClosed);
    endpoint.wake = () => this.schedule(driven);
    this.wheel.add(driven);
    stream.attach(driven);
    this.schedule(driven);
    return driven;
  }

  /** Puts a connection on the list of the next flush. */
  schedule(connection: Flushable): void {
    if (connection.isDirty) return;
    connection.isDirty = true;
    this.#dirty.push(connection);
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (this.#flushAt === 'callbacks') process.nextTick(this.#flushAll);
    else setImmediate(this.#flushAll);
  }

  #flush(): void {
    const now = this.clock.now();
    const dirty = this.#dirty;
    this.#dirty = this.#spare;
    this.#spare = dirty;
    this.#scheduled = false;
    for (let i = 0; i < dirty.length; i++) (dirty[i] as Flushable).flush(now);
    dirty.length = 0;
  }
}

/** The driver of this process. */
export const sharedDriver: Driver = new Driver();

/** What went to the stream in one write. */
interface Batch {
  readonly buffers: Uint8Array[];
  readonly bytes: number;
  next: Batch | undefined;
}

class Driven implements DrivenConnection, StreamHandler, WheelEntry, Flushable {
  wheelSlot = -1;
  isDirty = false;
  receivedBytes = 0;
  sentBytes = 0;
  outstandingBytes = 0;
  closed = false;
  readonly #driver: Driver;
  readonly #endpoint: ProtocolEndpoint;
  readonly #stream: ByteStream;
  readonly #onClosed: OnDrivenClosed | undefined;
  /** Batches that the stream still holds, from the oldest on. */
  #oldest: Batch | undefined;
  #latest: Batch | undefined;
  #paused = false;
  /** The endpoint woke us while the stream was backed up: its output waits in the engine. */
  #held = false;
  /** The endpoint has been told that no more will come. */
  #ended = false;
  /** We ended our direction. */
  #finished = false;
  /** Monotonic ms at which a peer that does not end its direction is cut off. */
  #lingerUntil: number | undefined;

  constructor(driver: Driver, endpoint: ProtocolEndpoint, stream: ByteStream, onClosed: OnDrivenClosed | undefined) {
    this.#driver = driver;
    this.#endpoint = endpoint;
    this.#stream = stream;
    this.#onClosed = onClosed;
  }

  get info(): StreamInfo {
    return this.#stream.info;
  }

  destroy(cause?: Error): void {
    this.#stream.destroy(cause);
  }

  onData(bytes: Uint8Array): void {
    this.receivedBytes += bytes.length;
    // After our own end, and after what counts as the peer's, bytes are only read so that the stream can close.
    if (this.#finished || this.#ended) return;
    const now = this.#driver.clock.now();
    this.#endpoint.receive(bytes, now);
    this.#follow(now);
  }

  onEnd(): void {
    if (this.#ended) return;
    const now = this.#driver.clock.now();
    this.#ended = true;
    this.#linger(now);
    this.#endpoint.receiveEnd(now);
    this.#driver.schedule(this);
  }

  onWritten(): void {
    if (this.closed) return;
    const batch = this.#oldest;
    if (batch === undefined) return;
    this.#oldest = batch.next;
    if (batch.next === undefined) this.#latest = undefined;
    this.outstandingBytes -= batch.bytes;
    const now = this.#driver.clock.now();
    this.#endpoint.releaseOutput(batch.buffers, now);
    this.#follow(now);
    if (this.#held && this.outstandingBytes < OUTSTANDING_BYTES_MAX) {
      this.#held = false;
      this.#driver.schedule(this);
    }
  }

  onClosed(cause: Error | undefined): void {
    const now = this.#driver.clock.now();
    const endpoint = this.#endpoint;
    this.closed = true;
    this.#driver.wheel.remove(this);
    endpoint.wake = undefined;
    this.outstandingBytes = 0;
    let batch = this.#oldest;
    this.#oldest = this.#latest = undefined;
    for (; batch !== undefined; batch = batch.next) endpoint.releaseOutput(batch.buffers, now);
    if (!this.#ended) {
      this.#ended = true;
      endpoint.receiveEnd(now, cause);
    }
    this.#onClosed?.(cause, this);
  }

  deadline(): number | undefined {
    return this.#lingerUntil ?? this.#endpoint.deadline();
  }

  expire(now: number): void {
    if (this.#lingerUntil !== undefined) {
      this.#stream.destroy();
      return;
    }
    this.#endpoint.tick(now);
    this.#follow(now);
  }

  flush(now: number): void {
    this.isDirty = false;
    if (this.closed || this.#finished) return;
    const endpoint = this.#endpoint;
    if (this.outstandingBytes >= OUTSTANDING_BYTES_MAX) {
      this.#held = true;
      return;
    }
    let buffers = endpoint.takeOutput(now);
    if (buffers !== undefined) this.#write(buffers);
    if (!endpoint.done && !this.#ended) {
      this.#follow(now);
      return;
    }
    while (buffers !== undefined) {
      buffers = endpoint.takeOutput(now);
      if (buffers !== undefined) this.#write(buffers);
    }
    this.#finish(now);
  }

  #write(buffers: Uint8Array[]): void {
    if (buffers.length === 0) return;
    let bytes = 0;
    for (let i = 0; i < buffers.length; i++) bytes += (buffers[i] as Uint8Array).length;
    this.sentBytes += bytes;
    this.outstandingBytes += bytes;
    const batch: Batch = { buffers, bytes, next: undefined };
    if (this.#latest === undefined) this.#oldest = batch;
    else this.#latest.next = batch;
    this.#latest = batch;
    this.#stream.write(buffers);
  }

  /** Everything that may have changed after a call of the endpoint. */
  #follow(now: number): void {
    const endpoint = this.#endpoint;
    if (this.closed) return;
    if (endpoint.congested !== this.#paused && !this.#finished) {
      this.#paused = !this.#paused;
      if (this.#paused) this.#stream.pause();
      else this.#stream.resume();
    }
    this.#driver.wheel.note(this, this.deadline(), now);
    if (!endpoint.done || this.#finished) return;
    // A peer that stopped reading must not keep an endpoint that has said everything.
    this.#linger(now);
    this.#driver.schedule(this);
  }

  #finish(now: number): void {
    this.#finished = true;
    this.#linger(now);
    this.#stream.end();
    // The end of the peer is only seen by a stream that is being read.
    if (this.#paused) this.#stream.resume();
  }

  #linger(now: number): void {
    this.#lingerUntil ??= now + LINGER_MS;
    this.#driver.wheel.note(this, this.#lingerUntil, now);
  }
}
