// SPDX-License-Identifier: Apache-2.0
import { int, symbol, type AmqpValue, type Message } from '@pointsman/wire';
import type { BrokerNode } from '../broker.js';
import { canReceive, canSend, disabledRefusal, type Refusal } from '../entity.js';
import type { NamespaceHost } from '../host.js';
import { textOf } from '../message-content.js';
import type { Right } from '../policy.js';
import {
  batchDeleteMessages,
  cancelScheduledMessage,
  peekMessage,
  receiveBySequenceNumber,
  renewLock,
  scheduleMessage,
  updateDisposition,
} from './messages.js';
import {
  invalid,
  refused,
  refusedWith,
  valuesOf,
  type Answer,
  type Arguments,
  type ManagementRequest,
} from './request.js';
import { addRule, enumerateRules, removeRule } from './rules.js';
import { getMessageSessions, getSessionState, renewSessionLock, setSessionState } from './sessions.js';

interface Operation {
  /** Any one of them is enough. */
  readonly rights: readonly Right[];
  /** What it works on: without it, it is not supported. */
  readonly on: 'messages' | 'sessions' | 'rules' | 'inbox';
  /** May be part of a transaction. */
  readonly isTransactional?: boolean;
  readonly run: (request: ManagementRequest) => Answer;
}

/** Operations by the name behind `com.microsoft:`. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  // At once: there is nothing of it to be undone.
  'renew-lock': { rights: ['Listen'], on: 'messages', isTransactional: true, run: renewLock },
  'peek-message': { rights: ['Listen'], on: 'messages', run: peekMessage },
  'receive-by-sequence-number': { rights: ['Listen'], on: 'messages', run: receiveBySequenceNumber },
  'update-disposition': { rights: ['Listen'], on: 'messages', isTransactional: true, run: updateDisposition },
  'batch-delete-messages': { rights: ['Listen'], on: 'messages', run: batchDeleteMessages },
  'schedule-message': { rights: ['Send'], on: 'inbox', isTransactional: true, run: scheduleMessage },
  'cancel-scheduled-message': { rights: ['Send'], on: 'inbox', isTransactional: true, run: cancelScheduledMessage },
  'renew-session-lock': { rights: ['Listen'], on: 'sessions', run: renewSessionLock },
  'set-session-state': { rights: ['Listen'], on: 'sessions', run: setSessionState },
  'get-session-state': { rights: ['Listen'], on: 'sessions', run: getSessionState },
  'get-message-sessions': { rights: ['Listen'], on: 'sessions', run: getMessageSessions },
  'add-rule': { rights: ['Listen'], on: 'rules', run: addRule },
  'remove-rule': { rights: ['Listen'], on: 'rules', run: removeRule },
  'enumerate-rules': { rights: ['Listen'], on: 'rules', run: enumerateRules },
};

export interface ManagementContext {
  readonly node: BrokerNode;
  readonly host: NamespaceHost;
  readonly hostname: string;
  /** The connection that asks. */
  readonly owner: unknown;
  /** As in {@link ManagementRequest}. */
  readonly enlist?: ManagementRequest['enlist'];
  /** Whether it has a right on the node. */
  readonly may: (right: Right) => boolean;
  /** What it is told where it has none of these. */
  readonly unauthorized: (rights: readonly Right[]) => Refusal;
  /** Why the next request fails: a fault that is asked for, or the load. @param operations - what it asks for, roughly */
  readonly fault: (operations: number) => Refusal | undefined;
  /** Appends tracking to a text that goes out. */
  readonly tracked: (text: string) => string;
}

/** Answers a request to `<entity>/$management`. */
export function answerManagement(request: Message, context: ManagementContext): Message {
  const { status, refusal, body } = perform(request, context);
  const properties = new Map<string, AmqpValue>([
    ['statusCode', int(status)],
    [
      'statusDescription',
      refusal === undefined ? (status === 204 ? 'No content' : 'OK') : context.tracked(refusal.description),
    ],
  ]);
  if (refusal !== undefined) properties.set('errorCondition', symbol(refusal.condition));
  return { applicationProperties: properties, body: { kind: 'value', value: body ?? new Map() } };
}

function perform(request: Message, context: ManagementContext): Answer {
  const { node, host, owner, may, unauthorized, fault } = context;
  const name = textOf(request.applicationProperties?.get('operation')) ?? '';
  const key = name.startsWith('com.microsoft:') ? name.slice('com.microsoft:'.length) : '';
  const operation = Object.hasOwn(OPERATIONS, key) ? OPERATIONS[key] : undefined;
  if (operation === undefined || !offers(node, operation.on)) {
    return refused(
      501,
      'amqp:not-implemented',
      `The operation '${name.slice(0, 80)}' is not supported by this namespace.`,
    );
  }
  if (!operation.rights.some(may)) return refusedWith(unauthorized(operation.rights));
  if (isDisabled(node, operation.on)) return refusedWith(disabledRefusal(node.entity.path, context.hostname));
  if (context.enlist !== undefined && operation.isTransactional !== true)
    return refused(501, 'amqp:not-implemented', `The operation '${name}' cannot be part of a transaction.`);
  const body = request.body?.kind === 'value' ? request.body.value : undefined;
  const planned = fault(body instanceof Map ? sizeOf(body) : 1);
  if (planned !== undefined) return refusedWith(planned);
  if (!(body instanceof Map)) return invalid('The body of a request is a map.');
  const linkName = textOf(request.applicationProperties?.get('associated-link-name'));
  return operation.run({ node, body, host, hostname: context.hostname, owner, linkName, enlist: context.enlist });
}

/** Messages that a request names: each is an operation. */
function sizeOf(body: Arguments): number {
  const lists = ['messages', 'lock-tokens', 'sequence-numbers'].map((name) => valuesOf(body.get(name))?.length ?? 0);
  return Math.max(1, ...lists);
}

function isDisabled({ entity }: BrokerNode, on: Operation['on']): boolean {
  if (on === 'rules') return false;
  return on === 'inbox' ? !canSend(entity.status) : !canReceive(entity.status);
}

function offers(node: BrokerNode, on: Operation['on']): boolean {
  switch (on) {
    case 'messages':
      return node.messages !== undefined;
    case 'sessions':
      return node.messages !== undefined && node.entity.requiresSession && !node.isDeadLetterQueue;
    case 'rules':
      return node.entity.kind === 'subscription' && !node.isDeadLetterQueue;
    case 'inbox':
      return node.entity.kind !== 'subscription' && !node.isDeadLetterQueue;
  }
}
