// SPDX-License-Identifier: Apache-2.0
import { entityAddressOf } from './entity-address.js';

/** Whoever has a message session: the connection of a client, or {@link OF_AUTOLINKS}. */
export type Holder = object;

/** Those whose messages come and go by autolinks are one: which of them has a message, only its receiver knows. */
export const OF_AUTOLINKS: Holder = {};

/**
 * Who holds which message sessions by links over one connection to the service. To the service all of them are held by that one
 * connection, and whoever asks over it has them all: here they are told apart.
 */
export class SessionHolders {
  /** By entity, then by session; as many as there are links. */
  readonly #held = new Map<string, Map<string, { readonly holder: Holder }>>();

  /**
   * A link has a session.
   *
   * @param address - of its entity at the namespace
   * @returns to be called when the link is gone
   */
  hold(address: string, sessionId: string, holder: Holder): () => void {
    const key = keyOf(address);
    const sessions = this.#held.get(key) ?? new Map<string, { readonly holder: Holder }>();
    this.#held.set(key, sessions);
    const hold = { holder };
    sessions.set(sessionId, hold);
    return () => {
      // The service may have given it to another link before the end of this one was heard of.
      if (sessions.get(sessionId) !== hold) return;
      sessions.delete(sessionId);
      if (sessions.size === 0 && this.#held.get(key) === sessions) this.#held.delete(key);
    };
  }

  /** Ids are compared letter by letter: what is spelt otherwise is not held. */
  isHeldBy(address: string, sessionId: string, holder: Holder): boolean {
    return this.#held.get(keyOf(address))?.get(sessionId)?.holder === holder;
  }

  /** Whether a link of somebody else has it. */
  isHeldByOther(address: string, sessionId: string, holder: Holder): boolean {
    const held = this.#held.get(keyOf(address))?.get(sessionId);
    return held !== undefined && held.holder !== holder;
  }
}

function keyOf(address: string): string {
  return entityAddressOf(address).path.toLowerCase();
}
