// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ServiceBusClient, isServiceBusError } from '@azure/service-bus';
import type { ServiceBusReceivedMessage, ServiceBusSessionReceiver } from '@azure/service-bus';
import { startRouter, until } from '@pointsman/testing';
import type { Message } from 'rhea';
import { openNamespace } from '../src/azure-scene.js';
import { RheaClient } from '../src/rhea-client.js';

const owner = { after };
const cloud = await openNamespace(owner, {
  mode: 'emulator',
  queues: [{ name: 'hall', requiresSession: true }, { name: 'hall-plain' }],
});
process.env['SHARED_SESSIONS_CLOUD'] = cloud.connectionString();
const router = await startRouter(
  owner,
  `
router { mode: standalone  id: shared-sessions }
listener { host: 127.0.0.1  port: 0  azureClients: admitted }
connector { name: service-bus  role: route-container  connectionString: env:SHARED_SESSIONS_CLOUD }
linkRoute { prefix: hall  direction: in   connection: service-bus }
linkRoute { prefix: hall  direction: out  connection: service-bus }
linkRoute { prefix: hall-plain  direction: in   connection: service-bus }
linkRoute { prefix: hall-plain  direction: out  connection: service-bus }
`,
);
await until('the connector to be open', () => router.process.connectors[0]!.step === 'open');

function newClient(): ServiceBusClient {
  const client = new ServiceBusClient(
    `Endpoint=sb://localhost:${router.port()};SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true`,
    { retryOptions: { maxRetries: 0, timeoutInMs: 4_000 } },
  );
  after(() => client.close());
  return client;
}

async function next(receiver: ServiceBusSessionReceiver): Promise<ServiceBusReceivedMessage> {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 4_000 });
  assert.ok(message !== undefined);
  return message;
}

/** Asks `hall/$management`, as whoever writes AMQP by hand can. */
class Asker {
  readonly #ask: (message: Message) => Promise<Message>;

  constructor(ask: (message: Message) => Promise<Message>) {
    this.#ask = ask;
  }

  static async open(): Promise<Asker> {
    const client = await RheaClient.connect(owner, router.port());
    const answers = await client.receiver({ source: 'hall/$management', target: 'answers' });
    const requests = await client.sender('hall/$management');
    return new Asker(async (message) => {
      assert.equal((await requests.send(message)).outcome, 'accepted');
      return (await answers.next()).message;
    });
  }

  /** @returns status and condition of the answer */
  async ask(operation: string, body: object): Promise<string> {
    const { application_properties: properties = {} } = await this.#ask({
      message_id: operation,
      reply_to: 'answers',
      application_properties: { operation: `com.microsoft:${operation}` },
      body,
    } as Message);
    return `${String(properties['statusCode'])} ${String(properties['errorCondition'] ?? '')}`.trim();
  }
}

describe('message sessions of clients that come through one connection of the router', () => {
  it('are worked with side by side by unmodified clients: locks, states and deferred messages of each are its own', async () => {
    const sender = newClient().createSender('hall');
    const ids = ['red', 'blue'];
    for (const sessionId of ids)
      await sender.sendMessages([
        { body: 'put off', sessionId },
        { body: 'now', sessionId },
      ]);
    await Promise.all(
      ids.map(async (id) => {
        const receiver = await newClient().acceptSession('hall', id);
        const first = await next(receiver);
        await receiver.deferMessage(first);
        await receiver.setSessionState(Buffer.from(id));
        assert.ok((await receiver.renewSessionLock()).getTime() > Date.now());
        const [deferred] = await receiver.receiveDeferredMessages(first.sequenceNumber!);
        assert.equal(deferred!.body, 'put off');
        await receiver.completeMessage(deferred!);
        await receiver.completeMessage(await next(receiver));
        assert.equal(String(await receiver.getSessionState()), id);
        await receiver.close();
      }),
    );
    assert.equal(cloud.namespace.counts('hall').active, 0);
  });

  it('cannot be got at by another client, neither an unmodified one nor one that asks by hand', async () => {
    await newClient().createSender('hall').sendMessages({ body: 'mine', sessionId: 'green' });
    const holder = await newClient().acceptSession('hall', 'green');
    const message = await next(holder);
    await holder.setSessionState(Buffer.from('of the holder'));
    const other = newClient();
    await assert.rejects(other.acceptSession('hall', 'green'), (error: unknown) => {
      assert.ok(isServiceBusError(error), String(error));
      assert.equal(error.code, 'SessionCannotBeLocked');
      return true;
    });
    const asker = await Asker.open();
    const lost = '410 com.microsoft:session-lock-lost';
    const session = { 'session-id': 'green' };
    assert.equal(await asker.ask('renew-session-lock', session), lost);
    assert.equal(await asker.ask('get-session-state', session), lost);
    assert.equal(await asker.ask('set-session-state', { ...session, 'session-state': null }), lost);
    assert.equal(
      await asker.ask('receive-by-sequence-number', { ...session, 'sequence-numbers': [1], 'receiver-settle-mode': 0 }),
      lost,
    );
    assert.equal(
      await asker.ask('update-disposition', { ...session, 'disposition-status': 'completed', 'lock-tokens': [] }),
      lost,
    );
    // All is as the holder has left it.
    assert.equal(String(await holder.getSessionState()), 'of the holder');
    assert.ok((await holder.renewSessionLock()).getTime() > Date.now());
    await holder.completeMessage(message);
    await holder.close();
    // Then it is for whoever comes.
    const heir = await other.acceptSession('hall', 'green');
    assert.equal(String(await heir.getSessionState()), 'of the holder');
    assert.equal(await asker.ask('get-session-state', session), lost);
  });

  it('do not stand in the way where there are none: messages with a session id in a plain queue and among dead letters', async () => {
    const client = newClient();
    // Somebody has a session of that name, elsewhere.
    await client.createSender('hall').sendMessages({ body: 'elsewhere', sessionId: 'gray' });
    const holder = await newClient().acceptSession('hall', 'gray');
    await client.createSender('hall-plain').sendMessages({ body: 'here', sessionId: 'gray' });
    const receiver = client.createReceiver('hall-plain');
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 4_000 });
    await receiver.deadLetterMessage(message!);
    await holder.deadLetterMessage(await next(holder));
    for (const queue of ['hall-plain', 'hall']) {
      const dead = client.createReceiver(queue, { subQueueType: 'deadLetter' });
      const [letter] = await dead.receiveMessages(1, { maxWaitTimeInMs: 4_000 });
      assert.equal(letter?.sessionId, 'gray');
      await dead.deferMessage(letter);
      const [deferred] = await dead.receiveDeferredMessages(letter.sequenceNumber!);
      await dead.completeMessage(deferred!);
      assert.equal(cloud.namespace.counts(queue).deadLetter, 0);
    }
  });
});
