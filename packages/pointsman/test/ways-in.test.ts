// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { TLSSocket } from 'node:tls';
import { formatProblems } from '../src/config/problems.js';
import { proxyOfEnvironment } from '../src/run/environment-proxy.js';
import { ConnectProxy } from './connect-proxy.js';
import type { ProxyRules } from './connect-proxy.js';
import {
  CLOUD_HOST,
  KEY,
  POLICY,
  ROUTER,
  THROUGH_ORDERS,
  connector,
  read,
  scene,
  section,
  sslProfile,
} from './five-steps-fixture.js';
import type { Attributes, RouterOptions, RunningRouter, Scene } from './five-steps-fixture.js';

const PASSWORD = 'pr0xy s3cret:ß';

async function openProxy(one: Scene, rules?: ProxyRules): Promise<ConnectProxy> {
  const proxy = await ConnectProxy.open(rules);
  one.whenOver(() => proxy.close());
  return proxy;
}

function start(one: Scene, port: number, changes: Attributes, options: RouterOptions = {}): Promise<RunningRouter> {
  const text = ROUTER + sslProfile({ caCertFile: one.caCertFile }) + connector(port, changes) + THROUGH_ORDERS;
  const env = { SERVICEBUS_KEY: KEY, PROXY_PASSWORD: PASSWORD };
  return one.startRouter(text, { backoff: { firstMs: 1, maxMs: 20 }, env, ...options });
}

/** Problems of a configuration, as the user reads them. */
function problemsOf(changes: Attributes): string {
  const result = read(ROUTER + sslProfile({}) + connector(5671, changes), {
    PROXY_PASSWORD: PASSWORD,
    SERVICEBUS_KEY: KEY,
  });
  return formatProblems(result.ok ? result.warnings : result.problems, { color: false });
}

describe('ways in: WebSocket', () => {
  it(
    'carries everything where transport is websocket',
    scene(async (one) => {
      const cloud = await one.openNamespace({ port: 'websocket' });
      const router = await start(one, 1, { port: undefined, transport: 'websocket', webSocketPort: cloud.port });
      await router.active();
      const { info, open } = cloud.visit;
      assert.equal(info.websocket, true);
      assert.equal(info.websocketPath, '/$servicebus/websocket');
      assert.equal(info.encrypted, true);
      assert.equal(open?.hostname, CLOUD_HOST);
      await router.said('Connection Opened', `host=${CLOUD_HOST}:${cloud.port}`);
    }),
  );

  it(
    'is what TransportType=AmqpWebSockets of a connection string asks for',
    scene(async (one) => {
      const cloud = await one.openNamespace({ port: 'websocket' });
      const string = `Endpoint=sb://${CLOUD_HOST}/;SharedAccessKeyName=${POLICY};SharedAccessKey=${KEY};TransportType=AmqpWebSockets`;
      const changes = { name: 'azure', connectionString: 'env:SB', sslProfile: 'cloud', webSocketPort: cloud.port };
      const text =
        ROUTER +
        sslProfile({ caCertFile: one.caCertFile }) +
        section('connector', { role: 'route-container', ...changes }) +
        THROUGH_ORDERS;
      const router = await one.startRouter(text, { env: { SB: string } });
      await router.active();
      assert.equal(cloud.visit.info.websocket, true);
    }),
  );

  it(
    'is tried where TCP does not do, kept, and left again, where transport is auto',
    scene(async (one) => {
      const cloud = await one.openNamespace({ port: 'websocket' });
      const closed = await one.closedPort();
      const router = await start(one, closed, { transport: 'auto', webSocketPort: cloud.port });
      await router.said(`${CLOUD_HOST}:${closed}`, 'refused', `A WebSocket on port ${cloud.port} is tried next`);
      await router.active();
      assert.equal(cloud.visit.info.websocket, true);

      cloud.namespace.faults.dropConnections();
      await router.until('the second connection', () => cloud.visits.length === 2 && cloud.visit.open !== undefined);
      await router.active();
      assert.equal(router.log.split('is tried next').length, 2, 'the way that worked is taken at once');

      await cloud.close();
      const tcp = await one.openNamespace({ onPort: closed });
      await router.said(`TCP on port ${closed} is tried next`);
      await router.until('the connection over TCP', () => tcp.visits.length > 0 && tcp.visit.open !== undefined);
      assert.equal(tcp.visit.info.websocket, false);
    }),
  );
});

describe('ways in: where TCP leads to what is no namespace', () => {
  const cases: readonly (readonly [what: string, words: readonly string[], act: (socket: Socket) => void])[] = [
    [
      'answers in HTTP',
      ['answered in HTTP'],
      (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 No\r\n\r\n')),
    ],
    ['hangs up', ['closed the connection before AMQP was open'], (socket) => socket.once('data', () => socket.end())],
    ['says nothing', ['fell silent'], (socket) => socket.resume()],
  ];
  for (const [what, words, act] of cases) {
    it(
      `a WebSocket is tried after TLS, too, where transport is auto: it ${what}`,
      scene(async (one) => {
        const cloud = await one.openNamespace({ port: 'websocket' });
        const { cert, key } = one.certificate();
        const inspector = await one.openPort((socket) => {
          const inside = new TLSSocket(socket, { isServer: true, cert, key });
          inside.on('error', () => undefined);
          act(inside);
        });
        const changes = { transport: 'auto', webSocketPort: cloud.port };
        const router = await start(one, inspector, changes, { openTimeoutMs: 300 });
        await router.said(`${CLOUD_HOST}:${inspector}`, ...words, `A WebSocket on port ${cloud.port} is tried next`);
        await router.active();
        assert.equal(cloud.visit.info.websocket, true);
      }),
    );
  }

  it(
    'a WebSocket is tried after a certificate of another name, where transport is auto',
    scene(async (one) => {
      const cloud = await one.openNamespace({ port: 'websocket' });
      const other = await one.openNamespace({ certificate: one.certificate({ names: ['block.example'], ips: [] }) });
      const router = await start(one, other.port, { transport: 'auto', webSocketPort: cloud.port });
      await router.said('block.example', `A WebSocket on port ${cloud.port} is tried next`);
      await router.active();
    }),
  );
});

describe('ways in: HTTP proxy', () => {
  it(
    'makes the tunnel for TCP, and is told who asks',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const proxy = await openProxy(one, { credentials: `jo:${PASSWORD}` });
      const router = await start(one, cloud.port, {
        proxy: `http://127.0.0.1:${proxy.port}`,
        proxyUsername: 'jo',
        proxyPassword: 'env:PROXY_PASSWORD',
      });
      await router.active();
      assert.deepEqual(proxy.asked, [`${CLOUD_HOST}:${cloud.port}`]);
      assert.ok(!router.log.includes(PASSWORD));
    }),
  );

  it(
    'that lets nothing but WebSockets pass is no obstacle to transport auto',
    scene(async (one) => {
      const cloud = await one.openNamespace({ port: 'websocket' });
      const proxy = await openProxy(one, { ports: [cloud.port] });
      const changes = { proxy: `127.0.0.1:${proxy.port}`, transport: 'auto', webSocketPort: cloud.port };
      const router = await start(one, 5671, changes);
      await router.active();
      assert.deepEqual(proxy.asked, [`${CLOUD_HOST}:5671`, `${CLOUD_HOST}:${cloud.port}`]);
      await router.said('refuses a tunnel', '403 Forbidden not to that port', 'A WebSocket');
    }),
  );

  it(
    'of the environment counts towards Service Bus, unless it is exempt or the connector says none',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const proxy = await openProxy(one, { credentials: `jo:${PASSWORD}` });
      const HTTPS_PROXY = `http://jo:${encodeURIComponent(PASSWORD)}@127.0.0.1:${proxy.port}`;
      await (await start(one, cloud.port, {}, { environment: { HTTPS_PROXY } })).active();
      assert.equal(proxy.asked.length, 1);
      await (await start(one, cloud.port, { proxy: 'none' }, { environment: { HTTPS_PROXY } })).active();
      const environment = { HTTPS_PROXY, NO_PROXY: 'localhost, .servicebus.windows.net' };
      await (await start(one, cloud.port, {}, { environment })).active();
      assert.equal(proxy.asked.length, 1);
    }),
  );

  it(
    'that does not take what it is told is named, with the cure and without the password',
    scene(async (one) => {
      const proxy = await openProxy(one, { credentials: 'jo:other' });
      const router = await start(one, 5671, {
        transport: 'auto',
        proxy: `http://127.0.0.1:${proxy.port}`,
        proxyUsername: 'jo',
        proxyPassword: 'env:PROXY_PASSWORD',
      });
      const line = await router.said(
        'refuses a tunnel',
        '407',
        "check the connector's proxyUsername and proxyPassword",
      );
      assert.ok(!line.includes('tried next'), 'another way leads through the same proxy');
      assert.ok(!router.log.includes(PASSWORD));
      assert.ok(!router.log.includes(Buffer.from(`jo:${PASSWORD}`).toString('base64')));
    }),
  );

  it('of the environment that cannot be used is named, with what to do and without its password', () => {
    for (const text of ['socks5://jo:s3cret@proxy:1080', 'http://jo:s3cret@proxy:0', 'http://jo:s3cret@proxy/path']) {
      const use = (): unknown =>
        proxyOfEnvironment((name) => (name === 'HTTPS_PROXY' ? text : undefined), 'host', 5671);
      assert.throws(use, (error: Error) => {
        assert.match(error.message, /^HTTPS_PROXY of the environment has .*write into the connector .*proxy: none$/);
        return !error.message.includes('s3cret');
      });
    }
  });

  it('is chosen by name as others choose', () => {
    const exempt = (list: string, host = 'a.b.example', port = 5671): boolean =>
      proxyOfEnvironment((name) => ({ HTTPS_PROXY: 'proxy:3128', NO_PROXY: list })[name], host, port) === undefined;
    for (const list of ['*', 'b.example', '.b.example', '*.b.example', 'x,A.B.EXAMPLE', 'a.b.example:5671'])
      assert.ok(exempt(list), list);
    for (const list of ['', 'xb.example', 'c.a.b.example', 'a.b.example:443', 'example.org', '10.0.0.0/8', '.'])
      assert.ok(!exempt(list), list);
    for (const [list, host] of [
      ['10.0.0.0/8', '10.1.2.3'],
      ['192.0.2.1 10.1.2.3', '10.1.2.3'],
      ['10.1.2.3:5671', '10.1.2.3'],
      ['::1', '::1'],
      ['[::1]:5671', '::1'],
      ['[2001:DB8::1]', '2001:db8:0::1'],
      ['2001:db8::/32', '2001:db8::7'],
      ['b.example', 'a.b.example.'],
    ] as const)
      assert.ok(exempt(list, host), `${list} for ${host}`);
    for (const [list, host] of [
      ['10.0.0.0/8', '11.1.2.3'],
      ['10.0.0.0/99', '10.1.2.3'],
      ['10.0.0.0/', '10.1.2.3'],
      ['2.3', '10.1.2.3'],
      ['::1', '::2'],
      ['[::1]:443', '::1'],
      ['2001:db8::/32', '2001:db9::7'],
    ] as const)
      assert.ok(!exempt(list, host), `${list} for ${host}`);
    const lower = (name: string): string | undefined => ({ https_proxy: 'http://u:p%40@low', HTTPS_PROXY: 'up' })[name];
    const { host, port, username, password } = proxyOfEnvironment(lower, 'a', 1)!;
    assert.deepEqual([host, port, username, password?.reveal()], ['low', 80, 'u', 'p@']);
    assert.throws(
      () => proxyOfEnvironment((name) => (name === 'HTTPS_PROXY' ? 'https://u:hidden@proxy' : undefined), 'a', 1),
      (error: Error) => error.message.includes('HTTPS_PROXY') && !error.message.includes('hidden'),
    );
  });
});

describe('ways in: private endpoint', () => {
  it(
    'is reached at one name, and called by another',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await start(one, cloud.port, { host: '127.0.0.1', hostname: CLOUD_HOST }, { lookup: 'system' });
      await router.active();
      const { info, open } = cloud.visit;
      assert.equal(info.servername, CLOUD_HOST);
      assert.equal(open?.hostname, CLOUD_HOST);
      assert.equal(open.idleTimeOut, 120_000, 'it counts as Service Bus');
    }),
  );
});

describe('ways in: what a configuration may say', () => {
  it('names what is wrong, where, and what to do', () => {
    assert.match(
      problemsOf({ port: 443 }),
      /router\.conf:\d+: error: on port 443 Service Bus takes AMQP in a WebSocket alone[^]*transport: websocket/,
    );
    assert.match(problemsOf({ transport: 'websocket' }), /'port' of connector 'azure' has no effect/);
    assert.match(problemsOf({ transport: 'udp' }), /transport/);
    assert.match(problemsOf({ proxyUsername: 'jo' }), /no 'proxy'/);
    assert.match(problemsOf({ proxy: 'http://p:1', proxyUsername: 'jo' }), /no 'proxyPassword'/);
    assert.match(problemsOf({ proxy: 'https://p:1' }), /scheme https:/);
    const inUrl = problemsOf({ proxy: 'http://jo:hidden@p:1' });
    assert.match(inUrl, /has a user or password in it[^]*proxyPassword: env:VARIABLE/);
    assert.ok(!inUrl.includes('hidden'));
    assert.equal(problemsOf({ proxy: 'none', transport: 'auto' }), '');
  });
});
