// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { loadTlsCredentials } from '@pointsman/transport';
import { symbol, timestamp, uint } from '@pointsman/wire';
import type { AmqpValue, Message } from '@pointsman/wire';
import { connect } from '../src/client/client.js';
import { ClientError } from '../src/client/client-error.js';
import type { Delivery, ReceiveMode } from '../src/client/receiver.js';
import { readConfig } from '../src/config/read-config.js';
import { silentLogger } from '../src/log.js';
import { RouterProcess } from '../src/run/router-process.js';
import { opening, text, textOf, until } from './client-fixture.js';
import type { Opened } from './client-fixture.js';

const hasCondition =
  (condition: string, description?: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof ClientError, String(error));
    assert.equal(error.condition, condition);
    if (description !== undefined) assert.match(error.description, description);
    return true;
  };

describe('A sender and a receiver', () => {
  it(
    'carry a message unharmed',
    opening(async (opened) => {
      const client = await opened.client(await opened.namespace());
      const message: Message = {
        properties: {
          messageId: 'a-1',
          subject: 'order',
          correlationId: 'c',
          groupId: undefined,
          contentType: 'text/plain',
        },
        applicationProperties: new Map<string, AmqpValue>([
          ['count', uint(7)],
          ['when', timestamp(1_700_000_000_000)],
          ['kind', symbol('rail')],
        ]),
        body: { kind: 'data', sections: [Buffer.from('hello')] },
      };
      const sender = await client.sender('orders');
      const receiver = await client.receiver('orders');
      assert.deepEqual(await sender.send(message), { type: 'accepted' });
      const delivery = await receiver.next();
      assert.ok(delivery !== undefined);
      const { properties, applicationProperties, body } = delivery.message;
      assert.equal(properties?.messageId, 'a-1');
      assert.equal(properties?.correlationId, 'c');
      assert.deepEqual(applicationProperties, message.applicationProperties);
      assert.deepEqual(body?.kind === 'data' ? Buffer.from(body.sections[0]!).toString() : undefined, 'hello');
      assert.equal(delivery.tag.length, 16, 'the tag is the lock token');
      await delivery.accept();
    }),
  );

  it(
    'carry a message of many frames, in both directions',
    opening(async (opened) => {
      const server = await opened.namespace({ queues: [{ name: 'orders', maxMessageSizeBytes: 4_000_000 }] });
      const client = await opened.client(server, { maxFrameSize: 4096 });
      const content = randomBytes(3_000_000);
      const sender = await client.sender('orders');
      const receiver = await client.receiver('orders');
      const outcome = await sender.send({ body: { kind: 'data', sections: [content] } });
      assert.equal(outcome.type, 'accepted');
      const { body } = (await receiver.next())!.message;
      assert.ok(body?.kind === 'data' && content.equals(body.sections[0]!), 'the content came back as it was');
    }),
  );

  it(
    'keep the order of what waits for credit, however little there is of it',
    opening(async (opened) => {
      const server = await opened.namespace({ publisherCredit: 1 });
      const client = await opened.client(server);
      const sender = await client.sender('orders');
      const outcomes = await Promise.all(Array.from({ length: 100 }, (_, i) => sender.send(text(String(i)))));
      assert.ok(outcomes.every(({ type }) => type === 'accepted'));
      const got: unknown[] = [];
      await client.receiver('orders', { credit: 3 }, (delivery) => {
        got.push(textOf(delivery.message));
      });
      await until('100 messages', () => got.length === 100);
      assert.deepEqual(
        got,
        Array.from({ length: 100 }, (_, i) => String(i)),
      );
      await until('all to be settled', () => server.namespace.counts('orders').active === 0);
    }),
  );

  it(
    'tell what a refused message was refused for',
    opening(async (opened) => {
      const server = await opened.namespace();
      const sender = await (await opened.client(server)).sender('orders');
      server.namespace.faults.refuseSends(1);
      const outcome = await sender.send(text('one'));
      assert.equal(outcome.type, 'rejected');
      assert.equal(outcome.type === 'rejected' ? outcome.error?.condition : '', 'com.microsoft:server-busy');
      assert.equal((await sender.send(text('two'))).type, 'accepted');
    }),
  );

  it(
    'send settled, and receive settled',
    opening(async (opened) => {
      const server = await opened.namespace();
      const client = await opened.client(server);
      const sender = await client.sender('orders', { settled: true });
      for (let i = 0; i < 10; i++) assert.equal((await sender.send(text(String(i)))).type, 'accepted');
      assert.equal(sender.unsettled, 0);
      const receiver = await client.receiver('orders', { mode: 'settled', credit: 2 });
      for (let i = 0; i < 10; i++) {
        const delivery = (await receiver.next())!;
        assert.equal(textOf(delivery.message), String(i));
        assert.ok(delivery.isSettled);
      }
      assert.equal(server.namespace.counts('orders').active, 0);
    }),
  );

  it(
    'hold no more than may wait',
    opening(async (opened) => {
      const server = await opened.namespace({ publisherCredit: 1 });
      const sender = await (await opened.client(server)).sender('orders', { queueMax: 5 });
      const results = await Promise.allSettled(Array.from({ length: 20 }, () => sender.send(text('x'))));
      const full = results.filter(({ status }) => status === 'rejected');
      assert.ok(full.length > 0 && full.length < 20, `${full.length} of 20 were too many`);
      for (const result of full)
        assert.ok(result.status === 'rejected' && hasCondition('pointsman:queue-full')(result.reason));
      await sender.room();
      assert.equal((await sender.send(text('y'))).type, 'accepted');
    }),
  );

  it(
    'post as many messages as there is credit without growing the stack',
    opening(async (opened) => {
      const sender = await (
        await opened.client(await opened.namespace({ publisherCredit: 20_000 }))
      ).sender('orders', { settled: true });
      await until('credit', () => sender.credit > 0);
      let count = 0;
      const again = (): void => {
        if (++count < 15_000) sender.post(Uint8Array.of(0, 0x53, 0x77, 0x40), again);
      };
      again();
      await until('15,000 messages', () => count === 15_000);
    }),
  );
});

describe('A receiver', () => {
  const receive = async (
    opened: Opened,
    mode: ReceiveMode,
  ): Promise<{ first: Delivery; next: () => Promise<Delivery | undefined>; deadLetters: () => number }> => {
    const server = await opened.namespace();
    const client = await opened.client(server);
    await (await client.sender('orders')).send(text('x'));
    const receiver = await client.receiver('orders', { mode });
    return {
      first: (await receiver.next())!,
      next: () => receiver.next(),
      deadLetters: () => server.namespace.counts('orders').deadLetter,
    };
  };

  for (const mode of ['first', 'second'] as const) {
    it(
      `gives back what it releases, uncounted (${mode})`,
      opening(async (opened) => {
        const { first, next } = await receive(opened, mode);
        await first.release();
        assert.equal((await next())!.message.header?.deliveryCount ?? 0, 0);
      }),
    );

    it(
      `gives back what it modifies, as an attempt that failed (${mode})`,
      opening(async (opened) => {
        const { first, next } = await receive(opened, mode);
        await first.modify();
        assert.equal((await next())!.message.header?.deliveryCount, 1);
      }),
    );

    it(
      `puts away for good what it rejects (${mode})`,
      opening(async (opened) => {
        const { first, deadLetters } = await receive(opened, mode);
        await first.reject({ condition: 'amqp:not-allowed', description: 'no such order' });
        await until('the dead-letter queue to have it', () => deadLetters() === 1);
      }),
    );
  }

  it(
    'hears that it settled too late',
    opening(async (opened) => {
      const server = await opened.namespace({ queues: [{ name: 'orders', lockDurationMs: 5 }] });
      const client = await opened.client(server);
      await (await client.sender('orders')).send(text('x'));
      const receiver = await client.receiver('orders', { mode: 'second', credit: 0 });
      receiver.addCredit(1);
      const delivery = (await receiver.next())!;
      await until('the lock to end', () => server.namespace.counts('orders').locked === 0);
      await assert.rejects(delivery.accept(), hasCondition('com.microsoft:message-lock-lost'));
    }),
  );

  it(
    'settles what its handler has done, when it has done it',
    opening(async (opened) => {
      const server = await opened.namespace();
      const client = await opened.client(server);
      const sender = await client.sender('orders');
      let release!: () => void;
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      let calls = 0;
      await client.receiver('orders', {}, async () => {
        calls++;
        await gate;
      });
      await sender.send(text('x'));
      await until('the handler to be called', () => calls === 1);
      assert.equal(server.namespace.counts('orders').locked, 1);
      release();
      await until('the message to be gone', () => server.namespace.counts('orders').active === 0);
    }),
  );

  it(
    'is an iteration that ends when it is closed',
    opening(async (opened) => {
      const server = await opened.namespace();
      const client = await opened.client(server);
      const sender = await client.sender('orders');
      await Promise.all(['a', 'b', 'c'].map((body) => sender.send(text(body))));
      const receiver = await client.receiver('orders', { credit: 1 });
      const got: unknown[] = [];
      for await (const delivery of receiver) {
        got.push(textOf(delivery.message));
        await delivery.accept();
        if (got.length === 3) await receiver.close();
      }
      assert.deepEqual(got, ['a', 'b', 'c']);
      assert.equal(receiver.isOpen, false);
    }),
  );

  it(
    'takes its credit back by draining',
    opening(async (opened) => {
      const client = await opened.client(await opened.namespace());
      const receiver = await client.receiver('orders', { credit: 10 });
      await receiver.drain();
      assert.equal(receiver.link.credit, 0);
      await (await client.sender('orders')).send(text('x'));
      receiver.addCredit(1);
      assert.equal(textOf((await receiver.next())!.message), 'x');
    }),
  );
});

describe('Refusals and losses', () => {
  it(
    'reject an attach with what the peer said of it',
    opening(async (opened) => {
      const server = await opened.namespace();
      const client = await opened.client(server);
      await assert.rejects(client.sender('nowhere'), hasCondition('amqp:not-found', /nowhere/));
      await assert.rejects(client.receiver('nowhere'), hasCondition('amqp:not-found', /nowhere/));
      const stranger = await opened.client(server, {
        sasl: { mechanisms: ['PLAIN'], username: 'RootManageSharedAccessKey', password: () => 'wrong' },
      });
      await assert.rejects(stranger.sender('orders'), hasCondition('amqp:unauthorized-access', /'Send' claim/));
      await assert.rejects(stranger.receiver('orders'), hasCondition('amqp:unauthorized-access', /'Listen' claim/));
      // The connection is none the worse for it.
      assert.equal((await (await client.sender('orders')).send(text('x'))).type, 'accepted');
    }),
  );

  it(
    'reject what is under way when the peer detaches a link, and leave the others alone',
    opening(async (opened) => {
      const server = await opened.namespace({ queues: ['orders', 'other'], publisherCredit: 1 });
      const client = await opened.client(server);
      const ended: string[] = [];
      const sender = await client.sender('orders', { onEnded: ({ condition }) => ended.push(condition) });
      const receiver = await client.receiver('orders', { onEnded: ({ condition }) => ended.push(condition) });
      const other = await client.sender('other');
      const sends = Array.from({ length: 20 }, () => sender.send(text('x')));
      const next = receiver.next().then(async () => {
        for (;;) await receiver.next();
      });
      next.catch(() => undefined);
      await sends[0];
      assert.equal(server.namespace.faults.detachLinks('orders'), 2);
      const results = await Promise.allSettled(sends);
      for (const result of results)
        if (result.status === 'rejected') assert.ok(hasCondition('amqp:link:detach-forced')(result.reason));
      assert.ok(
        results.some(({ status }) => status === 'rejected'),
        'some were under way',
      );
      await assert.rejects(next, hasCondition('amqp:link:detach-forced'));
      assert.deepEqual(ended, ['amqp:link:detach-forced', 'amqp:link:detach-forced']);
      await assert.rejects(sender.send(text('y')), hasCondition('amqp:link:detach-forced'));
      assert.equal((await other.send(text('z'))).type, 'accepted');
    }),
  );

  it(
    'report the loss of a connection once, with the reason where there was one',
    opening(async (opened) => {
      const server = await opened.namespace({ publisherCredit: 1 });
      const lost: ClientError[] = [];
      const onLost = (error: ClientError): void => void lost.push(error);
      const [closed, dropped] = [await opened.client(server, { onLost }), await opened.client(server, { onLost })];
      const sender = await closed.sender('orders');
      const sends = Promise.allSettled(Array.from({ length: 10 }, () => sender.send(text('x'))));
      server.namespace.faults.closeConnections();
      await until('both to be lost', () => lost.length === 2);
      for (const error of lost) hasCondition('amqp:connection:forced')(error);
      for (const result of await sends)
        if (result.status === 'rejected') hasCondition('amqp:connection:forced')(result.reason);
      await assert.rejects(dropped.sender('orders'), hasCondition('amqp:connection:forced'));

      const third = await opened.client(server, { onLost });
      const receiver = await third.receiver('orders', { credit: 0 });
      server.namespace.faults.dropConnections();
      await assert.rejects(receiver.next(), hasCondition('pointsman:lost'));
      await until('the third to be lost', () => lost.length === 3);
      assert.equal(third.isOpen, false);
    }),
  );

  it(
    'say nothing of a loss that was our own close',
    opening(async (opened) => {
      const server = await opened.namespace();
      let lost = 0;
      const client = await opened.client(server, { onLost: () => lost++ });
      const sender = await client.sender('orders');
      await client.close();
      await client.close();
      assert.equal(lost, 0);
      await assert.rejects(sender.send(text('x')), hasCondition('pointsman:lost'));
      await assert.rejects(client.sender('orders'), hasCondition('pointsman:closed'));
      await until('the namespace to have nobody', () => server.namespace.connections === 0);
    }),
  );

  it(
    'do not wait for ever for a peer that says nothing',
    opening(async (opened) => {
      const sockets = new Set<{ destroy(): unknown }>();
      const silent = createServer((socket) => sockets.add(socket));
      await new Promise<void>((resolve) => {
        silent.listen(0, '127.0.0.1', resolve);
      });
      opened.later(() => {
        for (const socket of sockets) socket.destroy();
        return new Promise((resolve) => {
          silent.close(resolve);
        });
      });
      const { port } = silent.address() as AddressInfo;
      await assert.rejects(
        connect({ host: '127.0.0.1', port, timeoutMs: 50 }),
        (error: unknown) => error instanceof ClientError,
      );
    }),
  );
});

describe('A client of the router', () => {
  it(
    'uses dynamic nodes and anonymous links',
    opening(async (opened) => {
      const result = readConfig(
        'router { mode: standalone  id: t }\nlistener { host: 127.0.0.1  port: 0  authenticatePeer: no }\n',
        { path: 't.conf' },
      );
      assert.ok(result.ok);
      const router = new RouterProcess(result.config, { log: silentLogger });
      await router.start();
      opened.later(() => router.stop(100));
      const client = opened.add(await connect({ host: '127.0.0.1', port: router.listeners[0]!.port }));
      const receiver = await client.receiver(undefined);
      assert.ok(receiver.address !== undefined && receiver.address !== '');
      const sender = await client.sender(undefined);
      const outcome = sender.send({ ...text('hello'), properties: { to: receiver.address } });
      const delivery = (await receiver.next())!;
      assert.equal(textOf(delivery.message), 'hello');
      assert.equal(sender.unsettled, 1, 'a router settles nothing that its receiver has not settled');
      await delivery.accept();
      assert.equal((await outcome).type, 'accepted');
      const away = await sender.send({ ...text('hello'), properties: { to: 'nobody' } });
      assert.notEqual(away.type, 'accepted');
    }),
  );

  it(
    'reaches a namespace by each of its ports',
    opening(async (opened) => {
      const server = await opened.namespace();
      const tls = loadTlsCredentials({ caCertFile: server.caCertFile });
      const ways = [
        { mode: 'tls', port: server.ports.amqps! },
        { mode: 'tls-in-band', port: server.ports.amqp! },
        { mode: 'websocket-tls', port: server.ports.wss! },
      ] as const;
      for (const { mode, port } of ways) {
        const client = await opened.client(server, { mode, port, tls });
        assert.equal(client.info.encrypted, true);
        assert.equal((await (await client.sender('orders')).send(text(mode))).type, 'accepted');
      }
      assert.equal(server.namespace.counts('orders').active, 3);
    }),
  );
});
