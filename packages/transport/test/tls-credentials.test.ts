// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { inspect } from 'node:util';
import { describe, it } from 'node:test';
import { TlsCredentialsError, loadTlsCredentials, systemAuthorities } from '../src/index.js';
import type { TlsProfile } from '../src/index.js';
import { TestAuthority, credentialsOf, days } from './support.js';

const authority = new TestAuthority();
const good = authority.issue();
const PASSWORD = 'open sesame';
const encrypted = createPrivateKey(good.key)
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: PASSWORD })
  .toString();
const traditional = createPrivateKey(good.key)
  .export({ type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase: PASSWORD })
  .toString();

const FILES = {
  'ca.pem': authority.issuer.cert,
  'cert.pem': good.cert,
  'key.pem': good.key,
  'both.pem': good.cert + good.key,
  'encrypted.pem': encrypted,
  'traditional.pem': traditional,
  'other-key.pem': authority.issue().key,
  'expired.pem': authority.issue(days(-5, -1)).cert,
  'early.pem': authority.issue(days(1, 5)).cert,
  'text.pem': 'not a certificate',
  'damaged.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  'damaged-key.pem': '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n',
};

function assertRefused(profile: TlsProfile, setting: string, ...words: string[]): void {
  let failure: unknown;
  try {
    credentialsOf(FILES, { name: 'azure', ...profile });
  } catch (error) {
    failure = error;
  }
  assert.ok(failure instanceof TlsCredentialsError, String(failure));
  assert.equal(failure.setting, setting, failure.message);
  assert.ok(failure.hint.length > 10);
  for (const word of ['sslProfile azure', ...words]) assert.ok(failure.message.includes(word), failure.message);
  const shown = inspect(failure, { depth: 10, showHidden: true });
  assert.ok(!shown.includes(PASSWORD), 'a password must not be shown');
}

describe('TLS profile', () => {
  it('needs no file at all: the system is trusted', () => {
    const credentials = loadTlsCredentials();
    assert.equal(credentials.hasCertificate, false);
    assert.ok(credentials.clientContext);
    assert.ok(systemAuthorities().length >= rootCertificates.length);
  });

  it('builds the context of clients once', () => {
    const credentials = credentialsOf(FILES, { caCertFile: 'ca.pem' });
    assert.equal(credentials.clientContext, credentials.clientContext);
  });

  it('takes a key from its own file, from the file of the certificate, and encrypted in both ways', () => {
    for (const privateKeyFile of ['key.pem', 'encrypted.pem', 'traditional.pem']) {
      const credentials = credentialsOf(FILES, { certFile: 'cert.pem', privateKeyFile, password: PASSWORD });
      assert.equal(credentials.hasCertificate, true);
    }
    assert.ok(credentialsOf(FILES, { certFile: 'both.pem' }).hasCertificate);
  });

  it('names a file that is not there, or holds something else', () => {
    assertRefused({ caCertFile: 'gone.pem' }, 'caCertFile', 'gone.pem', 'no such file');
    assertRefused({ caCertFile: 'text.pem' }, 'caCertFile', 'text.pem', 'no certificate in PEM');
    assertRefused({ caCertFile: 'damaged.pem' }, 'caCertFile', 'damaged.pem', 'certificate 1', 'damaged');
    assertRefused({ certFile: 'cert.pem', privateKeyFile: 'gone.pem' }, 'privateKeyFile', 'gone.pem');
    assertRefused({ certFile: 'cert.pem', privateKeyFile: 'text.pem' }, 'privateKeyFile', 'no private key');
    assertRefused({ certFile: 'cert.pem', privateKeyFile: 'damaged-key.pem' }, 'privateKeyFile', 'damaged');
    assert.throws(() => loadTlsCredentials({ caCertFile: '/' }), /it is a directory/);
  });

  it('says that key and certificate do not belong together, or that one is missing', () => {
    assertRefused(
      { certFile: 'cert.pem', privateKeyFile: 'other-key.pem' },
      'privateKeyFile',
      'other-key.pem',
      'cert.pem',
      'does not belong',
    );
    assertRefused({ certFile: 'cert.pem' }, 'certFile', 'no privateKeyFile');
    assertRefused({ privateKeyFile: 'key.pem' }, 'privateKeyFile', 'no certFile');
  });

  it('tells a missing password from a wrong one', () => {
    for (const privateKeyFile of ['encrypted.pem', 'traditional.pem']) {
      assertRefused({ certFile: 'cert.pem', privateKeyFile }, 'password', privateKeyFile, 'no password is set');
      assertRefused(
        { certFile: 'cert.pem', privateKeyFile, password: `not ${PASSWORD}` },
        'password',
        'does not open the key',
      );
    }
  });

  it('refuses a certificate of its own that has expired or is not valid yet', () => {
    const key = 'key.pem';
    const expired = authority.issue(days(-5, -1));
    const early = authority.issue(days(1, 5));
    const files = { ...FILES, 'old.pem': expired.cert + expired.key, 'new.pem': early.cert + early.key };
    assert.throws(() => credentialsOf(files, { certFile: 'old.pem' }), /certFile old\.pem: the certificate expired on/);
    assert.throws(
      () => credentialsOf(files, { certFile: 'new.pem' }),
      /certFile new\.pem: the certificate is not valid before/,
    );
    assertRefused({ certFile: 'expired.pem', privateKeyFile: key }, 'privateKeyFile', 'does not belong');
  });

  it('warns of a caCertFile in which everything has expired', () => {
    assert.match(
      credentialsOf(FILES, { caCertFile: 'expired.pem' }).warnings.join(),
      /every certificate in it has expired/,
    );
    assert.deepEqual(credentialsOf(FILES, { caCertFile: 'ca.pem' }).warnings, []);
  });

  it('checks ciphers and protocols', () => {
    assertRefused({ ciphers: 'NO-SUCH-CIPHER' }, 'ciphers', 'NO-SUCH-CIPHER');
    assertRefused({ protocols: 'TLSv1.2 SSLv3' }, 'protocols', 'SSLv3', 'TLSv1.2');
    assert.ok(credentialsOf(FILES, { protocols: 'TLSv1.1 TLSv1.3' }));
    assert.ok(credentialsOf(FILES, { protocols: 'TLSv1.2, TLSv1.3', ciphers: 'HIGH' }));
  });

  it('shows neither key nor password when it is inspected', () => {
    const credentials = credentialsOf(FILES, {
      certFile: 'cert.pem',
      privateKeyFile: 'encrypted.pem',
      password: PASSWORD,
    });
    const shown = inspect(credentials, { depth: 10, showHidden: true });
    assert.ok(!shown.includes(PASSWORD) && !shown.includes('PRIVATE KEY'), shown);
  });
});
