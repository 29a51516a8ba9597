// SPDX-License-Identifier: Apache-2.0
import { composite, optional, required } from './composite.js';
import type { Composite, Restricted } from './composite.js';

// prettier-ignore
export const securityComposites: readonly Composite[] = [
  composite('sasl-mechanisms', 0x40, '5.3.3.1', 'The server says what it supports.', [
    { name: 'sasl-server-mechanisms', type: 'symbol', mandatory: true, multiple: true, default: undefined, doc: 'Mechanisms, best first.' },
  ]),
  composite('sasl-init', 0x41, '5.3.3.2', 'The client chooses.', [
    required('mechanism',        'symbol',    'Mechanism that the client chose.'),
    optional('initial-response', 'binary',    'First response, where the mechanism has one.'),
    optional('hostname',         'string',    'Host that the client wants to reach.'),
  ]),
  composite('sasl-challenge', 0x42, '5.3.3.3', 'The server asks.', [
    required('challenge',        'binary',    'Challenge of the mechanism.'),
  ]),
  composite('sasl-response', 0x43, '5.3.3.4', 'The client answers.', [
    required('response',         'binary',    'Response of the mechanism.'),
  ]),
  composite('sasl-outcome', 0x44, '5.3.3.5', 'The server decides.', [
    required('code',             'sasl-code', '0 ok, 1 auth, 2 sys, 3 sys-perm, 4 sys-temp.'),
    optional('additional-data',  'binary',    'Further data of the mechanism.'),
  ]),
];

// prettier-ignore
export const securityRestricted: readonly Restricted[] = [
  { name: 'sasl-code', source: 'ubyte', section: '5.3.3.6', choices: { ok: 0, auth: 1, sys: 2, 'sys-perm': 3, 'sys-temp': 4 } },
];
