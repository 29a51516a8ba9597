// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { ServiceBusAdministrationClient } from '@azure/service-bus';
import { openNamespace } from '../src/azure-scene.js';

const WEAK = { name: 'sends', key: 'key-of-sends' };

const cloud = await openNamespace(
  { after },
  {
    policies: [
      { name: 'root', key: 'key/of+root==', rights: ['Send', 'Listen', 'Manage'] },
      { ...WEAK, rights: ['Send'] },
    ],
    queues: ['there'],
    topics: [{ name: 'news', subscriptions: [{ name: 'all' }] }],
  },
);
const ca = readFileSync(cloud.caCertFile!, 'utf8');

function administration(name = 'root', key = 'key/of+root=='): ServiceBusAdministrationClient {
  const endpoint = `Endpoint=sb://localhost:${cloud.ports.wss}/;SharedAccessKeyName=${name};SharedAccessKey=${key}`;
  // The client hands its options on to its pipeline, which takes these as well.
  const options = { tlsOptions: { ca }, retryOptions: { maxRetries: 0 } };
  return new ServiceBusAdministrationClient(endpoint, options);
}

const client = administration();

/** What a call failed with, as its documentation lists them. */
async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'none';
}

async function all<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of pages) found.push(one);
  return found;
}

describe('ServiceBusAdministrationClient: queues', () => {
  it('createQueue and getQueue, with every setting', async () => {
    const settings = {
      lockDuration: 'PT45S',
      maxSizeInMegabytes: 2_048,
      requiresDuplicateDetection: true,
      requiresSession: true,
      defaultMessageTimeToLive: 'P2DT3H',
      deadLetteringOnMessageExpiration: true,
      duplicateDetectionHistoryTimeWindow: 'PT1M',
      maxDeliveryCount: 7,
      enableBatchedOperations: false,
      userMetadata: '<a & "b">',
      autoDeleteOnIdle: 'PT1H',
      forwardDeadLetteredMessagesTo: 'there',
      status: 'SendDisabled',
      authorizationRules: [
        {
          claimType: 'SharedAccessKey',
          keyName: 'own',
          accessRights: ['Listen', 'Send'],
          primaryKey: 'p',
          secondaryKey: 's',
        },
      ],
    } as const;
    const created = await client.createQueue('every/setting', settings as never);
    const read = await client.getQueue('every/setting');
    const expected = { ...settings, forwardDeadLetteredMessagesTo: 'sb://localhost/there', name: 'every/setting' };
    for (const [name, value] of Object.entries(expected)) {
      const key = name as keyof typeof read;
      assert.deepEqual(created[key], value, name);
      assert.deepEqual(read[key], value, name);
    }
    const queue = cloud.namespace.broker.entity('every/setting');
    assert.ok(queue?.kind === 'queue');
    assert.deepEqual(
      [queue.requiresSession, queue.inbox.duplicateWindowMs, queue.messages.settings.lockDurationMs, queue.status],
      [true, 60_000, 45_000, 'SendDisabled'],
    );
  });

  it('createQueue where there is one, or with what is not valid', async () => {
    assert.equal(await codeOf(client.createQueue('there')), 'MessageEntityAlreadyExistsError');
    assert.equal(await codeOf(client.createQueue('bad', { lockDuration: 'PT1H' })), 'ServiceError');
    assert.equal(await codeOf(client.createQueue('bad', { maxDeliveryCount: 0 })), 'ServiceError');
    assert.equal(await codeOf(client.createQueue('bad', { forwardTo: 'nowhere' })), 'ServiceError');
    assert.equal(await client.queueExists('bad'), false);
  });

  it('updateQueue, at once for those who use it', async () => {
    await client.createQueue('changed');
    const queue = await client.getQueue('changed');
    await client.updateQueue({
      ...queue,
      lockDuration: 'PT20S',
      maxDeliveryCount: 3,
      status: 'Disabled',
      forwardTo: 'there',
    });
    const read = await client.getQueue('changed');
    assert.deepEqual([read.lockDuration, read.maxDeliveryCount, read.status], ['PT20S', 3, 'Disabled']);
    assert.equal(read.forwardTo, 'sb://localhost/there');
    const entity = cloud.namespace.broker.entity('changed');
    assert.ok(entity?.kind === 'queue');
    assert.equal(entity.messages.settings.lockDurationMs, 20_000);
    assert.equal(await codeOf(client.updateQueue({ ...queue, requiresSession: true })), 'ServiceError');
    assert.equal(await codeOf(client.updateQueue({ ...queue, name: 'nowhere' })), 'MessageEntityNotFoundError');
  });

  it('updateQueue, of every setting that can be changed', async () => {
    const queue = await client.createQueue('all-changed', { requiresDuplicateDetection: true });
    const changes = {
      maxSizeInMegabytes: 3_072,
      defaultMessageTimeToLive: 'PT3H',
      deadLetteringOnMessageExpiration: true,
      duplicateDetectionHistoryTimeWindow: 'PT2M',
      enableBatchedOperations: false,
      userMetadata: 'other',
      autoDeleteOnIdle: 'PT30M',
      forwardDeadLetteredMessagesTo: 'sb://localhost/there',
      authorizationRules: [
        { claimType: 'SharedAccessKey', keyName: 'k', accessRights: ['Send'], primaryKey: 'p', secondaryKey: 's' },
      ],
    } as const;
    await client.updateQueue({ ...queue, ...changes } as never);
    const read = await client.getQueue('all-changed');
    for (const [name, value] of Object.entries(changes)) assert.deepEqual(read[name as keyof typeof read], value, name);
    const entity = cloud.namespace.broker.entity('all-changed');
    assert.ok(entity?.kind === 'queue');
    assert.deepEqual(
      [entity.inbox.duplicateWindowMs, entity.autoDeleteOnIdleMs, entity.messages.settings.defaultTtlMs],
      [120_000, 1_800_000, 10_800_000],
    );
    const { accessedAt, modifiedAt } = await client.getQueueRuntimeProperties('all-changed');
    assert.ok(accessedAt.getTime() < 0, 'nobody has used it');
    assert.ok(Math.abs(modifiedAt.getTime() - Date.now()) < 60_000);
  });

  it('getQueueRuntimeProperties', async () => {
    const { name, totalMessageCount, activeMessageCount, deadLetterMessageCount, sizeInBytes, createdAt } =
      await client.getQueueRuntimeProperties('there');
    assert.deepEqual(
      [name, totalMessageCount, activeMessageCount, deadLetterMessageCount, sizeInBytes],
      ['there', 0, 0, 0, 0],
    );
    assert.ok(Math.abs(createdAt.getTime() - Date.now()) < 3_600_000);
  });

  it('listQueues and listQueuesRuntimeProperties, page by page', async () => {
    for (let i = 0; i < 5; i++) await client.createQueue(`page-${i}`);
    const names = (await all(client.listQueues())).map(({ name }) => name);
    assert.ok(names.includes('there') && names.includes('page-4'));
    assert.deepEqual(names, names.toSorted());
    const pages = client.listQueues().byPage({ maxPageSize: 2 });
    const sizes: number[] = [];
    for await (const page of pages) sizes.push(page.length);
    assert.deepEqual(
      sizes.slice(0, -1),
      sizes.slice(0, -1).map(() => 2),
    );
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      names.length,
    );
    assert.equal((await all(client.listQueuesRuntimeProperties())).length, names.length);
  });

  it('deleteQueue and queueExists', async () => {
    await client.createQueue('gone');
    assert.equal(await client.queueExists('gone'), true);
    await client.deleteQueue('gone');
    assert.equal(await client.queueExists('gone'), false);
    assert.equal(await codeOf(client.getQueue('gone')), 'MessageEntityNotFoundError');
    assert.equal(await codeOf(client.deleteQueue('gone')), 'MessageEntityNotFoundError');
  });
});

describe('ServiceBusAdministrationClient: topics', () => {
  it('createTopic, getTopic, updateTopic, deleteTopic, topicExists', async () => {
    await client.createTopic('events', { defaultMessageTimeToLive: 'PT2H', requiresDuplicateDetection: true });
    const topic = await client.getTopic('events');
    assert.deepEqual(
      [topic.name, topic.defaultMessageTimeToLive, topic.requiresDuplicateDetection],
      ['events', 'PT2H', true],
    );
    await client.updateTopic({ ...topic, defaultMessageTimeToLive: 'PT1H', userMetadata: 'x' });
    assert.equal((await client.getTopic('events')).defaultMessageTimeToLive, 'PT1H');
    assert.equal((await client.getTopicRuntimeProperties('events')).subscriptionCount, 0);
    assert.equal(await client.topicExists('events'), true);
    assert.equal(await codeOf(client.createTopic('events')), 'MessageEntityAlreadyExistsError');
    await client.deleteTopic('events');
    assert.equal(await client.topicExists('events'), false);
  });

  it('listTopics and listTopicsRuntimeProperties', async () => {
    assert.deepEqual(
      (await all(client.listTopics())).map(({ name }) => name),
      ['news'],
    );
    assert.deepEqual(
      (await all(client.listTopicsRuntimeProperties())).map((one) => one.subscriptionCount),
      [1],
    );
  });
});

describe('ServiceBusAdministrationClient: subscriptions', () => {
  it('createSubscription with a rule of its own, getSubscription, updateSubscription, deleteSubscription', async () => {
    await client.createSubscription('news', 'sports', {
      maxDeliveryCount: 4,
      defaultRuleOptions: { name: 'only', filter: { sqlExpression: "topic = 'sports'" } },
    });
    const subscription = await client.getSubscription('news', 'sports');
    assert.deepEqual(
      [subscription.topicName, subscription.subscriptionName, subscription.maxDeliveryCount],
      ['news', 'sports', 4],
    );
    assert.deepEqual(
      (await all(client.listRules('news', 'sports'))).map(({ name }) => name),
      ['only'],
    );
    await client.updateSubscription({ ...subscription, lockDuration: 'PT30S' });
    assert.equal((await client.getSubscription('news', 'sports')).lockDuration, 'PT30S');
    assert.equal((await client.getSubscriptionRuntimeProperties('news', 'sports')).totalMessageCount, 0);
    assert.equal(await client.subscriptionExists('news', 'sports'), true);
    assert.equal(await codeOf(client.createSubscription('news', 'sports')), 'MessageEntityAlreadyExistsError');
    assert.equal(await codeOf(client.createSubscription('nowhere', 'x')), 'MessageEntityNotFoundError');
    await client.deleteSubscription('news', 'sports');
    assert.equal(await client.subscriptionExists('news', 'sports'), false);
  });

  it('listSubscriptions and listSubscriptionsRuntimeProperties', async () => {
    assert.deepEqual(
      (await all(client.listSubscriptions('news'))).map((one) => one.subscriptionName),
      ['all'],
    );
    assert.deepEqual(
      (await all(client.listSubscriptionsRuntimeProperties('news'))).map((one) => one.totalMessageCount),
      [0],
    );
  });
});

describe('ServiceBusAdministrationClient: rules', () => {
  it('createRule, getRule, updateRule, listRules, deleteRule, ruleExists', async () => {
    const date = new Date('2026-01-02T03:04:05.000Z');
    const filter = {
      subject: 'a<b',
      correlationId: 'c',
      applicationProperties: { text: 't&', whole: 7, part: 1.5, yes: true, when: date },
    };
    await client.createRule('news', 'all', 'correlated', filter, { sqlExpression: "SET label = 'x'" });
    const rule = await client.getRule('news', 'all', 'correlated');
    assert.deepEqual(JSON.parse(JSON.stringify(rule.filter)), JSON.parse(JSON.stringify(filter)));
    assert.equal(rule.action.sqlExpression, "SET label = 'x'");
    await client.updateRule('news', 'all', {
      name: 'correlated',
      filter: { sqlExpression: 'price > @least', sqlParameters: { '@least': 5 } },
      action: {},
    } as never);
    const changed = await client.getRule('news', 'all', 'correlated');
    assert.deepEqual(changed.filter, { sqlExpression: 'price > @least', sqlParameters: { '@least': 5 } });
    assert.deepEqual(
      (await all(client.listRules('news', 'all'))).map(({ name }) => name),
      ['$Default', 'correlated'],
    );
    assert.equal(await client.ruleExists('news', 'all', 'correlated'), true);
    assert.equal(
      await codeOf(client.createRule('news', 'all', 'correlated', { sqlExpression: '1=1' })),
      'MessageEntityAlreadyExistsError',
    );
    assert.equal(await codeOf(client.createRule('news', 'all', 'bad', { sqlExpression: 'a = = b' })), 'ServiceError');
    const broken = { name: 'correlated', filter: { sqlExpression: '((' }, action: {} };
    assert.equal(await codeOf(client.updateRule('news', 'all', broken as never)), 'ServiceError');
    assert.equal(await client.ruleExists('news', 'all', 'correlated'), true, 'a bad change leaves the old rule');
    await client.deleteRule('news', 'all', 'correlated');
    assert.equal(await client.ruleExists('news', 'all', 'correlated'), false);
  });
});

describe('ServiceBusAdministrationClient: the namespace', () => {
  it('getNamespaceProperties', async () => {
    const { name, messagingSku } = await client.getNamespaceProperties();
    assert.deepEqual([name, messagingSku], ['localhost', 'Standard']);
  });

  it('is refused without the right Manage, with a wrong key, and without a token', async () => {
    assert.equal(await codeOf(administration(WEAK.name, WEAK.key).getQueue('there')), 'UnauthorizedRequestError');
    assert.equal(await codeOf(administration('root', 'wrong').getQueue('there')), 'UnauthorizedRequestError');
    assert.equal(await codeOf(administration('nobody', 'x').getQueue('there')), 'UnauthorizedRequestError');
  });
});
