// SPDX-License-Identifier: Apache-2.0
import type { Clock, Link, ReceiverHandler, ReceiverLink, SenderHandler, SenderLink } from '@pointsman/engine';
import type { LinkRouteNode } from './link-route-table.js';

/** Time that a container has to come when a client wants it. */
const WAKE_MS = 30_000;
/** Links of clients that wait for containers; beyond that they are refused. */
const WAITING_MAX = 10_000;

/** A link of a client that waits: nothing is to be done for it but to notice that it leaves. */
class WaitingLink implements SenderHandler, ReceiverHandler {
  readonly node: LinkRouteNode;
  /** Routes the link, or refuses it. */
  readonly go: () => void;
  cancel: () => void = () => undefined;
  readonly #onGone: (waiting: WaitingLink) => void;

  constructor(node: LinkRouteNode, go: () => void, onGone: (waiting: WaitingLink) => void) {
    this.node = node;
    this.go = go;
    this.#onGone = onGone;
  }

  onDetach(link: Link): void {
    this.#onGone(this);
    link.detach();
  }
  onLost(): void {
    this.#onGone(this);
  }
  onSendable(): void {
    // Credit that comes before the answer is there when the link is routed.
  }
  onDisposition(): void {
    // Nothing was sent.
  }
  onTransfer(): void {
    // There is no credit for it.
  }
}

/**
 * Containers whose connection is made when a client wants a link to be routed there: one that closes connections without
 * links would be connected to in vain time and again. The attaches of clients wait meanwhile.
 */
export class SleepingContainers {
  readonly #clock: Clock;
  /** By name of the connector. */
  readonly #sleepers = new Map<string, () => void>();
  readonly #waiting = new Set<WaitingLink>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * A connector sleeps.
   *
   * @param wake - called when it is wanted, perhaps more than once
   * @returns to be called when it is awake: it has its connection, or is gone
   */
  sleep(name: string, wake: () => void): () => void {
    this.#sleepers.set(name, wake);
    return (): void => {
      if (this.#sleepers.get(name) === wake) this.#sleepers.delete(name);
    };
  }

  /** It is wanted, if it sleeps. */
  wake(name: string | undefined): void {
    if (name !== undefined) this.#sleepers.get(name)?.();
  }

  /**
   * @param onGone - called where the client takes the link back
   * @returns whether the link waits for a container; then `go` is called once, or `onGone`
   */
  hold(node: LinkRouteNode, link: SenderLink | ReceiverLink, go: () => void, onGone: () => void): boolean {
    const names = node.routes.flatMap(({ settings }) => settings.connection ?? []);
    const asleep = names.filter((name) => this.#sleepers.has(name));
    if (asleep.length === 0 || this.#waiting.size >= WAITING_MAX) return false;
    const waiting = new WaitingLink(node, go, (gone) => {
      this.#drop(gone);
      onGone();
    });
    waiting.cancel = this.#clock.after(WAKE_MS, () => this.#release(waiting));
    this.#waiting.add(waiting);
    link.handler = waiting;
    for (const name of asleep) this.wake(name);
    return true;
  }

  /** A connection came. */
  connectionOpened(): void {
    for (const waiting of this.#waiting) if (waiting.node.connections.length > 0) this.#release(waiting);
  }

  #drop(waiting: WaitingLink): void {
    waiting.cancel();
    this.#waiting.delete(waiting);
  }

  #release(waiting: WaitingLink): void {
    this.#drop(waiting);
    waiting.go();
  }
}
