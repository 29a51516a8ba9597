// SPDX-License-Identifier: Apache-2.0
import { composite, optional, required, several } from './composite.js';
import type { Composite } from './composite.js';

// prettier-ignore
export const transactionsComposites: readonly Composite[] = [
  composite('coordinator', 0x30, '4.5.1', 'Target that speaks to a transaction manager.', [
    several ('capabilities', 'symbol',         'What the coordinator can do.'),
  ]),
  composite('declare', 0x31, '4.5.2', 'Body of a message that starts a transaction.', [
    optional('global-id',    '*',              'Global transaction that the new one belongs to.'),
  ]),
  composite('discharge', 0x32, '4.5.3', 'Body of a message that ends a transaction.', [
    required('txn-id',       'binary',         'Transaction to end.'),
    optional('fail',         'boolean',        'Roll back instead of committing.'),
  ]),
  composite('declared', 0x33, '4.5.5', 'Outcome of a declare.', [
    required('txn-id',       'binary',         'Transaction that was started.'),
  ]),
  composite('transactional-state', 0x34, '4.5.8', 'State of a delivery that takes part in a transaction.', [
    required('txn-id',       'binary',         'Transaction that the delivery belongs to.'),
    optional('outcome',      'delivery-state', 'Outcome once the transaction succeeds.'),
  ]),
];
