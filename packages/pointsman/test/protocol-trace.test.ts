// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import { connect } from '../src/client/client.js';
import { readConfig } from '../src/config/read-config.js';
import { createLogger } from '../src/log.js';
import type { Logger } from '../src/log.js';
import { RouterProcess } from '../src/run/router-process.js';
import { opening, text } from './client-fixture.js';
import type { Opened } from './client-fixture.js';

async function routerWith(
  opened: Opened,
  config: string,
  settings = '',
): Promise<{ router: RouterProcess; log: Logger }> {
  const listener = `listener {\nhost: 127.0.0.1\nport: 0\nauthenticatePeer: no\n${settings}\n}`;
  const result = readConfig(`router { mode: standalone  id: t }\n${listener}\n${config}\n`, { path: 't.conf' });
  assert.ok(result.ok);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const log = createLogger({ logs: result.config.logs, stderr: nowhere, stdout: nowhere });
  const router = new RouterProcess(result.config, { log });
  await router.start();
  opened.later(() => router.stop(100));
  return { router, log };
}

const NOBODY = { connection: undefined };

const attaches = (log: Logger, address: string): number =>
  log
    .recent(0)
    .filter(([module, , line]) => module === 'PROTOCOL' && line.includes('@attach') && line.includes(address)).length;

describe('frames in the log', () => {
  it(
    'are there while module PROTOCOL has trace, from then on for connections that were there before',
    opening(async (opened) => {
      const { router, log } = await routerWith(opened, '');
      const client = opened.add(await connect({ host: '127.0.0.1', port: router.listeners[0]!.port }));
      await client.sender('quiet');
      assert.equal(attaches(log, 'quiet'), 0);
      log.update('PROTOCOL', { enable: 'trace+' });
      const receiver = await client.receiver('traced');
      const sender = await client.sender('traced');
      const sent = sender.send(text('seen'));
      await (await receiver.next())!.accept();
      await sent;
      // Two links, each attached by both.
      assert.equal(attaches(log, 'traced'), 4);
      const lines = log.recent(0).filter(([module]) => module === 'PROTOCOL');
      assert.ok(lines.every(([, level, line]) => level === 'trace' && /^\[C\d+\]:FRAME: \d+ (->|<-) [@(]/.test(line)));
      assert.ok(lines.some(([, , line]) => /<- @transfer\(20\) \[handle=\d.*\] \(\d+\) ".*seen"$/.test(line)));
      log.update('PROTOCOL', { enable: 'info+' });
      await client.sender('quiet again');
      assert.equal(attaches(log, 'quiet again'), 0);
    }),
  );

  it(
    'begin with the headers, and name the connection as its open does',
    opening(async (opened) => {
      const { router, log } = await routerWith(opened, 'log { module: DEFAULT  enable: trace+ }');
      opened.add(await connect({ host: '127.0.0.1', port: router.listeners[0]!.port }));
      const lines = log
        .recent(0)
        .filter(([module]) => module === 'PROTOCOL')
        .map(([, , line]) => line);
      assert.match(lines[0]!, /^\[C(\d+)\]: <- (AMQP|SASL)$/);
      const open = lines.find((line) => line.includes('-> @open'))!;
      assert.match(open, /^\[C(\d+)\]:.*:"qd\.conn-id"=\1\b/);
    }),
  );

  it(
    'of one connection are switched by themselves, whatever the levels are',
    opening(async (opened) => {
      const { router, log } = await routerWith(opened, '');
      const { port } = router.listeners[0]!;
      const [traced, other] = [
        opened.add(await connect({ host: '127.0.0.1', port })),
        opened.add(await connect({ host: '127.0.0.1', port })),
      ];
      const connections = router.router.tables().find(({ type }) => type.name === 'connection')!;
      const [first] = connections.entities(NOBODY);
      await connections.update!(first!, { enableProtocolTrace: true }, NOBODY);
      await traced.sender('one');
      await other.sender('two');
      assert.equal(attaches(log, 'one'), 2);
      assert.equal(attaches(log, 'two'), 0);
      await connections.update!(first!, { enableProtocolTrace: false }, NOBODY);
      log.update('PROTOCOL', { enable: 'trace+' });
      await traced.sender('three');
      await other.sender('four');
      assert.equal(attaches(log, 'three'), 0);
      assert.equal(attaches(log, 'four'), 2);
    }),
  );
});

describe('messages in the log', () => {
  it(
    'are there with the parts that the listener names, while module MESSAGE has trace',
    opening(async (opened) => {
      const { router, log } = await routerWith(
        opened,
        'log { module: MESSAGE  enable: trace+ }',
        'logMessage: subject,reply-to',
      );
      const client = opened.add(await connect({ host: '127.0.0.1', port: router.listeners[0]!.port }));
      const receiver = await client.receiver('a');
      const sender = await client.sender('a');
      const send = async (subject: string): Promise<void> => {
        const sent = sender.send({ ...text('body'), properties: { subject, replyTo: 'b', to: 'a' } });
        await (await receiver.next())!.accept();
        await sent;
      };
      await send('one');
      log.update('MESSAGE', { enable: 'info+' });
      await send('two');
      const lines = log.recent(0).filter(([module]) => module === 'MESSAGE');
      assert.equal(lines.length, 2);
      for (const [index, what] of ['Received', 'Sent'].entries()) {
        const shown = new RegExp(
          `^\\[C\\d+\\]: ${what} Message\\{subject="one", reply-to="b"\\} on link '.*' \\(.* -> .*\\)$`,
        );
        assert.match(lines[index]![2], shown);
      }
    }),
  );
});
