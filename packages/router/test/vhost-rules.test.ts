// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EntityValue } from '@pointsman/management';
import { Policy, PolicyError, hostNamesOf, readVhost } from '../src/index.js';
import { OPEN_POLICY } from '../src/policy/policy.js';

const NAMES = () => ({ reason: 'ENOTFOUND' });

function mistake(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    assert.ok(error instanceof PolicyError, String(error));
    return error.message;
  }
  return 'none';
}

function inGroup(group: EntityValue): string {
  return mistake(() => readVhost({ hostname: 'v', groups: { g: group } }, NAMES));
}

const G = "Policy 'v' is invalid: Policy vhost 'v' user group 'g'";

describe('a vhost with a mistake is refused', () => {
  const mistakes: readonly [EntityValue, string][] = [
    [{ maxSenders: 'many' }, "option 'maxSenders' has error 'Value 'many' does not resolve to an integer.'."],
    [{ maxSenders: -1 }, "option 'maxSenders' has error 'Value '-1' is below minimum '0'.'."],
    [{ maxFrameSize: 1.5 }, "option 'maxFrameSize' has error 'Value '1.5' does not resolve to an integer.'."],
    [
      { maxConnectionsPerUser: '65536' },
      "option 'maxConnectionsPerUser' has error 'Value '65536' is above maximum '65535'.'.",
    ],
    [{ allowDynamicSource: 'maybe' }, "option 'allowDynamicSource' has illegal boolean value 'maybe'."],
    [
      { remoteHosts: '1.2.3.4-1.2.3.5-1.2.3.6' },
      "option 'remoteHosts' connectionOption '1.2.3.4-1.2.3.5-1.2.3.6' failed to translate: 'hostspec must contain 1 or 2 host names'.",
    ],
    [
      { remoteHosts: '1.2.3.4-::1' },
      "option 'remoteHosts' connectionOption '1.2.3.4-::1' failed to translate: 'mixed IPv4 and IPv6 host specs in range not allowed'.",
    ],
    [
      { remoteHosts: '1.2.3.4-1.2.3.3' },
      "option 'remoteHosts' connectionOption '1.2.3.4-1.2.3.3' failed to translate: 'host specs in range must have lower numeric address first'.",
    ],
    [
      { remoteHosts: 'nowhere' },
      "option 'remoteHosts' connectionOption 'nowhere' failed to translate: 'HostStruct: 'nowhere' failed to resolve: 'ENOTFOUND''.",
    ],
    [
      { sources: 'a', sourcePattern: 'b' },
      "specifies conflicting 'sources' and 'sourcePattern' attributes. Use only one or the other.",
    ],
    [
      { targets: 'a', targetPattern: 'b' },
      "specifies conflicting 'targets' and 'targetPattern' attributes. Use only one or the other.",
    ],
    [
      { targets: '${user}${user}' },
      "policy key 'targets' item '${user}${user}' contains multiple user subtitution tokens",
    ],
    [
      { sourcePattern: 'a.${user}.b' },
      "policy key 'sourcePattern' item 'a.${user}.b' may contain match pattern '${user}' as a prefix or a suffix only.",
    ],
    [
      { sourcePattern: 'a-${user}' },
      "policy key 'sourcePattern' item 'a-${user}' may contain match pattern '${user}' as a prefix or a suffix only.",
    ],
  ];
  for (const [group, text] of mistakes) {
    it(`in a group: ${JSON.stringify(group)}`, () => assert.equal(inGroup(group), `${G} ${text}`));
  }

  it('with a group that is no map, or a list of what is no text', () => {
    assert.match(
      mistake(() => readVhost({ hostname: 'v', groups: { g: 'x' } }, NAMES)),
      /must be a map/u,
    );
    assert.match(inGroup({ users: [1] }), /option 'users' has illegal value 'a list'/u);
  });

  it('with several mistakes, all told at once', () => {
    assert.match(inGroup({ maxSenders: 'x', maxReceivers: 'y' }), /maxSenders.*; .*maxReceivers/u);
  });

  it('with a user in two groups, even where that is nobody', () => {
    const groups = (a: EntityValue, b: EntityValue): string =>
      mistake(() => readVhost({ hostname: 'v', groups: { a, b } }, NAMES));
    assert.equal(
      groups({ users: 'x, y' }, { users: 'y' }),
      "Policy 'v' is invalid: Policy vhost 'v' user 'y' is in multiple user groups 'a' and 'b'",
    );
    assert.match(groups({}, {}), /user '' is in multiple user groups/u);
  });

  it('that lets unknown users in and does not say what they may do', () => {
    assert.equal(
      mistake(() => readVhost({ hostname: 'v', allowUnknownUser: true }, NAMES)),
      "Policy 'v' is invalid: Policy vhost 'v' allows connections by default but default settings are not defined",
    );
  });

  it('whose aliases are its name, or there twice', () => {
    const aliases = (text: string): string => mistake(() => readVhost({ hostname: 'v', aliases: text }, NAMES));
    assert.match(aliases('v'), /option 'aliases' value 'v' duplicates vhost name/u);
    assert.match(aliases('a, b ,a'), /option 'aliases' value 'a' is duplicated/u);
  });
});

describe('a vhost', () => {
  it('warns of settings that there are not, and of True, which is not true', () => {
    const warnings: string[] = [];
    const group = { maxConnections: 1, toString: 1, allowDynamicSource: 'True' };
    const rules = readVhost({ hostname: 'v', groups: { g: group } }, NAMES, (text) => warnings.push(text));
    assert.deepEqual(warnings, [
      "Policy vhost 'v' user group 'g' option 'maxConnections' is ignored.",
      "Policy vhost 'v' user group 'g' option 'toString' is ignored.",
      "Policy vhost 'v' user group 'g' option 'allowDynamicSource' is false: 'True' has to be in lower case.",
    ]);
    assert.equal(rules.groups.get('g')!.allowDynamicSource, false);
  });

  it('names the hosts that have to be looked up', () => {
    const groups = { a: { remoteHosts: 'one, 1.2.3.4' }, b: { users: 'x', remoteHosts: ['two', '*', '::1'] } };
    assert.deepEqual([...hostNamesOf({ hostname: 'v', groups })], ['one', 'two']);
  });

  it('has one address for each host that it names', () => {
    const read = (): unknown =>
      readVhost({ hostname: 'v', groups: { g: { remoteHosts: 'box' } } }, () => ['1.2.3.4', '::1']);
    assert.match(mistake(read), /it has 2 addresses where it has to have one/u);
  });
});

describe('vhosts together', () => {
  function conflict(first: EntityValue, second: EntityValue, patterns = false): string {
    const policy = new Policy({ ...OPEN_POLICY, enableVhostNamePatterns: patterns });
    policy.set(readVhost(first, NAMES));
    return mistake(() => policy.set(readVhost(second, NAMES)));
  }

  it('have no name and no alias in common', () => {
    assert.equal(
      conflict({ hostname: 'a', aliases: 'b' }, { hostname: 'b' }),
      "Policy is creating vhost 'b' but that name is already an alias for vhost 'a'",
    );
    assert.equal(
      conflict({ hostname: 'a' }, { hostname: 'b', aliases: 'a' }),
      "Policy for vhost 'b' defines alias 'a' which conflicts with an existing vhost named 'a'",
    );
    assert.equal(
      conflict({ hostname: 'a', aliases: 'c' }, { hostname: 'b', aliases: 'c' }),
      "Policy for vhost 'b' alias 'c' conflicts with existing alias for vhost 'a'",
    );
  });

  it('are changed and made again under the patterns that they had', () => {
    const policy = new Policy({ ...OPEN_POLICY, enableVhostNamePatterns: true });
    const set = (hostname: string, aliases: string): void => policy.set(readVhost({ hostname, aliases }, NAMES));
    set('*.a', '*.b, #.c');
    set('*.a', '#.c');
    set('x', '*.b');
    assert.equal(policy.remove('*.a'), true);
    set('y', '*.a, #.c');
  });

  it('have no patterns that mean the same', () => {
    assert.equal(
      conflict({ hostname: '#.0.0' }, { hostname: '#.#.0.0' }, true),
      "Policy for vhost '#.#.0.0' alias '#.#.0.0' optimized pattern conflicts with existing pattern",
    );
    assert.equal(conflict({ hostname: '#.0.0' }, { hostname: '#.#.0.0' }), 'none');
    assert.match(
      conflict({ hostname: 'a' }, { hostname: 'b.#', aliases: 'b.#.#' }, true),
      /alias 'b\.#\.#' optimized/u,
    );
  });
});
