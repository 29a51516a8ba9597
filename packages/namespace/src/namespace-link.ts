// SPDX-License-Identifier: Apache-2.0
import type { Link } from '@pointsman/engine';
import type { AmqpErrorFields } from '@pointsman/wire';
import type { Right } from './policy.js';

/** What a link is to the service; the words of its idle time-out follow from it. */
export type LinkUse = 'publisher' | 'consumer' | 'request' | 'coordinator';

/** A link that was accepted, as its connection keeps it. */
export interface NamespaceLink {
  readonly link: Link;
  readonly use: LinkUse;
  /** Path of the entity, lower case; '' for `$cbs` and the coordinator. */
  readonly entityPath: string;
  /** Path of the node itself, lower case. */
  readonly nodePath: string;
  /** Rights of which one must last as long as the link does; none for `$cbs` and the coordinator. */
  readonly rights: readonly Right[];
  /** Ms of the clock at which a message last passed. */
  lastActivity: number;
  /** The link is gone, whoever ended it. Called once. */
  onGone(): void;
}

/** What a link asks of the connection that it is on. */
export interface LinkOwner {
  /** A message or an outcome passed. */
  onActivity(link: NamespaceLink): void;
  /** The peer detached, or the session went. */
  onGone(link: NamespaceLink): void;
  /** Ends the link with an error. */
  detach(link: NamespaceLink, error: AmqpErrorFields): void;
}

/** The words of Service Bus for the client that a link belongs to. */
export const CLIENT_NAMES: Readonly<Record<LinkUse, string>> = {
  publisher: 'AmqpMessagePublisher',
  consumer: 'AmqpMessageConsumer',
  request: 'AmqpControlProtocolClient',
  coordinator: 'AmqpTransactionCoordinator',
};
