// SPDX-License-Identifier: Apache-2.0
import type { SenderLink } from './link.js';
import type { Session } from './session.js';

/** Links of a connection that have something to send and no room for it: in the output, or in the peer's session window. */
export class WaitingLinks {
  #links: SenderLink[] = [];

  get isEmpty(): boolean {
    return this.#links.length === 0;
  }

  add(link: SenderLink): void {
    if (link.waiting) return;
    link.waiting = true;
    this.#links.push(link);
  }

  /** One that is detached waits for nothing. */
  remove(link: SenderLink): void {
    if (!link.waiting) return;
    link.waiting = false;
    this.#links = this.#links.filter((other) => other !== link);
  }

  removeOf(session: Session): void {
    if (this.#links.length > 0) this.#links = this.#links.filter((link) => link.session !== session);
  }

  /** There may be room again: tells those that can use it. Who finds none after all waits anew. */
  wake(): void {
    const links = this.#links;
    if (links.length === 0) return;
    this.#links = [];
    for (const link of links) {
      // Detached by what another one did when it was told.
      if (link.state !== 'attached') continue;
      // Room in our output is none for a link whose peer takes no more.
      if (link.session.remoteIncomingWindow <= 0) {
        this.#links.push(link);
        continue;
      }
      link.waiting = false;
      if (link.aborting) link.abort();
      if (link.state === 'attached' && !link.aborting && (link.credit > 0 || link.current !== undefined))
        link.handler.onSendable(link);
    }
  }
}
