// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it } from 'node:test';
import { connect } from '../src/client/client.js';
import { opening, until } from './client-fixture.js';
import { Running } from './running-router.js';

const ROUTER = 'router { id: QDR.A }\n';
const listener = (name: string, rest = ''): string => `listener { name: ${name}  host: 127.0.0.1  port: 0 ${rest} }\n`;

describe('reload', () => {
  it(
    'opens what is new, closes what is gone, and leaves alone what has not changed',
    opening(async (opened) => {
      const router = await Running.start(opened, ROUTER + listener('stays') + listener('goes'));
      const port = router.port('stays')!;
      let lost = false;
      opened.add(await connect({ host: '127.0.0.1', port, onLost: () => (lost = true) }));
      router.write(`# moved down\n${ROUTER}${listener('comes')}${listener('stays')}`);
      const result = await router.process.reload();
      assert.deepEqual(result.ok && [result.changes, result.restart], [
        ['listener goes removed', 'listener comes added or changed'],
        [],
      ]);
      assert.equal(router.port('stays'), port);
      assert.equal(router.port('goes'), undefined);
      opened.add(await connect({ host: '127.0.0.1', port: router.port('comes')! }));
      assert.equal(lost, false);
      const again = await router.process.reload();
      assert.deepEqual(again.ok && again.changes, []);
    }),
  );

  it(
    'gives up a connector that is on its way when it is changed, and the new one when the router stops',
    opening(async (opened) => {
      // Takes connections, and says nothing.
      const open = new Set<Socket>();
      let count = 0;
      const server = createServer((socket) => {
        count += 1;
        open.add(socket);
        socket.on('error', () => undefined).on('close', () => open.delete(socket));
        socket.resume();
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      opened.later(() => server.close());
      const { port } = server.address() as AddressInfo;
      const to = (rest: string): string =>
        `${ROUTER}connector { name: silent  host: peer.example  port: 5671  proxy: http://127.0.0.1:${port} ${rest} }\n`;
      const router = await Running.start(opened, to(''));
      await until('the first attempt', () => count === 1);
      router.write(to('cost: 2'));
      assert.ok((await router.process.reload()).ok);
      await until('the second attempt in place of the first', () => count === 2 && open.size === 1);
      await router.process.stop();
      await until('the end of both', () => open.size === 0);
      assert.equal(count, 2);
    }),
  );

  it(
    'opens nothing that outlives a router which stops',
    opening(async (opened) => {
      for (const first of ['stop', 'reload']) {
        const router = await Running.start(opened, ROUTER + listener('stays'));
        const connector = `connector { name: leads  host: 127.0.0.1  port: ${router.port('stays')} }\n`;
        router.write(ROUTER + listener('stays') + listener('comes') + connector);
        const stopped = first === 'stop' ? router.process.stop() : undefined;
        const reloaded = router.process.reload();
        // As far as to the opening of ports, which takes its time.
        await Promise.resolve();
        await Promise.all([stopped ?? router.process.stop(), reloaded]);
        const { ok } = await reloaded;
        assert.equal(ok, first === 'reload', JSON.stringify(await reloaded));
        assert.deepEqual([router.process.listener('comes')?.status], ok ? ['closed'] : [undefined], first);
        assert.equal([...router.process.router.connections].length, 0, first);
      }
    }),
  );

  it(
    'changes an exchange together with its bindings, and leaves alone one that has not changed',
    opening(async (opened) => {
      const exchange = (name: string, rest = ''): string =>
        `exchange { name: ${name}  address: at.${name} ${rest} }\nbinding { exchangeName: ${name}  nextHopAddress: to.${name} }\n`;
      const router = await Running.start(opened, ROUTER + exchange('same') + exchange('other'));
      const { exchanges } = router.process.router;
      const same = exchanges.exchange('same');
      router.write(ROUTER + exchange('same') + exchange('other', 'matchMethod: mqtt'));
      assert.ok((await router.process.reload()).ok);
      assert.equal(exchanges.exchange('same'), same);
      assert.equal(same?.bindings.size, 1);
      assert.equal(exchanges.exchange('other')?.matchMethod, 'mqtt');
      assert.equal(exchanges.exchange('other')?.bindings.size, 1);
      exchanges.add({ name: 'foreign', address: 'at.new' });
      router.write(ROUTER + exchange('same') + exchange('new'));
      assert.ok((await router.process.reload()).ok);
      assert.deepEqual(
        [...exchanges.exchanges].map(({ name }) => name),
        ['same', 'foreign'],
      );
      assert.match(
        router.io.err,
        /AGENT \(error\) Error performing CREATE of .*config.exchange: duplicate exchange address/,
      );
    }),
  );

  it(
    'notices that a secret has changed, wherever it stands',
    opening(async (opened) => {
      const text = (key: string, secret: string): string =>
        `${ROUTER}${listener('sdk', `azureClients: sas  azureKeys: { "p": ["pass:old", "pass:${key}"] }`)}
connector { name: cloud  host: 127.0.0.1  port: 1  azureAuthentication: clientSecret  azureTenantId: t  azureClientId: c  azureClientSecret: pass:${secret} }
`;
      const router = await Running.start(opened, text('a', 'b'));
      const changesTo = async (key: string, secret: string): Promise<unknown> => {
        router.write(text(key, secret));
        const result = await router.process.reload();
        return result.ok && result.changes.filter((change) => change.endsWith('added or changed'));
      };
      assert.deepEqual(await changesTo('a', 'b'), []);
      assert.deepEqual(await changesTo('other', 'b'), ['listener sdk added or changed']);
      assert.deepEqual(await changesTo('other', 'another'), ['connector cloud added or changed']);
    }),
  );

  it(
    'changes nothing where the file has a mistake, and says where it is',
    opening(async (opened) => {
      const router = await Running.start(opened, ROUTER + listener('stays'));
      router.write(`${ROUTER}${listener('new')}${listener('bad', 'role: nothing')}`);
      const result = await router.process.reload();
      assert.equal(result.ok, false);
      assert.deepEqual(
        router.process.listeners.map(({ name }) => name),
        ['stays'],
      );
      assert.match(
        router.io.err,
        /AGENT \(error\) Configuration not reloaded, nothing has changed: .*router.conf:3: 'role' of listener.*\(found: nothing; allowed: .*route-container/,
      );
    }),
  );

  it(
    'changes nothing where a certificate of the new file cannot be read',
    opening(async (opened) => {
      const router = await Running.start(opened, ROUTER + listener('stays'));
      router.write(`${ROUTER}sslProfile { name: tls  certFile: /nowhere.pem }\nlog { module: SERVER  enable: none }\n`);
      const result = await router.process.reload();
      assert.match(result.ok ? '' : result.problems[0]!.message, /nowhere.pem.*there is no such file/);
      assert.match(router.io.err, /not reloaded.*nowhere.pem.*Correct certFile, or the rights of the file/);
      assert.notEqual(router.port('stays'), undefined);
      assert.equal(router.log.isEnabled('SERVER', 'error'), true);
    }),
  );

  it(
    'connects and disconnects connectors, and connects a changed one anew',
    opening(async (opened) => {
      const server = await Running.start(opened, `router { id: QDR.B }\n${listener('in')}`);
      const connector = (name: string, rest = ''): string =>
        `connector { name: ${name}  host: 127.0.0.1  port: ${server.port('in')}  ${rest} }\n`;
      const router = await Running.start(opened, ROUTER + connector('same') + connector('other'));
      const open = (name: string): boolean => router.process.connector(name)?.step === 'open';
      await until('both', () => open('same') && open('other'));
      const [same, other] = [router.process.connector('same'), router.process.connector('other')];
      router.write(ROUTER + connector('same') + connector('other', 'linkCapacity: 7'));
      assert.ok((await router.process.reload()).ok);
      assert.equal(router.process.connector('same'), same);
      assert.notEqual(router.process.connector('other'), other);
      await until('the new one', () => open('other') && server.process.router.connections.size === 2);
      assert.equal(same?.step, 'open');
    }),
  );

  it(
    'keeps what management has created, and changes the levels of the log',
    opening(async (opened) => {
      const router = await Running.start(opened, ROUTER);
      await router.process.addListener({ name: 'made', host: '127.0.0.1', port: '0' });
      router.write(`${ROUTER}log { module: SERVER  enable: debug+ }\n`);
      const result = await router.process.reload();
      assert.deepEqual(result.ok && result.changes, ['log SERVER changed']);
      assert.equal(router.log.isEnabled('SERVER', 'debug'), true);
      assert.notEqual(router.port('made'), undefined);
      router.write(ROUTER + listener('made'));
      const refused = await router.process.reload();
      assert.match(refused.ok ? '' : refused.problems[0]!.message, /there is a listener 'made' already/);
      router.write(ROUTER);
      assert.ok((await router.process.reload()).ok);
      assert.equal(router.log.isEnabled('SERVER', 'debug'), false);
    }),
  );

  it(
    'adds, changes and removes addresses, link routes and autolinks, also where made-up names move on',
    opening(async (opened) => {
      const conf = (...sections: string[]): string => `${ROUTER}${listener('a')}${sections.join('\n')}\n`;
      const auto = (address: string): string => `autoLink { address: ${address}  direction: in  containerId: bus }`;
      const route = 'linkRoute { prefix: far  direction: in  containerId: bus }';
      const running = await Running.start(
        opened,
        conf('address { prefix: one }', 'address { prefix: two  distribution: closest }', auto('x'), auto('y'), route),
      );
      const { router } = running.process;
      const y = router.autoLinks[1];
      running.write(
        conf('address { prefix: zero }', 'address { prefix: one }', 'address { prefix: two }', auto('w'), auto('y')),
      );
      const result = await running.process.reload();
      assert.deepEqual(result.ok && result.restart, []);
      assert.deepEqual(
        [...router.addressSettings.values()].map(({ prefix, distribution }) => `${prefix} ${distribution}`),
        ['one balanced', 'zero balanced', 'two balanced'],
      );
      assert.deepEqual(
        router.autoLinks.map(({ settings }) => settings.address),
        ['y', 'w'],
      );
      assert.equal(router.autoLinks[0], y);
      assert.deepEqual(router.linkRoutes, []);
      const names = [...router.addressSettings.values(), ...router.autoLinks].map(({ name }) => name);
      assert.equal(new Set(names).size, 5);
      const again = await running.process.reload();
      assert.deepEqual(again.ok && again.changes, []);
    }),
  );

  it(
    'says what only a start can change',
    opening(async (opened) => {
      const router = await Running.start(opened, ROUTER);
      router.write('router { id: QDR.C  defaultDistribution: closest }\n');
      const result = await router.process.reload();
      assert.deepEqual(result.ok && result.restart, ['router: id, defaultDistribution']);
      assert.equal(router.process.router.id, 'QDR.A');
      assert.match(router.io.err, /AGENT \(warning\) .*router: id, defaultDistribution counts from the next start on/);
    }),
  );
});
