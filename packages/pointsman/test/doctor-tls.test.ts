// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { describe, it } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import type { TlsOptions } from 'node:tls';
import { Secret, makeSasToken } from '@pointsman/azure';
import { issueCertificate } from '@pointsman/transport';
import type { CertificateIssuer } from '@pointsman/transport';
import { ConnectProxy } from './connect-proxy.js';
import { checkOf, connectorTo, doctor, findings, openCloud } from './doctor-fixture.js';
import type { Told } from './doctor-fixture.js';
import { CLOUD_HOST, KEY, POLICY, THROUGH_ORDERS, connector, days, scene, sslProfile } from './five-steps-fixture.js';
import type { Scene } from './five-steps-fixture.js';

const MINUTE_MS = 60_000;

async function listening(one: Scene, server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  one.whenOver(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function openTls(
  one: Scene,
  { cert, key }: { cert: string; key: string },
  options: TlsOptions = {},
): Promise<number> {
  const server = createTlsServer({ cert, key, ...options }, (socket) => {
    socket.on('error', () => undefined);
    socket.end();
  });
  server.on('tlsClientError', () => undefined);
  return listening(one, server);
}

/** HTTPS whose clock is off. */
async function openClock(one: Scene, offMs: number, certificate: CertificateIssuer): Promise<number> {
  const server = createHttpsServer({ cert: certificate.cert, key: certificate.key }, (_, response) => {
    response.sendDate = false;
    response.writeHead(404, { date: new Date(Date.now() + offMs).toUTCString() }).end();
  });
  one.whenOver(() => server.closeAllConnections());
  return listening(one, server);
}

describe('doctor: TLS', () => {
  it(
    'says what a peer takes that has nothing newer than TLS 1.1',
    scene(async (one) => {
      const old: TlsOptions = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' };
      const port = await openTls(one, one.certificate(days(-1, 100)), old);
      const { status, found } = await findings(one, sslProfile({ caCertFile: one.caCertFile }) + connector(port));
      assert.equal(status, 12);
      assert.match(
        checkOf(found, 'handshake').text,
        /no TLS version in common.*something on the way answers in its place/,
      );
      assert.deepEqual(checkOf(found, 'versions').details, {
        taken: ['TLSv1.1'],
        refused: ['TLSv1.2', 'TLSv1.3'],
        least: 'TLSv1.1',
      });
    }),
  );

  it(
    'warns where Service Bus seems to take what it takes no more, and before a certificate ends',
    scene(async (one) => {
      const lax: TlsOptions = { minVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' };
      const port = await openTls(one, one.certificate(days(-300, 12)), lax);
      const { found } = await findings(one, sslProfile({ caCertFile: one.caCertFile }) + connector(port));
      const versions = checkOf(found, 'versions');
      assert.equal(versions.verdict, 'warning');
      assert.match(versions.text, /takes TLSv1\.1, TLSv1\.2 and TLSv1\.3\. .*something on the way may look into TLS/);
      const certificate = checkOf(found, 'certificate');
      assert.equal(certificate.verdict, 'warning');
      // Its authority ends before it, but has lived for days alone.
      assert.match(certificate.text, /Only 11 days are left of it: whoever runs the peer has to renew it/);

      const soon = await openTls(one, one.certificate(days(-300, 5)));
      const ends = await findings(one, sslProfile({ caCertFile: one.caCertFile }) + connector(soon));
      assert.match(checkOf(ends.found, 'certificate').text, /Only 4 days are left of it/);
      assert.equal(checkOf(ends.found, 'certificate').details?.['daysLeft'], 4);
    }),
  );

  it(
    'shows the chain, and what is missing of it',
    scene(async (one) => {
      const between = issueCertificate(
        { commonName: 'Unit Issuing CA', ...days(-10, 400), authority: true },
        one.authority,
      );
      const leaf = issueCertificate(
        { commonName: 'unit', names: [CLOUD_HOST], ips: ['127.0.0.1'], ...days(-1, 300) },
        between,
      );
      const profile = sslProfile({ caCertFile: one.caCertFile });
      const whole = await openTls(one, { cert: `${leaf.cert}\n${between.cert}`, key: leaf.key });
      const good = await findings(one, profile + connector(whole));
      assert.equal(checkOf(good.found, 'handshake').verdict, 'good');
      assert.deepEqual(checkOf(good.found, 'certificate').details?.['chain'], ['unit', 'Unit Issuing CA', 'Unit Root']);
      assert.equal(checkOf(good.found, 'certificate').details?.['trustedBy'], 'caCertFile of sslProfile cloud');

      const alone = await openTls(one, { cert: leaf.cert, key: leaf.key });
      const bad = await findings(one, profile + connector(alone));
      assert.equal(bad.status, 12);
      const shown = checkOf(bad.found, 'certificate');
      assert.equal(shown.verdict, 'skipped');
      assert.match(shown.text, /Chain: "unit", and its issuer "Unit Issuing CA" was not sent and is not known here/);
      assert.equal(shown.details?.['trusted'], false);
    }),
  );
});

describe('doctor: clocks', () => {
  it(
    'are compared, whatever the certificate says, for it may be the clock that does not let it',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: ['orders'] });
      const rows: readonly [offMs: number, verdict: string, status: number, words: RegExp][] = [
        [0, 'good', 0, /agrees/],
        [-2 * MINUTE_MS, 'warning', 0, /is (?:2 min|1[0-4]\d s) ahead of that of the namespace.*Set the clock/],
        [20 * MINUTE_MS, 'bad', 13, /is 20 min behind that of the namespace: tokens have expired before/],
      ];
      for (const [offMs, verdict, status, words] of rows) {
        const webSocketPort = await openClock(one, offMs, one.certificate(days(-9, -2)));
        const report = await findings(one, connectorTo(cloud, { webSocketPort }));
        const clock = checkOf(report.found, 'clock');
        assert.equal(clock.verdict, verdict);
        assert.match(clock.text, words);
        assert.equal(report.status, status);
        assert.ok(Math.abs(Number(clock.details?.['skewSeconds']) + offMs / 1_000) <= 20);
      }
    }),
  );
});

describe('doctor: tokens', () => {
  it(
    'of Entra ID say for whom they are, and for what, where they are refused',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: ['orders'], acceptEntraTokens: true });
      const printed = (aud: string): string => {
        const claims = { aud, tid: 'tenant-7', appid: 'application-9', exp: Math.floor(Date.now() / 1_000) + 3_600 };
        return one.file(
          `${aud.length}.js`,
          `console.log('e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln')`,
        );
      };
      const by = (file: string): string =>
        connectorTo(cloud, {
          saslMechanisms: undefined,
          saslUsername: undefined,
          saslPassword: undefined,
          azureAuthentication: 'command',
          azureTokenCommand: `${process.execPath} ${file}`,
        }) + THROUGH_ORDERS;
      const good = await findings(one, by(printed('https://servicebus.azure.net')));
      assert.equal(good.status, 0, JSON.stringify(good.found, undefined, 1));
      const token = checkOf(good.found, 'token');
      assert.match(token.text, /made out to application-9 of tenant tenant-7, for https:\/\/servicebus\.azure\.net$/);
      assert.equal(token.details?.['tenant'], 'tenant-7');
      // The same token opens the management API.
      assert.equal(checkOf(good.found, 'management').verdict, 'good');
      assert.equal(checkOf(good.found, 'settings').details?.['lockMs'], 60_000);

      const wrong = await findings(one, by(printed('https://management.azure.com')));
      assert.equal(wrong.status, 13);
      assert.match(
        checkOf(wrong.found, 'token').text,
        /for https:\/\/management\.azure\.com\. Service Bus takes tokens for https:\/\/servicebus\.azure\.net alone/,
      );
    }),
  );
});

describe('doctor: tokens that are ready-made', () => {
  it(
    'say themselves why they are refused: over, for something else, of another key',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: ['orders', 'steps'] });
      const made = (resource: string, seconds: number, key = KEY): string =>
        makeSasToken({
          resource: `sb://${CLOUD_HOST}/${resource}`,
          keyName: POLICY,
          key: new Secret(key),
          expiresAtSeconds: Math.floor(Date.now() / 1_000) + seconds,
        }).reveal();
      const common = ['--ca-file', cloud.caCertFile!, '--http-port', String(cloud.ports.wss), '-o', 'json'];
      const rows: readonly [token: string, status: number, words: RegExp][] = [
        [made('', 600), 0, /was accepted/],
        [made('', -60), 13, /for orders: it expired at \d{4}-.*Make a new one/],
        [
          made('steps', 600),
          13,
          /it is for sb:\/\/unit\.servicebus\.windows\.net\/steps, and sb:.*orders is not below that/,
        ],
        [made('', 600, 'other'), 13, /its signature is not of the key that policy RootManage\w+ has now/],
      ];
      for (const [token, status, words] of rows) {
        const env = { SB: `Endpoint=sb://${CLOUD_HOST}:${cloud.ports.amqps}/;SharedAccessSignature=${token}` };
        const told = await doctor(['--connection-string', 'env:SB', '--entity', 'orders', ...common], env);
        assert.equal(told.status, status, told.out);
        assert.ok(!told.out.includes(token.split('sig=')[1]!.split('&')[0]!), 'the signature is shown');
        const [report] = (JSON.parse(told.out) as Told).connectors;
        assert.match(checkOf(report!.findings, 'token').text, words);
      }
    }),
  );
});

describe('doctor: ways in', () => {
  it(
    'has each proxy say what it refuses, and goes through one that lets 443 alone out',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: ['orders'] });
      const proxy = await ConnectProxy.open({ ports: [cloud.ports.wss!] });
      one.whenOver(() => proxy.close());
      const through = { proxy: `http://localhost:${proxy.port}` };
      const { status, found } = await findings(one, connectorTo(cloud, through) + THROUGH_ORDERS);
      assert.equal(status, 11);
      const [closed, open] = found.filter(({ check }) => check === 'port');
      assert.match(closed!.text, /refuses a tunnel to unit\.servicebus\.windows\.net:\d+: 403/);
      assert.match(
        open!.text,
        /can be reached through the proxy localhost:\d+ \(WebSocket\)\. transport: auto, or websocket, takes this way/,
      );
      // The rest was tried over it.
      assert.equal(found.filter(({ check, verdict }) => check === 'link' && verdict === 'good').length, 2);

      const silent = await one.openPort((socket) => socket.resume());
      const hung = await findings(one, connectorTo(cloud, { proxy: `http://localhost:${silent}` }), '--timeout', '1');
      assert.equal(hung.status, 11);
      assert.match(checkOf(hung.found, 'port').text, /within 1000 ms: the proxy did not answer/);

      const taken = await findings(one, connectorTo(cloud, { ...through, transport: 'auto' }) + THROUGH_ORDERS);
      assert.equal(taken.status, 0, JSON.stringify(taken.found, undefined, 1));
    }),
  );

  it(
    'knows the port of HTTP, the way of TLS that a port has, and an emulator',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: ['orders'] });
      const http = await findings(one, connectorTo(cloud, { port: cloud.ports.wss }));
      assert.equal(http.status, 14);
      assert.match(checkOf(http.found, 'open').text, /takes AMQP in a WebSocket alone: write transport: websocket/);
      const private5672 = {
        host: 'private.example',
        hostname: 'localhost',
        port: cloud.ports.amqp,
        idleTimeoutSeconds: 120,
      };
      const inBand = await findings(one, connectorTo(cloud, private5672));
      assert.equal(inBand.status, 0, JSON.stringify(inBand.found, undefined, 1));
      assert.deepEqual(
        inBand.found.filter(({ check }) => check === 'handshake').map(({ verdict }) => verdict),
        ['warning', 'good'],
      );
      const idle = await findings(one, connectorTo(cloud, { ...private5672, idleTimeoutSeconds: 16 }));
      assert.equal(idle.status, 14);
      assert.match(
        checkOf(idle.found, 'open').text,
        /refuses an idle time-out below 10000 ms.*Write idleTimeoutSeconds: 120/,
      );

      const emulator = await openCloud(one, {
        mode: 'emulator',
        hostname: 'localhost',
        queues: ['orders'],
        policies: undefined,
      });
      const env = { SB: emulator.connectionString() };
      const argv = [
        '--connection-string',
        'env:SB',
        '--http-port',
        String(emulator.ports.ws),
        '--entity',
        'orders',
        '-o',
        'json',
      ];
      const { status, out } = await doctor(argv, env);
      assert.equal(status, 0);
      const [report] = (JSON.parse(out) as Told).connectors;
      assert.ok(report!.findings.every(({ verdict }) => verdict === 'good'));
      assert.equal(checkOf(report!.findings, 'settings').details?.['lockMs'], 60_000);
      const secure = await doctor(argv, { SB: env.SB.replace('UseDevelopmentEmulator=true', '') });
      assert.equal(secure.status, 12);
      assert.match(secure.out, /for one, add UseDevelopmentEmulator=true to the connectionString/);
    }),
  );

  it(
    'takes addresses of IPv6, in brackets where a port follows',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: ['orders'], host: '::1', hostname: '::1' });
      const env = { SB: cloud.connectionString().replace('sb://::1', 'sb://[::1]') };
      const argv = [
        '--connection-string',
        'env:SB',
        '--ca-file',
        cloud.caCertFile!,
        '--http-port',
        String(cloud.ports.wss),
      ];
      const { status, out, error } = await doctor([...argv, '--entity', 'orders'], env);
      assert.equal(status, 0, out + error);
      assert.match(out, /^Connector connection-string: \[::1\]:\d+, by TCP\n/);
      assert.match(out, /Management API {2}\[::1\]:\d+ answers/);
    }),
  );
});
