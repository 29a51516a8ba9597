// SPDX-License-Identifier: Apache-2.0
import { composite, optional, required, several } from './composite.js';
import type { Composite, Restricted } from './composite.js';

// prettier-ignore
export const messagingComposites: readonly Composite[] = [
  composite('header', 0x70, '3.2.1', 'Transport details of a message.', [
    optional('durable',                 'boolean',                'An intermediary loses the message only on request.', false),
    optional('priority',                'ubyte',                  'Higher goes first.', 4),
    optional('ttl',                     'milliseconds',           'Life of the message from now on.'),
    optional('first-acquirer',          'boolean',                'Nobody else has acquired the message so far.', false),
    optional('delivery-count',          'uint',                   'Earlier attempts to deliver that failed.', 0),
  ]),
  composite('properties', 0x73, '3.2.4', 'Immutable properties of a message.', [
    optional('message-id',              'message-id',             'Identifies the message in its system.'),
    optional('user-id',                 'binary',                 'User who made the message.'),
    optional('to',                      'address',                'Node that the message is meant for.'),
    optional('subject',                 'string',                 'What the message is about.'),
    optional('reply-to',                'address',                'Node that answers go to.'),
    optional('correlation-id',          'message-id',             'Message that this one belongs to.'),
    optional('content-type',            'symbol',                 'MIME type of the body.'),
    optional('content-encoding',        'symbol',                 'Encoding of the body on top of its type.'),
    optional('absolute-expiry-time',    'timestamp',              'When the message expires.'),
    optional('creation-time',           'timestamp',              'When the message was made.'),
    optional('group-id',                'string',                 'Group that the message belongs to.'),
    optional('group-sequence',          'sequence-no',            'Place of the message in its group.'),
    optional('reply-to-group-id',       'string',                 'Group that answers belong to.'),
  ]),
  composite('received', 0x23, '3.4.1', 'How far a delivery has come over.', [
    required('section-number',          'uint',                   'Section that the receiver has begun.'),
    required('section-offset',          'ulong',                  'Bytes of it that the receiver has.'),
  ]),
  composite('accepted', 0x24, '3.4.2', 'The message has been taken.', []),
  composite('rejected', 0x25, '3.4.3', 'The message is invalid and cannot be processed.', [
    optional('error',                   'error',                  'What is wrong with it.'),
  ]),
  composite('released', 0x26, '3.4.4', 'The message was not processed and may go elsewhere.', []),
  composite('modified', 0x27, '3.4.5', 'The message was not processed, and something about it changes.', [
    optional('delivery-failed',         'boolean',                'Count this as a failed attempt.'),
    optional('undeliverable-here',      'boolean',                'Do not deliver it to this receiver again.'),
    optional('message-annotations',     'annotations',            'Annotations to merge into those of the message.'),
  ]),
  composite('source', 0x28, '3.5.3', 'The end of a link that messages come from.', [
    optional('address',                 'address',                'Node that messages come from.'),
    optional('durable',                 'terminus-durability',    'What of the terminus is kept durably.', 0),
    optional('expiry-policy',           'terminus-expiry-policy', 'When the timer of the terminus starts.', 'session-end'),
    optional('timeout',                 'seconds',                'How long the terminus lives after that.', 0),
    optional('dynamic',                 'boolean',                'The peer makes a node for this link.', false),
    optional('dynamic-node-properties', 'fields',                 'Properties of the node to make.'),
    optional('distribution-mode',       'symbol',                 'move or copy.'),
    optional('filter',                  'map',                    'Which messages travel; filters by name.'),
    optional('default-outcome',         'delivery-state',         'Outcome of a delivery that is settled without one.'),
    several ('outcomes',                'symbol',                 'Outcomes that may be chosen.'),
    several ('capabilities',            'symbol',                 'What the terminus can do.'),
  ]),
  composite('target', 0x29, '3.5.4', 'The end of a link that messages go to.', [
    optional('address',                 'address',                'Node that messages go to.'),
    optional('durable',                 'terminus-durability',    'What of the terminus is kept durably.', 0),
    optional('expiry-policy',           'terminus-expiry-policy', 'When the timer of the terminus starts.', 'session-end'),
    optional('timeout',                 'seconds',                'How long the terminus lives after that.', 0),
    optional('dynamic',                 'boolean',                'The peer makes a node for this link.', false),
    optional('dynamic-node-properties', 'fields',                 'Properties of the node to make.'),
    several ('capabilities',            'symbol',                 'What the terminus can do.'),
  ]),
];

// prettier-ignore
export const messagingRestricted: readonly Restricted[] = [
  { name: 'terminus-durability',    source: 'uint',   section: '3.5.5', choices: { none: 0, configuration: 1, 'unsettled-state': 2 } },
  { name: 'terminus-expiry-policy', source: 'symbol', section: '3.5.6' },
  { name: 'address',                source: 'string', section: '3.2.18' },
];
