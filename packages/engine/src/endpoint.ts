// SPDX-License-Identifier: Apache-2.0

/** A protocol engine as its driver sees it. No member blocks, sleeps, reads a clock or touches a socket. */
export interface ProtocolEndpoint {
  /** Feeds bytes that arrived. They are valid during the call; what is needed longer is taken by {@link keep}. */
  receive(bytes: Uint8Array, now: number): void;
  /** The peer will send no more (FIN, or the socket is gone; `cause` says why where known). */
  receiveEnd(now: number, cause?: Error): void;
  /** Called by the engine when output is waiting; at most once until the next takeOutput. Set by the driver. */
  wake: (() => void) | undefined;
  /** Buffers to write in order, or undefined where nothing waits. They stay untouched until releaseOutput. */
  takeOutput(now: number): Uint8Array[] | undefined;
  /** The socket is done with the buffers of the earliest takeOutput not yet released; they may be reused. */
  releaseOutput(buffers: Uint8Array[], now: number): void;
  /** Monotonic ms at which {@link tick} has to be called at the latest; undefined: never. May move at any time. */
  deadline(): number | undefined;
  tick(now: number): void;
  /** The engine wants no more input for now: pause the socket. Checked after receive, tick and releaseOutput. */
  readonly congested: boolean;
  /** Everything is said: flush, then end the socket. */
  readonly done: boolean;
}

/** Time, where a component needs it: passed in, so that a test can drive it. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls `action` once after `ms`; returns a function that takes the order back. */
  after(ms: number, action: () => void): () => void;
}
