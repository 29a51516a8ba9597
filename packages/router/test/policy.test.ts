// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EntityValue } from '@pointsman/management';
import { Policy, readVhost } from '../src/index.js';
import { OPEN_POLICY } from '../src/policy/policy.js';
import { EVERYTHING, EXHAUSTED, Policed, UNAUTHORIZED, errorText, isIn, refusal } from './policed.js';
import { World } from './world.js';
import type { Peer } from './world.js';

describe('a policy that is off', () => {
  it('restricts nothing, whatever its vhosts say', () => {
    const { world, policy } = new Policed([{ hostname: 'h' }], { enableVhostPolicy: false });
    const peer = world.peer({ policyVhost: 'h' }, { hostname: 'h' });
    assert.equal(peer.at.policy, undefined);
    assert.equal(refusal(peer.send('q')), undefined);
    assert.equal(policy.totalDenials, 0);
  });
});

describe('a vhost is found', () => {
  const vhost = (hostname: string, more: EntityValue = {}): EntityValue => ({
    hostname,
    groups: { [`of ${hostname}`]: EVERYTHING },
    ...more,
  });
  const groupOf = (peer: Peer): string | undefined => peer.at.policy?.group.name;

  it('by the host name of the open, by an alias, and by what the listener says', () => {
    const policed = new Policed([vhost('a', { aliases: 'b, c' }), vhost('d')]);
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((name) => groupOf(policed.client(name))),
      ['of a', 'of a', 'of a', 'of d'],
    );
    assert.equal(groupOf(policed.client('a', { policyVhost: 'd' })), 'of d');
  });

  it('by the empty name, where the open has none', () => {
    const policed = new Policed([vhost('')]);
    assert.equal(groupOf(policed.world.peer({ peerHost: '::1' })), 'of ');
  });

  it('by the default, where there is one, and else not at all', () => {
    const policed = new Policed([vhost('$default')]);
    assert.equal(groupOf(policed.client('who')), 'of $default');
    const other = new Policed([vhost('a')], { defaultVhost: 'none' });
    const peer = other.client('who');
    assert.equal(isIn(peer), false);
    assert.equal(errorText(peer.end?.error), 'amqp:resource-limit-exceeded: connection disallowed by local policy');
    assert.deepEqual(other.logs, [
      "POLICY (info) DENY AMQP Open for user 'anonymous', rhost '10.0.0.1', vhost 'who': No policy defined for vhost",
    ]);
  });

  it('by patterns, the most exact first, where names are patterns', () => {
    const policed = new Policed([vhost('#.example.com'), vhost('*.example.com'), vhost('a.example.com')], {
      enableVhostNamePatterns: true,
    });
    assert.deepEqual(
      ['a.example.com', 'b.example.com', 'a.b.example.com'].map((name) => groupOf(policed.client(name))),
      ['of a.example.com', 'of *.example.com', 'of #.example.com'],
    );
    assert.equal(isIn(policed.client('example.org')), false);
  });

  it('by its name alone, where names are no patterns', () => {
    assert.equal(isIn(new Policed([vhost('#')]).client('a')), false);
  });
});

describe('a group is found', () => {
  const groups = {
    named: { ...EVERYTHING, users: 'alice, bob' },
    others: { ...EVERYTHING, users: '*' },
  };

  it('by the name of the user before the one for everybody', () => {
    const policed = new Policed([{ hostname: 'h', groups }]);
    assert.equal(policed.client('h', {}, 'alice').at.policy?.group.name, 'named');
    assert.equal(policed.client('h', {}, 'carol').at.policy?.group.name, 'others');
    assert.equal(policed.client('h').at.policy?.group.name, 'others');
  });

  it('as $default where unknown users are allowed, and not otherwise', () => {
    const named = { named: groups.named, $default: { ...EVERYTHING, users: undefined! } };
    const allowing = new Policed([{ hostname: 'h', allowUnknownUser: true, groups: named }]);
    assert.equal(allowing.client('h', {}, 'carol').at.policy?.group.name, '$default');
    const denying = new Policed([{ hostname: 'h', groups: named }]);
    assert.equal(isIn(denying.client('h', {}, 'carol')), false);
    assert.match(denying.logs[0]!, /User is not in a user group and unknown users are denied$/u);
    assert.equal(denying.counts('h')['denied'], 1);
  });

  it('never by a user who is called like everybody, or like nobody', () => {
    const policed = new Policed([
      { hostname: 'h', groups: { nobody: { remoteHosts: '*' }, named: { users: 'alice', remoteHosts: '*' } } },
    ]);
    assert.equal(isIn(policed.client('h', {}, '*')), false);
    assert.equal(isIn(policed.client('h', {}, '')), false);
  });
});

describe('remote hosts', () => {
  const lets = (remoteHosts: string, ...hosts: string[]): boolean[] =>
    hosts.map((peerHost) => isIn(Policed.group({ remoteHosts }).client('h', { peerHost })));

  it('are single addresses and ranges of both families', () => {
    assert.deepEqual(lets('10.0.0.2', '10.0.0.2', '10.0.0.20'), [true, false]);
    assert.deepEqual(
      lets('10.0.0.5-10.0.1.2, ::5 - ::ff', '10.0.0.4', '10.0.0.5', '10.0.0.255', '10.0.1.3', '::5', '::ff', '::100'),
      [false, true, true, false, true, true, false],
    );
  });

  it('are the same in all their spellings', () => {
    assert.deepEqual(lets('2001:db8::1', '2001:DB8:0:0:0:0:0:1', '2001:db8::2'), [true, false]);
    assert.deepEqual(lets('127.0.0.1', '::ffff:127.0.0.1', '::1'), [true, false]);
    assert.deepEqual(lets('fe80::1', 'fe80::1%eth0'), [true]);
  });

  it('are nobody where none is named', () => {
    const policed = new Policed([{ hostname: 'h', groups: { all: { users: '*' } } }]);
    assert.equal(isIn(policed.client()), false);
    assert.match(policed.logs[0]!, /User is not allowed to connect from this network host$/u);
  });

  it('are looked up by their names', () => {
    const rules = readVhost({ hostname: 'h', groups: { all: { ...EVERYTHING, remoteHosts: 'box' } } }, () => [
      '10.0.0.9',
    ]);
    const hosts = rules.groups.get('all')!.remoteHosts;
    assert.deepEqual([hosts.allows('10.0.0.9'), hosts.allows('10.0.0.8')], [true, false]);
  });
});

describe('limits on connections', () => {
  it('hold for the whole router, before anything is said', () => {
    const policy = new Policy({ ...OPEN_POLICY, maxConnections: 2 });
    assert.deepEqual(
      [1, 2, 3].map(() => policy.admitSocket('10.0.0.1')),
      [true, true, false],
    );
    policy.socketClosed();
    assert.equal(policy.admitSocket('10.0.0.1'), true);
    assert.deepEqual(policy.sockets, { processed: 4, denied: 1, current: 2 });
    assert.equal(policy.totalDenials, 1);
  });

  it('hold for a vhost, and are free again when a connection ends, however it does', () => {
    const policed = new Policed([{ hostname: 'h', maxConnections: 2, groups: { all: EVERYTHING } }]);
    const [first, second] = [policed.client(), policed.client()];
    assert.equal(isIn(policed.client()), false);
    assert.match(policed.logs.at(-1)!, /Connection denied by application connection limit$/u);
    first.cut();
    second.connection.close();
    policed.world.run();
    assert.deepEqual([isIn(policed.client()), isIn(policed.client()), isIn(policed.client())], [true, true, false]);
    assert.deepEqual(policed.counts('h'), {
      approved: 4,
      denied: 2,
      current: 2,
      sessionDenied: 0,
      senderDenied: 0,
      receiverDenied: 0,
      maxMessageSizeDenied: 0,
    });
  });

  it('hold for each user and each host, the words of the group before those of the vhost', () => {
    const policed = new Policed([
      {
        hostname: 'h',
        maxConnectionsPerUser: 1,
        maxConnectionsPerHost: 2,
        groups: { all: EVERYTHING, more: { ...EVERYTHING, users: 'alice', maxConnectionsPerUser: 2 } },
      },
    ]);
    assert.equal(isIn(policed.client()), true);
    assert.equal(isIn(policed.client('h', { peerHost: '10.0.0.2' })), false);
    assert.match(policed.logs.at(-1)!, /Connection denied by application per user limit$/u);
    const alices = [3, 3, 4].map((host) => isIn(policed.client('h', { peerHost: `10.0.0.${host}` }, 'alice')));
    assert.deepEqual(alices, [true, true, false]);
    assert.equal(isIn(policed.client('h', { peerHost: '10.0.0.3' }, 'bob')), false);
    assert.match(policed.logs.at(-1)!, /Connection denied by application per host limit$/u);
  });

  it('show who is there by user and by host, and whom they have seen', () => {
    const policed = Policed.group({});
    const peer = policed.client('h', { peer: '10.0.0.1:7' });
    const [counts] = [...policed.policy.counts];
    assert.deepEqual([...counts!.perUser.get('anonymous')!.values()], ['10.0.0.1:7']);
    peer.cut();
    assert.deepEqual([...counts!.perHost.get('10.0.0.1')!.values()], []);
  });
});

function windowAt(peer: Peer): number | undefined {
  peer.send('q');
  return peer.session.remoteBegin?.incomingWindow;
}

describe('limits that our open and begin say', () => {
  it('are those of the group', () => {
    const policed = Policed.group({ maxFrameSize: 2_048, maxSessions: 10, maxSessionWindow: 3 * 2_048 });
    const peer = policed.client();
    const { remoteOpen } = peer.connection;
    assert.deepEqual([remoteOpen?.maxFrameSize, remoteOpen?.channelMax], [2_048, 9]);
    assert.equal(windowAt(peer), 3);
  });

  it('hold for sessions, even where a peer has found a channel for one more', () => {
    const policed = Policed.group({ maxSessions: 1 });
    const peer = policed.client();
    peer.send('q');
    const { policy } = peer.at;
    const beyond = policy!.begin(policed.client().session);
    assert.equal(errorText(beyond), 'amqp:resource-limit-exceeded: session disallowed by local policy');
    assert.equal(policed.counts('h')['sessionDenied'], 1);
    assert.match(
      policed.logs.at(-1)!,
      /DENY AMQP Begin Session due to session limit\. user: anonymous, rhost: 10\.0\.0\.1, vhost: h$/u,
    );
    peer.session.end();
    policed.world.run();
    assert.equal(policy!.begin(policed.client().session), undefined);
  });

  it('are those of the listener where the group says nothing', () => {
    const policed = Policed.group({});
    const peer = policed.world.peer(
      { peerHost: '10.0.0.1', maxSessionFrames: 100 },
      { hostname: 'h' },
      { maxFrameSize: 4_096, channelMax: 199 },
    );
    assert.deepEqual([peer.connection.remoteOpen?.maxFrameSize, peer.connection.remoteOpen?.channelMax], [4_096, 199]);
    assert.equal(windowAt(peer), 100);
    assert.equal(windowAt(policed.world.peer({ maxSessionFrames: 7, peerHost: '10.0.0.1' }, { hostname: 'h' })), 7);
  });

  it('are no more than the router takes by itself, however large a window is allowed', () => {
    const usual = windowAt(new World().peer());
    assert.equal(windowAt(new World().peer({ maxSessionFrames: 1_000_000 })), usual);
    assert.equal(windowAt(Policed.group({ maxSessionWindow: 2 ** 40 }).client()), usual);
  });
});

describe('links', () => {
  it('are limited in their number, each direction by itself, and counted down when they go', () => {
    const policed = Policed.group({ maxSenders: 2, maxReceivers: 1 });
    const peer = policed.client();
    const [first, , third] = [peer.send('a'), peer.send('b'), peer.send('c')];
    assert.equal(refusal(third), EXHAUSTED);
    peer.receive('a');
    assert.equal(refusal(peer.receive('b')), EXHAUSTED);
    assert.deepEqual(
      policed.logs.filter((line) => line.includes('DENY')).map((line) => line.replace(/\[C\d+\]/u, '[C]')),
      [
        "POLICY (info) [C] DENY AMQP Attach sender for user 'anonymous', rhost '10.0.0.1', vhost 'h' based on maxSenders limit",
        "POLICY (info) [C] DENY AMQP Attach receiver for user 'anonymous', rhost '10.0.0.1', vhost 'h' based on maxReceivers limit",
      ],
    );
    first.link.detach();
    policed.world.run();
    assert.equal(refusal(peer.send('d')), undefined);
    assert.equal(policed.policy.denials.links, 2);
    assert.deepEqual([policed.counts('h')['senderDenied'], policed.counts('h')['receiverDenied']], [1, 1]);
  });

  it('are counted down where their session ends', () => {
    const client = Policed.group({ maxSenders: 1, maxReceivers: 1 }).client();
    for (let i = 0; i < 3; i++) {
      assert.equal(refusal(client.send('a')), undefined);
      assert.equal(refusal(client.receive('a')), undefined);
      client.endSession();
    }
  });

  it('do not count where they are refused for another reason', () => {
    const policed = Policed.group(
      { maxSenders: 1 },
      {},
      { addresses: [{ prefix: 'no', distribution: 'unavailable' }] },
    );
    const peer = policed.client();
    for (let i = 0; i < 3; i++) assert.match(refusal(peer.send('no'))!, /not-found/u);
    assert.equal(refusal(peer.send('yes')), undefined);
  });

  it('are without limit where that is 0', () => {
    const peer = Policed.group({ maxSenders: 0, maxReceivers: 0 }).client();
    assert.equal(refusal(peer.send('a')), undefined);
    assert.equal(refusal(peer.receive('a')), undefined);
  });

  it('use the nodes that the group lists, by name, by beginning, or all', () => {
    const peer = Policed.group({ targets: 'a, b*', sources: ['c', 'd*'] }).client();
    assert.deepEqual(
      ['a', 'b', 'bb', 'aa', 'c'].map((name) => refusal(peer.send(name))),
      [undefined, undefined, undefined, UNAUTHORIZED, UNAUTHORIZED],
    );
    assert.deepEqual(
      ['c', 'dd/x', 'a'].map((name) => refusal(peer.receive(name))),
      [undefined, undefined, UNAUTHORIZED],
    );
  });

  it('use nodes of their user', () => {
    const policed = new Policed([
      {
        hostname: 'h',
        groups: {
          list: { users: 'al*, bob', remoteHosts: '*', targets: 'q-${user}-*, ${user}' },
          tree: { users: 'carol, d.e', remoteHosts: '*', targetPattern: '${user}.#, in/*/${user}, x.*' },
        },
      },
    ]);
    const tries = (user: string, ...names: string[]): boolean[] => {
      const peer = policed.client('h', {}, user);
      return names.map((name) => refusal(peer.send(name)) === undefined);
    };
    assert.deepEqual(tries('bob', 'q-bob-1', 'bob', 'bobby', 'q-al-1'), [true, true, false, false]);
    // The asterisk of a name is no wildcard.
    assert.deepEqual(tries('al*', 'q-al*-1', 'al*', 'alice', 'q-alice-1'), [true, true, false, false]);
    assert.deepEqual(
      tries('carol', 'carol', 'carol.a/b', 'caroline', 'in/1/carol', 'in/carol', 'x.y', 'x.y.z', '${user}.a'),
      [true, true, false, true, false, true, false, false],
    );
    assert.deepEqual(tries('d.e', 'd.e.f', 'd', 'in/1/d.e', 'in/1/e'), [true, false, true, false]);
  });

  it('use none that only look like one that is listed: what stands before a scheme is cut off', () => {
    const policed = new Policed([
      {
        hostname: 'h',
        groups: {
          list: { users: 'bob', remoteHosts: '*', targets: 'pub*, amqp:/exact, topic:/t*, ${user}*' },
          tree: { users: 'carol', remoteHosts: '*', targetPattern: 'pub.#, ${user}.#' },
        },
      },
    ]);
    const tries = (user: string, ...names: string[]): boolean[] => {
      const peer = policed.client('h', {}, user);
      return names.map((name) => refusal(peer.send(name)) === undefined);
    };
    assert.deepEqual(
      tries('bob', 'pub:/secret', 'pub:/pub:/secret', 'bob:/secret', 'pub:/public', 'amqp:/exact', 'topic:/tt'),
      [false, false, false, true, true, true],
    );
    assert.deepEqual(tries('carol', 'pub.a:/secret', 'carol.a:/secret', 'pub.a:/pub.b', 'pub.a'), [
      false,
      false,
      true,
      true,
    ]);
    assert.deepEqual(tries('bob', `${'pub:/'.repeat(5)}pub`, `${'pub:/'.repeat(10_000)}pub`), [true, false]);
  });

  it('use none where none is listed', () => {
    const peer = new Policed([{ hostname: 'h', groups: { all: { users: '*', remoteHosts: '*' } } }]).client();
    assert.equal(refusal(peer.send('a')), UNAUTHORIZED);
    assert.equal(refusal(peer.receive('a')), UNAUTHORIZED);
  });

  it('are without a target, or with a dynamic source, only where that is allowed', () => {
    const dynamic = { source: { type: 'source', dynamic: true } } as const;
    const strict = Policed.group({});
    const peer = strict.client();
    assert.equal(refusal(peer.send(undefined)), UNAUTHORIZED);
    assert.equal(refusal(peer.receive(undefined, 10, dynamic)), UNAUTHORIZED);
    assert.equal(refusal(peer.receive(undefined)), UNAUTHORIZED);
    assert.deepEqual(
      strict.logs.filter((line) => line.includes('DENY')).map((line) => line.replace(/^.*Attach /u, '')),
      [
        "anonymous sender for user 'anonymous', rhost '10.0.0.1', vhost 'h'",
        "receiver dynamic source for user 'anonymous', rhost '10.0.0.1', vhost 'h',",
        "receiver link '' for user 'anonymous', rhost '10.0.0.1', vhost 'h'",
      ],
    );
    const open = Policed.group({ allowAnonymousSender: true, allowDynamicSource: 'true' }).client();
    assert.equal(refusal(open.send(undefined)), undefined);
    assert.equal(refusal(open.receive(undefined, 10, dynamic)), undefined);
  });

  it('coordinate transactions only where senders may be anonymous', () => {
    const attach = { target: { type: 'coordinator' } } as const;
    assert.equal(refusal(Policed.group({}).client().send(undefined, attach)), UNAUTHORIZED);
    const allowed = Policed.group({ allowAnonymousSender: true }).client().send(undefined, attach);
    assert.match(refusal(allowed)!, /precondition-failed/u);
  });

  it('serve waypoints and fallbacks only where that is allowed', () => {
    const capable = (name: string, address = 'q'): object => ({
      source: { type: 'source', address, capabilities: [name] },
    });
    const strict = Policed.group({ allowWaypointLinks: false, allowFallbackLinks: 'false' });
    const peer = strict.client();
    assert.equal(refusal(peer.receive('q', 1, capable('qd.waypoint_1'))), UNAUTHORIZED);
    assert.equal(refusal(peer.receive('q', 1, capable('qd.fallback'))), UNAUTHORIZED);
    assert.match(strict.logs.at(-2)!, /vhost 'h'\. {2}Waypoint capability not permitted$/u);
    assert.match(strict.logs.at(-1)!, /vhost 'h'\. {2}Fallback capability not permitted$/u);
    const open = Policed.group({}).client();
    assert.equal(refusal(open.receive('q', 1, capable('qd.waypoint_1'))), undefined);
    assert.equal(refusal(open.receive('q', 1, capable('qd.fallback'))), undefined);
  });

  it('are routed to containers by the same rules, and counted', () => {
    const policed = Policed.group(
      { targets: 'store*', maxSenders: 1 },
      {},
      {
        linkRoutes: [{ prefix: 'store', direction: 'in', containerId: 'C' }],
      },
    );
    policed.client('h', { role: 'route-container', containerId: 'C' } as object);
    const peer = policed.client();
    const first = peer.send('store/x');
    assert.equal(refusal(first), undefined);
    assert.equal(refusal(peer.send('store/y')), EXHAUSTED);
    first.link.detach();
    policed.world.run();
    assert.equal(refusal(peer.send('store/y')), undefined);
  });

  it('end with a line of what the connection had and was denied', () => {
    const policed = Policed.group({ targets: 'a' });
    const peer = policed.client();
    peer.send('a');
    peer.send('b');
    peer.cut();
    assert.match(
      policed.logs.at(-1)!,
      /^POLICY \(debug\) \[C\d+\] Connection '10\.0\.0\.1' closed with resources n_sessions=1, n_senders=1, n_receivers=0, sessions_denied=0, senders_denied=1, receivers_denied=0, max_message_size_denied:0, nConnections= 0$/u,
    );
  });
});

describe('connections of connectors', () => {
  const vhosts = [{ hostname: 'out', groups: { $connector: { sources: 'a', targets: 'b', maxReceivers: 1 } } }];

  it('are restricted by the group $connector in what the peer attaches, and not in what we do', () => {
    const policed = new Policed(
      vhosts,
      {},
      {
        autoLinks: [{ address: 'own', direction: 'in', connection: 'broker' }],
      },
    );
    const peer = policed.client(undefined, {
      direction: 'out',
      role: 'route-container',
      name: 'broker',
      policyVhost: 'out',
    });
    assert.equal(peer.outlets.length, 1);
    assert.deepEqual([refusal(peer.send('b')), refusal(peer.send('a'))], [undefined, UNAUTHORIZED]);
    assert.deepEqual(
      [refusal(peer.receive('b')), refusal(peer.receive('a')), refusal(peer.receive('a'))],
      [UNAUTHORIZED, undefined, EXHAUSTED],
    );
    assert.equal(policed.counts('out')['current'], 0);
  });

  it('end where there is no such group', () => {
    const policed = new Policed([{ hostname: 'out', groups: { all: EVERYTHING } }]);
    const peer = policed.client(undefined, { direction: 'out', name: 'broker', policyVhost: 'out' });
    assert.equal(peer.end?.error?.description, 'connection disallowed by local policy');
    assert.match(
      policed.logs[0]!,
      /^POLICY \(error\) \[C\d+\] Failed to find policyVhost settings for connection 'broker', policyVhost: 'out'$/u,
    );
  });

  it('are free where no vhost is named', () => {
    const peer = new Policed(vhosts).client(undefined, { direction: 'out' });
    assert.equal(refusal(peer.send('x')), undefined);
  });
});

describe('tenants with a policy', () => {
  it('share the space of the vhost that counts for them', () => {
    const policed = new Policed([
      { hostname: 'a', aliases: 'b', groups: { all: EVERYTHING } },
      { hostname: '$default', groups: { all: EVERYTHING } },
    ]);
    const space = (hostname: string | undefined, policyVhost?: string): string | undefined =>
      policed.client(hostname, { multiTenant: true, policyVhost }).at.tenant?.space;
    assert.deepEqual([space('a'), space('b'), space('c'), space('', 'a')], ['a', 'a', '$default', 'a']);
  });

  it('have the names in their rules without the space', () => {
    const policed = Policed.group({ targets: 'q' });
    const peer = policed.client('h', { multiTenant: true });
    assert.deepEqual([refusal(peer.send('q')), refusal(peer.send('h/q'))], [undefined, UNAUTHORIZED]);
    assert.ok([...policed.world.router.addresses].some(({ key }) => key === 'M0h/q'));
  });
});

describe('vhosts at run time', () => {
  it('count for who comes from then on, and leave alone whoever is there', () => {
    const policed = Policed.group({ targets: 'a' });
    const before = policed.client();
    policed.policy.set(readVhost({ hostname: 'h', groups: { all: { ...EVERYTHING, targets: 'b' } } }, () => undefined));
    assert.equal(policed.logs.at(-1), 'POLICY (info) Updated policy rules for vhost h');
    assert.deepEqual([refusal(before.send('a')), refusal(before.send('b'))], [undefined, UNAUTHORIZED]);
    const after = policed.client();
    assert.deepEqual([refusal(after.send('a')), refusal(after.send('b'))], [UNAUTHORIZED, undefined]);
    assert.equal(policed.counts('h')['current'], 2);
  });

  it('leave their counts when they go, and their aliases free', () => {
    const policed = new Policed([{ hostname: 'h', aliases: 'i', groups: { all: EVERYTHING } }]);
    const peer = policed.client();
    assert.equal(policed.policy.remove('h'), true);
    assert.equal(policed.policy.remove('h'), false);
    assert.equal(isIn(peer), true);
    assert.equal(isIn(policed.client('i')), false);
    assert.equal(policed.counts('h')['current'], 1);
    policed.policy.set(readVhost({ hostname: 'i', groups: { all: EVERYTHING } }, () => undefined));
    assert.equal(isIn(policed.client('i')), true);
  });
});
