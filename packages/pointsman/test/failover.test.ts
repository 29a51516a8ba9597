// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { symbol, uint } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { connect } from '../src/client/client.js';
import { readConfig } from '../src/config/read-config.js';
import { silentLogger } from '../src/log.js';
import { FailoverList } from '../src/run/failover-list.js';
import { RouterProcess } from '../src/run/router-process.js';
import { opening, text, textOf, until } from './client-fixture.js';
import type { Opened } from './client-fixture.js';

function entry(host: string, port: AmqpValue, scheme?: string): AmqpValue {
  const map = new Map<AmqpValue, AmqpValue>([[symbol('network-host'), host]]);
  map.set(symbol('port'), port);
  if (scheme !== undefined) map.set(symbol('scheme'), scheme);
  return map;
}

describe('the places of a connector', () => {
  it('have names that can stand in a log and on the wire, or do not count', () => {
    const list = new FailoverList({ host: 'a', port: 1 });
    const names = ['b\u001b[2J', 'b\u0000', 'b\u202e', '[::1]', 'b/c', 'b c', 'u@b', 'b\u00e9', ''];
    list.opened([...names.map((name) => entry(name, '2')), entry('fe80::1%eth0', '3'), entry('b_1.example', '4')]);
    assert.equal(list.text, 'amqp://a:1, amqp://[fe80::1%eth0]:3, amqp://b_1.example:4');
  });

  it('have two tries each, in turn, and begin anew at the one that opened', () => {
    const list = new FailoverList({ host: 'a', port: 1 });
    const tried = (count: number): string => Array.from({ length: count }, () => list.next().host).join('');
    assert.equal(tried(3), 'aaa', 'there is no other');
    list.opened([entry('b', '2'), entry('c', uint(3))]);
    assert.equal(list.text, 'amqp://a:1, amqp://b:2, amqp://c:3');
    assert.equal(tried(9), 'aabbccaab');
    list.opened(undefined);
    assert.equal(list.text, 'amqp://b:2, amqp://c:3, amqp://a:1', 'a peer that says nothing changes nothing');
    assert.equal(tried(4), 'bbcc');
  });

  it('are replaced by what a peer names, but for its own and the current one', () => {
    const list = new FailoverList({ host: 'a', port: 1 });
    list.next();
    list.opened([entry('b', '2'), entry('c', '3', 'amqps')]);
    for (let i = 0; i < 3; i++) list.next();
    assert.equal(list.current.host, 'b');
    list.opened([entry('d', 'amqp'), entry('a', '1'), entry('b', 2)]);
    assert.equal(list.text, 'amqp://b:2, amqp://d:5672, amqp://a:1');
    list.opened([]);
    assert.equal(list.text, 'amqp://b:2, amqp://a:1');
    assert.equal(list.current.host, 'b');
  });

  it('are bounded, and what is no place is left out', () => {
    const list = new FailoverList({ host: 'a', port: 1 });
    list.next();
    for (const wrong of ['b:2', 7, new Map(), null, new Map<AmqpValue, AmqpValue>([[uint(1), 'b']])] as AmqpValue[])
      list.opened([wrong]);
    const ports: AmqpValue[] = ['0', '65536', 'http', -1, null, new Map()];
    list.opened([...ports.map((port) => entry('b', port)), entry('b c', '2'), entry('', '2'), entry('user@b', '2')]);
    assert.equal(list.text, 'amqp://a:1, amqp://b:5672', 'a port that is left out is the usual one');
    list.opened(Array.from({ length: 500 }, (_, i) => entry(`h${i}`, '1')));
    assert.equal(list.text.split(', ').length, 17);
    list.opened([entry('::1', '7')]);
    assert.equal(list.text, 'amqp://a:1, amqp://[::1]:7');
  });
});

async function running(opened: Opened, conf: string): Promise<RouterProcess> {
  const result = readConfig(conf, { path: 'router.conf' });
  assert.ok(result.ok, JSON.stringify(result));
  const process = new RouterProcess(result.config, { log: silentLogger, backoff: { minMs: 5, maxMs: 20 } });
  await process.start();
  opened.later(() => process.stop());
  return process;
}

const listener = (more = ''): string => `listener { name: it  host: 127.0.0.1  port: 0 ${more} }\n`;
const portOf = (process: RouterProcess): number => process.listeners[0]!.port;

describe('a connector', () => {
  it(
    'whose peer goes away goes on with a place that it had named, autolinks included, and comes back',
    opening(async (opened) => {
      const second = await running(opened, `router { id: second }\n${listener()}`);
      const other = `127.0.0.1:${portOf(second)}`;
      const first = await running(opened, `router { id: first }\n${listener(`failoverUrls: ${other}`)}`);
      const own = `127.0.0.1:${portOf(first)}`;
      const router = await running(
        opened,
        `router { id: QDR.A }\n${listener()}
connector { name: c  host: 127.0.0.1  port: ${portOf(first)}  role: route-container }
autoLink { address: q  direction: out  connection: c }
`,
      );
      const connector = router.connector('c')!;
      await until('the connection', () => connector.step === 'open');
      assert.equal(connector.failoverUrls, `amqp://${own}, amqp://${other}`);
      assert.match(connector.lastMessage ?? '', new RegExp(`host=${own} .*container_id=first`));

      await first.stop();
      await until('the other place', () => connector.step === 'open' && connector.place === other);
      assert.equal(connector.failoverUrls, `amqp://${other}, amqp://${own}`, 'the second names none: all stay');
      assert.equal(connector.connection?.remoteOpen?.containerId, 'second');
      await until('the autolink', () => router.router.autoLinks[0]!.status === 'active');
      const consumer = opened.add(await connect({ host: '127.0.0.1', port: portOf(second) }));
      const receiver = await consumer.receiver('q', { credit: 1 });
      const producer = opened.add(await connect({ host: '127.0.0.1', port: portOf(router) }));
      const outcome = (await producer.sender('q')).send(text('by the other way'));
      const delivery = await receiver.next();
      assert.equal(textOf(delivery!.message), 'by the other way');
      await delivery!.accept();
      assert.equal((await outcome).type, 'accepted');

      const [, port] = own.split(':');
      await running(opened, `router { id: again }\nlistener { host: 127.0.0.1  port: ${port} }\n`);
      await second.stop();
      await until('the first place', () => connector.step === 'open' && connector.place === own);
      assert.equal(connector.connection?.remoteOpen?.containerId, 'again');
    }),
  );

  it('is warned of where the file has none of that name, and a mistake where it has nearly that name', () => {
    const autoLink = 'autoLink { address: a  direction: in  phase: 0  connection: azure }';
    const later = readConfig(autoLink, { path: 'r.conf' });
    assert.ok(later.ok);
    assert.deepEqual(
      later.warnings.map(({ severity, message }) => `${severity}: ${message}`),
      ["warning: 'connection' of autoLink names no connector or listener: it waits until there is one"],
    );
    const slip = readConfig(`connector { name: azur  role: route-container }\n${autoLink}`, { path: 'r.conf' });
    assert.equal(slip.ok, false);
    assert.deepEqual(
      slip.problems.map(({ severity, nearest }) => [severity, nearest]),
      [['error', 'azur']],
    );
  });

  it(
    'may be created while the router runs: autolinks of the file wait for it',
    opening(async (opened) => {
      const peer = await running(opened, `router { id: peer }\n${listener()}`);
      const router = await running(
        opened,
        'router { id: QDR.A }\nautoLink { address: q  direction: out  connection: later }\n',
      );
      assert.equal(router.router.autoLinks[0]!.status, 'inactive');
      const place = { host: '127.0.0.1', port: String(portOf(peer)) };
      router.addConnector({ name: 'later', role: 'route-container', ...place });
      await until('the autolink', () => router.router.autoLinks[0]!.status === 'active');
    }),
  );

  it(
    'has several connectors to one host, each with its autolinks',
    opening(async (opened) => {
      const peer = await running(opened, `router { id: peer }\n${listener()}`);
      const connector = (name: string): string =>
        `connector { name: ${name}  host: 127.0.0.1  port: ${portOf(peer)}  role: route-container }\n`;
      const router = await running(
        opened,
        `router { id: QDR.A }\n${connector('one')}${connector('two')}
autoLink { address: q1  direction: out  connection: one }
autoLink { address: q2  direction: out  connection: two }
`,
      );
      await until('both', () => router.router.autoLinks.every(({ status }) => status === 'active'));
      assert.deepEqual(
        router.router.autoLinks.map(({ connection }) => connection?.settings.name),
        ['one', 'two'],
      );
      assert.equal(router.removeConnector('one'), true);
      await until('that one is gone', () => router.router.autoLinks[0]!.status === 'inactive');
      assert.equal(router.router.autoLinks[1]!.status, 'active');
    }),
  );
});
