// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { RuleProperties, ServiceBusMessage, ServiceBusRuleManager } from '@azure/service-bus';
import { rejectsWith, rowsOf, take, type CallRow, type CallScene } from './call-row.js';

async function rulesOf(manager: ServiceBusRuleManager): Promise<RuleProperties[]> {
  const rules: RuleProperties[] = [];
  // Where there are none, the client yields one that is undefined.
  for await (const rule of manager.listRules()) if ((rule as unknown) !== undefined) rules.push(rule);
  return rules;
}

/** Sends to a topic and takes what its subscription `all` got. @returns body and application properties of each */
async function passed(
  scene: CallScene,
  topic: string,
  messages: ServiceBusMessage[],
  count: number,
): Promise<unknown[]> {
  await scene.sender(topic).sendMessages(messages);
  const got = await take(scene.client.createReceiver(topic, 'all', { receiveMode: 'receiveAndDelete' }), count);
  assert.equal(scene.namespace.counts(`${topic}/Subscriptions/all`).active, 0);
  return got.map(({ body, applicationProperties }) => [body, applicationProperties]);
}

/** Calls of `ServiceBusRuleManager`. */
export const RULE_CALLS: readonly CallRow[] = rowsOf('ServiceBusRuleManager', [
  [
    'createRule',
    'with a SQL filter',
    async (scene) => {
      const topic = scene.topic('all', { rules: [] });
      const manager = scene.client.createRuleManager(topic, 'all');
      await manager.createRule('red', { sqlExpression: "color = 'red' AND (size > 10 OR sys.Label LIKE 'ur%')" });
      const message = (body: number, color: string, size: number, subject: string): ServiceBusMessage => ({
        body,
        subject,
        applicationProperties: { color, size },
      });
      const got = await passed(
        scene,
        topic,
        [
          message(1, 'red', 11, ''),
          message(2, 'red', 1, ''),
          message(3, 'red', 1, 'urgent'),
          message(4, 'blue', 11, ''),
        ],
        2,
      );
      assert.deepEqual(
        got.map((entry) => (entry as unknown[])[0]),
        [1, 3],
      );
    },
  ],
  [
    'createRule',
    'with a correlation filter',
    async (scene) => {
      const topic = scene.topic('all', { rules: [] });
      const manager = scene.client.createRuleManager(topic, 'all');
      await manager.createRule('mine', { subject: 'order', applicationProperties: { number: 7 } });
      const got = await passed(
        scene,
        topic,
        [
          { body: 1, subject: 'order', applicationProperties: { number: 7 } },
          { body: 2, subject: 'order', applicationProperties: { number: 8 } },
          { body: 3, subject: 'Order', applicationProperties: { number: 7 } },
        ],
        1,
      );
      assert.deepEqual(got, [[1, { number: 7 }]]);
    },
  ],
  [
    'createRule',
    'with an action: a copy of its own, changed, beside that of the other rules',
    async (scene) => {
      const topic = scene.topic();
      const manager = scene.client.createRuleManager(topic, 'all');
      await manager.createRule(
        'marked',
        { sqlExpression: 'size > 10' },
        { sqlExpression: "SET size = size * 2; SET mark = 'x'" },
      );
      const got = await passed(scene, topic, [{ body: 1, applicationProperties: { size: 11 } }], 2);
      assert.deepEqual(got, [
        [1, { size: 11 }],
        [1, { size: 22, mark: 'x', RuleName: 'marked' }],
      ]);
    },
  ],
  [
    'createRule',
    'refused: MessagingEntityAlreadyExists, an expression that is none, a subscription that is not there',
    async (scene) => {
      const topic = scene.topic();
      const manager = scene.client.createRuleManager(topic, 'all');
      const filter = { sqlExpression: '1=1' };
      await rejectsWith('MessagingEntityAlreadyExists', manager.createRule('$Default', filter));
      await assert.rejects(manager.createRule('bad', { sqlExpression: 'size >' }), /Expected a value/);
      await assert.rejects(manager.createRule('bad', filter, { sqlExpression: 'DROP x' }), /Expected SET or REMOVE/);
      const nobody = scene.client.createRuleManager(topic, 'nobody');
      await rejectsWith('MessagingEntityNotFound', nobody.createRule('a', filter));
    },
  ],
  [
    'listRules',
    'all of them with filters and actions, page by page',
    async (scene) => {
      const manager = scene.client.createRuleManager(scene.topic(), 'all');
      await manager.createRule('sql', { sqlExpression: 'a = 1' }, { sqlExpression: 'REMOVE b' });
      const correlation = { correlationId: 'c', to: 't', applicationProperties: { n: 1, s: 'x', yes: true } };
      await manager.createRule('correlation', correlation);
      const [all, correlated, sql] = await rulesOf(manager);
      assert.deepEqual(all, { name: '$Default', filter: { sqlExpression: '1=1' }, action: {} });
      assert.deepEqual(sql, {
        name: 'sql',
        filter: { sqlExpression: 'a = 1' },
        action: { sqlExpression: 'REMOVE b' },
      });
      const filter = Object.entries(correlated!.filter).filter(([, value]) => value !== null);
      assert.deepEqual(Object.fromEntries(filter), correlation);
      for (let i = 0; i < 120; i++) await manager.createRule(`rule-${i}`, { sqlExpression: `n = ${i}` });
      assert.equal((await rulesOf(manager)).length, 123);
    },
  ],
  [
    'deleteRule',
    'and MessagingEntityNotFound for one that is not there; without rules nothing matches',
    async (scene) => {
      const topic = scene.topic();
      const manager = scene.client.createRuleManager(topic, 'all');
      await manager.deleteRule('$Default');
      assert.deepEqual(await rulesOf(manager), []);
      await rejectsWith('MessagingEntityNotFound', manager.deleteRule('$Default'));
      assert.deepEqual(await passed(scene, topic, [{ body: 1 }], 0), []);
    },
  ],
]);
