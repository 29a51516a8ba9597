// SPDX-License-Identifier: Apache-2.0
import type { Session } from '@pointsman/engine';
import type { Transit } from './transit.js';

/**
 * Sessions whose peers are held back, since messages that came over them wait here, and those messages.
 *
 * A message may wait behind another one that is not whole, at a receiver that both are for. To hold the session back that the rest of
 * that one is to come over would be to wait for ever, and so it is where several sessions wait for each other in a circle.
 */
const holders = new WeakMap<Session, Set<Transit>>();

/** The session takes no more until {@link release}. */
export function hold(session: Session, transit: Transit): void {
  const before = holders.get(session);
  if (before === undefined) holders.set(session, new Set([transit]));
  else before.add(transit);
  session.holdWindow();
}

/** The message is no reason any more to hold the session back. */
export function release(session: Session, transit: Transit): void {
  const before = holders.get(session);
  if (before?.delete(transit) !== true) return;
  if (before.size === 0) holders.delete(session);
  session.releaseWindow();
}

export function isHeld(session: Session): boolean {
  return holders.has(session);
}

/** Whether to hold the session back for a message would have it wait for itself. */
export function closesCircle(session: Session, transit: Transit): boolean {
  const seen = new Set<Session>();
  const waiting = [transit];
  for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
    for (const copy of one.copies) {
      if (copy.done) continue;
      for (const awaited of copy.link.sessionsAwaitedBy(copy)) {
        if (awaited === session) return true;
        if (seen.has(awaited)) continue;
        seen.add(awaited);
        waiting.push(...(holders.get(awaited) ?? []));
      }
    }
  }
  return false;
}
