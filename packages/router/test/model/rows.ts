// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { ManagedEntity } from '@pointsman/management';
import { Consumer } from './consumer.js';
import type { Field } from './field.js';
import { kindOf } from './message.js';
import type { Message, Receipt } from './message.js';
import { AUTO_KEYS, BROKER } from './plan.js';

/** Nothing is on its way: what management shows agrees with what the links at the other ends have seen. */
export function checkRows(field: Field): void {
  const tables = new Map(field.router.tables().map((table) => [table.type.name, table]));
  const rowsOf = (type: string): ManagedEntity[] => [...tables.get(type)!.entities({ connection: undefined })];
  const links = new Map(
    rowsOf('router.link').map((row) => [
      `${String(row.attribute('connectionId'))} ${String(row.attribute('linkDir'))} ${String(row.attribute('linkName'))}`,
      row,
    ]),
  );
  for (const producer of field.producers.values()) {
    if (!producer.attached || producer.node?.startsWith('routed') === true) continue;
    const row = links.get(`${producer.client.at.id} in ${producer.link.name}`);
    assert.ok(row !== undefined, `management does not show ${producer.name}`);
    const { messages } = producer;
    const is = (name: string, expected: number): void =>
      assert.equal(Number(row.attribute(name)), expected, `${name} of ${producer.name}`);
    is('deliveryCount', messages.length);
    is('presettledCount', messages.filter(({ settled }) => settled).length);
    // What is aborted after its receiver has settled it counts for an outcome that nobody hears.
    if (messages.some(({ isOut }) => !isOut) || producer.unconfirmed.length > 0) continue;
    for (const kind of ['accepted', 'rejected', 'released', 'modified'])
      is(`${kind}Count`, messages.filter(({ outcome }) => kindOf(outcome) === kind).length);
    is('unsettledCount', messages.filter(({ settled, told }) => !settled && !told).length);
  }
  for (const consumer of field.consumers.values()) {
    if (!consumer.attached || consumer.node?.startsWith('routed') === true) continue;
    const row = links.get(`${consumer.client.at.id} out ${consumer.link.name}`);
    assert.ok(row !== undefined, `management does not show ${consumer.name}`);
    const { receipts } = consumer;
    const is = (name: string, expected: number): void =>
      assert.equal(Number(row.attribute(name)), expected, `${name} of ${consumer.name}`);
    is('deliveryCount', receipts.length);
    is('unsettledCount', receipts.filter(({ delivery }) => !delivery.settled).length);
    // What is said of a message while it is aborted may come too late to count.
    const isDoubtful = ({ producer, stage, bytes }: Message): boolean =>
      producer.confirms || stage !== 'whole' || bytes.length > consumer.most;
    if (receipts.some(({ message }) => isDoubtful(message))) continue;
    for (const kind of ['rejected', 'released', 'modified'])
      is(`${kind}Count`, receipts.filter(({ said, delivery }) => delivery.settled && kindOf(said) === kind).length);
    const isAccepted = ({ said, delivery }: Receipt): boolean => delivery.settled && kindOf(said) === 'accepted';
    if (!consumer.settled) is('acceptedCount', receipts.filter(isAccepted).length);
  }
  checkAddresses(field, rowsOf('router.address'));
  checkTimers(field);
  const [router] = rowsOf('router');
  const up = [...field.clients.values()].filter(({ end }) => end === undefined);
  assert.equal(router!.attribute('connectionCount'), up.length, 'connectionCount of the router');
}

/** Nothing waits for its time but the router's own tick, and attaches that a container refused. */
function checkTimers({ router, clock, clients, producers, consumers }: Field): void {
  const up = [...clients.values()].filter(({ end }) => end === undefined);
  const refusable = up.filter(({ settings }) => settings.isBroker).length * router.autoLinks.length;
  const quiescing = [...producers.values(), ...consumers.values()].filter(({ retires, ended }) => retires && !ended);
  const most = (up.length > 0 ? 1 : 0) + refusable + quiescing.length;
  assert.ok(clock.pending <= most, `${clock.pending} timers run, and no more than ${most} have a reason`);
}

function checkAddresses(field: Field, rows: readonly ManagedEntity[]): void {
  const { router, clients, producers, consumers, settledIn } = field;
  const keys = new Set<string>();
  for (const link of [...producers.values(), ...consumers.values()])
    if (link.attached && link.node?.startsWith('routed') === false && !(link instanceof Consumer && link.retires))
      keys.add(link.node);
  for (const key of field.within.keys()) keys.add(key);
  const hasBroker = [...clients.values()].some(({ settings, isUp }) => settings.isBroker && isUp);
  const shown = rows.map((row) => String(row.attribute('key'))).filter((key) => /^[ML]/.test(key));
  for (const key of keys) assert.ok(shown.includes(key), `management does not show the address ${key}`);
  if (keys.has('M0fall/f')) keys.add('MFfall/f');
  for (const key of shown)
    assert.ok(
      field.configured.has(key) || keys.has(key) || (hasBroker && AUTO_KEYS.has(key)),
      `the address ${key} is nobody's any more`,
    );
  for (const row of rows) {
    const key = String(row.attribute('key'));
    if (!/^[ML]/.test(key)) continue;
    assert.equal(row.attribute('subscriberCount'), settledIn.get(key)?.length ?? 0, `subscriberCount of ${key}`);
  }
  for (const autoLink of router.autoLinks)
    assert.equal(
      autoLink.status !== 'inactive',
      hasBroker,
      `${autoLink.name} is ${autoLink.status}, ${BROKER} connected: ${hasBroker}`,
    );
}
