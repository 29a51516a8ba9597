// SPDX-License-Identifier: Apache-2.0
import { Alarm } from './alarm.js';
import type { Broker } from './broker.js';
import type { Entity } from './entity.js';
import type { NamespaceLink } from './namespace-link.js';
import type { MessageQueueHost } from './queue-settings.js';
import { Topic } from './topic.js';

export interface IdleWatchSettings {
  readonly broker: Broker;
  readonly host: MessageQueueHost;
  /** All that are attached. */
  readonly links: () => Iterable<NamespaceLink>;
  /** Takes an entity away that nobody has used for so long. */
  readonly remove: (path: string) => void;
}

/** Ms between two looks, however many entities end. */
const STEP_MS = 1_000;

/**
 * Takes entities away that nobody uses (`autoDeleteOnIdle`).
 *
 * A queue is used by who sends, receives or peeks; a topic by who sends, and with its subscriptions; a subscription by who receives,
 * peeks or adds rules, not by messages that come. What is changed is used, what has messages that wait for their time is, and what
 * has a receiver; forwarding is as good as one.
 */
export class IdleWatch {
  readonly #settings: IdleWatchSettings;
  readonly #alarm: Alarm;

  constructor(settings: IdleWatchSettings) {
    this.#settings = settings;
    this.#alarm = new Alarm(settings.host.clock, () => this.review());
  }

  /** Takes away what has been idle for long enough, and sets the time of the next look. */
  review(): void {
    const { broker, host, remove } = this.#settings;
    const now = host.clock.now();
    const temporary = broker.entities().filter((entity) => idleMsOf(entity) !== Infinity);
    if (temporary.length === 0) return;
    const uses = this.#usesByLinks();
    let next = Infinity;
    for (const entity of temporary) {
      const isUsed = isReceivedFrom(entity) || entity.inbox?.hasScheduled === true;
      const usedAt = isUsed ? now : Math.max(entity.createdAt, entity.changedAt, lastAccessTo(entity, uses));
      const end = usedAt + idleMsOf(entity);
      if (end <= now) remove(entity.path);
      else next = Math.min(next, end);
    }
    this.#alarm.atLatest(Math.max(next, now + STEP_MS));
  }

  /** When an entity was last used, ms of the clock; undefined where it never was. */
  accessedAt(entity: Entity): number | undefined {
    const at = isReceivedFrom(entity) ? this.#settings.host.clock.now() : lastAccessTo(entity, this.#usesByLinks());
    return at === -Infinity ? undefined : at;
  }

  #usesByLinks(): ReadonlyMap<string, number> {
    const uses = new Map<string, number>();
    for (const { entityPath, lastActivity } of this.#settings.links())
      uses.set(entityPath, Math.max(lastActivity, uses.get(entityPath) ?? -Infinity));
    return uses;
  }

  stop(): void {
    this.#alarm.stop();
  }
}

/** What forwards its messages is never idle. */
function idleMsOf(entity: Entity): number {
  return entity.forwardTo === undefined ? entity.autoDeleteOnIdleMs : Infinity;
}

function isReceivedFrom(entity: Entity): boolean {
  const { messages } = entity;
  return (
    (messages?.consumers ?? 0) > 0 ||
    (messages?.sessions?.waiting ?? 0) > 0 ||
    subscriptionsOf(entity).some((one) => one.forwardTo !== undefined || isReceivedFrom(one))
  );
}

function lastAccessTo(entity: Entity, uses: ReadonlyMap<string, number>): number {
  const { path, usedAt, inbox } = entity;
  return Math.max(
    usedAt,
    inbox?.usedAt ?? -Infinity,
    uses.get(path.toLowerCase()) ?? -Infinity,
    ...subscriptionsOf(entity).map((one) => Math.max(one.createdAt, one.changedAt, lastAccessTo(one, uses))),
  );
}

const subscriptionsOf = (entity: Entity): readonly Entity[] => (entity instanceof Topic ? entity.subscriptions : []);
