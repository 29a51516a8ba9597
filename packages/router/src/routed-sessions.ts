// SPDX-License-Identifier: Apache-2.0
import type { Session } from '@pointsman/engine';
import { LocalProtocolError } from '@pointsman/wire';

/** Links of one client's session that one of ours bears. */
interface Share {
  readonly session: Session;
  links: number;
}

/**
 * The sessions at a container that stand for sessions of clients: what is together there stays together, unless the container
 * takes fewer links on a session than the client has. Where it takes no more sessions, clients share those that there are.
 */
export class RoutedSessions {
  /** By the client's session. */
  readonly #shares = new Map<Session, Share[]>();
  /** Links on each of ours. */
  readonly #links = new Map<Session, number>();
  readonly #begin: () => Session;
  readonly #isRoomy: (session: Session, links: number) => boolean;

  /**
   * @param begin - a new session. @throws LocalProtocolError where the container takes none
   * @param isRoomy - a session with so many links takes one more
   */
  constructor(begin: () => Session, isRoomy: (session: Session, links: number) => boolean) {
    this.#begin = begin;
    this.#isRoomy = isRoomy;
  }

  /** A session for one more link of a client's session. @throws LocalProtocolError where there is none */
  take(client: Session): Session {
    const shares = this.#shares.get(client) ?? [];
    const known = shares.find(({ session }) => this.#takesMore(session));
    const session = known?.session ?? this.#other();
    this.#links.set(session, (this.#links.get(session) ?? 0) + 1);
    if (known !== undefined) known.links++;
    else this.#shares.set(client, [...shares, { session, links: 1 }]);
    return session;
  }

  #takesMore(session: Session): boolean {
    return session.state !== 'ended' && session.state !== 'ending' && this.#isRoomy(session, this.#links.get(session)!);
  }

  #other(): Session {
    try {
      return this.#begin();
    } catch (error) {
      if (!(error instanceof LocalProtocolError)) throw error;
      const shared = this.#leastUsed();
      if (shared === undefined) throw error;
      return shared;
    }
  }

  #leastUsed(): Session | undefined {
    let best: Session | undefined;
    for (const [session, links] of this.#links)
      if ((best === undefined || links < this.#links.get(best)!) && this.#takesMore(session)) best = session;
    return best;
  }

  /** A link of {@link take} is gone. @returns whether it was the last one of our session */
  leave(client: Session, session: Session): boolean {
    const shares = this.#shares.get(client);
    const share = shares?.find((candidate) => candidate.session === session);
    if (shares === undefined || share === undefined) return false;
    if (--share.links === 0) {
      const others = shares.filter((candidate) => candidate !== share);
      if (others.length > 0) this.#shares.set(client, others);
      else this.#shares.delete(client);
    }
    const links = this.#links.get(session)! - 1;
    if (links > 0) this.#links.set(session, links);
    else this.#links.delete(session);
    return links === 0;
  }
}
