// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PolicyError, readVhost } from '@pointsman/router';
import type { GroupRules } from '@pointsman/router';

/** The group of a vhost that lets these hosts in; undefined where one of them is neither a numeric address nor a name. */
function groupOf(remoteHosts: string): GroupRules | undefined {
  try {
    const vhost = readVhost({ hostname: 'h', groups: { all: { remoteHosts } } }, () => ({ reason: 'no name' }));
    return vhost.groups.get('all');
  } catch (error) {
    assert.ok(error instanceof PolicyError);
    return undefined;
  }
}

describe('hosts of a policy', () => {
  it('are numeric addresses where Node.js takes them for such, whatever the text', () => {
    const text = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.ipV4().map((address) => `::ffff:${address}`),
      fc.string({ unit: fc.constantFrom('0', '1', 'f', 'g', ':', '::', '.', '255', '256'), minLength: 1 }),
    );
    fc.assert(
      fc.property(text, (host) => {
        assert.equal(groupOf(host) !== undefined, isIP(host) !== 0, host);
      }),
    );
  });

  it('lie in a range where Node.js says so', () => {
    const hosts = fc.oneof(fc.tuple(fc.ipV4(), fc.ipV4(), fc.ipV4()), fc.tuple(fc.ipV6(), fc.ipV6(), fc.ipV6()));
    fc.assert(
      fc.property(hosts, ([a, b, host]) => {
        // IPv4 in the form of IPv6 is IPv4 here, and not to the twin.
        fc.pre(![a, b, host].some((one) => /^(?:::|(?:0+:){5})ffff:/iu.test(one)));
        const kind = isIP(a) === 4 ? 'ipv4' : 'ipv6';
        const twin = new BlockList();
        try {
          twin.addRange(a, b, kind);
        } catch {
          // The first is above the second.
          assert.equal(groupOf(`${a}-${b}`), undefined);
          return;
        }
        const rules = groupOf(`${a}-${b}`)?.remoteHosts;
        for (const one of [a, b, host]) assert.equal(rules?.allows(one), twin.check(one, kind), `${a}-${b} ${one}`);
      }),
    );
  });
});
