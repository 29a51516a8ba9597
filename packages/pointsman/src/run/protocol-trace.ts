// SPDX-License-Identifier: Apache-2.0
import { TextTracer } from '@pointsman/engine';
import type { Connection } from '@pointsman/engine';
import type { RouterConnection } from '@pointsman/router';
import type { Logger } from '../log.js';

/** Connections that are followed before those that have ended are looked for. */
const SWEEP_MIN = 16;

/**
 * Logs the frames of connections in module PROTOCOL while it has level trace, also where that comes later. One connection
 * can be switched by itself: from then on the levels do not matter for it.
 */
export class ProtocolTrace {
  readonly #log: Logger;
  readonly #followed = new Set<FollowedConnection>();
  readonly #end: () => void;
  #isOn: boolean;
  #sweepAt = SWEEP_MIN;

  constructor(log: Logger) {
    this.#log = log;
    this.#isOn = log.isEnabled('PROTOCOL', 'trace');
    this.#end = log.onUpdate(() => this.#updated());
  }

  /** From now on until the connection has ended. */
  follow(routed: RouterConnection, connection: Connection): void {
    if (this.#followed.size >= this.#sweepAt) this.#sweep();
    const followed = new FollowedConnection(routed.id, connection, this.#log, this.#isOn);
    this.#followed.add(followed);
    routed.tracing = followed;
  }

  /** Forgets connections that have ended: now and then, so that a new one costs little however many there are. */
  #sweep(): void {
    for (const followed of this.#followed) if (followed.connection.ended !== undefined) this.#followed.delete(followed);
    this.#sweepAt = Math.max(SWEEP_MIN, this.#followed.size * 2);
  }

  close(): void {
    this.#end();
    this.#followed.clear();
  }

  #updated(): void {
    const isOn = this.#log.isEnabled('PROTOCOL', 'trace');
    if (isOn === this.#isOn) return;
    this.#isOn = isOn;
    for (const followed of this.#followed) followed.byLevel(isOn);
  }
}

class FollowedConnection {
  readonly connection: Connection;
  readonly #id: number;
  readonly #log: Logger;
  /** What was asked for this connection alone. */
  #asked: boolean | undefined = undefined;

  constructor(id: number, connection: Connection, log: Logger, isOn: boolean) {
    this.#id = id;
    this.connection = connection;
    this.#log = log;
    this.byLevel(isOn);
  }

  /** For this connection alone. */
  switch(on: boolean): void {
    this.#asked = on;
    const log = this.#log;
    this.connection.tracer = on
      ? new TextTracer(this.#id, (text) => log.logAlways('PROTOCOL', 'trace', text))
      : undefined;
  }

  byLevel(isOn: boolean): void {
    if (this.#asked !== undefined) return;
    const log = this.#log;
    this.connection.tracer = isOn ? new TextTracer(this.#id, (text) => log.log('PROTOCOL', 'trace', text)) : undefined;
  }
}
