// SPDX-License-Identifier: Apache-2.0
import { entityAddressOf } from '@pointsman/azure';
import type { AdministrationClient } from '../administration/administration-client.js';
import type { EntityDescription } from '../administration/entity-description.js';
import { nearestEntity } from '../administration/nearest-entity.js';
import { ownerOf } from '../doctor/management.js';
import { WishError, linkOf } from './configuration-text.js';
import type { EntityLink } from './configuration-text.js';

/** What a namespace has, as links of a router. */
export interface Discovery {
  readonly links: readonly EntityLink[];
  /** What was left out, and why. */
  readonly leftOut: readonly string[];
  readonly counts: { readonly queues: number; readonly topics: number; readonly subscriptions: number };
}

/** A namespace has too much in it for one file. */
export class TooManyError extends Error {}

/** A router has a link or two for each, and keeps them all up. */
export const ENTITIES_MAX = 2_000;
const AT_A_TIME = 4;

/**
 * All entities of a namespace.
 *
 * @throws AdministrationError where they are not told, TooManyError
 */
export async function discover(client: AdministrationClient): Promise<Discovery> {
  const [queues, topics] = await Promise.all([client.queues(), client.topics()]);
  const subscriptions: EntityDescription[][] = topics.map(() => []);
  let count = queues.length + topics.length;
  const check = (): void => {
    if (count > ENTITIES_MAX) throw new TooManyError(`the namespace has more than ${ENTITIES_MAX} entities`);
  };
  check();
  const waiting = [...topics.entries()];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, topic] = next;
      // oxlint-disable-next-line no-await-in-loop
      const found = await client.subscriptions(topic.path);
      subscriptions[index] = found;
      count += found.length;
      check();
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  const links: EntityLink[] = [];
  const leftOut: string[] = [];
  const add = (description: EntityDescription): void => {
    try {
      const link = linkAsDescribed(linkOf(description.path, undefined, undefined), description);
      if (link.send || link.receive) links.push(link);
      else leftOut.push(`${description.path}: ${link.note ?? description.status}`);
    } catch (error) {
      if (!(error instanceof WishError)) throw error;
      leftOut.push(error.message);
    }
  };
  for (const queue of queues) add(queue);
  for (const [index, topic] of topics.entries()) {
    add(topic);
    for (const subscription of subscriptions[index] ?? []) add(subscription);
  }
  return {
    links,
    leftOut,
    counts: {
      queues: queues.length,
      topics: topics.length,
      subscriptions: count - queues.length - topics.length,
    },
  };
}

/**
 * Links that somebody named, as the namespace has their entities.
 *
 * @throws AdministrationError where they are not told, WishError where one cannot be as it is wished for
 */
export async function lookUp(client: AdministrationClient, links: readonly EntityLink[]): Promise<EntityLink[]> {
  const known = new Map<string, EntityDescription | undefined>();
  const found: EntityLink[] = [];
  for (const link of links) {
    const owner = ownerOf(link.path);
    if (owner === undefined) {
      found.push(link);
      continue;
    }
    const key = owner.toLowerCase();
    // oxlint-disable-next-line no-await-in-loop
    if (!known.has(key)) known.set(key, await client.entity(owner));
    const description = known.get(key);
    if (description === undefined) {
      // oxlint-disable-next-line no-await-in-loop
      const nearest = await nearestEntity(client, owner);
      const hint = nearest === undefined ? '' : `; did you mean '${nearest}'?`;
      throw new WishError(`there is no entity '${owner}' in the namespace${hint}`);
    }
    found.push(entityAddressOf(link.path).path === owner ? asWished(link, description) : link);
  }
  return found;
}

function asWished(link: EntityLink, description: EntityDescription): EntityLink {
  const described = linkAsDescribed(link, description);
  if (described.send || described.receive) return described;
  throw new WishError(`'${link.path}' cannot be used so: ${described.note ?? description.status}`);
}

/** What of a link its entity allows, and what it needs besides. */
function linkAsDescribed(link: EntityLink, description: EntityDescription): EntityLink {
  const { kind, status, forwardTo, requiresSession } = description;
  const notes: string[] = [];
  let { send, receive } = link;
  if (receive && kind === 'topic') {
    receive = false;
    if (!send) notes.push(`it is a topic, which is only sent to: name a subscription, ${link.path}/Subscriptions/NAME`);
  }
  if (receive && forwardTo !== undefined) {
    receive = false;
    notes.push(`messages go on to ${forwardTo}`);
  }
  if (status !== 'Active') {
    notes.push(`it is ${status}`);
    if (status !== 'ReceiveDisabled') send = false;
    if (status !== 'SendDisabled') receive = false;
  }
  const nextSession = receive && requiresSession;
  if (nextSession) notes.push('message sessions: one at a time; write several autolinks for several at a time');
  return { ...link, send, receive, nextSession, ...(notes.length === 0 ? {} : { note: notes.join('; ') }) };
}
