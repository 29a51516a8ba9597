// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { describe, it } from 'node:test';
import { TlsCredentialsError, issueCertificate } from '@pointsman/transport';
import type { CertificateRequest } from '@pointsman/transport';
import { CLOUD_HOST, ROUTER, THROUGH_ORDERS, connector, days, scene, sslProfile } from './five-steps-fixture.js';
import type { Attributes, RunningRouter, Scene, ServiceBusDouble } from './five-steps-fixture.js';

/** Opens a namespace whose certificate is as `request` says, and starts a router with this sslProfile. */
async function meet(
  one: Scene,
  request: Partial<CertificateRequest>,
  profile: Attributes = {},
  changes: Attributes = {},
): Promise<{ cloud: ServiceBusDouble; router: RunningRouter }> {
  const cloud = await one.openNamespace({ certificate: one.certificate(request) });
  const text =
    ROUTER + sslProfile({ caCertFile: one.caCertFile, ...profile }) + connector(cloud.port, changes) + THROUGH_ORDERS;
  return { cloud, router: await one.startRouter(text) };
}

/** Nothing of AMQP came as far as the namespace, let alone a key. */
function assertNothingWasSaid(cloud: ServiceBusDouble): void {
  assert.equal(
    cloud.visits.every(({ saslInit }) => saslInit === undefined),
    true,
  );
}

const LOCAL = { host: 'localhost', idleTimeoutSeconds: 120 };

describe('step 2, TLS', () => {
  it(
    'refuses an issuer that the system does not trust, names it, and says what to do at Service Bus',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(ROUTER + connector(cloud.port, { sslProfile: undefined }) + THROUGH_ORDERS);
      await router.said(
        `The certificate of ${CLOUD_HOST}:${cloud.port} was issued by "Unit Root" (Contoso), which is not trusted`,
        'a proxy here may look into TLS',
        'caCertFile of an sslProfile, and name that in connector azure',
      );
      assertNothingWasSaid(cloud);
    }),
  );

  it(
    'refuses it at another host too, and says where its certificate belongs',
    scene(async (one) => {
      const { cloud, router } = await meet(one, {}, { caCertFile: undefined }, LOCAL);
      await router.said(
        'was issued by "Unit Root" (Contoso), which is not trusted. Put the certificate of this issuer (PEM) into a file and name the file as caCertFile of the sslProfile',
      );
      assertNothingWasSaid(cloud);
    }),
  );

  it(
    'names a certificate that is signed by itself',
    scene(async (one) => {
      const certificate = issueCertificate({ commonName: 'home made', names: ['localhost'], ...days(-1, 1) });
      const cloud = await one.openNamespace({ certificate });
      const router = await one.startRouter(ROUTER + sslProfile({}) + connector(cloud.port, LOCAL) + THROUGH_ORDERS);
      await router.said('is signed by itself ("home made"), and not trusted');
      assertNothingWasSaid(cloud);
    }),
  );

  it(
    'trusts what caCertFile holds, and sends the name of the host (SNI)',
    scene(async (one) => {
      const { cloud, router } = await meet(one, {});
      await router.active();
      assert.equal(cloud.visit.info.servername, CLOUD_HOST);
      assert.match(cloud.visit.info.tlsProtocol ?? '', /^TLSv1\.[23]$/);
    }),
  );

  it(
    'refuses a certificate of another name, and says which names it has',
    scene(async (one) => {
      const { cloud, router } = await meet(one, { names: ['amqp.contoso.example', 'localhost'] });
      await router.said(`is for amqp.contoso.example, localhost, 127.0.0.1, not for ${CLOUD_HOST}`, 'verifyHostname');
      assertNothingWasSaid(cloud);
    }),
  );

  it(
    'does not look at the name with verifyHostname: no, but at the issuer all the same',
    scene(async (one) => {
      const { router } = await meet(one, { names: ['amqp.contoso.example'] }, {}, { verifyHostname: 'no' });
      await router.active();
      const other = await meet(
        one,
        { names: ['amqp.contoso.example'] },
        { caCertFile: undefined },
        { verifyHostname: 'no' },
      );
      await other.router.said('which is not trusted');
    }),
  );

  it(
    'compares an IP address with those in the certificate',
    scene(async (one) => {
      const { cloud, router } = await meet(one, {}, {}, { ...LOCAL, host: '127.0.0.1' });
      await router.active();
      assert.equal(cloud.visit.info.servername, undefined, 'an address is never sent as a server name');
      const other = await meet(one, { ips: ['192.0.2.1'] }, {}, { ...LOCAL, host: '127.0.0.1' });
      await other.router.said('is for *.servicebus.windows.net, localhost, 192.0.2.1, not for 127.0.0.1');
    }),
  );

  it(
    'refuses an expired certificate, and one that is not valid yet, with the date',
    scene(async (one) => {
      const expired = await meet(one, days(-8, -2));
      await expired.router.said(
        /The certificate of \S+ expired on \d{4}-\d\d-\d\d /,
        'The peer has to renew its certificate',
      );
      const early = await meet(one, days(2, 3));
      await early.router.said(/is not valid before \d{4}-\d\d-\d\d /, 'Set the clock of this machine');
      assertNothingWasSaid(expired.cloud);
      assertNothingWasSaid(early.cloud);
    }),
  );

  it(
    'shows a client certificate where the peer wants one',
    scene(async (one) => {
      const { cert, key } = one.certificate({ commonName: 'Router.A', names: [] });
      const cloud = await one.openNamespace({ clientCertificate: 'required' });
      const profile = {
        caCertFile: one.caCertFile,
        certFile: one.file('router.pem', cert),
        privateKeyFile: one.file('router-key.pem', key),
      };
      const router = await one.startRouter(ROUTER + sslProfile(profile) + connector(cloud.port) + THROUGH_ORDERS);
      await router.active();
      assert.equal(cloud.visit.info.peerCertificate?.subject['CN'], 'Router.A');
      assert.equal(cloud.visit.info.peerCertificate?.verified, true);
    }),
  );

  it(
    'says that the peer wants a client certificate, and where it is set',
    scene(async (one) => {
      const cloud = await one.openNamespace({ clientCertificate: 'required' });
      const router = await one.startRouter(
        ROUTER + sslProfile({ caCertFile: one.caCertFile }) + connector(cloud.port) + THROUGH_ORDERS,
      );
      await router.said(
        'wants a client certificate',
        'Give the sslProfile a certFile and a privateKeyFile that the peer trusts',
      );
    }),
  );

  it(
    'opens an encrypted key with a password from the environment, from a file, or as it stands',
    scene(async (one) => {
      const profile = encrypted(one);
      const passwords = {
        'env:KEY_PASSWORD': {},
        [`file:${one.file('password', 'open sesame\n')}`]: {},
        'pass:open sesame': {},
      };
      const cloud = await one.openNamespace({ clientCertificate: 'required' });
      for (const password of Object.keys(passwords)) {
        const text = ROUTER + sslProfile({ ...profile, password }) + connector(cloud.port) + THROUGH_ORDERS;
        const router = await one.startRouter(text, { env: { KEY_PASSWORD: 'open sesame', SERVICEBUS_KEY: 'any' } });
        await router.until('the open', () => router.connector.step === 'open');
        assert.equal(cloud.visit.info.peerCertificate?.subject['CN'], 'Router.A');
        assert.doesNotMatch(router.log, /sesame/);
      }
    }),
  );

  /** What cannot be used is found before anything is opened, with the file, the line of the sslProfile and the cure. */
  const refused: readonly [what: string, profile: (one: Scene) => Attributes, message: RegExp, hint: RegExp][] = [
    [
      'a password that does not fit',
      (one) => ({ ...encrypted(one), password: 'pass:mellon' }),
      /password \S+router-key\.pem of sslProfile cloud: the password does not open the key/,
      /Correct the sslProfile's password/,
    ],
    [
      'a password that is missing',
      (one) => encrypted(one),
      /password \S+router-key\.pem of sslProfile cloud: the key is encrypted, and no password is set/,
      /Set the sslProfile's password/,
    ],
    [
      'a key that does not fit the certificate',
      (one) => ({ ...identity(one), privateKeyFile: one.file('other-key.pem', one.certificate().key) }),
      /privateKeyFile \S+other-key\.pem of sslProfile cloud: the key does not belong to the certificate in certFile \S+router\.pem/,
      /Set privateKeyFile to the key that the certificate was requested with/,
    ],
    [
      'a file that is missing',
      () => ({ caCertFile: '/nowhere/ca.pem' }),
      /caCertFile \/nowhere\/ca\.pem of sslProfile cloud: there is no such file/,
      /Correct caCertFile/,
    ],
    [
      'a file that holds no certificate',
      (one) => ({ caCertFile: one.file('ca.pem', 'no PEM') }),
      /caCertFile \S+ca\.pem of sslProfile cloud: it holds no certificate in PEM form/,
      /openssl x509/,
    ],
    [
      'a certificate of our own that has expired',
      (one) => ({ ...identity(one, days(-8, -2)) }),
      /certFile \S+router\.pem of sslProfile cloud: the certificate expired on /,
      /Renew the certificate/,
    ],
  ];
  for (const [what, profile, message, hint] of refused) {
    it(
      `does not start with ${what}`,
      scene(async (one) => {
        const text = ROUTER + sslProfile(profile(one)) + connector(5671) + THROUGH_ORDERS;
        await assert.rejects(one.startRouter(text), (error: unknown) => {
          assert.ok(error instanceof TlsCredentialsError, String(error));
          assert.match(error.message, /^router\.conf:4: /);
          assert.match(error.message, message);
          assert.match(error.hint, hint);
          assert.doesNotMatch(error.message + error.hint, /mellon|sesame/);
          return true;
        });
      }),
    );
  }
});

/** A certificate of the router and its key, in files. */
function identity(one: Scene, validity = days(-1, 1)): Attributes {
  const { cert, key } = one.certificate({ commonName: 'Router.A', names: [], ...validity });
  return {
    caCertFile: one.caCertFile,
    certFile: one.file('router.pem', cert),
    privateKeyFile: one.file('router-key.pem', key),
  };
}

/** The same with the key encrypted. */
function encrypted(one: Scene): Attributes {
  const { cert, key } = one.certificate({ commonName: 'Router.A', names: [] });
  const locked = createPrivateKey(key)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' })
    .toString();
  return {
    caCertFile: one.caCertFile,
    certFile: one.file('router.pem', cert),
    privateKeyFile: one.file('router-key.pem', locked),
  };
}
