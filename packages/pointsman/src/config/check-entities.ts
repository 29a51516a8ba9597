// SPDX-License-Identifier: Apache-2.0
import { checkAddresses } from './address-rules.js';
import { checkConnections } from './connection-rules.js';
import { checkExchanges } from './exchange-rules.js';
import type { NotSupported } from './not-supported.js';
import { checkPolicies } from './policy-rules.js';
import {
  checkOpenProperties,
  checkReferences,
  checkRouter,
  checkSingletons,
  checkSupported,
  nameEntities,
} from './rules.js';
import type { RuleContext } from './rules.js';

/** Every rule for entities together, in the order that the rules need. What is wrong goes to the problems. */
export function checkEntities(context: RuleContext, notSupported: readonly NotSupported[]): void {
  checkSingletons(context);
  nameEntities(context);
  checkSupported(context, notSupported);
  checkRouter(context);
  checkReferences(context);
  checkOpenProperties(context);
  checkConnections(context);
  checkAddresses(context);
  checkExchanges(context);
  checkPolicies(context);
}
