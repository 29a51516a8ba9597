// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { issueCertificate, makeDevelopmentCertificates } from '../src/index.js';

describe('development certificates', () => {
  it('make a chain that OpenSSL takes: right signature, right key, right uses', () => {
    const made = makeDevelopmentCertificates({
      names: ['localhost', '*.servicebus.localhost'],
      ips: ['127.0.0.1', '::1'],
      days: 7,
    });
    const authority = new X509Certificate(made.caCert);
    const leaf = new X509Certificate(made.cert);
    assert.equal(authority.ca, true);
    assert.equal(leaf.ca, false);
    assert.ok(leaf.checkIssued(authority));
    assert.ok(leaf.verify(authority.publicKey));
    assert.ok(authority.verify(authority.publicKey));
    assert.ok(leaf.checkPrivateKey(createPrivateKey(made.key)));
    assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    const left = Date.parse(leaf.validTo) - Date.now();
    assert.ok(left > 6.9 * 86_400_000 && left <= 7 * 86_400_000);
  });

  it('carry the names and addresses that were asked for', () => {
    const { cert } = makeDevelopmentCertificates({
      names: ['a.example', '*.b.example'],
      ips: ['192.0.2.7', '2001:db8::42'],
    });
    const leaf = new X509Certificate(cert);
    assert.equal(leaf.checkHost('a.example'), 'a.example');
    assert.equal(leaf.checkHost('ns.b.example'), '*.b.example');
    assert.equal(leaf.checkHost('c.example'), undefined);
    assert.equal(leaf.checkIP('192.0.2.7'), '192.0.2.7');
    assert.equal(leaf.checkIP('2001:db8:0:0:0:0:0:42'), '2001:db8:0:0:0:0:0:42');
  });

  it('are new each time', () => {
    const [one, two] = [makeDevelopmentCertificates(), makeDevelopmentCertificates()];
    assert.notEqual(one.key, two.key);
    assert.notEqual(new X509Certificate(one.caCert).subject, new X509Certificate(two.caCert).subject);
  });

  it('refuse what cannot stand in a certificate', () => {
    assert.throws(() => makeDevelopmentCertificates({ ips: ['localhost'] }), RangeError);
    assert.throws(() => makeDevelopmentCertificates({ names: ['bücher.example'] }), RangeError);
  });

  it('have the dates that were given, past 2049 too', () => {
    const dates = fc.date({
      min: new Date('1970-01-01T00:00:00Z'),
      max: new Date('9999-01-01T00:00:00Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(dates, dates, (notBefore, notAfter) => {
        const read = new X509Certificate(issueCertificate({ commonName: 'Tage', notBefore, notAfter }).cert);
        const seconds = (date: Date): number => Math.floor(date.getTime() / 1_000);
        assert.equal(Date.parse(read.validFrom), seconds(notBefore) * 1_000);
        assert.equal(Date.parse(read.validTo), seconds(notAfter) * 1_000);
      }),
      { numRuns: 25 },
    );
  });

  it('have subjects of any length and any characters', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', 'ü', '漢', ' '), minLength: 1, maxLength: 60 }),
        (commonName) => {
          const { cert } = issueCertificate({ commonName, notBefore: new Date(), notAfter: new Date() });
          assert.equal(new X509Certificate(cert).toLegacyObject().subject.CN, commonName);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('have the address of any IPv6 text', () => {
    fc.assert(
      fc.property(fc.ipV6(), (ip) => {
        const { cert } = issueCertificate({
          commonName: 'six',
          ips: [ip],
          notBefore: new Date(),
          notAfter: new Date(),
        });
        assert.ok(new X509Certificate(cert).checkIP(ip) !== undefined, ip);
      }),
      { numRuns: 25 },
    );
  });
});
