// SPDX-License-Identifier: Apache-2.0
import { DEFAULT_BACKOFF, backoffDelay } from './backoff.js';
import type { Backoff } from './backoff.js';
import { dial } from './dial.js';
import type { DialOptions } from './dial.js';
import { sharedDriver } from './drive.js';
import type { DrivenConnection, Driver } from './drive.js';
import type { ProtocolEndpoint } from '@pointsman/engine';
import type { ByteStream, StreamInfo } from './stream.js';

/**
 * `connecting`: on the way to a stream; `opening`: the endpoint is at work, and has not reported success; `established`: it has;
 * `waiting`: for the next attempt; `stopped`: for good.
 */
export type ConnectorStatus = 'connecting' | 'opening' | 'established' | 'waiting' | 'stopped';

export interface ConnectorState {
  readonly status: ConnectorStatus;
  /** Attempts that were begun. */
  readonly attempts: number;
  /** Attempts that failed in a row. */
  readonly failures: number;
  /** Times that a connection was reported as established. */
  readonly connects: number;
  /** What ended the latest attempt or connection that ended badly; a {@link TransportError} where this layer found it. */
  readonly lastError: Error | undefined;
  /** ms until the next attempt, from the moment the state was entered; only while waiting. */
  readonly waitMs: number | undefined;
  /** Of the connection, while there is one. */
  readonly info: StreamInfo | undefined;
}

/** What an endpoint can say to the connector that made its connection. */
export interface ConnectionControl {
  /** The connection does what it is there for. From now on its loss is no failed attempt. */
  markEstablished(): void;
  /** At least so many ms from now have to pass before the next attempt. The longest that was asked for counts. */
  delayNextAttempt(ms: number): void;
  /** No next attempt before the function that this returns is called. */
  holdNextAttempt(): () => void;
  /** The reason why the endpoint ends the connection, for `lastError`. */
  fail(error: Error): void;
}

export interface KeepConnectedOptions {
  /** Asked before each attempt, so that changed settings come into effect. */
  readonly dialOptions: () => DialOptions | Promise<DialOptions>;
  readonly makeEndpoint: (info: StreamInfo, control: ConnectionControl) => ProtocolEndpoint;
  readonly backoff?: Partial<Backoff> | undefined;
  /** Longest wait between attempts now, in ms, where the back-off says more: asked before each. */
  readonly longestWaitMs?: (() => number) | undefined;
  /** Gives numbers from 0 (inclusive) to 1 (exclusive). Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
  /** Time that an established connection has to stay up so that its loss counts as the first. Default: 5000. */
  readonly stableMs?: number | undefined;
  readonly onState?: ((state: ConnectorState) => void) | undefined;
  /** Default: the one of the process. */
  readonly driver?: Driver | undefined;
}

/** A connection that is made anew whenever it is lost. */
export interface KeptConnection {
  readonly state: ConnectorState;
  /** The stream and its counters, while there is one. */
  readonly connection: DrivenConnection | undefined;
  /**
   * Makes no further attempts and cancels the one under way. A connection gets `graceMs` for its endpoint to end it, then it is
   * dropped. Default: 0. Resolves when nothing is left.
   */
  stop(graceMs?: number): Promise<void>;
}

const DEFAULT_STABLE_MS = 5_000;

/** Connects, and connects again for ever, until it is stopped. The first attempt begins at once. */
export function keepConnected(options: KeepConnectedOptions): KeptConnection {
  const connector = new Connector(options);
  void connector.run();
  return connector;
}

class Connector implements KeptConnection {
  state: ConnectorState = {
    status: 'waiting',
    attempts: 0,
    failures: 0,
    connects: 0,
    lastError: undefined,
    waitMs: 0,
    info: undefined,
  };
  connection: DrivenConnection | undefined;
  readonly #options: KeepConnectedOptions;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  /** Monotonic ms before which the endpoint wants no next attempt. */
  #notBefore = 0;
  /** Settled when the next attempt may be; undefined where it may at once. */
  #hold: Promise<void> | undefined;
  #finished: (() => void) | undefined;
  readonly #gone: Promise<void>;

  constructor(options: KeepConnectedOptions) {
    this.#options = options;
    this.#backoff = { ...DEFAULT_BACKOFF, ...options.backoff };
    this.#gone = new Promise((resolve) => {
      this.#finished = resolve;
    });
  }

  async run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#wait();
      if (signal.aborted) break;
      await this.#attempt();
    }
    this.#enter({ status: 'stopped', waitMs: undefined, info: undefined });
    this.#finished?.();
  }

  async stop(graceMs = 0): Promise<void> {
    this.#stop.abort();
    const connection = this.connection;
    if (connection !== undefined) {
      if (graceMs > 0) {
        const timer = setTimeout(() => connection.destroy(), graceMs);
        await this.#gone;
        clearTimeout(timer);
      } else {
        connection.destroy();
      }
    }
    await this.#gone;
  }

  #enter(change: Partial<ConnectorState>): void {
    this.state = { ...this.state, ...change };
    this.#options.onState?.(this.state);
  }

  /** Sits out what holds the next attempt, and then the back-off. */
  async #wait(): Promise<void> {
    const hold = this.#hold;
    const { signal } = this.#stop;
    if (hold !== undefined && !signal.aborted) {
      this.#enter({ status: 'waiting', waitMs: undefined, info: undefined });
      await new Promise<void>((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done);
          resolve();
        };
        signal.addEventListener('abort', done, { once: true });
        void hold.finally(done);
      });
      this.#hold = undefined;
    }
    await this.#backOff();
  }

  #backOff(): Promise<void> {
    const backoff = backoffDelay(this.state.failures, this.#backoff, this.#options.random ?? Math.random);
    const longest = this.#options.longestWaitMs?.() ?? Infinity;
    const waitMs = Math.max(Math.min(backoff, longest), this.#notBefore - performance.now(), 0);
    const { signal } = this.#stop;
    if (waitMs === 0) return Promise.resolve();
    this.#enter({ status: 'waiting', waitMs, info: undefined });
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  /** One attempt and the life of the connection that comes of it. */
  async #attempt(): Promise<void> {
    const { signal } = this.#stop;
    this.#notBefore = 0;
    this.#enter({ status: 'connecting', attempts: this.state.attempts + 1, waitMs: undefined, info: undefined });
    let stream: ByteStream;
    try {
      stream = await dial({ ...(await this.#options.dialOptions()), signal });
    } catch (error) {
      if (signal.aborted) return;
      const lastError = error instanceof Error ? error : new Error(String(error));
      this.#enter({ failures: this.state.failures + 1, lastError });
      return;
    }
    await this.#live(stream);
  }

  #live(stream: ByteStream): Promise<void> {
    const { makeEndpoint, stableMs = DEFAULT_STABLE_MS, driver = sharedDriver } = this.#options;
    return new Promise((resolve) => {
      let establishedAt: number | undefined;
      let reason: Error | undefined;
      const control: ConnectionControl = {
        markEstablished: () => {
          if (establishedAt !== undefined || this.connection?.closed === true) return;
          establishedAt = performance.now();
          this.#enter({ status: 'established', connects: this.state.connects + 1 });
        },
        delayNextAttempt: (ms) => {
          this.#notBefore = Math.max(this.#notBefore, performance.now() + ms);
        },
        holdNextAttempt: () => {
          let release: () => void = () => undefined;
          this.#hold = new Promise((go) => {
            release = go;
          });
          return release;
        },
        fail: (error) => {
          reason ??= error;
        },
      };
      this.#enter({ status: 'opening', info: stream.info });
      const endpoint = makeEndpoint(stream.info, control);
      this.connection = driver.drive(endpoint, stream, (cause) => {
        this.connection = undefined;
        const stayedUp = establishedAt !== undefined && performance.now() - establishedAt >= stableMs;
        this.#enter({
          failures: stayedUp ? 0 : this.state.failures + 1,
          lastError: reason ?? cause ?? this.state.lastError,
          info: undefined,
        });
        resolve();
      });
      if (this.#stop.signal.aborted) this.connection.destroy();
    });
  }
}
