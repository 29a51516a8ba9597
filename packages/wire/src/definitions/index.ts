// SPDX-License-Identifier: Apache-2.0
import type { Composite, Restricted } from './composite.js';
import { messagingComposites, messagingRestricted } from './messaging.js';
import { securityComposites, securityRestricted } from './security.js';
import { transactionsComposites } from './transactions.js';
import { transportComposites, transportRestricted } from './transport.js';

/** Every composite type of parts 2 to 5 that this library knows. */
export const composites: readonly Composite[] = [
  ...transportComposites,
  ...messagingComposites,
  ...transactionsComposites,
  ...securityComposites,
];

export const restricted: readonly Restricted[] = [
  ...transportRestricted,
  ...messagingRestricted,
  ...securityRestricted,
];
