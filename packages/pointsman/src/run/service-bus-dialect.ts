// SPDX-License-Identifier: Apache-2.0
import {
  HUB_READER_CAPABILITIES,
  LockKeeper,
  OF_AUTOLINKS,
  SessionKeeper,
  attemptAfter,
  classify,
  entityAddressOf,
  explain,
  inboundAttach,
  isHubPartition,
  isNormalLife,
  outcomeToProducer,
  outcomeToServiceBus,
  retryDelay,
  sequenceNumberOf,
  sessionOf,
  settlementAnswer,
} from '@pointsman/azure';
import type {
  CbsClient,
  ConsumerSaid,
  CoordinatorRelay,
  EntityManagement,
  HubPositions,
  HubReaderId,
  LateSettlements,
  ManagementRelays,
  Secret,
  SessionHolders,
} from '@pointsman/azure';
import { ACCEPTED, RELEASED } from '@pointsman/engine';
import type {
  AutoLinkSettings,
  ContainerDialect,
  ContainerInbox,
  InboxCare,
  RefusedLink,
  SettlementVerdict,
} from '@pointsman/router';
import type { AmqpErrorFields, DeliveryState } from '@pointsman/wire';
import type { Surroundings } from './surroundings.js';

/** Where the dialect is spoken, for its messages. */
export interface ServiceBusPlace {
  readonly connector: string;
  readonly host: string;
  readonly port: number;
  readonly policy: string | undefined;
  readonly byConnectionString: boolean;
  readonly secrets: readonly Secret[];
  readonly surroundings: Surroundings;
  /** Tokens of the connection; undefined where SASL has said who we are. */
  readonly tokens: CbsClient | undefined;
  /** What serves the nodes for management of its entities. */
  readonly management: ManagementRelays;
  /** What serves transactions of clients whose links are routed. */
  readonly coordinator: CoordinatorRelay;
  /** Whose the message sessions are that links over the connection have. */
  readonly sessions: SessionHolders;
  /** Where tokens come from. */
  readonly tokenSource: string | undefined;
  /** Of the connector: they outlast its connections. */
  readonly entities: EntityManagement;
  readonly lateSettlements: LateSettlements;
  readonly positions: HubPositions;
  readonly log: (level: 'info' | 'warning', text: string) => void;
}

/** Messages taken from a queue ahead of their settlement: each is locked from then on, so there must not be many. */
const INBOUND_CREDIT = 50;

/** Wait for the next message while all are released: the first, and the longest. Ms. */
const RELEASE_FIRST_MS = 100;
const RELEASE_MAX_MS = 30_000;

/** Azure Service Bus, where it differs from a plain AMQP container. */
export function serviceBusDialect(place: ServiceBusPlace): ContainerDialect {
  const { tokens } = place;
  const { random } = place.surroundings;
  return {
    ...(tokens === undefined
      ? {}
      : {
          authorize: (address, _direction, done) => tokens.authorize(address, done),
          authorizeClient: (address, done) => tokens.authorizeClient(address, done),
        }),
    takeLink: (link, attach, address) =>
      address === undefined ? place.coordinator.take(link, attach) : place.management.take(link, attach, address),
    sessionTo: (address) => place.management.sessionTo(address),
    closed: () => place.management.close(),
    linkRouted(client, address, attach) {
      const session = sessionOf(attach);
      return session === undefined || address === undefined
        ? undefined
        : place.sessions.hold(address, session.id, client);
    },
    inboundCredit: INBOUND_CREDIT,
    settleSecond: true,
    awaitsLinks: true,
    keepsTogether: true,
    outcomeToContainer: (state) => toServiceBus(state),
    outcomeFromContainer: (state) => fromServiceBus(state),
    verdictOf: (said, answer) => verdictOf(said, answer),
    settleLater: (address, message, state, done) => place.lateSettlements.settle(address, message, state, done),
    identityOf: sequenceNumberOf,
    tend: (inbox) => careOf(place, inbox),
    inboundAttach(settings) {
      const isSession = isOfSessions(settings);
      const { address, externalAddress = address } = settings;
      if (isOfHub(settings))
        return {
          ...inboundAttach({ filter: place.positions.filterOf(readerOf(place, settings)) }),
          desiredCapabilities: HUB_READER_CAPABILITIES,
          keepsMessages: settings.receiveMode !== 'receiveAndDelete',
        };
      return {
        ...inboundAttach(settings),
        // Two messages of a session on their way at once may change places.
        ...(isSession ? { credit: 1 } : {}),
        // Answers go to the link whose address a request names in reply-to.
        ...(entityAddressOf(externalAddress).kind === 'management' ? { target: address } : {}),
      };
    },
    locksEndWithLink: (settings) => isOfSessions(settings) || isOfHub(settings),
    isWait: (error, { nextSession }) => nextSession === true && error?.condition === 'com.microsoft:timeout',
    releaseDelay: (n) => Math.min(RELEASE_MAX_MS, RELEASE_FIRST_MS * 2 ** Math.min(n - 1, 20)) * (1 + random() / 4),
    isNormalEnd: (error) => isNormalLife(classify(error?.condition, error?.description)),
    retryDelay(error, { attempt, sameInARow, attachedMs, isRepeated }, settings): number {
      const kind = classify(error?.condition, error?.description);
      if (isOfSessions(settings)) {
        if (settings.nextSession === true && error?.condition === 'com.microsoft:timeout')
          return retryDelay('idle', 0, random);
        // Held by another, perhaps by a link of ours that the service has not missed yet.
        if (error?.condition === 'com.microsoft:session-cannot-be-locked')
          return retryDelay('transient', attempt - 1, random);
      }
      // A token that ended just now: the next attempt has a new one. Refused again, it is a matter of rights.
      const isStale = kind === 'unauthorized' && tokens !== undefined && !isRepeated;
      if (isStale && tokens.failureOf(error!) === undefined) return retryDelay('token', 0, random);
      // The service said for how long to wait: what had happened to the link before has no part in that.
      if (kind === 'busy') return retryDelay(kind, sameInARow - 1, random);
      // The first failure after a steady time is attempt 0.
      return retryDelay(kind, attemptAfter(kind, attempt - 1, attachedMs), random);
    },
    explain: (error, link) => explainLink(place, error, link),
  };
}

function isOfSessions({ sessionId, nextSession }: AutoLinkSettings): boolean {
  return sessionId !== undefined || nextSession === true;
}

function isOfHub({ address, externalAddress = address }: AutoLinkSettings): boolean {
  return isHubPartition(externalAddress);
}

/** Links with the same have the same position in an event hub. */
function readerOf({ host }: ServiceBusPlace, { address, externalAddress, filter }: AutoLinkSettings): HubReaderId {
  return { namespace: host, node: externalAddress ?? address, address, filter };
}

/** Looks after messages: by their own locks, by that of their session, or by how far they have been read. */
function careOf(place: ServiceBusPlace, inbox: ContainerInbox): InboxCare {
  const { settings } = inbox;
  // Answers come settled.
  if (entityAddressOf(inbox.address).kind === 'management') return { stop: () => undefined };
  const { clock, nowMs } = place.surroundings;
  const common = { messages: inbox, management: place.entities, clock, nowMs };
  if (isOfHub(settings)) {
    const reader = readerOf(place, settings);
    const follower = place.positions.follow(reader, inbox, {
      ...place.surroundings,
      log: (level, text) => place.log(level, `${reader.node} for ${settings.address}: ${text}`),
    });
    const stop = (): void => follower.stop();
    return settings.receiveMode === 'receiveAndDelete'
      ? { look: (bytes) => follower.passed(bytes), stop }
      : {
          took: (message, bytes) => follower.took(message, bytes),
          over: (message, outcome) => follower.over(message, outcome),
          late: (message, outcome) => follower.late(message, outcome),
          stop,
        };
  }
  const takesLocks = settings.receiveMode !== 'receiveAndDelete';
  if (!isOfSessions(settings))
    return takesLocks ? new LockKeeper({ ...common, random: place.surroundings.random }) : { stop: () => undefined };
  const session = sessionOf(inbox.attach);
  const id = session?.id ?? settings.sessionId ?? '';
  const release = place.sessions.hold(inbox.address, id, OF_AUTOLINKS);
  const keeper = takesLocks
    ? new SessionKeeper({
        ...common,
        sessionId: id,
        lockedUntilMs: session?.lockedUntilMs,
        renews: inbox.renewsLocks,
        goesOn: settings.nextSession === true,
      })
    : undefined;
  return {
    stop: () => {
      release();
      keeper?.stop();
    },
  };
}

function explainLink(place: ServiceBusPlace, error: AmqpErrorFields | undefined, link: RefusedLink): string {
  const failure = error === undefined ? undefined : place.tokens?.failureOf(error);
  const isMissing = failure?.status === 404;
  // That there is no token for an entity which is not there says more of the entity than of tokens.
  if (failure !== undefined && !isMissing) {
    return explain({
      step: 'authentication',
      problem: failure.status === undefined ? 'no-token' : 'token-refused',
      connector: place.connector,
      host: place.host,
      port: place.port,
      byConnectionString: place.byConnectionString,
      secrets: place.secrets,
      ...(failure.status === undefined ? {} : { statusCode: failure.status }),
      ...(place.policy === undefined && place.tokenSource !== undefined ? { tokenSource: place.tokenSource } : {}),
    }).message;
  }
  return explain({
    step: 'autolink',
    connector: place.connector,
    host: place.host,
    port: place.port,
    byConnectionString: place.byConnectionString,
    secrets: place.secrets,
    direction: link.direction,
    address: link.address,
    externalAddress: link.externalAddress,
    ...(error === undefined ? {} : { condition: isMissing ? 'amqp:not-found' : error.condition }),
    ...(error?.description === undefined ? {} : { description: error.description }),
    ...(place.policy === undefined ? {} : { policy: place.policy }),
    ...(place.policy === undefined && place.tokenSource !== undefined ? { tokenSource: place.tokenSource } : {}),
  }).message;
}

/** What Service Bus's word on an outcome means. */
function verdictOf(said: DeliveryState, answer: DeliveryState): SettlementVerdict {
  if (!('type' in said) || !('type' in answer)) return 'done';
  const { type } = said;
  if (type !== 'accepted' && type !== 'rejected' && type !== 'released' && type !== 'modified') return 'done';
  const condition = answer.type === 'rejected' ? answer.error?.condition : undefined;
  switch (settlementAnswer(type, answer.type, condition)) {
    case 'done':
      return 'done';
    case 'retry':
      return 'again';
    default:
      return 'gone';
  }
}

function saidBy(state: DeliveryState | undefined): ConsumerSaid {
  if (state === undefined || !('type' in state)) return 'released';
  switch (state.type) {
    case 'accepted':
      return 'accepted';
    case 'rejected':
      return 'rejected';
    case 'modified':
      return state.undeliverableHere === true ? 'modified-undeliverable-here' : 'modified';
    default:
      return 'released';
  }
}

/** What a consumer said, in words that do no harm to a queue. */
function toServiceBus(state: DeliveryState | undefined): DeliveryState {
  const { outcome, deliveryFailed, undeliverableHere, carriesDetails } = outcomeToServiceBus(saidBy(state));
  switch (outcome) {
    case 'accepted':
      return ACCEPTED;
    case 'released':
      return RELEASED;
    case 'rejected':
      return {
        type: 'rejected',
        error:
          carriesDetails && state !== undefined && 'type' in state && state.type === 'rejected'
            ? state.error
            : undefined,
      };
    case 'modified':
      return {
        type: 'modified',
        deliveryFailed,
        undeliverableHere,
        messageAnnotations:
          carriesDetails && state !== undefined && 'type' in state && state.type === 'modified'
            ? state.messageAnnotations
            : undefined,
      };
  }
}

/** What Service Bus said of a message, in words that let the producer do what is right. */
function fromServiceBus(state: DeliveryState | undefined): DeliveryState {
  if (state === undefined || !('type' in state)) return { type: 'modified', deliveryFailed: true };
  if (state.type !== 'rejected') return state;
  const said = outcomeToProducer('rejected', state.error?.condition, false);
  return said.tell === 'rejected' ? state : RELEASED;
}
