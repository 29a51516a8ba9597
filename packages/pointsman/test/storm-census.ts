// SPDX-License-Identifier: Apache-2.0
import { queryObjects, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Connection, IncomingDelivery, OutgoingDelivery, ReceiverLink, SenderLink, Session } from '@pointsman/engine';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const timer = setTimeout(() => undefined, 0);
clearTimeout(timer);

const CLASSES = {
  connections: Connection,
  sessions: Session,
  sending: SenderLink,
  receiving: ReceiverLink,
  'deliveries in': IncomingDelivery,
  'deliveries out': OutgoingDelivery,
  timers: timer.constructor,
} as const;

/** What there is in this process, of all that takes part, after a collection. */
export function census(): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(CLASSES).map(([name, of]) => [name, queryObjects(of, { format: 'count' })]));
}

/** Bytes that are in use after a collection. */
export function heapUsed(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** Of what there is more than before: how many more. */
export function excess(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): string[] {
  return Object.entries(after).flatMap(([name, count]) => {
    const more = count - (before[name] ?? 0);
    return more > 0 ? [`${more} ${name} more`] : [];
  });
}
