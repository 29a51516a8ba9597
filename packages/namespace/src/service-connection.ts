// SPDX-License-Identifier: Apache-2.0
import {
  Connection,
  type ConnectionEnd,
  type ConnectionHandler,
  type ProtocolEndpoint,
  type ReceiverLink,
  type SenderLink,
  type Session,
} from '@pointsman/engine';
import { LocalProtocolError, type AmqpErrorFields, type Attach, type Open, type ProtocolError } from '@pointsman/wire';
import { Access } from './access.js';
import { Alarm } from './alarm.js';
import { LinkDesk } from './link-desk.js';
import { hexOf, randomGuid } from './guid.js';
import { CLIENT_NAMES, type LinkOwner, type NamespaceLink } from './namespace-link.js';
import type { Refusal } from './entity.js';
import type { ServiceContext } from './service-context.js';
import { durationText } from './times.js';
import { tracked } from './tracking.js';

/** How a connection came. */
export interface ConnectionInfo {
  /** Over TLS, from the first byte or after the TLS header of AMQP. */
  readonly secure: boolean;
  /** For the log. */
  readonly peer?: string;
}

/** In the order in which the cloud announces them. */
const MECHANISMS = ['MSSBCBS', 'PLAIN', 'ANONYMOUS', 'EXTERNAL'];
const FRAME_SIZE_MAX = 65_536;
const CHANNEL_MAX = 4999;
const HANDLE_MAX = 255;
const INCOMING_WINDOW = 5000;
const WELCOME: Uint8Array = new TextEncoder().encode('Welcome!');

/** One connection to the namespace: the protocol engine behind what the service adds of its own rules and clocks. */
export class ServiceConnection implements ProtocolEndpoint, ConnectionHandler, LinkOwner {
  readonly access: Access;
  readonly containerId: string;
  readonly #context: ServiceContext;
  readonly #info: ConnectionInfo;
  readonly #engine: Connection;
  readonly #desk: LinkDesk;
  readonly #links = new Set<NamespaceLink>();
  readonly #pending = new Set<object>();
  readonly #sessions = new Set<Session>();
  readonly #silence: Alarm;
  readonly #linkless: Alarm;
  readonly #idleLinks: Alarm;
  readonly #tokens: Alarm;
  readonly #echo: Alarm;
  #lastReceived: number;
  #openedAt = 0;
  #linklessSince: number;
  #hadLinks = false;
  #hadToken = false;
  #frozen = false;
  /** Bytes of a connection without TLS that are still looked at: its protocol header. */
  #plainBytesLeft = Infinity;

  constructor(context: ServiceContext, info: ConnectionInfo) {
    const { host } = context;
    const now = host.clock.now();
    this.#context = context;
    this.#info = info;
    this.access = new Access(context.broker, host);
    this.containerId = `${hexOf(randomGuid(host.random))}_G0`;
    if (context.requireTls && !info.secure) this.#plainBytesLeft = 8;
    this.#engine = new Connection(
      {
        role: 'server',
        containerId: this.containerId,
        now,
        maxFrameSize: FRAME_SIZE_MAX,
        channelMax: CHANNEL_MAX,
        padded: true,
        saslServer: {
          mechanisms: MECHANISMS,
          // A client with a SharedAccessSignature in its connection string leaves SASL out, and puts its token later.
          optional: true,
          // Nothing is checked here: PLAIN is judged at each attach, the others by tokens.
          authenticate: ({ mechanism, username, password }) => {
            if (mechanism === 'PLAIN') this.access.usePlain(username, password ?? '');
            return { ok: true, user: username, additionalData: WELCOME };
          },
        },
      },
      this,
    );
    this.#desk = new LinkDesk(context, this, this.access);
    this.#lastReceived = this.#linklessSince = now;
    const { clock } = host;
    this.#silence = new Alarm(clock, () => this.#checkSilence());
    this.#linkless = new Alarm(clock, () => this.#checkLinkless());
    this.#idleLinks = new Alarm(clock, () => this.#checkIdleLinks());
    this.#tokens = new Alarm(clock, () => this.#checkTokens());
    this.#echo = new Alarm(clock, () => this.#askForFlows());
  }

  // ---- for the driver ----

  get wake(): (() => void) | undefined {
    return this.#engine.wake;
  }

  set wake(wake: (() => void) | undefined) {
    this.#engine.wake = wake;
  }

  receive(bytes: Uint8Array, now: number): void {
    this.#lastReceived = this.#context.host.clock.now();
    if (this.#frozen || this.#plainBytesLeft === 0) return;
    if (this.#plainBytesLeft === Infinity) {
      this.#engine.receive(bytes, now);
      return;
    }
    const header = bytes.subarray(0, this.#plainBytesLeft);
    this.#plainBytesLeft -= header.length;
    if (this.#plainBytesLeft === 0) {
      this.#log(
        'warning',
        'a connection without TLS gets no further than the list of SASL mechanisms: connect with TLS',
      );
    }
    this.#engine.receive(header, now);
  }

  receiveEnd(now: number, cause?: Error): void {
    this.#engine.receiveEnd(now, cause);
  }

  takeOutput(now: number): Uint8Array[] | undefined {
    if (this.#context.host.journal?.flush() === false) return undefined;
    return this.#frozen ? undefined : this.#engine.takeOutput(now);
  }

  releaseOutput(buffers: Uint8Array[], now: number): void {
    this.#engine.releaseOutput(buffers, now);
  }

  deadline(): number | undefined {
    return this.#frozen ? undefined : this.#engine.deadline();
  }

  tick(now: number): void {
    if (!this.#frozen) this.#engine.tick(now);
  }

  get congested(): boolean {
    return this.#frozen || this.#engine.congested;
  }

  get done(): boolean {
    return this.#engine.done;
  }

  // ---- for the namespace ----

  get links(): readonly NamespaceLink[] {
    return [...this.#links];
  }

  /** Closes with an error; tracking is added to its text. */
  close(error: AmqpErrorFields): void {
    this.#log('info', `connection closed: ${error.condition}: ${error.description ?? ''}`);
    this.#engine.close({ ...error, description: this.#tracked(error.description ?? '') });
  }

  /** Ends without a word, as when a gateway is recycled. */
  drop(): void {
    this.#engine.abort();
    // The engine of a frozen one has asked for its output to be taken before, and does not ask twice.
    this.#engine.wake?.();
  }

  /** Neither reads nor writes any more, and keeps the socket: a peer that hangs. */
  freeze(): void {
    this.#frozen = true;
    for (const alarm of this.#alarms) alarm.stop();
  }

  /** Takes all tokens back and detaches what depended on them. */
  revokeTokens(): void {
    this.access.revokeAll();
    this.#detachUnauthorized();
  }

  // ---- what the peer does ----

  onOpen(_connection: Connection, open: Open): void {
    const { times, host, connections, connectionsMax } = this.#context;
    const now = host.clock.now();
    this.#engine.open({
      hostname: undefined,
      maxFrameSize: Math.min(FRAME_SIZE_MAX, open.maxFrameSize ?? FRAME_SIZE_MAX),
      channelMax: Math.min(CHANNEL_MAX, open.channelMax ?? CHANNEL_MAX),
      idleTimeOut: times.idleTimeOutMs,
    });
    const idle = open.idleTimeOut ?? 0;
    if (idle > 0 && idle < times.minimumIdleTimeOutMs) {
      this.close({
        condition: 'amqp:not-allowed',
        description:
          `Idle timeout value specified in connection OPEN ('${idle} ms') is not supported. ` +
          `Minimum idle timeout is '${times.minimumIdleTimeOutMs}' ms.`,
      });
      return;
    }
    if (connections.size > connectionsMax) {
      this.close({
        condition: 'amqp:resource-limit-exceeded',
        description: `Connection quota of ${connectionsMax} connections has been reached.`,
      });
      return;
    }
    this.#openedAt = this.#linklessSince = now;
    this.#silence.atLatest(now + times.idleTimeOutMs);
    this.#linkless.atLatest(now + times.firstLinkMs);
    this.#echo.atLatest(now + times.sessionEchoMs);
    if (!this.access.isPlain) this.#tokens.atLatest(now + times.tokenDeadlineMs);
    this.#log('debug', `open from container '${open.containerId.slice(0, 100)}'`);
  }

  onBegin(session: Session): void {
    this.#sessions.add(session);
    session.begin({
      incomingWindow: INCOMING_WINDOW,
      handleMax: Math.min(HANDLE_MAX, session.remoteBegin?.handleMax ?? HANDLE_MAX),
      nextOutgoingId: 1,
      properties: new Map(),
    });
  }

  onEnd(session: Session): void {
    this.#sessions.delete(session);
  }

  onAttach(link: SenderLink | ReceiverLink, attach: Attach): void {
    const answer = this.#desk.attach(link, attach);
    if (answer === undefined) return;
    if ('condition' in answer) this.refuse(link, answer);
    else this.register(answer);
  }

  // ---- what the desk decides ----

  /** Answers an attach with the reason why not. */
  refuse(link: SenderLink | ReceiverLink, refusal: Refusal): void {
    this.#log('info', `attach of '${link.name.slice(0, 100)}' refused: ${refusal.condition}: ${refusal.description}`);
    this.answer(() => link.refuse({ condition: refusal.condition, description: this.#tracked(refusal.description) }));
  }

  /**
   * Says something that the peer's frames may be too small for, which ends this connection. Answers that come late are given
   * while another connection, or a timer, is served: those must not hear of it.
   *
   * @returns whether it was said
   */
  answer(say: () => void): boolean {
    try {
      say();
      return true;
    } catch (error) {
      if (!(error instanceof LocalProtocolError)) throw error;
      this.close({ condition: error.condition, description: error.description });
      return false;
    }
  }

  /** An attach waits for its answer. While one does, the connection is in use. */
  onPending(attach: object): void {
    this.#pending.add(attach);
  }

  onAnswered(attach: object): void {
    this.#pending.delete(attach);
    if (this.#links.size === 0) this.#startLinkless();
  }

  /** Keeps a link that was accepted. */
  register(accepted: NamespaceLink): void {
    const key = this.#nameOf(accepted);
    const older = this.#context.linksByName.get(key);
    this.#context.linksByName.set(key, { owner: this, link: accepted });
    this.#links.add(accepted);
    this.#hadLinks = true;
    this.#idleLinks.atLatest(accepted.lastActivity + this.#context.times.linkIdleMs);
    older?.owner.detach(older.link, {
      condition: 'amqp:link:stolen',
      description: `The link '${accepted.link.name.slice(0, 100)}' was stolen: another link of the same name was attached.`,
    });
  }

  onProtocolError(_connection: Connection, error: ProtocolError): void {
    this.#log('warning', `breach of the protocol: ${error.message}`);
  }

  onClosed(_connection: Connection, end: ConnectionEnd): void {
    for (const alarm of this.#alarms) alarm.stop();
    for (const link of this.#links) this.onGone(link);
    this.#sessions.clear();
    this.#context.connections.delete(this);
    this.#log('debug', `connection ended (${end.by})${end.error === undefined ? '' : `: ${end.error.condition}`}`);
  }

  // ---- what links report ----

  onActivity(link: NamespaceLink): void {
    link.lastActivity = this.#context.host.clock.now();
  }

  onGone(link: NamespaceLink): void {
    if (!this.#links.delete(link)) return;
    const entity = this.#context.broker.entity(link.entityPath);
    // Who receives uses the entity for as long as the link is there.
    const usedAt = link.use === 'consumer' ? this.#context.host.clock.now() : link.lastActivity;
    if (entity !== undefined) entity.usedAt = Math.max(entity.usedAt, usedAt);
    const key = this.#nameOf(link);
    if (this.#context.linksByName.get(key)?.link === link) this.#context.linksByName.delete(key);
    link.onGone();
    if (this.#links.size === 0) this.#startLinkless();
  }

  #startLinkless(): void {
    if (this.#pending.size > 0 || this.#engine.ended !== undefined) return;
    const { firstLinkMs, noLinkMs } = this.#context.times;
    this.#linklessSince = this.#context.host.clock.now();
    this.#linkless.atLatest(this.#linklessSince + (this.#hadLinks ? noLinkMs : firstLinkMs));
  }

  detach(link: NamespaceLink, error: AmqpErrorFields): void {
    this.#log(
      'info',
      `link '${link.link.name.slice(0, 100)}' detached: ${error.condition}: ${error.description ?? ''}`,
    );
    link.link.detach({ ...error, description: this.#tracked(error.description ?? '') });
    this.onGone(link);
  }

  // ---- clocks ----

  get #alarms(): readonly Alarm[] {
    return [this.#silence, this.#linkless, this.#idleLinks, this.#tokens, this.#echo];
  }

  #checkSilence(): void {
    const { idleTimeOutMs } = this.#context.times;
    const end = this.#lastReceived + idleTimeOutMs;
    if (end > this.#context.host.clock.now()) {
      this.#silence.atLatest(end);
      return;
    }
    this.close({
      condition: 'amqp:connection:forced',
      description:
        `The connection was inactive for more than the allowed ${idleTimeOutMs} milliseconds and is closed by container ` +
        `'${this.containerId}'.`,
    });
  }

  #checkLinkless(): void {
    if (this.#links.size > 0 || this.#pending.size > 0) return;
    const { firstLinkMs, noLinkMs } = this.#context.times;
    const limit = this.#hadLinks ? noLinkMs : firstLinkMs;
    const end = this.#linklessSince + limit;
    if (end > this.#context.host.clock.now()) {
      this.#linkless.atLatest(end);
      return;
    }
    this.close({
      condition: 'amqp:connection:forced',
      description:
        `The connection was closed by container '${this.containerId}' because it did not have any active links in the ` +
        `past ${limit} milliseconds.`,
    });
  }

  #checkIdleLinks(): void {
    const { linkIdleMs } = this.#context.times;
    const now = this.#context.host.clock.now();
    let next = Infinity;
    for (const link of this.#links) {
      const end = link.lastActivity + linkIdleMs;
      if (end > now) {
        next = Math.min(next, end);
        continue;
      }
      this.detach(link, {
        condition: 'amqp:link:detach-forced',
        description: this.#forced(
          link,
          `${CLIENT_NAMES[link.use]}.IdleTimerExpired: Idle timeout: ${durationText(linkIdleMs)}.`,
        ),
      });
    }
    this.#idleLinks.atLatest(next);
  }

  /** A token was accepted. */
  onToken(): void {
    this.#hadToken = true;
    this.#tokens.atLatest(this.access.nextExpiry);
  }

  #checkTokens(): void {
    const { host, times } = this.#context;
    const deadline = this.#openedAt + times.tokenDeadlineMs;
    if (!this.#hadToken) {
      if (deadline > host.clock.now()) {
        this.#tokens.atLatest(deadline);
        return;
      }
      this.close({
        condition: 'amqp:connection:forced',
        description: `No valid token was put to $cbs within ${times.tokenDeadlineMs} milliseconds.`,
      });
      return;
    }
    this.access.expire();
    this.#detachUnauthorized();
    this.#tokens.atLatest(this.access.nextExpiry);
  }

  #detachUnauthorized(): void {
    for (const link of this.#links) {
      const { rights, nodePath } = link;
      if (rights.length === 0 || rights.some((right) => this.access.may(right, nodePath))) continue;
      this.detach(link, {
        condition: 'amqp:link:detach-forced',
        description: this.#forced(
          link,
          `RenewToken. Details: Unauthorized access. '${rights.join(', ')}' claim(s) are required to ` +
            'perform this operation.',
          'RenewToken',
        ),
      });
    }
  }

  #askForFlows(): void {
    for (const session of this.#sessions) session.sendSessionFlow(true);
    this.#echo.atLatest(this.#context.host.clock.now() + this.#context.times.sessionEchoMs);
  }

  /** The text of a forced detach. */
  #forced(link: NamespaceLink, details: string, code?: string): string {
    const start = `The link 'G0:${link.link.handle}:${link.link.name.slice(0, 100)}' is force detached.`;
    if (code !== undefined) return `${start} Code: ${details}`;
    return `${start} Code: ${link.use === 'request' ? 'client' : link.use}(link${link.link.handle}). Details: ${details}`;
  }

  #nameOf(link: NamespaceLink): string {
    const container = this.#engine.remoteOpen?.containerId ?? '';
    return JSON.stringify([container, link.link.isReceiver, link.link.name]);
  }

  #tracked(text: string): string {
    return tracked(text, this.#context.host);
  }

  #log(level: 'debug' | 'info' | 'warning', text: string): void {
    this.#context.host.log?.(level, this.#info.peer === undefined ? text : `${this.#info.peer}: ${text}`);
  }

  /** Hostname of the peer's `open`, without a port. */
  get openHostname(): string | undefined {
    return this.#engine.remoteOpen?.hostname?.replace(/:\d+$/, '').toLowerCase();
  }
}
