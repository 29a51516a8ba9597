// SPDX-License-Identifier: Apache-2.0
import { entityType, reported, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';
import { PHASE } from './connection-rows.js';

// prettier-ignore
export const autoLink: EntityType = entityType('router.config.autoLink', {
  doc: 'A link that the router attaches to a node of a broker by itself.',
  section: 'autoLink',
  operations: ['CREATE', 'DELETE', 'READ'],
}, [
  settable('address', 'string', 'Address in the network of routers.', { required: true, deprecatedName: 'addr' }),
  settable('direction', ['in', 'out'], 'in: messages come from the broker; out: they go to it.', { required: true, deprecatedName: 'dir' }),
  settable('phase', 'integer', 'Phase of the address. Where none is given, 1 for in and 0 for out.', { ...PHASE }),
  settable('containerId', 'string', 'Container id of the broker. In place of connection.'),
  settable('connection', 'string', 'Name of the connector or listener that leads to the broker.'),
  settable('externalAddress', 'string', 'Name of the node at the broker, where it is not the address.', { deprecatedName: 'externalAddr' }),
  settable('fallback', 'boolean', 'The link serves as fallback destination of the address.', { default: false }),
  settable('renewLocks', 'boolean', 'For direction in at Azure Service Bus: the lock of a message is renewed while the message is on its way through the network.', { default: true, own: true }),
  settable('receiveMode', ['peekLock', 'receiveAndDelete'], 'For direction in: receiveAndDelete takes messages settled. They are gone from the broker as it sends them, and lost where nobody takes them.', { default: 'peekLock', own: true }),
  settable('prefetch', 'integer', 'For direction in: messages in hand at most. By default as many as linkCapacity of the connector says; from Azure Service Bus 50, or 1 of a message session.', { min: 1, max: 10_000, own: true }),
  settable('filter', 'string', 'For direction in: selector by which the broker picks messages. For an event hub the position to begin at.', { own: true }),
  settable('sessionId', 'string', 'For direction in at Azure Service Bus: the message session whose messages are wanted.', { own: true }),
  settable('nextSession', 'boolean', 'For direction in at Azure Service Bus: the messages of the next session that is free, and when that has no more, of the one after it.', { default: false, own: true }),
  reported('linkRef', 'string', 'Identity of the link while it is attached.'),
  reported('operStatus', ['inactive', 'attaching', 'failed', 'active', 'quiescing', 'idle'], 'State of the link.'),
  reported('lastError', 'string', 'Why the last attach was refused or the link detached.'),
  reported('activations', 'integer', 'Times that the link was attached. Each but the first means that it had been lost before.', { own: true }),
  reported('failures', 'integer', 'Refusals and detaches in a row; 0 once the link has held.', { own: true }),
  reported('retrySeconds', 'integer', 'Seconds until the link is attached again, while that waits.', { own: true }),
  reported('settledLater', 'integer', 'Outcomes that were told to Azure Service Bus by lock token, since their link had gone.', { own: true }),
  reported('settledTooLate', 'integer', 'Outcomes that Azure Service Bus did not take any more, since the lock had ended: those messages come again.', { own: true }),
  reported('settledInDoubt', 'integer', 'Outcomes of which nobody can say whether Azure Service Bus has heard them.', { own: true }),
  reported('locksRenewed', 'integer', 'Locks that were renewed while their messages were on the way.', { own: true }),
  reported('lastOffset', 'string', 'Of a partition of an event hub: offset of the last event that receivers have settled, as they have all before it.', { own: true }),
  reported('lastSequenceNumber', 'integer', 'Sequence number of that event.', { own: true }),
  reported('lag', 'integer', 'Events behind it, as far as is known: up to the newest at the time when the last one came.', { own: true }),
  reported('replays', 'integer', 'Times that events were read again, since a receiver had given one back.', { own: true }),
  reported('missedEvents', 'integer', 'Events that had gone from the event hub before they were read.', { own: true }),
  reported('releaseLoops', 'integer', 'Times that every message was released, so that the autolink was slowed.', { own: true }),
]);
