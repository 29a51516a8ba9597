// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import type { ConfigProblem } from '../src/config/problems.js';
import { readConfig } from '../src/config/read-config.js';
import type { ReadOptions } from '../src/config/read-config.js';
import { runQdmanage } from '../src/tools/qdmanage.js';
import { runQdstat } from '../src/tools/qdstat.js';
import { opening, until } from './client-fixture.js';
import type { Opened } from './client-fixture.js';
import { Running } from './running-router.js';
import { toolIo } from './tools-fixture.js';

const ON = 'policy { enableVhostPolicy: yes }\n';
const LISTENER = 'listener { name: in  host: 127.0.0.1  port: 0 }\n';
const ALL = 'users: *\nremoteHosts: *\nsources: *\ntargets: *\nallowDynamicSource: true\nallowAnonymousSender: true\n';
const vhost = (hostname: string, group: string, rest = ''): string =>
  `vhost {\nhostname: "${hostname}"\n${rest}\ngroups: {\nall: {\n${group}\n}\n}\n}\n`;

function problemsOf(text: string, options: Partial<ReadOptions> = {}): readonly ConfigProblem[] {
  const result = readConfig(text, { path: 'a.conf', ...options });
  return result.ok ? result.warnings : result.problems;
}

/** The only problem of a text. */
function only(text: string, options: Partial<ReadOptions> = {}): ConfigProblem {
  const problems = problemsOf(text, options);
  assert.equal(problems.length, 1, JSON.stringify(problems));
  return problems[0]!;
}

/** A client that is let in: who is not hears of it behind our open. */
async function clientOf(opened: Opened, router: Running, hostname: string): Promise<Client> {
  const client = opened.add(await connect({ host: '127.0.0.1', port: router.port('in')!, hostname }));
  await client.sender('a');
  return client;
}

/** What qdmanage answers, or prints of an error. */
async function manage(
  router: Running,
  command: string,
  input = '',
): Promise<{ readonly said: string; readonly rows: never }> {
  const io = toolIo(input);
  await runQdmanage(['-b', `127.0.0.1:${router.port('in')}`, ...command.split(' ')], io);
  const said = io.stdoutText() + io.stderrText();
  let rows: unknown;
  try {
    rows = JSON.parse(io.stdoutText());
  } catch {
    rows = undefined;
  }
  return { said, rows: rows as never };
}

async function report(router: Running, flag: string): Promise<string> {
  const io = toolIo();
  await runQdstat(['-b', `127.0.0.1:${router.port('in')}`, flag], io);
  return io.stdoutText();
}

describe('vhosts in a configuration', () => {
  it('are read from all three forms alike', () => {
    const groups = { all: { users: '*', remoteHosts: ['10.0.0.1', '::1'], maxSenders: 3, allowDynamicSource: true } };
    const attributes = { hostname: 'a', aliases: 'b, c', maxMessageSize: 5_000_000_000, groups };
    const json = JSON.stringify([
      ['policy', { enableVhostPolicy: true }],
      ['vhost', attributes],
    ]);
    const conf = `${ON}vhost { hostname: a  aliases: b, c\nmaxMessageSize: 5000000000\ngroups: ${JSON.stringify(groups)}\n}`;
    const read = (text: string, path: string): unknown => {
      const result = readConfig(text, { path });
      assert.ok(result.ok, JSON.stringify(result));
      const [{ attributes: said } = { attributes: {} }] = result.config.vhosts;
      return { policy: result.config.policy, said };
    };
    assert.deepEqual(read(conf, 'a.conf'), read(json, 'a.json'));
    assert.deepEqual(read(json, 'a.yaml'), read(json, 'a.json'));
  });

  it('know the old name of hostname, and warn of it', () => {
    const problem = only(`${ON}vhost { id: a }`);
    assert.equal(problem.severity, 'warning');
    assert.match(problem.former ?? '', /Attribute 'id' of entity 'vhost' has been deprecated/u);
  });

  it('are checked before the router starts, with the line and in the words of the old router', () => {
    const problem = only(`${ON}${vhost('a', 'maxSenders: many')}`);
    assert.equal(problem.severity, 'error');
    assert.equal(problem.line, 5);
    assert.equal(
      problem.former,
      "PolicyError: Policy 'a' is invalid: Policy vhost 'a' user group 'all' option 'maxSenders' has error 'Value 'many' does not resolve to an integer.'.",
    );
    assert.match(
      only(`${ON}${vhost('a', ALL)}${vhost('b', ALL, 'aliases: a')}`).message,
      /conflicts with an existing vhost/u,
    );
    assert.match(only(`${ON}${vhost('a', ALL, 'name: x')}${vhost('a', ALL)}`).message, /there is a second vhost 'a'/u);
  });

  it('are warned of where they have no effect, and so is a policyVhost that there is not', () => {
    assert.match(only(vhost('a', ALL)).message, /vhosts have no effect/u);
    assert.match(only(`${ON}listener { policyVhost: x }`).message, /'policyVhost' of listener names no vhost/u);
    assert.deepEqual(problemsOf(`${ON}${vhost('x', ALL)}listener { policyVhost: x }`), []);
    assert.deepEqual(problemsOf(`${ON}${vhost('$default', ALL)}connector { host: h  policyVhost: x }`), []);
  });

  it('may stand in files of a policyDir, of which all is checked and only vhosts are taken', () => {
    const dir = 'policy { enableVhostPolicy: yes  policyDir: some/where }\n';
    const files = (...texts: string[]): Partial<ReadOptions> => ({
      policyFiles: (directory) => {
        assert.equal(directory, 'some/where');
        return texts.map((text, n) => ({ path: `${directory}/${n}.json`, text }));
      },
    });
    const one = '# a comment\n[["vhost", { "hostname": "a" }], ["router", { "id": "other" }]]';
    const result = readConfig(`router { id: mine }\n${dir}`, { path: 'a.conf', ...files(one) });
    assert.ok(result.ok, JSON.stringify(result));
    assert.deepEqual(
      result.config.vhosts.map(({ hostname }) => hostname),
      ['a'],
    );
    assert.equal(result.config.router.id, 'mine');
    const [wrong] = problemsOf(dir, files('[["vhost", { "hostnam": "a" }]]'));
    assert.deepEqual([wrong?.file, wrong?.line, wrong?.nearest], ['some/where/0.json', 1, 'hostname']);
    assert.match(only(dir, files('[["listener", { "port": 1, "prot": 2 }]]')).message, /no attribute 'prot'/u);
    assert.match(only(dir, files(one, one)).message, /the vhost is the same as the one/u);
    assert.equal(only(dir, files('[[')).severity, 'error');
  });

  it('cannot stand in a policyDir that is none, or in what is no file there', () => {
    const dir = mkdtempSync(join(tmpdir(), 'pointsman-'));
    try {
      assert.match(only(`policy { policyDir: ${join(dir, 'none')} }`).message, /the policyDir cannot be read: ENOENT/u);
      writeFileSync(join(dir, 'notes.txt'), 'not looked at');
      writeFileSync(join(dir, 'b.json'), '[["vhost", { "hostname": "b" }]]');
      writeFileSync(join(dir, 'a.json'), '[["vhost", { "hostname": "" }]]');
      const result = readConfig(`policy { enableVhostPolicy: yes\npolicyDir: ${dir}\n}`, { path: 'a.conf' });
      assert.deepEqual(result.ok && result.config.vhosts.map(({ hostname }) => hostname), ['', 'b']);
      mkdirSync(join(dir, 'c.json'));
      assert.match(
        only(`policy { enableVhostPolicy: yes\npolicyDir: ${dir}\n}`).message,
        /c\.json of the policyDir cannot be read: it is no file/u,
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('a router with a policy', () => {
  it(
    'takes no more connections than it may, and says nothing to those beyond',
    opening(async (opened) => {
      const router = await Running.start(opened, `policy { maxConnections: 1 }\n${LISTENER}`);
      const first = await clientOf(opened, router, 'a');
      await assert.rejects(clientOf(opened, router, 'a'));
      const { sockets } = router.process.router.policy;
      assert.deepEqual({ ...sockets }, { processed: 2, denied: 1, current: 1 });
      assert.match(
        router.io.err,
        /POLICY \(info\) DENY Connection '127\.0\.0\.1' based on global connection count\. nConnections= 1/u,
      );
      await first.close();
      await until('the first to be gone', () => sockets.current === 0);
      await clientOf(opened, router, 'a');
    }),
  );

  it(
    'lets in whom its vhosts let in, from the hosts that they name',
    opening(async (opened) => {
      const conf = ON + LISTENER + vhost('a', ALL) + vhost('b', ALL.replace('remoteHosts: *', 'remoteHosts: 10.0.0.1'));
      const router = await Running.start(opened, conf);
      await clientOf(opened, router, 'a');
      await assert.rejects(clientOf(opened, router, 'b'), /connection disallowed by local policy/u);
      await assert.rejects(clientOf(opened, router, 'c'), /connection disallowed by local policy/u);
    }),
  );

  it(
    'does not start with a host whose name leads nowhere',
    opening(async (opened) => {
      const conf = ON + LISTENER + vhost('a', ALL.replace('remoteHosts: *', 'remoteHosts: nowhere.invalid'));
      await assert.rejects(
        Running.start(opened, conf),
        /PolicyError.*Policy 'a' is invalid: .*'remoteHosts' connectionOption 'nowhere\.invalid' failed to translate: 'HostStruct: 'nowhere\.invalid' failed to resolve/u,
      );
    }),
  );

  it(
    'ends the connection of a connector whose policyVhost there is not, and says so',
    opening(async (opened) => {
      const server = createServer();
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve);
      });
      const { port } = server.address() as AddressInfo;
      await new Promise((resolve) => {
        server.close(resolve);
      });
      const far = await Running.start(opened, `listener { name: in  host: 127.0.0.1  port: ${port} }\n`);
      const near = await Running.start(
        opened,
        `${ON}connector { name: out  host: 127.0.0.1  port: ${port}  policyVhost: nosuch }\n`,
      );
      await until('the connector to fail', () => near.process.connector('out')?.step === 'failed');
      assert.match(near.process.connector('out')?.lastFailure ?? '', /policyVhost: 'nosuch'/u);
      assert.match(
        near.io.err,
        /POLICY \(error\) \[C\d+\] Failed to find policyVhost settings for connection 'out', policyVhost: 'nosuch'/u,
      );
      await until('its peer to be left', () => far.process.router.connections.size === 0);
    }),
  );
});

describe('vhosts and management', () => {
  const PERMISSIVE = ON + LISTENER + vhost('127.0.0.1', ALL, 'name: tools');
  const groups = { all: { users: '*', remoteHosts: '*', targets: 'a' } };

  it(
    'come, change and go at run time, each at once',
    opening(async (opened) => {
      const router = await Running.start(opened, PERMISSIVE);
      await assert.rejects(clientOf(opened, router, 'new'));
      const created = await manage(
        router,
        'create --type=vhost --name=new --stdin',
        JSON.stringify({ id: 'new', maxConnections: 1, groups }),
      );
      assert.match(created.said, /"hostname": "new"/u);
      const client = await clientOf(opened, router, 'new');
      await assert.rejects(clientOf(opened, router, 'new'));
      await manage(router, 'update --type=vhost --name=new maxConnections=2');
      await clientOf(opened, router, 'new');
      const { rows } = await manage(router, 'query --type=vhost hostname maxConnections');
      assert.deepEqual(rows, [
        { hostname: '127.0.0.1', maxConnections: 65_535 },
        { hostname: 'new', maxConnections: 2 },
      ]);
      assert.equal((await manage(router, 'delete --type=vhost --name=new')).said, '');
      await assert.rejects(clientOf(opened, router, 'new'));
      await assert.rejects(client.sender('b'), /link disallowed by local policy/u);
    }),
  );

  it(
    'are refused with the words of the policy, and nothing has changed then',
    opening(async (opened) => {
      const router = await Running.start(opened, PERMISSIVE);
      const create = (name: string, attributes: object): Promise<string> =>
        manage(router, `create --type=vhost --name=${name} --stdin`, JSON.stringify(attributes)).then(
          ({ said }) => said,
        );
      const both = { hostname: 'x', groups: { all: { sources: 'a', sourcePattern: 'a' } } };
      assert.match(
        await create('x', both),
        /InternalServerErrorStatus: PolicyError: Policy 'x' is invalid: Policy vhost 'x' user group 'all' specifies conflicting/u,
      );
      assert.match(
        await create('y', { hostname: 'y', aliases: '127.0.0.1', groups }),
        /PolicyError: .*conflicts with an existing vhost/u,
      );
      assert.match(await create('z', { hostname: '127.0.0.1', groups }), /second vhost '127\.0\.0\.1'/u);
      const bad = JSON.stringify({ groups: { all: { maxSenders: 'x' } } });
      const updated = await manage(router, 'update --type=vhost --name=tools --stdin', bad);
      assert.match(updated.said, /PolicyError: Policy '127\.0\.0\.1' is invalid/u);
      const renamed = await manage(router, 'update --type=vhost --name=tools hostname=other');
      assert.match(renamed.said, /Cannot update attribute 'hostname' in UPDATE/u);
      const { rows } = await manage(router, 'query --type=vhost');
      assert.equal((rows as unknown[]).length, 1);
      assert.match(JSON.stringify(rows), /"sources":"\*"/u);
    }),
  );

  it(
    'show what they have let in and refused, in rows and reports',
    opening(async (opened) => {
      const router = await Running.start(opened, PERMISSIVE + vhost('b', 'users: *\nremoteHosts: *\ntargets: a'));
      const client = await clientOf(opened, router, 'b');
      await assert.rejects(client.sender('y'), /link disallowed by local policy/u);
      await assert.rejects(client.receiver('y'), /link disallowed by local policy/u);
      const { rows } = await manage(router, 'query --type=vhostStats');
      const stats = (rows as { id: string; senderDenied: number; receiverDenied: number; perUserState: object }[]).find(
        ({ id }) => id === 'b',
      )!;
      assert.deepEqual([stats.senderDenied, stats.receiverDenied], [1, 1]);
      assert.match(JSON.stringify(stats.perUserState), /^\{"anonymous":\["127\.0\.0\.1:\d+"\]\}$/u);
      const [policy] = (await manage(router, 'query --type=policy')).rows as {
        linksDenied: number;
        totalDenials: number;
      }[];
      assert.deepEqual([policy?.linksDenied, policy?.totalDenials], [2, 2]);
      assert.match(await report(router, '--vhosts'), /hostname +maxConnections/u);
      assert.match(await report(router, '--vhostgroups'), /Vhost 'b' UserGroup 'all'/u);
      assert.match(await report(router, '--vhoststats'), /b +anonymous/u);
      assert.match(await report(router, '--policy'), /Links Denied +2/u);
    }),
  );

  it(
    'forbid ending other connections, and link routes of their own, where a group says so',
    opening(async (opened) => {
      const strict = `${ALL}allowAdminStatusUpdate: false\nallowDynamicLinkRoutes: false`;
      const router = await Running.start(opened, ON + LISTENER + vhost('127.0.0.1', strict));
      await clientOf(opened, router, '127.0.0.1');
      const [{ id } = { id: 0 }] = router.process.router.connections;
      const ended = await manage(router, `update --type=connection --identity=${id} adminStatus=deleted`);
      assert.match(ended.said, /You are not allowed to perform this operation/u);
      const route = await manage(router, 'create --type=router.connection.linkRoute pattern=a direction=in');
      assert.match(route.said, /Forbidden/u);
      assert.equal(
        [...router.process.router.connections].some((connection) => connection.id === id),
        true,
      );
    }),
  );
});

describe('changes of vhosts that come at once', () => {
  it(
    'both count: none is lost for the time that looking up hosts takes',
    opening(async (opened) => {
      const router = await Running.start(opened, ON + LISTENER + vhost('shop', ALL, 'name: shop'));
      const { vhosts, source } = router.process;
      await Promise.all([
        vhosts.update('shop', { maxConnections: 2 }),
        vhosts.update('shop', { maxConnectionsPerUser: 1 }),
        vhosts.update('shop', { maxConnectionsPerHost: 3 }),
      ]);
      const { maxConnections, maxConnectionsPerUser } = source.find('vhost', 'shop')!.value;
      assert.deepEqual([maxConnections, maxConnectionsPerUser], [2, 1]);
      // What is at work says the same as what is shown.
      const client = (): Promise<Client> => clientOf(opened, router, 'shop');
      await client();
      await assert.rejects(client());
    }),
  );

  it(
    'do not bring back what was deleted meanwhile',
    opening(async (opened) => {
      const router = await Running.start(opened, ON + LISTENER + vhost('shop', ALL, 'name: shop'));
      const { vhosts } = router.process;
      const update = vhosts.update('shop', { maxConnections: 2 });
      assert.ok(vhosts.remove('shop'));
      await assert.rejects(update, /there is no vhost 'shop'/u);
      await assert.rejects(clientOf(opened, router, 'shop'));
    }),
  );
});

describe('vhosts and reload', () => {
  it(
    'come, change and go with the file, and leave alone what management has changed',
    opening(async (opened) => {
      const fixed = ON + LISTENER + vhost('127.0.0.1', ALL, 'name: tools');
      const router = await Running.start(opened, fixed + vhost('a', ALL) + vhost('b', ALL));
      const client = await clientOf(opened, router, 'a');
      await manage(router, 'update --type=vhost --name=tools maxConnections=77');
      router.write(fixed + vhost('b', ALL, 'maxConnections: 0') + vhost('c', ALL));
      const result = await router.process.reload();
      assert.deepEqual(result.ok && result.changes, [
        'vhost vhost/a removed',
        'vhost vhost/b removed',
        'vhost vhost/b added or changed',
        'vhost vhost/c added or changed',
      ]);
      await assert.rejects(clientOf(opened, router, 'a'));
      await assert.rejects(clientOf(opened, router, 'b'));
      await clientOf(opened, router, 'c');
      assert.ok(client.connection.isOpen);
      const { rows } = await manage(router, 'query --type=vhost hostname maxConnections');
      assert.deepEqual(rows, [
        { hostname: '127.0.0.1', maxConnections: 77 },
        { hostname: 'b', maxConnections: 0 },
        { hostname: 'c', maxConnections: 65_535 },
      ]);
      const again = await router.process.reload();
      assert.deepEqual(again.ok && again.changes, []);
    }),
  );

  it(
    'change nothing where one of them is wrong',
    opening(async (opened) => {
      const router = await Running.start(opened, ON + LISTENER + vhost('a', ALL));
      const nowhere = ALL.replace('remoteHosts: *', 'remoteHosts: nowhere.invalid');
      for (const text of [vhost('a', 'maxSenders: x'), vhost('a', nowhere)]) {
        router.write(ON + LISTENER + text);
        assert.equal((await router.process.reload()).ok, false);
        await (await connect({ host: '127.0.0.1', port: router.port('in')!, hostname: 'a' })).close();
      }
    }),
  );
});
