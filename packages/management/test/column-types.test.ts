// SPDX-License-Identifier: Apache-2.0
import { ManagementAgent, decodeManagementResponse, encodeManagementRequest } from '@pointsman/management';
import { AmqpArray, Typed, entryOf } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { listTable } from './agent-fixture.js';

const CONFIG = 'router.config';

/** Rows whose every column is the number one, but those that are given. */
function agentOf(typeName: string, given: Readonly<Record<string, AmqpValue>>): ManagementAgent {
  const table = listTable(typeName, []);
  const entity = {
    identity: '10',
    name: 'n',
    attribute: (name: string): AmqpValue => (name in given ? given[name]! : 1),
  };
  return new ManagementAgent({
    tables: [{ ...table, entities: () => [entity] }],
    managementNodes: () => [],
    recentLog: () => [],
  });
}

async function row(typeName: string, names: readonly string[], given = {}): Promise<AmqpValue[]> {
  const call = {
    operation: 'QUERY',
    properties: { entityType: `org.apache.qpid.dispatch.${typeName}` },
    body: new Map([['attributeNames', [...names]]]),
    replyTo: 'r',
  };
  const answer = await agentOf(typeName, given).answer(encodeManagementRequest(call), { connection: undefined });
  const { body } = decodeManagementResponse(answer!.message);
  const [first] = entryOf(body as Map<AmqpValue, AmqpValue>, 'results') as AmqpValue[][];
  return first!;
}

const typeOf = (value: AmqpValue): string => (value instanceof Typed ? value.type : typeof value);

describe('numbers in the columns of core types', () => {
  const expected: readonly (readonly [type: string, width: string, columns: string])[] = [
    ['router', 'ulong', 'addrCount linkCount nodeCount connectionCount deliveriesIngress deliveriesStuck memoryUsage'],
    ['router', 'uint', 'linksBlocked uptimeSeconds'],
    ['router', 'int', 'workerThreads'],
    ['router.link', 'ulong', 'undeliveredCount unsettledCount deliveryCount acceptedCount deliveriesDelayed10Sec'],
    ['router.link', 'uint', 'capacity priority settleRate creditAvailable zeroCreditSeconds'],
    ['router.address', 'ulong', 'deliveriesIngress deliveriesEgressRouteContainer deliveriesRedirectedToFallback'],
    ['router.address', 'uint', 'inProcess subscriberCount remoteCount containerCount'],
    ['router.address', 'long', 'trackedDeliveries'],
    ['router.address', 'int', 'priority'],
    ['connection', 'uint', 'uptimeSeconds lastDlvSeconds'],
    ['connection', 'long', 'sslSsf'],
    [`${CONFIG}.address`, 'int', 'ingressPhase egressPhase priority'],
    [`${CONFIG}.autoLink`, 'int', 'phase'],
    [`${CONFIG}.exchange`, 'ulong', 'receivedCount droppedCount forwardedCount divertedCount'],
    [`${CONFIG}.exchange`, 'uint', 'bindingCount'],
    [`${CONFIG}.exchange`, 'int', 'phase alternatePhase'],
    [`${CONFIG}.binding`, 'ulong', 'matchedCount'],
    [`${CONFIG}.binding`, 'int', 'nextHopPhase'],
  ];
  for (const [type, width, text] of expected) {
    it(`are ${width} in ${text} of ${type}`, async () => {
      const names = text.split(' ');
      const types = (await row(type, names)).map(typeOf);
      assert.deepEqual(
        types,
        names.map(() => width),
      );
    });
  }

  it('have their type within lists, too, and null stays null', async () => {
    const given = { ingressHistogram: [3, 0], peer: null, owningAddr: null };
    const [histogram, peer, owner] = await row('router.link', ['ingressHistogram', 'peer', 'owningAddr'], given);
    const items = histogram instanceof AmqpArray ? histogram.values : (histogram as AmqpValue[]);
    assert.deepEqual(items.map(typeOf), ['ulong', 'ulong']);
    assert.deepEqual([peer, owner], [null, null]);
  });
});
