// SPDX-License-Identifier: Apache-2.0
import { audiencePath, isName, NAME_RULE, readAddress } from '../address.js';
import type { EntityStatus } from '../entity.js';
import type { NamespaceHost } from '../host.js';
import { textOf, type JournalRecord } from '../journal.js';
import type { Namespace } from '../namespace.js';
import { policiesByName, type Queue } from '../queue.js';
import { SqlError } from '../rules/sql-tokens.js';
import { readSasToken } from '../sas-token.js';
import { rulesByName, type Subscription } from '../subscription.js';
import type { Topic } from '../topic.js';
import { AdminError, invalid } from './admin-error.js';
import { Description } from './description.js';
import {
  autoDeleteOf,
  checkFixed,
  detailsOf,
  holdingOptionsOf,
  queueXml,
  receivingOptionsOf,
  statusOf,
  subscriptionXml,
  topicXml,
  updateDetails,
  type Details,
} from './entity-description.js';
import { ruleOptionsOf, ruleXml } from './rule-description.js';
import { childOf, escapeXml, readXml, XmlError, type XmlElement } from './xml.js';

/** A request to the management API, as HTTP brought it. */
export interface AdminRequest {
  /** In capitals. */
  readonly method: string;
  /** Path and query as sent: `/orders?api-version=2021-05`. */
  readonly target: string;
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

export interface AdminResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Queues and topics of a namespace, and subscriptions of a topic. */
const ENTITIES_MAX = 10_000;
const SUBSCRIPTIONS_MAX = 2_000;
/** Entries of a page that asks for no number, and at most. */
const PAGE_DEFAULT = 100;
const PAGE_MAX = 100;

/** Bytes of a journal that a request needs beside its body, which has at most three for a character. */
const REQUEST_BYTES = 65_536;

const ATOM = 'application/atom+xml;type=entry;charset=utf-8';
const FEED = 'application/atom+xml;type=feed;charset=utf-8';
const CONNECT = 'http://schemas.microsoft.com/netservices/2010/10/servicebus/connect';
const INSTANCE = 'http://www.w3.org/2001/XMLSchema-instance';

type Target =
  | { readonly kind: 'root' | 'namespace' | 'queues' | 'topics' }
  | { readonly kind: 'entity'; readonly path: string }
  | { readonly kind: 'subscriptions'; readonly topic: string }
  | { readonly kind: 'subscription'; readonly topic: string; readonly name: string }
  | { readonly kind: 'rules'; readonly topic: string; readonly name: string }
  | { readonly kind: 'rule'; readonly topic: string; readonly name: string; readonly rule: string };

interface Page {
  readonly skip: number;
  readonly top: number;
}

/**
 * The management API of a namespace: entities are made, read, changed, listed and taken away, as ATOM entries over HTTP. It
 * knows no sockets; whoever has one hands requests in.
 */
export class Administration {
  readonly #namespace: Namespace;
  readonly #host: NamespaceHost;
  readonly #hostname: string;
  readonly #details = new WeakMap<object, Details>();
  /** What was asked for and done, by path in lower case: what it takes to have the same entities again. */
  readonly #done = new Map<string, JournalRecord[]>();
  readonly #startedAt: number;

  constructor(namespace: Namespace, host: NamespaceHost, hostname: string) {
    this.#namespace = namespace;
    this.#host = host;
    this.#hostname = hostname;
    this.#startedAt = this.#utcNow;
    namespace.onIdleRemoved = (path) => this.#remember(['admin', 'DELETE', path, '', false], path.toLowerCase());
  }

  handle(request: AdminRequest): AdminResponse {
    try {
      return this.#answer(request);
    } catch (error) {
      const known =
        error instanceof AdminError
          ? error
          : error instanceof XmlError
            ? invalid(`The body is not valid XML: ${error.message}.`)
            : error instanceof SqlError || error instanceof TypeError
              ? invalid(error.message)
              : undefined;
      if (known === undefined) throw error;
      const detail = escapeXml(known.message);
      const body = `<Error><Code>${known.status}</Code><Detail>${detail}</Detail></Error>`;
      return { status: known.status, contentType: 'application/xml; charset=utf-8', body };
    }
  }

  /** Does again what a journal has, before there is anybody. What cannot be done any more is told, not thrown. */
  replay(record: JournalRecord): string | undefined {
    const [, method, path, body, isUpdate] = record;
    try {
      this.#do(textOf(method), textOf(path), textOf(body), isUpdate === true);
      return undefined;
    } catch (error) {
      return `${textOf(method)} ${textOf(path)}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /** All that has to be done again. */
  *snapshot(): Generator<JournalRecord> {
    for (const records of this.#done.values()) yield* records;
  }

  #do(method: string, path: string, body: string, isUpdate: boolean): AdminResponse {
    const target = targetOf(path);
    const answer = method === 'PUT' ? this.#put(target, readXml(body), isUpdate, path) : this.#delete(target, path);
    this.#remember(['admin', method, path, method === 'PUT' ? body : '', isUpdate], path.toLowerCase());
    return answer;
  }

  #remember(record: JournalRecord, key: string): void {
    const [, method, , , isUpdate] = record;
    const known = this.#done.get(key) ?? [];
    if (method === 'DELETE') {
      // With it goes what is below it.
      for (const other of this.#done.keys()) if (other.startsWith(`${key}/`)) this.#done.delete(other);
      this.#done.delete(key);
      // What a request had made is not there at the next start; what the namespace is given is.
      const wasGiven = known.length === 0 || known.some(([, before]) => before === 'DELETE');
      if (wasGiven) this.#done.set(key, [record]);
    } else {
      this.#done.set(key, [...known.filter(([, , , , wasUpdate]) => isUpdate !== true || wasUpdate !== true), record]);
    }
    this.#host.journal?.write(record);
  }

  get #utcNow(): number {
    return this.#host.timeOrigin + this.#host.clock.now();
  }

  #answer({ method, target: written, headers, body }: AdminRequest): AdminResponse {
    const { path, query } = splitTarget(written);
    this.#authorize(headers['authorization'], path);
    // Sub-queues have no descriptions.
    if (/\/\$(?:transfer\/\$)?deadletterqueue$/iu.test(path))
      throw new AdminError(400, '40000', `The specified HTTP verb (${method.slice(0, 20)}) is not valid.`);
    const busyness = this.#namespace.takeManagementRequest();
    if (busyness !== undefined) throw new AdminError(503, '50300', busyness.description);
    switch (method) {
      case 'GET':
        return this.#get(targetOf(path), pageOf(query), path);
      case 'PUT':
      case 'DELETE': {
        const { journal } = this.#host;
        const busy = new AdminError(503, '50300', 'The server is busy: it cannot store anything at the moment.');
        if (journal?.hasRoom(body.length * 3 + REQUEST_BYTES) === false) throw busy;
        const answer = this.#do(method, path, body, headers['if-match'] === '*');
        // Done it is, but nobody is told before it is written down.
        if (journal?.flush() === false) throw busy;
        return answer;
      }
      default:
        throw new AdminError(405, '40500', `There is no method ${method.slice(0, 20)}.`);
    }
  }

  /** @throws AdminError where the request has no token with the right Manage for what it asks of */
  #authorize(header: string | undefined, path: string): void {
    if (header === undefined) throw new AdminError(401, '40100', 'The request has no Authorization header.');
    const bearer = /^Bearer +(\S+)$/u.exec(header)?.[1];
    if (bearer !== undefined) return this.#authorizeBearer(bearer);
    const claims = readSasToken(header);
    if (claims === undefined)
      throw new AdminError(401, '40104', 'The Authorization header has no shared access signature that can be read.');
    const scope = audiencePath(decoded(claims.resource.replace(/\?.*$/u, '')));
    const entity = this.#namespace.broker.entity(readAddress(path).path);
    const policies = [
      this.#namespace.broker.policies.get(claims.policyName.toLowerCase()),
      entity?.policies.get(claims.policyName.toLowerCase()),
    ];
    const policy = policies.find(
      (one) => one?.hasSigned(this.#host.hmacSha256, claims.signedText, claims.signature) === true,
    );
    if (policy === undefined) throw new AdminError(401, '40103', 'Invalid authorization token signature.');
    if (claims.expiresAtSeconds * 1_000 <= this.#utcNow)
      throw new AdminError(401, '40105', 'The authorization token is expired.');
    const asked = path.toLowerCase();
    if (scope !== '' && asked !== scope && !asked.startsWith(`${scope}/`))
      throw new AdminError(401, '40106', 'The authorization token is for something else.');
    if (!policy.grants('Manage')) throw unauthorized();
  }

  /** @throws AdminError where a token of Microsoft Entra ID does not do, or none does */
  #authorizeBearer(token: string): void {
    const { readEntraToken } = this.#host;
    if (readEntraToken === undefined)
      throw new AdminError(401, '40104', 'Tokens of Microsoft Entra ID are not taken by this namespace.');
    const claims = readEntraToken(token);
    if (typeof claims === 'string') throw new AdminError(401, '40104', claims);
    if (claims.expiresAtMs <= this.#utcNow) throw new AdminError(401, '40105', 'The authorization token is expired.');
    if (!claims.rights.includes('Manage')) throw unauthorized();
  }

  // ---- reading ----

  #get(target: Target, page: Page, path: string): AdminResponse {
    const { broker } = this.#namespace;
    switch (target.kind) {
      case 'root':
        return this.#nothing();
      case 'namespace':
        return this.#entry('$namespaceinfo', this.#hostname, 'NamespaceInfo', this.#namespaceXml());
      case 'queues':
      case 'topics': {
        const kind = target.kind === 'queues' ? 'queue' : 'topic';
        const found = broker.entities().filter((entity) => entity.kind === kind) as (Queue | Topic)[];
        return this.#feed(path, page, byPath(found), (entity) => this.#entityEntry(entity));
      }
      case 'subscriptions': {
        const topic = this.#topic(target.topic);
        return this.#feed(path, page, byPath(topic.subscriptions), (entity) => this.#entityEntry(entity));
      }
      case 'rules': {
        const subscription = this.#subscription(target);
        return this.#feed(path, page, rulesByName(subscription), (rule) =>
          this.#entryXml(`${subscription.path}/Rules/${rule.name}`, rule.name, 'RuleDescription', ruleXml(rule)),
        );
      }
      case 'rule': {
        const subscription = this.#subscription(target);
        const rule = subscription.rule(target.rule);
        if (rule === undefined) return this.#nothing();
        return this.#entry(`${subscription.path}/Rules/${rule.name}`, rule.name, 'RuleDescription', ruleXml(rule));
      }
      case 'subscription':
      case 'entity': {
        const entity = broker.entity(
          target.kind === 'entity' ? target.path : `${target.topic}/Subscriptions/${target.name}`,
        );
        if (entity === undefined) return this.#nothing();
        return { status: 200, contentType: ATOM, body: this.#entityEntry(entity) };
      }
    }
  }

  /** What the cloud answers where an entity is asked for that is not there: a list with nothing in it. */
  #nothing(): AdminResponse {
    const title = 'Publicly Listed Services';
    const id = `https://${this.#hostname}/`;
    return {
      status: 200,
      contentType: FEED,
      body: `<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">${title}</title><id>${escapeXml(id)}</id><updated>${this.#now()}</updated></feed>`,
    };
  }

  #entityEntry(entity: Queue | Topic | Subscription): string {
    const details = this.#detailsOf(entity);
    const used = this.#namespace.accessedAt(entity);
    const accessedAt = used === undefined ? undefined : Math.round(this.#host.timeOrigin + used);
    const shown = { hostname: this.#hostname, accessedAt };
    switch (entity.kind) {
      case 'queue':
        return this.#entryXml(entity.path, entity.path, 'QueueDescription', queueXml(entity, details, shown));
      case 'topic':
        return this.#entryXml(entity.path, entity.path, 'TopicDescription', topicXml(entity, details, shown));
      case 'subscription':
        return this.#entryXml(
          entity.path,
          entity.name,
          'SubscriptionDescription',
          subscriptionXml(entity, details, shown),
        );
    }
  }

  #detailsOf(entity: object): Details {
    let details = this.#details.get(entity);
    if (details === undefined) {
      details = detailsOf(undefined, this.#startedAt);
      this.#details.set(entity, details);
    }
    return details;
  }

  #namespaceXml(): string {
    const started = new Date(this.#startedAt).toISOString();
    const name = escapeXml(this.#hostname.split('.')[0] ?? this.#hostname);
    return (
      `<Alias/><CreatedTime>${started}</CreatedTime><MessagingSKU>Standard</MessagingSKU><ModifiedTime>${started}</ModifiedTime>` +
      `<Name>${name}</Name><NamespaceType>Messaging</NamespaceType>`
    );
  }

  // ---- making and changing ----

  #put(target: Target, entry: XmlElement, isUpdate: boolean, path: string): AdminResponse {
    // Names of rules may begin with a dollar sign, as that of the first one does.
    if (!isName(path.replace(/\/\$(?=[^/]+$)/u, '/')))
      throw invalid(
        `'https://${this.#hostname}/${path}' contains character(s) that is not allowed by Service Bus. ${NAME_RULE}`,
      );
    const content = childOf(entry, 'content')?.children[0];
    if (entry.name !== 'entry' || content === undefined) throw invalid('The body is no entry with a description.');
    const description = new Description(content);
    switch (target.kind) {
      case 'entity':
        return this.#putEntity(target.path, content.name, description, isUpdate);
      case 'subscription':
        return this.#putSubscription(target, content, description, isUpdate);
      case 'rule': {
        const subscription = this.#subscription(target);
        const known = subscription.rule(target.rule);
        if (isUpdate && known === undefined) throw notFound(path);
        if (!isUpdate && known !== undefined) throw exists(path);
        const options = ruleOptionsOf(target.rule, content);
        // The new one is checked before the old one goes.
        if (known !== undefined) subscription.removeRule(target.rule);
        try {
          const rule = subscription.addRule(options);
          subscription.changedAt = this.#host.clock.now();
          const body = this.#entryXml(
            `${subscription.path}/Rules/${rule.name}`,
            rule.name,
            'RuleDescription',
            ruleXml(rule),
          );
          return { status: isUpdate ? 200 : 201, contentType: ATOM, body };
        } catch (error) {
          if (known !== undefined) subscription.addRule(known);
          throw error;
        }
      }
      default:
        throw new AdminError(405, '40500', 'Nothing can be put there.');
    }
  }

  #putEntity(path: string, type: string, description: Description, isUpdate: boolean): AdminResponse {
    const { broker } = this.#namespace;
    const known = broker.entity(path);
    if (isUpdate && known === undefined) throw notFound(path);
    if (!isUpdate && known !== undefined) throw exists(path);
    const status = statusOf(description);
    if (known !== undefined) {
      if (known.kind === 'subscription' || (type === 'QueueDescription') !== (known.kind === 'queue'))
        throw invalid(`'${path}' is a ${known.kind}, and the description is a ${type}.`);
      this.#change(known, description, status);
      return { status: 200, contentType: ATOM, body: this.#entityEntry(known) };
    }
    if (broker.entities().filter(({ kind }) => kind !== 'subscription').length >= ENTITIES_MAX)
      throw new AdminError(403, '40300', `A namespace has at most ${ENTITIES_MAX} queues and topics.`);
    const details = detailsOf(description, this.#utcNow);
    const common = {
      name: path,
      policies: details.policies,
      ...receivingOptionsOf(description),
      enablePartitioning: description.flag('EnablePartitioning') ?? false,
      autoDeleteOnIdleMs: autoDeleteOf(description),
      ...(status === undefined ? {} : { status }),
    };
    const holding = holdingOptionsOf(description);
    const made =
      type === 'QueueDescription'
        ? broker.createQueue({ ...holding, ...common })
        : type === 'TopicDescription'
          ? broker.createTopic({
              ...common,
              ...(holding.defaultTtlMs === undefined ? {} : { defaultTtlMs: holding.defaultTtlMs }),
              ...(holding.maxSizeBytes === undefined ? {} : { maxSizeBytes: holding.maxSizeBytes }),
            })
          : undefined;
    if (made === undefined) throw invalid(`There is no entity with a ${type.slice(0, 60)}.`);
    this.#details.set(made, details);
    return { status: 201, contentType: ATOM, body: this.#entityEntry(made) };
  }

  #putSubscription(
    { topic: topicPath, name }: { readonly topic: string; readonly name: string },
    content: XmlElement,
    description: Description,
    isUpdate: boolean,
  ): AdminResponse {
    const topic = this.#topic(topicPath);
    const known = topic.subscription(name);
    const path = `${topic.path}/Subscriptions/${name}`;
    if (isUpdate && known === undefined) throw notFound(path);
    if (!isUpdate && known !== undefined) throw exists(path);
    const status = statusOf(description);
    const faults = description.flag('DeadLetteringOnFilterEvaluationExceptions');
    if (known !== undefined) {
      this.#change(known, description, status);
      if (faults !== undefined) known.deadLettersFilterFaults = faults;
      return { status: 200, contentType: ATOM, body: this.#entityEntry(known) };
    }
    if (topic.subscriptions.length >= SUBSCRIPTIONS_MAX)
      throw new AdminError(403, '40300', `A topic has at most ${SUBSCRIPTIONS_MAX} subscriptions.`);
    const rule = childOf(content, 'DefaultRuleDescription');
    const ruleName = rule === undefined ? undefined : (childOf(rule, 'Name')?.text ?? '');
    const made = this.#namespace.broker.createSubscription(topic.path, {
      name,
      ...holdingOptionsOf(description),
      autoDeleteOnIdleMs: autoDeleteOf(description),
      ...(status === undefined ? {} : { status }),
      ...(faults === undefined ? {} : { deadLetterOnFilterEvaluationExceptions: faults }),
      ...(rule === undefined ? {} : { rules: [ruleOptionsOf(ruleName === '' ? '$Default' : ruleName!, rule)] }),
    });
    this.#details.set(made, detailsOf(description, this.#utcNow));
    return { status: 201, contentType: ATOM, body: this.#entityEntry(made) };
  }

  #change(entity: Queue | Topic | Subscription, description: Description, status: EntityStatus | undefined): void {
    // All is read and checked before anything is changed.
    checkFixed(description, entity);
    const { settings: current } = entity.kind === 'topic' ? entity.scheduled : entity.messages;
    const holding = holdingOptionsOf(description, current.maxSizeBytes);
    const next = detailsOf(description, this.#utcNow);
    const policies = policiesByName(next.policies);
    const autoDeleteOnIdleMs = autoDeleteOf(description);
    const receiving =
      entity.kind === 'subscription' ? undefined : receivingOptionsOf(description, entity.maxMessageSizeBytes);
    const { forwardTo, forwardDeadLetteredMessagesTo, requiresSession: _, ...settings } = holding;
    if (entity.kind === 'topic') {
      if (settings.defaultTtlMs !== undefined) entity.changeDefaultTtl(settings.defaultTtlMs);
      if (settings.maxSizeBytes !== undefined) entity.scheduled.change({ maxSizeBytes: settings.maxSizeBytes });
    } else {
      this.#namespace.broker.changeForwarding(entity, { forwardTo, forwardDeadLetteredMessagesTo });
      const { defaultTtlMs, ...others } = settings;
      entity.messages.change(others);
      if (defaultTtlMs !== undefined) entity.changeDefaultTtl(defaultTtlMs);
    }
    updateDetails(this.#detailsOf(entity), next);
    entity.changedAt = this.#host.clock.now();
    this.#namespace.changeAutoDelete(entity, autoDeleteOnIdleMs);
    if (entity.kind !== 'subscription') {
      entity.policies = policies;
      const { maxMessageSizeBytes, duplicateDetectionWindowMs } = receiving!;
      if (duplicateDetectionWindowMs !== undefined) entity.inbox.changeDuplicateWindow(duplicateDetectionWindowMs);
      if (maxMessageSizeBytes !== undefined) entity.maxMessageSizeBytes = maxMessageSizeBytes;
    }
    if (status !== undefined) this.#namespace.setStatus(entity.path, status);
  }

  // ---- taking away ----

  #delete(target: Target, path: string): AdminResponse {
    let isGone: boolean;
    switch (target.kind) {
      case 'entity':
        isGone = this.#namespace.remove(target.path);
        break;
      case 'subscription':
        isGone = this.#namespace.remove(`${target.topic}/Subscriptions/${target.name}`);
        break;
      case 'rule':
        isGone = this.#subscription(target).removeRule(target.rule);
        break;
      default:
        throw new AdminError(405, '40500', 'Nothing can be taken away there.');
    }
    if (!isGone) throw notFound(path);
    return { status: 200, contentType: ATOM, body: '' };
  }

  // ---- finding ----

  #topic(path: string): Topic {
    const entity = this.#namespace.broker.entity(path);
    if (entity?.kind !== 'topic') throw notFound(path);
    return entity;
  }

  #subscription({ topic, name }: { readonly topic: string; readonly name: string }): Subscription {
    const subscription = this.#topic(topic).subscription(name);
    if (subscription === undefined) throw notFound(`${topic}/Subscriptions/${name}`);
    return subscription;
  }

  // ---- ATOM ----

  #now(): string {
    return new Date(this.#utcNow).toISOString();
  }

  #entry(path: string, title: string, type: string, inner: string): AdminResponse {
    return { status: 200, contentType: ATOM, body: this.#entryXml(path, title, type, inner) };
  }

  #entryXml(path: string, title: string, type: string, inner: string): string {
    const id = `https://${this.#hostname}/${encodedPath(path)}?api-version=2021-05`;
    const now = this.#now();
    return (
      `<entry xmlns="http://www.w3.org/2005/Atom"><id>${escapeXml(id)}</id><title type="text">${escapeXml(title)}</title>` +
      `<published>${now}</published><updated>${now}</updated><author><name>${escapeXml(this.#hostname)}</name></author>` +
      `<link rel="self" href="${escapeXml(id)}"/><content type="application/xml"><${type} xmlns="${CONNECT}" xmlns:i="${INSTANCE}">${inner}</${type}></content></entry>`
    );
  }

  #feed<T>(path: string, { skip, top }: Page, all: readonly T[], entryOf: (one: T) => string): AdminResponse {
    const here = `https://${this.#hostname}/${path}`;
    const link = (rel: string, at: number): string =>
      `<link rel="${rel}" href="${escapeXml(`${here}?$skip=${at}&$top=${top}&api-version=2021-05`)}"/>`;
    const entries = all.slice(skip, skip + top).map((one) => entryOf(one));
    const next = skip + top < all.length ? link('next', skip + top) : '';
    return {
      status: 200,
      contentType: FEED,
      body:
        `<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">${escapeXml(path)}</title><id>${escapeXml(here)}</id>` +
        `<updated>${this.#now()}</updated>${link('self', skip)}${next}${entries.join('')}</feed>`,
    };
  }
}

/** A path as it stands in an id; clients take names from there, and expect `$Default` as it is. */
function encodedPath(path: string): string {
  return path
    .split('/')
    .map((part) => encodeURIComponent(part).replaceAll('%24', '$'))
    .join('/');
}

function byPath<T extends { readonly path: string }>(entities: readonly T[]): T[] {
  return entities.toSorted((a, b) => (a.path.toLowerCase() < b.path.toLowerCase() ? -1 : 1));
}

function notFound(path: string): AdminError {
  return new AdminError(404, '40400', `Not Found. The operation cannot find the entity '${path.slice(0, 300)}'.`);
}

function exists(path: string): AdminError {
  return new AdminError(409, '40900', `Conflict. There is an entity '${path.slice(0, 300)}' already.`);
}

function unauthorized(): AdminError {
  return new AdminError(401, '40100', "Unauthorized: 'Manage' claim(s) are required to perform this operation.");
}

/** @throws AdminError for what is no path */
function splitTarget(target: string): { readonly path: string; readonly query: URLSearchParams } {
  const at = target.indexOf('?');
  const path = decoded(at < 0 ? target : target.slice(0, at)).replace(/^\/+|\/+$/gu, '');
  return { path, query: new URLSearchParams(at < 0 ? '' : target.slice(at + 1)) };
}

/** @throws AdminError for what is not percent-encoded */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('The path is not percent-encoded as it should be.');
  }
}

function pageOf(query: URLSearchParams): Page {
  const number = (name: string, fallback: number): number => {
    const text = query.get(name);
    if (text === null) return fallback;
    if (!/^\d{1,9}$/u.test(text)) throw invalid(`Parameter '${name.slice(1)}' should be non-negative integer.`);
    return Number(text);
  };
  return { skip: number('$skip', 0), top: Math.min(number('$top', PAGE_DEFAULT) || PAGE_DEFAULT, PAGE_MAX) };
}

/** Names may contain slashes, so the marks are looked for from the right. */
function targetOf(path: string): Target {
  const lower = path.toLowerCase();
  if (lower === '') return { kind: 'root' };
  if (lower === '$namespaceinfo') return { kind: 'namespace' };
  if (lower === '$resources/queues') return { kind: 'queues' };
  if (lower === '$resources/topics') return { kind: 'topics' };
  const [, topic, name, rule] = /^(.+)\/subscriptions(?:\/([^/]+)(?:\/rules(?:\/([^/]+))?)?)?$/iu.exec(path) ?? [];
  if (topic === undefined) {
    if (path === '' || path.startsWith('$')) throw notFound(path);
    return { kind: 'entity', path };
  }
  if (name === undefined) return { kind: 'subscriptions', topic };
  if (rule !== undefined) return { kind: 'rule', topic, name, rule };
  return lower.endsWith('/rules') ? { kind: 'rules', topic, name } : { kind: 'subscription', topic, name };
}
