// SPDX-License-Identifier: Apache-2.0
export { CbsClient, type CbsClientOptions, type CbsEvent, type TokenFailure, type TokenState } from './cbs-client.js';
export { CbsLinks, type CbsAnswer, type CbsLinksOptions, type CbsResult } from './cbs-links.js';
export {
  ConnectionStringError,
  IDLE_TIME_OUT_MS,
  impliedConnector,
  parseConnectionString,
  type ConnectionString,
  type ImpliedAuthentication,
  type ImpliedConnector,
  type TlsMode,
} from './connection-string.js';
export {
  classify,
  conditionEntry,
  CONDITIONS,
  isNormalLife,
  trackingIdOf,
  type ConditionClass,
  type ConditionEntry,
  type RetryScope,
} from './conditions.js';
export {
  EntityManagement,
  type EntityManagementOptions,
  type ServiceAnswer,
  type ServiceResult,
} from './entity-management.js';
export { entityAddressOf, type EntityAddress, type EntityKind } from './entity-address.js';
export { checkAutolink, checkIdleTimeOut, explain, IDLE_MINIMUM_MS, type Explanation } from './explain.js';
export {
  problemOf,
  type AuthenticationFailure,
  type AutolinkFailure,
  type ConnectionFailure,
  type ConnectionProblem,
  type Failure,
  type IdleFailure,
  type Step,
  type SystemError,
  type SystemProblem,
  type TlsFailure,
  type TlsProblem,
} from './failure.js';
export { CoordinatorRelay, type CoordinatorRelayOptions } from './coordinator-relay.js';
export { FrontDoor, type FrontDoorOptions } from './front-door.js';
export { HUB_POSITIONS_MAX, HubPositions, isHubPartition } from './hub-positions.js';
export type { HubPosition, HubPositionsObserver, HubReaderId } from './hub-positions.js';
export { HUB_READER_CAPABILITIES } from './hub-reader.js';
export type { HubInbox, HubProgress, HubReader, HubReaderHost } from './hub-reader.js';
export { inboundAttach, sessionOf, type InboundWish } from './inbound-attach.js';
export { isServiceBusHost } from './host.js';
export { ManagementRelays } from './management-relays.js';
export type { Authorize, ManagementRelayOptions, NoAnswer, OwnRequests } from './management-relay.js';
export { LateSettlements, type LateMessage, type LateResult, type LateSettlementsOptions } from './late-settlements.js';
export { LockKeeper, type LockedMessage, type LockedMessages, type LockKeeperOptions } from './lock-keeper.js';
export { lockTokenOf } from './lock-token.js';
export { sequenceNumberOf } from './message-annotation.js';
export { OF_AUTOLINKS, SessionHolders, type Holder } from './session-holders.js';
export { type SharedNode } from './shared-node.js';
export {
  outcomeToProducer,
  outcomeToServiceBus,
  settlementAnswer,
  TO_SERVICE_BUS,
  type ConsumerSaid,
  type OutcomeToProducer,
  type OutcomeToServiceBus,
  type ServiceBusSaid,
  type SettlementAnswer,
} from './outcomes.js';
export { attemptAfter, RETRY_POLICIES, retryDelay, type RetryPolicy } from './retry.js';
export {
  covers,
  makeSasToken,
  parseSasToken,
  sasSignature,
  verifySasToken,
  type SasToken,
  type SasTokenOptions,
  type SasVerdict,
} from './sas-token.js';
export { SessionKeeper, type SessionKeeperOptions, type SessionMessages } from './session-keeper.js';
export { Secret, withoutSecrets } from './secret.js';
export {
  jwtExpiryMs,
  sasKeyProvider,
  sasTokenProvider,
  sharedTokenProvider,
  TokenError,
  type AzureToken,
  type TokenProvider,
  type TokenRequest,
} from './token.js';
