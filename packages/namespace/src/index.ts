// SPDX-License-Identifier: Apache-2.0
export { checkName } from './address.js';
export { Administration, type AdminRequest, type AdminResponse } from './admin/administration.js';
export { durationOf, msOfDuration } from './admin/duration.js';
export { XmlError, childOf, readXml, type XmlElement } from './admin/xml.js';
export { Broker, type BrokerNode, type BrokerOptions } from './broker.js';
export type { EventHubOptions } from './event-hubs/event-hub.js';
export { HubHistory, isHubRecord } from './event-hubs/hub-journal.js';
export { partitionOf } from './event-hubs/partition-key.js';
export type { Entity, EntityOptions, EntityStatus, Refusal } from './entity.js';
export type { EntraClaims, NamespaceHost } from './host.js';
export { QueueHistory, type Journal, type JournalRecord } from './journal.js';
export type { LockWatcher, WatchedMessage } from './lock-watcher.js';
export { mebibytes, type MemoryBudget } from './memory-budget.js';
export type { MessageCounts } from './queue-settings.js';
export { DEVELOPMENT_POLICY, Namespace, type Faults, type NamespaceOptions } from './namespace.js';
export type { HmacSha256, PolicyOptions, Right } from './policy.js';
export type { HoldingOptions, QueueOptions, ReceivingOptions } from './queue.js';
export type { ConnectionInfo } from './service-connection.js';
export { CLOUD_TIMES, type Times } from './times.js';
export {
  DEFAULT_RULE_NAME,
  Rule,
  type CorrelationFilter,
  type RuleFilter,
  type RuleOptions,
  type SqlFilter,
} from './rules/rule.js';
export { SqlError } from './rules/sql-tokens.js';
export type { SubscriptionOptions } from './subscription.js';
export type { TopicOptions } from './topic.js';
