// SPDX-License-Identifier: Apache-2.0
import { encodeMessage, long, timestamp } from '@pointsman/wire';
import { Broker } from '../src/broker.js';
import type { EntityStatus } from '../src/entity.js';
import { MessageContent } from '../src/message-content.js';
import type { Consumer, ReceiveMode } from '../src/consumer.js';
import type { MessageSession, SessionConsumer } from '../src/message-session.js';
import type { MessageQueue } from '../src/message-queue.js';
import type { Settlement } from '../src/settlement.js';
import type { Queue, ReceivingOptions } from '../src/queue.js';
import type { Subscription } from '../src/subscription.js';
import type { Topic } from '../src/topic.js';
import type { Lock, StoredMessage } from '../src/stored-message.js';
import { seededRandom, VirtualClock } from './virtual-clock.js';

/** A receiver of a scenario: takes as many messages as it was told to, and says so. */
class Receiver implements Consumer {
  credit = 0;
  readonly name: string;
  readonly mode: ReceiveMode;
  readonly #scenario: BrokerScenario;

  constructor(name: string, mode: ReceiveMode, scenario: BrokerScenario) {
    this.name = name;
    this.mode = mode;
    this.#scenario = scenario;
  }

  hasRoom(): boolean {
    return this.credit > 0;
  }

  take(message: StoredMessage, lock: Lock | undefined): void {
    this.credit -= 1;
    this.#scenario.onTake(this.name, message, lock);
  }
}

/** A receiver of one message session. */
class SessionReceiver extends Receiver implements SessionConsumer {
  readonly session: MessageSession;
  readonly owner: string;
  readonly onSessionLost: () => void;

  constructor(name: string, session: MessageSession, scenario: BrokerScenario, onSessionLost: () => void) {
    super(name, 'peek-lock', scenario);
    this.session = session;
    this.owner = name;
    this.onSessionLost = onSessionLost;
  }
}

/** A broker under a virtual clock that obeys one line at a time and answers with what happened. */
export class BrokerScenario {
  readonly #clock = new VirtualClock();
  readonly #broker = new Broker({}, { clock: this.#clock, random: seededRandom(1) });
  readonly #receivers = new Map<
    string,
    { receiver: Receiver & { session?: MessageSession }; messages: MessageQueue }
  >();
  /** The latest lock on a message, by its body. */
  readonly #locks = new Map<string, { token: string; messages: MessageQueue }>();
  #happened: string[] = [];

  run(line: string): string {
    this.#happened = [];
    const [command = '', ...words] = line.split(/\s+/);
    const options = Object.fromEntries(
      words
        .filter((word) => command !== 'rule' && word.includes('='))
        .map((word) => word.split('=') as [string, string]),
    );
    const rest = words.filter((word) => command === 'rule' || !word.includes('='));
    const answer = this.#obey(command, rest, options);
    return [...this.#happened, ...(answer === '' ? [] : [answer])].join('\n');
  }

  onTake(receiver: string, message: StoredMessage, lock: Lock | undefined): void {
    const body = bodyOf(message.content);
    const messages = this.#receivers.get(receiver)!.messages;
    if (lock !== undefined) this.#locks.set(body, { token: lock.token, messages });
    const held = lock === undefined ? 'deleted' : `locked ${(lock.until - this.#clock.now()) / 1000}s`;
    this.#happened.push(
      `${receiver} <- ${body} #${message.sequence} count=${message.deliveryCount} ${held}${changesOf(message)}`,
    );
  }

  #obey(command: string, words: string[], options: Record<string, string>): string {
    const [first = '', second = '', third = ''] = words;
    switch (command) {
      case 'queue':
        this.#broker.createQueue({ name: first, ...holding(options), ...duplicates(options) });
        return '';
      case 'topic':
        this.#broker.createTopic({
          name: first,
          ...duplicates(options),
          ...(options['message'] === undefined ? {} : { maxMessageSizeBytes: Number(options['message']) }),
        });
        return '';
      case 'subscription':
        this.#broker.createSubscription(first, { name: second, ...holding(options) });
        return '';
      case 'rule': {
        // rule TOPIC SUBSCRIPTION NAME FILTER [-> ACTION]
        const [filter = '', action] = words.slice(3).join(' ').split(' -> ');
        const subscription = this.#subscription(first, second);
        subscription.addRule({ name: third, filter: { kind: 'sql', expression: filter }, action });
        return '';
      }
      case 'remove-rule':
        return this.#subscription(first, second).removeRule(third) ? '' : 'not found';
      case 'accept':
        return this.#accept(first, second, third);
      case 'renew-session': {
        const { messages, receiver } = this.#receivers.get(first)!;
        return `locked ${(messages.renewSession(receiver.session!) - this.#clock.now()) / 1000}s`;
      }
      case 'cancel':
        return this.#entity(first).inbox!.cancel(words.slice(1).map(Number)) ? '' : 'not found';
      case 'send':
        return this.#send(first, words.slice(1), options);
      case 'receive':
        return this.#receive(first, second, Number(third), 'peek-lock');
      case 'receive-and-delete':
        return this.#receive(first, second, Number(third), 'receive-and-delete');
      case 'leave': {
        const entry = this.#receivers.get(first)!;
        entry.messages.removeConsumer(entry.receiver);
        this.#receivers.delete(first);
        return '';
      }
      case 'complete':
        return this.#settle(first, { kind: 'complete' });
      case 'release':
        return this.#settle(first, { kind: 'unlock' });
      case 'abandon':
        return this.#settle(first, { kind: 'abandon' });
      case 'defer':
        return this.#settle(first, { kind: 'defer' });
      case 'dead-letter':
        return this.#settle(first, {
          kind: 'dead-letter',
          changes: new Map(Object.entries(options)),
        });
      case 'renew': {
        const { token, messages } = this.#locks.get(first)!;
        const until = messages.renew(token);
        return until === undefined ? 'lock-lost' : `locked ${(until - this.#clock.now()) / 1000}s`;
      }
      case 'receive-deferred':
        return this.#receiveDeferred(first, words.slice(1).map(Number));
      case 'peek':
        return this.#messages(first)
          .peek(Number(second), Number(third))
          .map((message) => `${bodyOf(message.content)} #${message.sequence} ${message.state}`)
          .join('\n');
      case 'wait':
        this.#clock.advance(millisecondsOf(first));
        return '';
      case 'status':
        this.#broker.setStatus(first, second as EntityStatus);
        return '';
      case 'counts': {
        const { active, locked, deferred, scheduled, deadLetter } = this.#broker.counts(first);
        const later = scheduled === 0 ? '' : ` scheduled=${scheduled}`;
        return `active=${active} locked=${locked} deferred=${deferred}${later} dead-letter=${deadLetter}`;
      }
      default:
        throw new Error(`unknown command '${command}'`);
    }
  }

  #entity(path: string): Queue | Topic {
    const entity = this.#broker.entity(path);
    if (entity === undefined || entity.kind === 'subscription') throw new Error(`nothing to send to at '${path}'`);
    return entity;
  }

  #subscription(topic: string, name: string): Subscription {
    const entity = this.#broker.entity(`${topic}/Subscriptions/${name}`);
    if (entity?.kind !== 'subscription') throw new Error(`no subscription '${name}' of '${topic}'`);
    return entity;
  }

  /** Asks for a message session, `*` for any. */
  #accept(name: string, path: string, id: string): string {
    const messages = this.#messages(path);
    const result = messages.acceptSession({
      sessionId: id === '*' ? undefined : id,
      accept: (session) => {
        const receiver = new SessionReceiver(name, session, this, () => {
          this.#receivers.delete(name);
          this.#happened.push(`${name} lost ${session.id}`);
        });
        this.#receivers.set(name, { receiver, messages });
        this.#happened.push(`${name} holds ${session.id} ${(session.lockedUntil - this.#clock.now()) / 1000}s`);
        return receiver;
      },
    });
    return result === 'granted' ? '' : `${name} ${result}`;
  }

  #send(path: string, bodies: string[], options: Record<string, string>): string {
    const entity = this.#entity(path);
    const contents = bodies.map((body) => contentOf(body, options, this.#clock.now()));
    const refusal = entity.send(contents, this.#clock.now());
    return refusal === undefined ? '' : `refused ${refusal.condition}`;
  }

  #receive(name: string, path: string, credit: number, mode: ReceiveMode): string {
    const known = this.#receivers.get(name);
    const receiver = known?.receiver ?? new Receiver(name, mode, this);
    const messages = this.#messages(path);
    receiver.credit += credit;
    if (known === undefined) {
      this.#receivers.set(name, { receiver, messages });
      messages.addConsumer(receiver);
    } else {
      messages.wake(receiver);
    }
    return receiver.credit === 0 ? '' : `${name} waits for ${receiver.credit}`;
  }

  #settle(body: string, settlement: Settlement): string {
    const { token, messages } = this.#locks.get(body)!;
    return messages.settle(token, settlement);
  }

  #receiveDeferred(path: string, sequences: number[]): string {
    const messages = this.#messages(path);
    const received = messages.receiveDeferred(sequences, 'peek-lock');
    if (received === undefined) return 'not found';
    return received
      .map(({ message, lock }) => {
        this.#locks.set(bodyOf(message.content), { token: lock!.token, messages });
        return `${bodyOf(message.content)} #${message.sequence} count=${message.deliveryCount}`;
      })
      .join('\n');
  }

  #messages(path: string): MessageQueue {
    const messages = this.#broker.resolve(path)?.messages;
    if (messages === undefined) throw new Error(`nothing to receive from at '${path}'`);
    return messages;
  }
}

/** A message whose body is `body`, as it comes from the wire. */
export function contentOf(
  body: string,
  { ttl, session, due, id, ...properties }: Record<string, string> = {},
  now = 0,
): MessageContent {
  const bytes = encodeMessage({
    ...(ttl === undefined ? {} : { header: { ttl: millisecondsOf(ttl) } }),
    ...(due === undefined
      ? {}
      : { messageAnnotations: new Map([['x-opt-scheduled-enqueue-time', timestamp(now + millisecondsOf(due))]]) }),
    properties: { groupId: session, messageId: id },
    applicationProperties: new Map(
      Object.entries(properties).map(([name, value]) => [name, /^\d+$/.test(value) ? long(BigInt(value)) : value]),
    ),
    body: { kind: 'data', sections: [new TextEncoder().encode(body)] },
  });
  return MessageContent.read(bytes, 0);
}

function bodyOf(content: MessageContent): string {
  // The body is the last section: descriptor, binary with one byte of size, text.
  const text = new TextDecoder().decode(content.bare);
  return /[a-z]+$/.exec(text)?.[0] ?? '?';
}

function changesOf(message: StoredMessage): string {
  const ruled = message.content.applicationProperties().has('RuleName') ? message.content.applicationProperties() : [];
  const changes = [...ruled, ...(message.changes ?? [])].map(([name, value]) => `${name}=${String(value)}`);
  return changes.length === 0 ? '' : ` {${changes.join(', ')}}`;
}

function holding(options: Record<string, string>): {
  lockDurationMs?: number;
  maxDeliveryCount?: number;
  defaultTtlMs?: number;
  deadLetterOnExpiration?: boolean;
  requiresSession?: boolean;
  forwardTo?: string;
  forwardDeadLetteredMessagesTo?: string;
} {
  return {
    ...(options['lock'] === undefined ? {} : { lockDurationMs: millisecondsOf(options['lock']) }),
    ...(options['max'] === undefined ? {} : { maxDeliveryCount: Number(options['max']) }),
    ...(options['ttl'] === undefined ? {} : { defaultTtlMs: millisecondsOf(options['ttl']) }),
    ...(options['size'] === undefined ? {} : { maxSizeBytes: Number(options['size']) }),
    ...(options['forward'] === undefined ? {} : { forwardTo: options['forward'] }),
    ...(options['dead-to'] === undefined ? {} : { forwardDeadLetteredMessagesTo: options['dead-to'] }),
    deadLetterOnExpiration: options['expired'] === 'dead-letter',
    requiresSession: options['sessions'] === 'yes',
  };
}

function duplicates(options: Record<string, string>): ReceivingOptions {
  const window = options['duplicates'];
  return window === undefined
    ? {}
    : { requiresDuplicateDetection: true, duplicateDetectionWindowMs: millisecondsOf(window) };
}

function millisecondsOf(text: string): number {
  const match = /^(\d+)(ms|s|m)$/.exec(text);
  if (match === null) throw new Error(`'${text}' is no time`);
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000 }[match[2] as 'ms' | 's' | 'm'];
}
