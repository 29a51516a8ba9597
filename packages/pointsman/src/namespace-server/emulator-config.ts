// SPDX-License-Identifier: Apache-2.0
import { checkName, durationOf, msOfDuration, Rule, SqlError } from '@pointsman/namespace';
import type {
  CorrelationFilter,
  EventHubOptions,
  HoldingOptions,
  QueueOptions,
  ReceivingOptions,
  RuleFilter,
  RuleOptions,
  SubscriptionOptions,
  TopicOptions,
} from '@pointsman/namespace';

/** The entities of a namespace, as a file has them. */
export interface EmulatorEntities {
  readonly queues: readonly QueueOptions[];
  readonly topics: readonly TopicOptions[];
  readonly eventHubs: readonly EventHubOptions[];
  /** What is in the file and has no effect, and where. */
  readonly notes: readonly string[];
}

/** A mistake in the file: where, what was found and what was expected. */
export class EmulatorConfigError extends Error {}

const LENGTH_MAX = 4_194_304;
const ENTITIES_MAX = 10_000;
/** Where the file says nothing, as the emulator has it. */
const MAX_DELIVERY_COUNT = 3;
const TTL_MS = 3_600_000;
const LOCK_MAX_MS = 300_000;
const DUPLICATE_WINDOW_MS = 20_000;
const PARTITIONS_MAX = 32;

/**
 * Reads the Config.json of an official emulator. That of Service Bus has `UserConfig.Namespaces[]` with `Queues`, `Topics`, their
 * `Subscriptions` and `Rules`, that of Event Hubs `UserConfig.NamespaceConfig[]` with `Entities` and their `ConsumerGroups`; a file
 * may have both. Limits are those of this namespace, which are wider than the emulator's.
 *
 * @throws EmulatorConfigError
 */
export function readEmulatorConfig(text: string): EmulatorEntities {
  if (text.length > LENGTH_MAX) throw new EmulatorConfigError(`it has more than ${LENGTH_MAX} characters`);
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^\ufeff/u, ''));
  } catch (error) {
    throw new EmulatorConfigError(
      `it is no JSON${placeOf(error, text)}. Comments and commas behind the last value have no place in it`,
    );
  }
  const file = new Node(json, '', []);
  const config = file.object('UserConfig');
  const namespace = onlyOf(config, 'Namespaces');
  const hubs = onlyOf(config, 'NamespaceConfig');
  if (namespace === undefined && hubs === undefined)
    throw new EmulatorConfigError('UserConfig.Namespaces: expected one namespace, found none');
  const type = hubs?.name('Type') ?? 'EventHub';
  if (type.toLowerCase() !== 'eventhub') throw hubs!.wrong('Type', 'EventHub');
  const names = new Names('queue or topic');
  const entities = {
    queues: namespace?.list('Queues').map((queue) => queueOf(queue, names)) ?? [],
    topics: namespace?.list('Topics').map((topic) => topicOf(topic, names)) ?? [],
    eventHubs: hubs?.list('Entities').map(eventHubOf) ?? [],
  };
  return { ...entities, notes: file.notes };
}

/** Line, column and cause, where they can be told. */
function placeOf(error: unknown, text: string): string {
  if (!(error instanceof Error)) return '';
  const cause = error.message.replace(/ in JSON at position.*$/su, '');
  const at = / at position (\d+)/u.exec(error.message)?.[1];
  // Some causes come without a place, but with the text around it.
  if (at === undefined && !/end of JSON/u.test(cause)) return `: ${cause}`;
  const before = text.slice(0, at === undefined ? text.length : Number(at)).split(/\r?\n/u);
  return ` (line ${before.length}, column ${before.at(-1)!.length + 1}): ${cause}`;
}

/** Names that are taken already, whatever their case. */
class Names {
  readonly #what: string;
  readonly #taken = new Set<string>();

  constructor(what: string) {
    this.#what = what;
  }

  /** @throws EmulatorConfigError where there is none, it is not valid, or it is taken */
  take(node: Node, kind: string, lengthMax: number): string {
    const name = node.text('Name');
    try {
      checkName(name, kind, lengthMax);
    } catch (error) {
      throw node.because('Name', error instanceof Error ? error.message : String(error));
    }
    const key = name.toLowerCase();
    if (this.#taken.has(key))
      throw node.because('Name', `there is a ${this.#what} '${name}' already: choose another name`);
    this.#taken.add(key);
    return name;
  }
}

function onlyOf(config: Node, name: string): Node | undefined {
  const namespaces = config.list(name);
  if (namespaces.length > 1)
    throw new EmulatorConfigError(`UserConfig.${name}: expected one namespace, as the emulator has, found more`);
  return namespaces[0];
}

function eventHubOf(entity: Node): EventHubOptions {
  const partitions = entity.number('PartitionCount', 1, PARTITIONS_MAX);
  return {
    name: entity.text('Name'),
    ...(partitions === undefined ? {} : { partitions }),
    consumerGroups: entity
      .list('ConsumerGroups')
      .map((group) => group.text('Name'))
      .filter((name) => name.toLowerCase() !== '$default'),
  };
}

function queueOf(queue: Node, names: Names): QueueOptions {
  const properties = queue.object('Properties');
  return { name: names.take(queue, 'queue', 260), ...holdingOf(properties), ...receivingOf(properties) };
}

function topicOf(topic: Node, names: Names): TopicOptions {
  const properties = topic.object('Properties');
  const own = new Names('subscription');
  return {
    name: names.take(topic, 'topic', 260),
    ...receivingOf(properties),
    defaultTtlMs: properties.duration('DefaultMessageTimeToLive') ?? TTL_MS,
    subscriptions: topic.list('Subscriptions').map((subscription) => subscriptionOf(subscription, own)),
  };
}

function subscriptionOf(subscription: Node, names: Names): SubscriptionOptions {
  const taken = new Set<string>();
  const rules = subscription.list('Rules').map((rule) => ruleOf(rule, taken));
  return {
    name: names.take(subscription, 'subscription', 50),
    ...holdingOf(subscription.object('Properties')),
    ...(rules.length === 0 ? {} : { rules }),
  };
}

function holdingOf(properties: Node): HoldingOptions {
  const requiresSession = properties.flag('RequiresSession') ?? false;
  const forwardTo = properties.name('ForwardTo');
  if (requiresSession && forwardTo !== undefined)
    throw properties.because(
      'ForwardTo',
      'an entity with RequiresSession cannot forward its messages: leave one of the two out',
    );
  return {
    lockDurationMs: properties.duration('LockDuration', LOCK_MAX_MS) ?? 60_000,
    maxDeliveryCount: properties.number('MaxDeliveryCount', 1, 2_000) ?? MAX_DELIVERY_COUNT,
    defaultTtlMs: properties.duration('DefaultMessageTimeToLive') ?? TTL_MS,
    deadLetterOnExpiration: properties.flag('DeadLetteringOnMessageExpiration') ?? false,
    requiresSession,
    forwardTo,
    forwardDeadLetteredMessagesTo: properties.name('ForwardDeadLetteredMessagesTo'),
  };
}

function receivingOf(properties: Node): ReceivingOptions {
  return {
    requiresDuplicateDetection: properties.flag('RequiresDuplicateDetection') ?? false,
    duplicateDetectionWindowMs: properties.duration('DuplicateDetectionHistoryTimeWindow') ?? DUPLICATE_WINDOW_MS,
  };
}

function ruleOf(rule: Node, taken: Set<string>): RuleOptions {
  const properties = rule.object('Properties');
  const name = rule.text('Name');
  if (name.length > 50) throw rule.because('Name', `it has ${name.length} characters: 50 at the most`);
  if (taken.has(name.toLowerCase()))
    throw rule.because('Name', `there is a rule '${name}' already: choose another name`);
  taken.add(name.toLowerCase());
  const filter = filterOf(properties);
  const action = properties.object('Action').name('SqlExpression');
  properties.checked('SqlFilter.SqlExpression', () => new Rule({ name, filter }, 0));
  if (action !== undefined) properties.checked('Action.SqlExpression', () => new Rule({ name, action }, 0));
  return { name, filter, ...(action === undefined ? {} : { action }) };
}

function filterOf(properties: Node): RuleFilter {
  const type = properties.name('FilterType') ?? 'Sql';
  if (type.toLowerCase() === 'sql')
    return { kind: 'sql', expression: properties.object('SqlFilter').name('SqlExpression') ?? '1=1' };
  if (type.toLowerCase() !== 'correlation') throw properties.wrong('FilterType', 'Sql or Correlation');
  const from = properties.object('CorrelationFilter');
  const filter: CorrelationFilter = {
    kind: 'correlation',
    correlationId: from.name('CorrelationId'),
    messageId: from.name('MessageId'),
    to: from.name('To'),
    replyTo: from.name('ReplyTo'),
    subject: from.name('Label'),
    sessionId: from.name('SessionId'),
    replyToSessionId: from.name('ReplyToSessionId'),
    contentType: from.name('ContentType'),
  };
  const own = from.plainValues('Properties');
  return own.size === 0 ? filter : { ...filter, properties: own };
}

/** A value of the file and the way to it. */
class Node {
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #path: string;
  /** Names that somebody asked for. */
  readonly #known = new Set<string>();
  /** All that was read, for {@link notes}. */
  readonly #read: Node[];

  constructor(value: unknown, path: string, read: Node[]) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new EmulatorConfigError(`${path === '' ? 'the file' : path}: expected an object, found ${found(value)}`);
    this.#value = value as Readonly<Record<string, unknown>>;
    this.#path = path;
    this.#read = read;
    read.push(this);
  }

  /** What nobody asked for in all that was read: a name that is misspelt, or one that means nothing here. */
  get notes(): string[] {
    const ignored = new Set(['LoggingConfig', 'Logging', 'Name', 'Type']);
    return this.#read.flatMap((node) =>
      Object.keys(node.#value)
        .filter((name) => !node.#known.has(name) && !ignored.has(name))
        .map((name) => `${node.#at(name)}: it is not known, and has no effect`),
    );
  }

  #at(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`;
  }

  #get(name: string): unknown {
    this.#known.add(name);
    return Object.hasOwn(this.#value, name) ? this.#value[name] : undefined;
  }

  wrong(name: string, expected: string): EmulatorConfigError {
    return new EmulatorConfigError(`${this.#at(name)}: expected ${expected}, found ${found(this.#get(name))}`);
  }

  because(name: string, why: string): EmulatorConfigError {
    return new EmulatorConfigError(`${this.#at(name)}: ${why}`);
  }

  /** @throws EmulatorConfigError where it is no expression, with what is wrong in it */
  checked(name: string, check: () => unknown): void {
    try {
      check();
    } catch (error) {
      if (error instanceof SqlError) throw this.because(name, error.message);
      throw error;
    }
  }

  /** An empty one where it is not there. */
  object(name: string): Node {
    return new Node(this.#get(name) ?? {}, this.#at(name), this.#read);
  }

  list(name: string): Node[] {
    const value = this.#get(name) ?? [];
    if (!Array.isArray(value)) throw this.wrong(name, 'a list');
    if (value.length > ENTITIES_MAX) throw new EmulatorConfigError(`${this.#at(name)}: more than ${ENTITIES_MAX}`);
    return value.map((one, at) => new Node(one, `${this.#at(name)}[${at}]`, this.#read));
  }

  text(name: string): string {
    const value = this.#get(name);
    if (typeof value !== 'string' || value.trim() === '') throw this.wrong(name, 'a name');
    return value;
  }

  /** Empty counts as not there. */
  name(name: string): string | undefined {
    const value = this.#get(name);
    if (value === undefined || value === null || value === '') return undefined;
    return this.text(name);
  }

  flag(name: string): boolean | undefined {
    const value = this.#get(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.wrong(name, 'true or false');
  }

  number(name: string, min: number, max: number): number | undefined {
    const given = this.#get(name);
    if (given === undefined) return undefined;
    // The emulator of Event Hubs takes a text for it.
    const value = name === 'PartitionCount' && typeof given === 'string' ? Number(given) : given;
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw this.wrong(name, `a number from ${min} to ${max}`);
  }

  /** Milliseconds. */
  duration(name: string, max: number = Infinity): number | undefined {
    const text = this.name(name);
    if (text === undefined) return undefined;
    const ms = msOfDuration(text);
    if (ms === undefined || ms <= 0) throw this.wrong(name, 'a duration such as PT1M');
    if (ms > max) throw this.because(name, `${text} is longer than ${durationOf(max)}, which is the most`);
    return ms;
  }

  plainValues(name: string): Map<string, string | number | boolean> {
    const value = this.#get(name) ?? {};
    const entries = Object.entries(new Node(value, this.#at(name), []).#value);
    return new Map(
      entries.map(([key, one]) => {
        if (typeof one !== 'string' && typeof one !== 'number' && typeof one !== 'boolean')
          throw new EmulatorConfigError(
            `${this.#at(name)}.${key}: expected a text, number or flag, found ${found(one)}`,
          );
        return [key, one] as const;
      }),
    );
  }
}

/** What was found, short and on one line. */
function found(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
