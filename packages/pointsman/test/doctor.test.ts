// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { examineClock } from '../src/doctor/clock.js';
import { lockOf } from '../src/doctor/entities.js';
import { CHECKS, STEPS } from '../src/doctor/finding.js';
import { examineName } from '../src/doctor/network.js';
import type { Patient } from '../src/doctor/patient.js';
import type { Destination } from '../src/run/destination.js';
import { ConnectProxy } from './connect-proxy.js';
import { doctor, findings, verdicts } from './doctor-fixture.js';
import type { Found as Finding, Told } from './doctor-fixture.js';
import {
  CLOUD_HOST,
  KEY,
  POLICY,
  ROUTER,
  THROUGH_ORDERS,
  autoLink,
  connector,
  days,
  scene,
  section,
  sslProfile,
} from './five-steps-fixture.js';
import type { Scene } from './five-steps-fixture.js';
import { DOCTOR_SCHEMA, assertShape } from './json-shape.js';

/** Nobody has this port, whatever listens at the usual one of this machine. */
const NO_HTTPS = { webSocketPort: 1 };

const trusted = (one: Scene): string => sslProfile({ caCertFile: one.caCertFile });

describe('doctor: a connector that works', () => {
  it(
    'is followed from its name to its entities, and a message through one of them',
    scene(async (one) => {
      const cloud = await one.openNamespace({ certificate: one.certificate(days(-1, 100)) });
      const text = trusted(one) + connector(cloud.port, NO_HTTPS) + THROUGH_ORDERS;
      const { status, found } = await findings(
        one,
        text,
        '--entity',
        'events/Subscriptions/billing',
        '--round-trip',
        'orders',
      );
      const closed443 = found.filter(({ step }) => step === 'network');
      assert.deepEqual(verdicts(found.filter((finding) => finding !== closed443[1])), [
        'name',
        'network',
        'tls',
        'tls',
        'tls',
        'authentication',
        'open',
        'entity skipped',
        'entity',
        'entity',
        'entity skipped',
        'entity',
        'round-trip',
        'clock',
      ]);
      assert.equal(status, 0);
      const tls = found.find(({ step }) => step === 'tls');
      assert.match(tls!.text, /^TLSv1\.3, TLS_/);
      const of = (check: string): Finding | undefined => found.find((finding) => finding.check === check);
      assert.equal(of('versions')!.text, 'The peer takes TLSv1.2 and TLSv1.3, not TLSv1.1');
      assert.match(
        of('certificate')!.text,
        /^Certificate for \*\.servicebus\.windows\.net, localhost, 127\.0\.0\.1, .*"Unit Root", trusted by caCertFile of sslProfile cloud$/,
      );
      assert.match(found.find(({ step }) => step === 'authentication')!.text, /PLAIN as RootManage.* looks at the key/);
      assert.deepEqual(
        found
          .filter(({ check }) => check === 'link')
          .map(({ details }) => [details?.['entity'], details?.['direction']]),
        [
          ['orders', 'out'],
          ['orders', 'in'],
          ['events/Subscriptions/billing', 'in'],
        ],
      );
    }),
  );

  it(
    'gives back the messages of others that it meets',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const text = trusted(one) + connector(cloud.port, NO_HTTPS) + THROUGH_ORDERS;
      const router = await one.startRouter(text + section('listener', { host: '127.0.0.1', port: 0 }));
      await router.active();
      const { connect } = await import('../src/client/client.js');
      const client = await connect({ host: '127.0.0.1', port: router.port });
      one.whenOver(() => client.close());
      const sender = await client.sender('orders');
      assert.equal((await sender.send({ properties: { messageId: 'of another' } })).type, 'accepted');
      await router.process.stop(0);

      const { found } = await findings(one, text, '--round-trip', 'orders');
      const trip = (all: readonly Finding[]): string => all.find(({ step }) => step === 'round-trip')!.text;
      assert.match(trip(found), /1 message of others was given back/);
      const again = await findings(one, text, '--round-trip', 'orders');
      assert.match(trip(again.found), /1 message of others was given back/);
    }),
  );

  it(
    'is reported to people with ticks, without colours where nobody watches',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const file = one.file('router.conf', ROUTER + trusted(one) + connector(cloud.port) + THROUGH_ORDERS);
      const { status, out } = await doctor(['-c', file]);
      assert.equal(status, 0);
      assert.match(out, /^Connector azure: unit\.servicebus\.windows\.net:\d+, by TCP\n\n {2}✔ Name/);
      assert.match(out, /\n {2}✔ Entity {10}May receive from orders/);
      assert.match(out, /\n {2}! TLS [^]*Less than a day is[^]*\nIt works, with 1 remark\n/);
      assert.ok(!out.includes('\u001b'));
      assert.ok(out.split('\n').every((line) => line.length <= 110));
    }),
  );

  it(
    'has its tokens tried, where it goes by tokens',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const byTokens = { saslMechanisms: undefined, azureAuthentication: 'sas' };
      const text = trusted(one) + connector(cloud.port, byTokens) + THROUGH_ORDERS;
      const { status, found } = await findings(one, text);
      assert.equal(status, 0, JSON.stringify(found, undefined, 1));
      const tokens = found.filter(({ step }) => step === 'tokens');
      assert.equal(tokens.length, 1);
      assert.match(tokens[0]!.text, /^The sas token for sb:\/\/unit\.servicebus\.windows\.net\/orders \(key of policy/);

      const wrong = trusted(one) + connector(cloud.port, { ...byTokens, saslPassword: 'pass:wrong' }) + THROUGH_ORDERS;
      const refused = await findings(one, wrong);
      assert.equal(refused.status, 13);
      assert.match(
        refused.found.find(({ verdict }) => verdict === 'bad')!.text,
        /refused the token .*401.*The key or signature is wrong/,
      );
    }),
  );

  it(
    'needs no file: a connection string is enough',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const string = `Endpoint=sb://${CLOUD_HOST}:${cloud.port}/;SharedAccessKeyName=${POLICY};SharedAccessKey=${KEY};EntityPath=orders`;
      const argv = ['--connection-string', 'env:SB', '--ca-file', one.caCertFile, '-o', 'json'];
      const { status, out, error } = await doctor(argv, { SB: string });
      assert.equal(error, '');
      assert.equal(status, 0);
      const [report] = (JSON.parse(out) as Told).connectors;
      assert.equal(report!.findings.filter(({ check, verdict }) => check === 'link' && verdict === 'good').length, 2);
    }),
  );
});

describe('doctor: options that are wrong', () => {
  it('are told as options: there is no file that could be corrected', async () => {
    const string = 'Endpoint=sb://localhost/;SharedAccessKeyName=a;SharedAccessKey=YQ==';
    for (const [options, words] of [
      [[], /^command line: error: --connection-string refers to the environment variable SB, which is not set$/m],
      [['--transport', 'pigeon'], /^command line: error: --transport is not one of its values$/m],
      [['--http-port', 'x'], /error: --http-port must be a whole number$/m],
      [['--ca-file', '/nowhere/ca.pem'], /^pointsman doctor: --ca-file \/nowhere\/ca\.pem: there is no such file/],
    ] as const) {
      const { status, error } = await doctor(
        ['--connection-string', 'env:SB', ...options],
        options.length === 0 ? {} : { SB: string },
      );
      assert.equal(status, 1);
      assert.match(error, words);
    }
    const { error } = await doctor(['--connection-string', 'env:SB'], { SB: 'Endpoint=x' });
    assert.match(error, /^pointsman doctor: --connection-string: The connection string cannot be used: Endpoint/);
  });
});

describe('doctor: a connector that does not work', () => {
  it(
    'has an exit status and a cure for each step that fails',
    scene(async (one) => {
      const cloud = await one.openNamespace({
        sessions: undefined,
        queues: [{ name: 'orders' }, { name: 'steps', requiresSession: true }],
      } as never);
      const foreign = await one.openNamespace({ certificate: one.certificate({ names: ['other.example'], ips: [] }) });
      const expired = await one.openNamespace({ certificate: one.certificate(days(-9, -2)) });
      const closed = await one.closedPort();
      const silent = await one.openPort((socket) => socket.resume());
      const plain = await one.openPort((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
      const profile = trusted(one);
      const rows: readonly [text: string, status: number, step: string, cure: RegExp][] = [
        [profile + connector(closed), 11, 'network', /refused the connection/],
        [sslProfile({}) + connector(cloud.port), 12, 'tls', /issued by "Unit Root".*a proxy here may look into TLS/],
        [profile + connector(foreign.port), 12, 'tls', /is for other\.example, not for unit\.servicebus/],
        [profile + connector(expired.port), 12, 'tls', /expired on/],
        [profile + connector(plain), 12, 'tls', /does not speak TLS/],
        [profile + connector(silent), 12, 'tls', /did not go on with the TLS handshake/],
        [profile + connector(cloud.port, { saslMechanisms: 'EXTERNAL' }), 15, 'entity', /does not authenticate|right/],
        [
          profile + connector(cloud.port, { saslPassword: 'pass:wrong' }),
          13,
          'authentication',
          /The key is wrong, or there is no policy RootManage.*saslUsername and saslPassword of connector azure/,
        ],
        [profile + connector(cloud.port) + autoLink('in', 'orderz'), 15, 'entity', /orderz.* does not exist/],
        [profile + connector(cloud.port) + autoLink('in', 'events'), 15, 'entity', /name one of its subscriptions/],
      ];
      for (const [text, expected, step, cure] of rows) {
        const { status, found } = await findings(
          one,
          text.includes('autoLink') ? text : text + THROUGH_ORDERS,
          '--timeout',
          // Only silence needs to end soon; a busy machine may take long for a handshake.
          text.includes(`${silent}`) ? '1' : '20',
        );
        const bad = found.find(({ verdict }) => verdict === 'bad');
        assert.equal(bad?.step, step, JSON.stringify(found, undefined, 1));
        assert.match(bad.text, cure);
        assert.equal(status, expected, bad.text);
      }
    }),
  );

  it(
    'is told of a way that is open where its own is closed',
    scene(async (one) => {
      const cloud = await one.openNamespace({ port: 'websocket' });
      const closed = await one.closedPort();
      const text = trusted(one) + connector(closed, { webSocketPort: cloud.port });
      const { status, found } = await findings(one, text);
      assert.equal(status, 11);
      assert.match(found[2]!.text, /transport: auto, or websocket, takes this way; what follows was tried over it/);
      assert.ok(found.some(({ step, verdict }) => step === 'open' && verdict === 'good'));

      const auto = trusted(one) + connector(closed, { webSocketPort: cloud.port, transport: 'auto' }) + THROUGH_ORDERS;
      const better = await findings(one, auto);
      assert.equal(better.status, 0, JSON.stringify(better.found, undefined, 1));
      assert.match(better.found.find(({ step }) => step === 'tls')!.text, /AMQP in a WebSocket \(AMQPWSB10\)/);
    }),
  );

  it(
    'goes on to the WebSocket where TLS is there and no AMQP behind it, as a connector does',
    scene(async (one) => {
      const cloud = await one.openNamespace({ port: 'websocket' });
      const { cert, key } = one.certificate();
      const inspector = await one.openPort((socket) => {
        const inside = new TLSSocket(socket, { isServer: true, cert, key });
        inside.on('error', () => undefined).once('data', () => inside.end('HTTP/1.1 400 No\r\n\r\n'));
      });
      const tcp = trusted(one) + connector(inspector, { webSocketPort: cloud.port }) + THROUGH_ORDERS;
      const stuck = await findings(one, tcp);
      assert.equal(stuck.status, 14);
      assert.match(
        stuck.found.find(({ verdict }) => verdict === 'bad')!.text,
        /transport: auto, or websocket, goes by/,
      );

      const auto = tcp.replace('webSocketPort', 'transport: auto\n    webSocketPort');
      const { status, found } = await findings(one, auto);
      assert.equal(status, 0, JSON.stringify(found, undefined, 1));
      assert.ok(found.some(({ verdict, text }) => verdict === 'warning' && text.includes('answered in HTTP')));
      assert.ok(found.some(({ step, verdict }) => step === 'entity' && verdict === 'good'));
    }),
  );

  it(
    'hears it from the proxy',
    scene(async (one) => {
      const proxy = await ConnectProxy.open({ credentials: 'jo:other' });
      one.whenOver(() => proxy.close());
      const text = trusted(one) + connector(5671, { proxy: `http://localhost:${proxy.port}` });
      const { status, found } = await findings(one, text);
      assert.equal(status, 11);
      assert.match(found[0]!.text, /^The proxy localhost is 127\.0\.0\.1; it looks unit\.servicebus\.windows\.net up/);
      assert.match(found[1]!.text, /407.*Give the connector proxyUsername/);
    }),
  );

  it(
    'is not there, or the arguments are wrong: that is said, and nothing is tried',
    scene(async (one) => {
      const file = one.file('router.conf', ROUTER + trusted(one) + connector(5671));
      const wrong = await doctor(['-c', file, '--connector', 'azur']);
      assert.equal(wrong.status, 1);
      assert.match(wrong.error, /there is no connector 'azur'; there is azure/);
      assert.equal((await doctor(['-c', one.file('bad.conf', 'router { id: }')])).status, 1);
      for (const argv of [
        [],
        ['--what'],
        ['-c', file, '--proxy', 'x:1'],
        ['-c', file, '--timeout', '0'],
        ['-c', file, '-o', 'xml'],
      ])
        assert.equal((await doctor(argv)).status, 2, argv.join(' '));
      const help = await doctor(['--help']);
      assert.equal(help.status, 0);
      assert.match(help.out, /Examples:/);
    }),
  );
});

describe('a doctor who is kept waiting', () => {
  it(
    'waits for a token command no longer than for any other step',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const command = `${process.execPath} -e 'setInterval(() => {}, 1000)'`;
      const text =
        sslProfile({ caCertFile: one.caCertFile }) +
        connector(cloud.port, {
          saslMechanisms: undefined,
          saslUsername: undefined,
          saslPassword: undefined,
          azureAuthentication: 'command',
          azureTokenCommand: command,
        });
      const { status, found } = await findings(one, text, '--timeout', '1');
      assert.equal(status, 13);
      const { text: said = '' } = found.find(({ step }) => step === 'tokens') ?? {};
      assert.match(said, /There is no token for .* within 1000 ms/);
    }),
  );

  it('waits for the name server no longer either', async () => {
    const patient = { to: { host: 'cloud.example' }, lookup: () => undefined } as unknown as Patient;
    const { verdict, text } = await examineName(patient, { timeoutMs: 50 });
    assert.equal(verdict, 'bad');
    assert.match(text, /cloud\.example was not found \(no answer within 50 ms\)\. Check this machine's network/);
  });

  it('waits for the clock of a host that answers a byte at a time no longer either', async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      // The beginning of a TLS record of 16 kB that never ends.
      socket.write(Buffer.from([0x16, 3, 3, 0x40, 0]));
      const drip = setInterval(() => socket.write(Buffer.alloc(1)), 20);
      socket.on('error', () => undefined).on('close', () => clearInterval(drip));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const to = { host: '127.0.0.1', hostname: 'localhost', webSocketPort: port } as Destination;
      const { finding, skew } = await examineClock({ to } as Patient, { timeoutMs: 300 });
      assert.equal(skew, undefined);
      assert.equal(finding.verdict, 'skipped');
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });
});

describe('doctor: a configuration', () => {
  it(
    'has its warnings told at the connector that they concern, and where a proxy comes from that it does not name',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const lost = section('autoLink', {
        address: 'lost',
        direction: 'in',
        connection: 'azure',
        externalAddress: 'orders',
      });
      const other = section('connector', {
        name: 'other',
        role: 'route-container',
        host: CLOUD_HOST,
        port: cloud.port,
        sslProfile: 'cloud',
      });
      const text = trusted(one) + connector(cloud.port) + lost + other;
      const { found } = await findings(one, text, '--connector', 'azure');
      assert.equal(found[0]!.check, 'configuration');
      assert.match(found[0]!.text, /router\.conf:\d+: autoLink brings messages in at phase 1 of 'lost'/);
      const quiet = await findings(one, text, '--connector', 'other');
      assert.ok(quiet.found.every(({ text }) => !text.includes('lost')));

      const proxy = await ConnectProxy.open();
      one.whenOver(() => proxy.close());
      const file = one.file('router.conf', ROUTER + trusted(one) + connector(cloud.port) + THROUGH_ORDERS);
      const { status, out } = await doctor(['-c', file], { https_proxy: `http://localhost:${proxy.port}` });
      assert.equal(status, 0, out);
      assert.match(out, /^Connector azure: .*, through the proxy localhost:\d+ of the environment\n/);
      assert.match(out, /The proxy localhost \(of HTTPS_PROXY in the environment\) is/);
    }),
  );
});

describe('doctor: how long a lock is that was seen', () => {
  it('is what people set, where a little is missing to it; nothing that no lock can be', () => {
    for (const [seenMs, lockMs] of [
      [29_990, 30_000],
      [28_100, 30_000],
      [30_400, 30_000],
      [27_400, 27_000],
      [4_200, 5_000],
      [299_000, 300_000],
      [-5_000, undefined],
      [0, undefined],
      [400_000, undefined],
    ] as const)
      assert.equal(lockOf(seenMs), lockMs, String(seenMs));
  });
});

describe('what the doctor says to programs', () => {
  it('is what the schema has, with the same lists of steps and checks', async () => {
    const { $defs } = DOCTOR_SCHEMA;
    assert.deepEqual($defs?.['step']?.enum, STEPS);
    assert.deepEqual(new Set($defs?.['check']?.enum), new Set(Object.values(CHECKS).flat()));
    const bare = { version: 1, works: true, exitStatus: 0, problems: [], connectors: [] };
    assertShape(bare);
    assert.throws(() => assertShape({ ...bare, version: 2 }), /version/);
    assert.throws(() => assertShape({ ...bare, connectors: [{}] }), /has no/);
  });

  it(
    'says why nothing was examined, too',
    scene(async (one) => {
      const { status, out, error } = await doctor(['-c', one.file('bad.conf', 'router { id: }'), '-o', 'json']);
      assert.equal(status, 1);
      const { works, problems, connectors } = JSON.parse(out) as Told;
      assert.equal(works, false);
      assert.deepEqual(connectors, []);
      assert.equal(problems.join('\n'), error.trimEnd());
    }),
  );
});
