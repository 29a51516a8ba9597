// SPDX-License-Identifier: Apache-2.0
import type { Link, Session } from '@pointsman/engine';
import type { AmqpErrorFields, OpenFields, Source, Target } from '@pointsman/wire';
import type { Log } from '../settings.js';
import type { Policy } from './policy.js';
import type { VhostCounts } from './vhost-counts.js';
import type { GroupRules } from './vhost-rules.js';

/** The connection that a policy is for. */
export interface Policed {
  /** Number in logs. */
  readonly id: number;
  readonly user: string;
  /** Numeric address of the peer. */
  readonly host: string;
  /** Host name of its open, for logs. */
  readonly vhost: string;
}

const SESSION_DISALLOWED: AmqpErrorFields = {
  condition: 'amqp:resource-limit-exceeded',
  description: 'session disallowed by local policy',
};
const TOO_MANY_LINKS: AmqpErrorFields = {
  condition: 'amqp:resource-limit-exceeded',
  description: 'link disallowed by local policy',
};
const LINK_DISALLOWED: AmqpErrorFields = {
  condition: 'amqp:unauthorized-access',
  description: 'link disallowed by local policy',
};

type Direction = 'sender' | 'receiver';

/** What one connection may do, by the rules that held when it opened, and what it has open. Links are seen from the client. */
export class ConnectionPolicy {
  readonly group: GroupRules;
  /** Bytes of the largest message; Infinity: any. */
  readonly maxMessageSize: number;
  readonly #policy: Policy;
  readonly #counts: VhostCounts | undefined;
  readonly #of: Policed;
  readonly #log: Log;
  readonly #sessions = new Set<Session>();
  readonly #senders = new Set<Link>();
  readonly #receivers = new Set<Link>();
  /** The connection was let in by a listener: sessions and frames are limited, too. */
  readonly #isIncoming: boolean;

  /**
   * @param counts - those of its vhost
   * @param maxMessageSize - bytes; 0: no limit
   */
  constructor(
    policy: Policy,
    group: GroupRules,
    counts: VhostCounts | undefined,
    of: Policed,
    maxMessageSize: number,
    isIncoming: boolean,
  ) {
    this.#policy = policy;
    this.group = group;
    this.#counts = counts;
    this.#of = of;
    this.#log = policy.log;
    this.maxMessageSize = maxMessageSize === 0 ? Infinity : maxMessageSize;
    this.#isIncoming = isIncoming;
  }

  /** What our open says otherwise than the listener has it. */
  get openFields(): Partial<OpenFields> {
    const { maxFrameSize, maxSessions } = this.group;
    return {
      ...(this.#isIncoming && maxFrameSize > 0
        ? { maxFrameSize: Math.min(Math.max(maxFrameSize, 512), 0xffffffff) }
        : {}),
      ...(this.#isIncoming && maxSessions > 0 ? { channelMax: Math.min(maxSessions, 32_768) - 1 } : {}),
    };
  }

  /** Transfer frames of `frameSize` bytes that a session may have on the way to us; undefined: as ever. */
  windowOf(frameSize: number): number | undefined {
    const { maxSessionWindow } = this.group;
    if (!this.#isIncoming || maxSessionWindow === 0) return undefined;
    return Math.min(Math.max(1, Math.floor(maxSessionWindow / frameSize)), 0x7fffffff);
  }

  /** The client begins a session. @returns why it must not */
  begin(session: Session): AmqpErrorFields | undefined {
    const { maxSessions } = this.group;
    const { id } = this.#of;
    const isAllowed = !this.#isIncoming || maxSessions === 0 || this.#sessions.size < maxSessions;
    if (isAllowed) {
      this.#sessions.add(session);
      return undefined;
    }
    const { user, host, vhost } = this.#of;
    this.#log(
      'POLICY',
      'info',
      `[C${id}] DENY AMQP Begin Session due to session limit. user: ${user}, rhost: ${host}, vhost: ${vhost}`,
    );
    this.#policy.denials.sessions++;
    if (this.#counts !== undefined) this.#counts.sessionDenied++;
    return SESSION_DISALLOWED;
  }

  /** A session has ended, and its links with it. */
  ended(session: Session): void {
    this.#sessions.delete(session);
    for (const links of [this.#senders, this.#receivers])
      for (const link of links) if (link.session === session) links.delete(link);
  }

  /** The client attaches a link to send on. @returns why it must not */
  attachSender(link: Link, target: Target | undefined): AmqpErrorFields | undefined {
    const { maxSenders, targets, allowAnonymousSender } = this.group;
    if (maxSenders > 0 && this.#senders.size >= maxSenders) return this.#tooMany('sender', 'maxSenders');
    const address = target?.dynamic === true ? undefined : target?.address;
    if (address !== undefined && address !== '') {
      const reason =
        this.#capability(target?.capabilities) ?? this.#name(targets.allows(address, this.#of.user), 'target');
      if (reason !== undefined) return this.#deny('sender', `sender link '${address}'`, reason);
      this.#allow(`sender link '${address}'`);
    } else {
      if (!allowAnonymousSender) return this.#deny('sender', 'anonymous sender', '');
      this.#allow('anonymous sender');
    }
    this.#senders.add(link);
    return undefined;
  }

  /** The client attaches a link to receive on. @returns why it must not */
  attachReceiver(link: Link, source: Source | undefined): AmqpErrorFields | undefined {
    const { maxReceivers, sources, allowDynamicSource } = this.group;
    if (maxReceivers > 0 && this.#receivers.size >= maxReceivers) return this.#tooMany('receiver', 'maxReceivers');
    const address = source?.address;
    if (source?.dynamic === true) {
      if (!allowDynamicSource) return this.#deny('receiver', 'receiver dynamic source', ',');
      this.#allow('receiver dynamic source');
    } else if (address !== undefined && address !== '') {
      const reason =
        this.#capability(source?.capabilities) ?? this.#name(sources.allows(address, this.#of.user), 'source');
      if (reason !== undefined) return this.#deny('receiver', `receiver link '${address}'`, reason);
      this.#allow(`receiver link '${address}'`);
    } else {
      return this.#deny('receiver', "receiver link ''", '');
    }
    this.#receivers.add(link);
    return undefined;
  }

  /** A link that the client had attached is gone, or was refused after all. */
  detached(link: Link): void {
    this.#senders.delete(link);
    this.#receivers.delete(link);
  }

  /** A message on an anonymous link goes to `to`. @returns whether it may */
  allowsMessage(to: string): boolean {
    if (this.group.targets.allows(to, this.#of.user)) return true;
    const { id } = this.#of;
    this.#log('POLICY', 'info', `[C${id}] DENY AMQP message to '${to}' ${this.#forWhom} based on target address`);
    return false;
  }

  /** A message says that it is of `user`. @returns whether it may: the user themselves, unless others may be spoken for */
  allowsUserId(user: Uint8Array | undefined): boolean {
    if (user === undefined || user.length === 0 || this.group.allowUserIdProxy) return true;
    return decodeUtf8(user) === this.#of.user;
  }

  /** A message that is too large has come on the link with that number. */
  deniedSize(link: number): void {
    this.#log('POLICY', 'warning', `[C${this.#of.id}][L${link}] DENY AMQP Transfer maxMessageSize exceeded`);
    this.#policy.denials.messages++;
    if (this.#counts !== undefined) this.#counts.maxMessageSizeDenied++;
  }

  /** The connection has closed. */
  closed(): void {
    const { id, user, host } = this.#of;
    const { sessionDenied = 0, senderDenied = 0, receiverDenied = 0, maxMessageSizeDenied = 0 } = this.#counts ?? {};
    if (this.#isIncoming) this.#counts?.closed(id, user, host);
    this.#log(
      'POLICY',
      'debug',
      `[C${id}] Connection '${host}' closed with resources n_sessions=${this.#sessions.size}, ` +
        `n_senders=${this.#senders.size}, n_receivers=${this.#receivers.size}, sessions_denied=${sessionDenied}, ` +
        `senders_denied=${senderDenied}, receivers_denied=${receiverDenied}, ` +
        `max_message_size_denied:${maxMessageSizeDenied}, nConnections= ${this.#policy.sockets.current}`,
    );
  }

  get #forWhom(): string {
    const { user, host, vhost } = this.#of;
    return `for user '${user}', rhost '${host}', vhost '${vhost}'`;
  }

  /** What a terminus asks to be that it must not be. */
  #capability(capabilities: readonly string[] | undefined): string | undefined {
    const { allowWaypointLinks, allowFallbackLinks } = this.group;
    if (!allowWaypointLinks && capabilities?.some((name) => name.startsWith('qd.waypoint')) === true)
      return '.  Waypoint capability not permitted';
    if (!allowFallbackLinks && capabilities?.includes('qd.fallback') === true)
      return '.  Fallback capability not permitted';
    return undefined;
  }

  #name(isAllowed: boolean, terminus: 'source' | 'target'): string | undefined {
    return isAllowed ? undefined : ` based on link ${terminus} name`;
  }

  #allow(what: string): void {
    this.#log('POLICY', 'trace', `[C${this.#of.id}] ALLOW AMQP Attach ${what} ${this.#forWhom}`);
  }

  #tooMany(direction: Direction, limit: string): AmqpErrorFields {
    this.#deny(direction, direction, ` based on ${limit} limit`);
    return TOO_MANY_LINKS;
  }

  #deny(direction: Direction, what: string, reason: string): AmqpErrorFields {
    this.#log('POLICY', 'info', `[C${this.#of.id}] DENY AMQP Attach ${what} ${this.#forWhom}${reason}`);
    this.#policy.denials.links++;
    const counts = this.#counts;
    if (counts !== undefined && direction === 'sender') counts.senderDenied++;
    else if (counts !== undefined) counts.receiverDenied++;
    return LINK_DISALLOWED;
  }
}

const UTF8 = new TextDecoder();

function decodeUtf8(bytes: Uint8Array): string {
  return UTF8.decode(bytes);
}
