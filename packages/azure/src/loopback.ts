// SPDX-License-Identifier: Apache-2.0
import { Connection } from '@pointsman/engine';
import type { Clock, ConnectionHandler, ReceiverLink, SenderLink, Session } from '@pointsman/engine';
import type { Attach } from '@pointsman/wire';

/** Takes a link that is attached over the loopback, or refuses it. */
export type LinkTaker = (link: SenderLink | ReceiverLink, attach: Attach) => void;

/** Two connections of this process, joined without a socket: what one of them says the other hears in the next turn. */
export class Loopback {
  /** The end that links come to. */
  readonly far: Connection;
  readonly #near: Connection;
  readonly #clock: Clock;
  #cancel: (() => void) | undefined;

  /** @param name - container id of both ends */
  constructor(clock: Clock, name: string, take: LinkTaker) {
    this.#clock = clock;
    const now = clock.now();
    this.far = new Connection({ role: 'server', containerId: name, now }, welcoming(take));
    this.#near = new Connection({ role: 'client', containerId: name, now }, welcoming());
    this.#carry();
    for (const end of [this.far, this.#near]) end.wake = (): void => this.#carryLater();
  }

  /** A session of the near end with room for a link. @throws LocalProtocolError where there is none, or it is closed */
  session(): Session {
    return this.#near.sessions.find(({ hasFreeHandle }) => hasFreeHandle) ?? this.#near.session();
  }

  /** Links are lost at both ends. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#near.abort();
    this.far.abort();
  }

  #carryLater(): void {
    this.#cancel ??= this.#clock.after(0, () => {
      this.#cancel = undefined;
      this.#carry();
    });
  }

  #carry(): void {
    const now = this.#clock.now();
    for (let moved = true; moved;) {
      moved = pass(this.far, this.#near, now);
      moved = pass(this.#near, this.far, now) || moved;
    }
  }
}

function pass(from: Connection, to: Connection, now: number): boolean {
  const buffers = from.takeOutput(now);
  if (buffers === undefined) return false;
  // What is written is used again, and what is received may be kept.
  for (const buffer of buffers) if (!to.done) to.receive(Uint8Array.from(buffer), now);
  from.releaseOutput(buffers, now);
  return true;
}

function welcoming(take?: LinkTaker): ConnectionHandler {
  return {
    onOpen: (connection) => connection.open(),
    onBegin: (session) => session.begin(),
    onEnd: () => undefined,
    onAttach: (link, attach) => take?.(link, attach),
    onClosed: () => undefined,
  };
}
