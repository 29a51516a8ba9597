// SPDX-License-Identifier: Apache-2.0
import { nearestName } from '@pointsman/management';
import type { AdministrationClient } from './administration-client.js';

/** Marks the name of a subscription. */
const MARK = '/subscriptions/';

/**
 * The entity that was most likely meant by a name that no entity has; undefined where none comes near.
 *
 * @throws AdministrationError
 */
export async function nearestEntity(client: AdministrationClient, path: string): Promise<string | undefined> {
  const mark = path.toLowerCase().lastIndexOf(MARK);
  const topics = (await client.topics()).map((topic) => topic.path);
  if (mark < 0) {
    const queues = (await client.queues()).map((queue) => queue.path);
    return nearestName(path, [...queues, ...topics]);
  }
  const owner = path.slice(0, mark);
  const name = path.slice(mark + MARK.length);
  const topic = topics.find((one) => one.toLowerCase() === owner.toLowerCase()) ?? nearestName(owner, topics);
  if (topic === undefined) return undefined;
  const subscriptions = (await client.subscriptions(topic)).map((one) => one.path);
  const prefix = `${topic}/Subscriptions/`;
  const nearest = nearestName(
    name,
    subscriptions.map((one) => one.slice(prefix.length)),
  );
  return nearest === undefined ? undefined : `${prefix}${nearest}`;
}
