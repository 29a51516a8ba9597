// SPDX-License-Identifier: Apache-2.0
import type { AmqpErrorFields, AmqpValue, Attach, DeliveryState } from '@pointsman/wire';
import type { Clock, Connection, ConnectionEnd, ReceiverLink, SenderLink, Session } from '@pointsman/engine';
import type { BindingSettings, ExchangeSettings } from './exchange.js';
import type { Policy } from './policy/policy.js';
import type { RouterConnection } from './router-connection.js';

/** How messages for an address are spread over its consumers. */
export type Distribution = 'closest' | 'balanced' | 'multicast' | 'unavailable';

export type Direction = 'in' | 'out';

/** One of prefix and pattern is given. */
export interface AddressSettings {
  readonly name?: string | undefined;
  readonly prefix?: string | undefined;
  readonly pattern?: string | undefined;
  readonly distribution: Exclude<Distribution, 'unavailable'> | 'unavailable';
  /** Senders attach to phase 0, receivers to phase 1, where no phase is given. */
  readonly waypoint?: boolean | undefined;
  /** 0 to 9. */
  readonly ingressPhase?: number | undefined;
  readonly egressPhase?: number | undefined;
  /** 0 to 9: priority of messages, whatever theirs is. */
  readonly priority?: number | undefined;
  /** Messages that nobody takes go to a fallback destination. Not together with phases. */
  readonly enableFallback?: boolean | undefined;
}

/** One of prefix and pattern, and containerId, connection or both. */
export interface LinkRouteSettings {
  readonly name?: string | undefined;
  readonly prefix?: string | undefined;
  readonly pattern?: string | undefined;
  /** `in`: clients send; `out`: clients receive. */
  readonly direction: Direction;
  readonly containerId?: string | undefined;
  /** Name of a connector or listener. */
  readonly connection?: string | undefined;
  readonly addExternalPrefix?: string | undefined;
  readonly delExternalPrefix?: string | undefined;
}

export interface AutoLinkSettings {
  readonly name?: string | undefined;
  readonly address: string;
  /** `in`: messages come from the container; `out`: they go to it. */
  readonly direction: Direction;
  /** 0 to 9; by default 1 for `in`, 0 for `out`. */
  readonly phase?: number | undefined;
  readonly containerId?: string | undefined;
  readonly connection?: string | undefined;
  /** Name of the node at the container, where it differs from {@link address}. */
  readonly externalAddress?: string | undefined;
  /** `out`: the node takes what nobody else does. `in`: what comes from it does not go back there. Without a phase. */
  readonly fallback?: boolean | undefined;
  /** `in`: locks are renewed while their messages are in hand, where the container has locks. Default: true. */
  readonly renewLocks?: boolean | undefined;
  /** `in`: `receiveAndDelete` takes messages settled: gone from the container as it sends them. Default: `peekLock`. */
  readonly receiveMode?: 'peekLock' | 'receiveAndDelete' | undefined;
  /** `in`: messages in hand at most. */
  readonly prefetch?: number | undefined;
  /** `in`: selector by which the container picks messages. */
  readonly filter?: string | undefined;
  /** `in`: message session whose messages are wanted, or the next one that is free, where the container has sessions. */
  readonly sessionId?: string | undefined;
  readonly nextSession?: boolean | undefined;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'notice' | 'warning' | 'error' | 'critical';

/** Where the router writes what happens; `module` is one of the old router's log modules. */
export type Log = (module: string, level: LogLevel, text: string) => void;

export interface RouterOptions {
  readonly id: string;
  readonly area?: string;
  readonly defaultDistribution?: Distribution;
  readonly addresses?: readonly AddressSettings[];
  readonly linkRoutes?: readonly LinkRouteSettings[];
  readonly autoLinks?: readonly AutoLinkSettings[];
  /** Routed links may have a terminus that outlives its connection. Default: true. */
  readonly allowResumableLinkRoute?: boolean;
  readonly exchanges?: readonly ExchangeSettings[];
  readonly bindings?: readonly BindingSettings[];
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log?: Log;
  /** Who may connect, and what they may do. Default: everybody everything. */
  readonly policy?: Policy;
  /** How often links are looked at for deliveries that are stuck, and their age from which on they are. Whole seconds. */
  readonly stuckScanSeconds?: number;
  readonly stuckAgeSeconds?: number;
  /** Attributes of the router's entity that only its process knows, such as version and metadata. */
  readonly facts?: () => Readonly<Record<string, AmqpValue>>;
}

/** How the link of an autolink ended, this time and before. */
export interface LinkFailure {
  /** Failures in a row, from 1, whatever their causes. */
  readonly attempt: number;
  /** How many of them, up to this one, had the same condition. From 1. */
  readonly sameInARow: number;
  /** How long the link was attached, in ms; 0 where it was refused. */
  readonly attachedMs: number;
  /** The link was refused as it was the last time. */
  readonly isRepeated: boolean;
}

/** How a container of one kind has to be spoken to, where it differs from plain AMQP. */
export interface ContainerDialect {
  /**
   * Gets the right to attach a link at the node `address` of the container. `done` is called once, with an error where there
   * is none, or the connection ends: then the link fails as if the container had refused it. At once it is called only
   * without an error.
   *
   * @param direction - as of an autolink: `in` for what comes from the container
   * @returns to be called when the link has ended, or is not wanted any more, with the error that ended it; `done` is not
   *   called from then on
   */
  authorize?(
    address: string,
    direction: Direction,
    done: (error: AmqpErrorFields | undefined) => void,
  ): (error?: AmqpErrorFields) => void;
  /**
   * The same on behalf of a client whose link is to be routed there: it hears the error. Default: {@link authorize}.
   */
  authorizeClient?(
    address: string,
    done: (error: AmqpErrorFields | undefined) => void,
  ): (error?: AmqpErrorFields) => void;
  /**
   * Hears first of every link of a client that is to be routed to the container. True where the dialect has taken the link and
   * serves it itself.
   *
   * @param address - the node's name at the container; undefined where the attach names none, as for a coordinator
   */
  takeLink?(link: SenderLink | ReceiverLink, attach: Attach, address: string | undefined): boolean;
  /**
   * A session for autolinks at a node that the dialect serves itself, in place of one of the connection; undefined for all other
   * nodes.
   *
   * @param address - the node's name at the container
   * @throws LocalProtocolError where there is no room
   */
  sessionTo?(address: string): Session | undefined;
  /** The connection has ended, and with it what the dialect serves itself. */
  closed?(): void;
  /**
   * Hears of every routed link that the container has attached.
   *
   * @param client - connection of the client that the link is for
   * @param address - the node's name at the container; undefined as in {@link takeLink}
   * @param attach - the container's answer
   * @returns to be called when the link has ended
   */
  linkRouted?(client: Connection, address: string | undefined, attach: Attach): (() => void) | undefined;
  /**
   * Where several connections lead to the container, all routed links of one client go to the same of them: what a link holds
   * there is known to no other connection.
   */
  readonly keepsTogether?: boolean;
  /** What a consumer's outcome becomes towards the container. */
  outcomeToContainer?(state: DeliveryState | undefined): DeliveryState;
  /** What the container's outcome becomes towards the producer. */
  outcomeFromContainer?(state: DeliveryState | undefined): DeliveryState;
  /** Ms until a link that ended with `error` is attached again. */
  retryDelay?(error: AmqpErrorFields | undefined, failure: LinkFailure, settings: AutoLinkSettings): number;
  /** What the attach of an inbound autolink says besides, and how many messages it takes where nothing else is given. */
  inboundAttach?(settings: AutoLinkSettings): {
    readonly filter?: Map<AmqpValue, AmqpValue> | undefined;
    readonly properties?: Map<string, AmqpValue> | undefined;
    readonly credit?: number | undefined;
    /** Address of the router's end. */
    readonly target?: string | undefined;
    readonly desiredCapabilities?: readonly string[] | undefined;
    /** The container keeps its messages, and sends them settled: what becomes of them is for {@link tend} alone. */
    readonly keepsMessages?: boolean | undefined;
  };
  /** Its links and connections come and go without cause: what is sent to a node meanwhile waits some seconds for the link. */
  readonly awaitsLinks?: boolean;
  /** A link was refused, or ended, since there is nothing for it at the moment: no failure. */
  isWait?(error: AmqpErrorFields | undefined, settings: AutoLinkSettings): boolean;
  /** Says what a refusal means and what to change. */
  explain?(error: AmqpErrorFields | undefined, link: RefusedLink): string;
  /** The end of a link in the normal course of things: not worth more than an info line. */
  isNormalEnd?(error: AmqpErrorFields | undefined): boolean;
  /** Most messages that an inbound autolink takes ahead of their settlement. */
  readonly inboundCredit?: number;
  /** Receivers settle second: the container confirms each outcome. */
  readonly settleSecond?: boolean;
  /** What it means that the container answered `answer` to the outcome `said`. Default: it has taken it. */
  verdictOf?(said: DeliveryState, answer: DeliveryState): SettlementVerdict;
  /**
   * Tells the container of an outcome that its link could not carry, or carried in vain.
   *
   * @param address - node that the message came from
   * @param state - as of {@link outcomeToContainer}
   * @param done - called once
   */
  settleLater?(
    address: string,
    message: LateMessage,
    state: DeliveryState,
    done: (result: LateSettlement) => void,
  ): void;
  /** What the container knows a message by, whoever it gives it to, and however often. @param bytes - its first ones */
  identityOf?(bytes: Uint8Array): MessageIdentity | undefined;
  /** What came on a link of these settings is no longer ours when the link has ended. Default: it still is. */
  locksEndWithLink?(settings: AutoLinkSettings): boolean;
  /** Looks after the messages that are in hand of an inbound autolink, until {@link InboxCare.stop} is called. */
  tend?(inbox: ContainerInbox): InboxCare;
  /**
   * Ms until an inbound autolink asks for the `n`th message, from 1 on, while every message is released: the container
   * gives out again at once what it gets back. Default: it is not slowed.
   */
  releaseDelay?(n: number): number;
}

/**
 * `done`: the container has the outcome, or it does not matter any more. `gone`: it came too late, and the message comes
 * again. `again`: it is to be told once more.
 */
export type SettlementVerdict = 'done' | 'gone' | 'again';

/** `taken`: the container has the outcome. `gone`: it gives the message out again. `unknown`: one of the two. */
export type LateSettlement = 'taken' | 'gone' | 'unknown';

export type MessageIdentity = string | number | bigint;

/** A message whose outcome is told beyond its link. */
export interface LateMessage {
  /** Of its delivery. */
  readonly tag: Uint8Array;
  readonly identity: MessageIdentity | undefined;
  /** Its outcome was told on the link, which ended before there was an answer: it may have been heard. */
  readonly wasTold: boolean;
  /** Ms of the clock until which it was ours for certain. */
  readonly heldUntil: number;
}

/** A message that came from a container, and whose outcome the container does not know yet. */
export interface HeldMessage {
  readonly tag: Uint8Array;
  /** Ms of the clock at which it came. */
  readonly since: number;
  /** Belongs to whoever looks after it. */
  note: unknown;
}

/** What an inbound autolink has in hand of one link, whether that is still attached or not. */
export interface ContainerInbox {
  /** Name of the node at the container. */
  readonly address: string;
  /** Oldest first. */
  readonly held: Iterable<HeldMessage>;
  readonly heldCount: number;
  /** Messages that were settled, and ms that they were in hand, altogether. */
  readonly settled: number;
  readonly handlingMs: number;
  /** Messages that may be in hand at most, and at the moment. */
  readonly capacity: number;
  readonly creditLimit: number;
  readonly settings: AutoLinkSettings;
  /** The container's. */
  readonly attach: Attach | undefined;
  readonly renewsLocks: boolean;
  limitCredit(count: number): void;
  /** Counts a lock that was renewed. */
  renewed(): void;
  /** Detaches, and attaches anew, after so many ms. Default: at once. */
  leave(afterMs?: number): void;
  /** So far the node has been read, where it keeps its messages. */
  reached(position: ReadPosition): void;
  /** What was told last, on this link or on one before it. */
  readonly position: ReadPosition | undefined;
}

/** How far a node has been read that keeps its messages. */
export interface ReadPosition {
  /** Of the last message that is settled, and all before it; undefined where there is none yet. */
  readonly offset: string | undefined;
  readonly sequence: number | undefined;
  /** Sequence number of the newest message that is known of. */
  readonly end: number | undefined;
  /** Times that messages were read again, since a receiver had given one back; and how often in a row, without progress. */
  readonly replays: number;
  readonly inVain: number;
  /** Messages that had gone before they were read. */
  readonly missed: number;
}

export interface InboxCare {
  /** Shown the first bytes of messages, until it has seen enough: returns true. */
  look?(bytes: Uint8Array): boolean;
  /**
   * A message begins that is not settled.
   *
   * @param bytes - the first of it
   * @returns false where it was settled when it came before: it counts as accepted, and goes no further
   */
  took?(message: HeldMessage, bytes: Uint8Array): boolean;
  /** What became of it, while its link was there; undefined where it was withdrawn. */
  over?(message: HeldMessage, outcome: DeliveryState | undefined): void;
  /** What became of it when its link had gone, where that ends what it has of its messages. @returns whether it is of use */
  late?(message: HeldMessage, outcome: DeliveryState): boolean;
  /** Ms of the router's clock until which a message is ours for certain. Default: it is not. */
  heldUntil?(message: HeldMessage): number;
  stop(): void;
}

/** A link that was refused or detached. */
export interface RefusedLink {
  readonly name: string;
  readonly direction: Direction;
  readonly address: string;
  readonly externalAddress: string;
}

/** A whole message for a node within the router. */
export interface InProcessMessage {
  /** All sections, encoded; the receiver's own. */
  readonly bytes: Uint8Array;
  /** Connection that it came over; undefined where it came from within the router. */
  readonly from: RouterConnection | undefined;
}

/** A node within the router. It must not throw: what it does is not the sender's affair. */
export type InProcessReceiver = (message: InProcessMessage) => void;

/** What the owner of a connection hears of it. */
export interface ConnectionHooks {
  onAuthenticated?(connection: Connection, mechanism: string): void;
  /** Before anything is attached. */
  onOpened?(connection: Connection): void;
  /** A policy does not let it in: it is closed. */
  onDenied?(connection: Connection, reason: string): void;
  onClosed?(connection: Connection, end: ConnectionEnd): void;
}

/** What the router has to know of a connection besides what AMQP tells. */
export interface RouterConnectionSettings {
  readonly role: 'normal' | 'route-container' | 'inter-router' | 'edge';
  readonly direction: Direction;
  /** Name of the listener or connector; undefined where the operator gave none. */
  readonly name?: string | undefined;
  /** `host:port` of the peer, for logs. */
  readonly peer: string;
  readonly linkCapacity?: number | undefined;
  /** Transfer frames that a session may have on the way to us, 1 or more. Default: as many as is good. */
  readonly maxSessionFrames?: number | undefined;
  readonly stripAnnotations?: 'both' | 'in' | 'out' | 'no' | undefined;
  /** Its addresses are those of the host name that the peer gives in its open, where it gives one. */
  readonly multiTenant?: boolean | undefined;
  /** Numeric address of the peer, for policies. */
  readonly peerHost?: string | undefined;
  /** Policy vhost of the listener, in place of the host name of the peer's open; of a connector, the one that counts. */
  readonly policyVhost?: string | undefined;
  readonly hooks?: ConnectionHooks | undefined;
  /** Reads what the peer calls an address: its name for the node is told back to it, not this. Left out: it is taken as it is. */
  readonly readAddress?: ((text: string) => string) | undefined;
  /**
   * Hears of every attach of the peer first. True where it has taken or refused the link: it is then no affair of the
   * router's.
   */
  readonly takeLink?: ((link: SenderLink | ReceiverLink, attach: Attach) => boolean) | undefined;
  readonly messageLogging?: MessageLogging | undefined;
  /** TLS of the connection; undefined without. */
  readonly security?: (() => ConnectionSecurity | undefined) | undefined;
}

export interface ConnectionSecurity {
  /** As `TLSv1.3`. */
  readonly protocol: string;
  readonly cipher: string;
  /** Strength of the cipher in bits. */
  readonly bits: number;
}

/** Which parts of messages are logged. */
export interface MessageLogging {
  /** As messageLoggingComponents has it: `none`, `all`, or names separated by commas. */
  readonly components: string;
  /** Module MESSAGE has level trace now. */
  readonly isOn: () => boolean;
}
