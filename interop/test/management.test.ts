// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startRouter, until, whenOver } from '@pointsman/testing';
import type { Owner, RouterFixture } from '@pointsman/testing';
import rhea from 'rhea';
import type { Connection, EventContext, Message, Sender } from 'rhea';

interface Answer {
  readonly status: number;
  readonly description: string;
  readonly body: unknown;
}

interface Ask {
  readonly operation: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

/** A tool as third parties write it: a dynamic receiver for the answers, one sender to the node. */
class Tool {
  readonly #sender: Sender;
  readonly #replyTo: string;
  readonly #waiting = new Map<string, (answer: Answer) => void>();
  #next = 1;

  private constructor(connection: Connection, sender: Sender, replyTo: string) {
    this.#sender = sender;
    this.#replyTo = replyTo;
    connection.on('message', ({ message }: EventContext) => this.#answered(message!));
  }

  static async open(owner: Owner, router: RouterFixture, node = '$management', listener = 'in'): Promise<Tool> {
    const container = rhea.create_container();
    const connection = container.connect({ host: '127.0.0.1', port: router.port(listener), reconnect: false });
    whenOver(owner, () => connection.close());
    const receiver = connection.open_receiver({ source: { address: '', dynamic: true } });
    const sender = connection.open_sender(node);
    await until('the links', () => receiver.is_open() && sender.is_open() && sender.sendable());
    return new Tool(connection, sender, (receiver.source as { address: string }).address);
  }

  ask({ operation, properties = {}, body = {} }: Ask): Promise<Answer> {
    const id = String(this.#next++);
    const message = {
      reply_to: this.#replyTo,
      correlation_id: id,
      application_properties: { operation, ...properties },
      body,
    };
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#sender.send(message as Message);
    });
  }

  /** Names of the frames that come from here on, in their order: events come in another one. */
  frames(): readonly string[] {
    const seen: string[] = [];
    const session = this.#sender.session as unknown as Record<string, (frame: unknown) => void>;
    for (const name of ['disposition', 'transfer']) {
      const own = session[`on_${name}`]!.bind(session);
      session[`on_${name}`] = (frame) => {
        seen.push(name);
        own(frame);
      };
    }
    return seen;
  }

  /** @throws AssertionError where the answer is another status */
  async get(status: number, operation: string, properties?: Ask['properties'], body?: unknown): Promise<unknown> {
    const answer = await this.ask({ operation, ...(properties === undefined ? {} : { properties }), body });
    assert.equal(answer.status, status, `${operation}: ${answer.description}`);
    return answer.body;
  }

  async rows(entityType: string, ...attributeNames: string[]): Promise<Record<string, unknown>[]> {
    const body = (await this.get(200, 'QUERY', { entityType }, { attributeNames })) as {
      attributeNames: string[];
      results: unknown[][];
    };
    return body.results.map((row) => Object.fromEntries(body.attributeNames.map((name, i) => [name, row[i]])));
  }

  #answered({ correlation_id: id, application_properties: properties = {}, body }: Message): void {
    const resolve = this.#waiting.get(String(id));
    this.#waiting.delete(String(id));
    resolve?.({ status: properties['statusCode'], description: properties['statusDescription'], body });
  }
}

const PREFIX = 'org.apache.qpid.dispatch';
const LISTENER = `${PREFIX}.listener`;
const CONNECTOR = `${PREFIX}.connector`;
const CONF = 'router { id: QDR.A }  listener { name: in  host: 127.0.0.1  port: 0 }';

describe('a management tool', () => {
  it('lists what is configured, by the columns that it asks for', async (owner) => {
    const tool = await Tool.open(owner, await startRouter(owner, CONF));
    const rows = await tool.rows(LISTENER, 'name', 'identity', 'port', 'role');
    assert.deepEqual(rows, [{ name: 'in', identity: 'listener/127.0.0.1:0:in', port: '0', role: 'normal' }]);
    const [policy] = await tool.rows(`${PREFIX}.policy`);
    assert.equal(policy!['maxConnections'], 65_535);
    assert.equal(policy!['connectionsCurrent'], 1);
    const stores = await tool.rows(`${PREFIX}.allocator`, 'typeName', 'heldByThreads');
    assert.ok(stores.some(({ typeName, heldByThreads }) => typeName === 'heap_old_space' && Number(heldByThreads) > 0));
  });

  it('reaches the node under each of its addresses', async (owner) => {
    const router = await startRouter(owner, CONF);
    for (const node of ['$management', '_local/$management', 'amqp:/_local/$management', '_topo/0/QDR.A/$management']) {
      const tool = await Tool.open(owner, router, node);
      assert.equal((await tool.rows(LISTENER, 'name')).length, 1, node);
    }
  });

  it('is told that its request was taken before it is answered', async (owner) => {
    const tool = await Tool.open(owner, await startRouter(owner, CONF));
    const frames = tool.frames();
    await tool.rows(LISTENER, 'name');
    await tool.rows(LISTENER, 'name');
    assert.deepEqual(frames, ['disposition', 'transfer', 'disposition', 'transfer']);
  });

  it('creates a listener that listens at once, and deletes it while its connections stay', async (owner) => {
    const router = await startRouter(owner, CONF);
    const tool = await Tool.open(owner, router);
    const properties = { type: LISTENER, name: 'new' };
    const made = (await tool.get(201, 'CREATE', properties, { host: '127.0.0.1', port: '0' })) as Record<
      string,
      unknown
    >;
    assert.equal(made['identity'], 'listener/127.0.0.1:0:new');
    assert.equal(made['idleTimeoutSeconds'], 16);
    const second = await Tool.open(owner, router, '$management', 'new');
    await second.get(204, 'DELETE', properties);
    assert.equal((await second.rows(LISTENER, 'name')).length, 1);
    assert.deepEqual(await tool.get(404, 'READ', properties), {});
  });

  it('creates a connector, reads its state, and disconnects it by deleting it', async (owner) => {
    const other = await startRouter(owner, 'router { id: QDR.B }  listener { name: in  host: 127.0.0.1  port: 0 }');
    const router = await startRouter(owner, CONF);
    const tool = await Tool.open(owner, router);
    const properties = { type: CONNECTOR, name: 'out' };
    await tool.get(201, 'CREATE', properties, {
      host: '127.0.0.1',
      port: String(other.port()),
      saslUsername: 'me',
      saslPassword: 'pass:hunter2',
      saslMechanisms: 'ANONYMOUS',
    });
    await until('the connection', () => router.process.connector('out')?.step === 'open');
    const read = (await tool.get(200, 'READ', properties)) as Record<string, unknown>;
    assert.equal(read['connectionStatus'], 'SUCCESS');
    assert.match(String(read['connectionMsg']), /Connection Opened: dir=out .* container_id=QDR.B$/);
    assert.doesNotMatch(JSON.stringify(read), /hunter2/);
    await tool.get(204, 'DELETE', { type: CONNECTOR, identity: read['identity'] });
    await until('the end', () => other.process.router.connections.size === 0);
  });

  it('is told what is wrong, and the log too', async (owner) => {
    const router = await startRouter(owner, CONF);
    const tool = await Tool.open(owner, router);
    const refused = async (status: number, type: string, body: unknown, words: RegExp): Promise<void> => {
      const answer = await tool.ask({ operation: 'CREATE', properties: { type, name: 'x' }, body });
      assert.equal(answer.status, status, answer.description);
      assert.match(answer.description, words);
      assert.equal(router.logged(/^Error performing CREATE/).at(-1), `Error performing CREATE: ${answer.description}`);
    };
    await refused(400, LISTENER, { port: 'http' }, /'port' of listener 'x' is no port/);
    await refused(400, LISTENER, { port: '0', sslProfile: 'none' }, /names no sslProfile/);
    await refused(400, CONNECTOR, { saslUsername: 'a', saslPassword: 'env:HOME' }, /is for configuration files/);
    await refused(
      400,
      CONNECTOR,
      { azureAuthentication: 'managedIdentity' },
      /managedIdentity is for configuration files/,
    );
    const command = { azureAuthentication: 'command', azureTokenCommand: 'touch /nowhere' };
    await refused(400, CONNECTOR, command, /command is for configuration files/);
    const keys = { azureClients: 'sas', azureKeys: new Map([['p', 'file:/etc/hostname']]) };
    await refused(
      400,
      LISTENER,
      { port: '0', host: 'localhost', ...keys },
      /'azureKeys' by env: or file: is for config/,
    );
    await refused(400, `${PREFIX}.sslProfile`, { certFile: '/nowhere.pem' }, /there is no such file/);
    await refused(400, `${PREFIX}.authServicePlugin`, { host: 'h' }, /not supported yet/);
    const vhost = { hostname: 'h', allowUnknownUser: true };
    await refused(500, `${PREFIX}.vhost`, vhost, /^PolicyError: Policy 'h' is invalid: /);
    assert.equal((await tool.rows(LISTENER, 'name')).length, 1);
  });

  it('sees its own connection, and creates and deletes an address and an autolink', async (owner) => {
    const tool = await Tool.open(owner, await startRouter(owner, CONF));
    const connections = await tool.rows(`${PREFIX}.connection`, 'dir', 'role', 'operStatus');
    assert.deepEqual(connections, [{ dir: 'in', role: 'normal', operStatus: 'up' }]);
    const [router] = await tool.rows(`${PREFIX}.router`, 'id', 'connectionCount');
    assert.deepEqual(router, { id: 'QDR.A', connectionCount: 1 });
    const made: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
      ['address', { prefix: 'closest', distribution: 'closest' }],
      ['autoLink', { address: 'queue', direction: 'in', containerId: 'broker' }],
    ];
    for (const [kind, body] of made) {
      const type = `${PREFIX}.router.config.${kind}`;
      await tool.get(201, 'CREATE', { type, name: 'mine' }, body);
      assert.deepEqual(await tool.rows(type, 'name'), [{ name: 'mine' }]);
      await tool.get(204, 'DELETE', { type, name: 'mine' });
      assert.deepEqual(await tool.rows(type, 'name'), []);
    }
  });

  it('traces the frames of one connection for as long as it wants to, and ends that connection', async (owner) => {
    const router = await startRouter(owner, CONF);
    const tool = await Tool.open(owner, router);
    const other = rhea.create_container({ id: 'other' }).connect({
      host: '127.0.0.1',
      port: router.port(),
      reconnect: false,
    });
    whenOver(owner, () => other.close());
    await until('the other connection', () => other.is_open());
    const type = `${PREFIX}.connection`;
    const rows = await tool.rows(type, 'identity', 'container');
    const { identity } = rows.find(({ container }) => container === 'other')!;
    const frames = (): number => router.logged(new RegExp(`^\\[C${String(identity)}\\]:FRAME`)).length;
    const update = (body: unknown): Promise<unknown> => tool.get(200, 'UPDATE', { type, identity }, body);
    const made = (await update({ enableProtocolTrace: true })) as Record<string, unknown>;
    assert.equal(made['enableProtocolTrace'], true);
    other.open_receiver('a');
    await until('frames in the log', () => frames() > 0);
    await update({ enableProtocolTrace: false });
    const before = frames();
    const receiver = other.open_receiver('b');
    await until('the link', () => receiver.is_open());
    assert.equal(frames(), before);

    const refusals: readonly (readonly [number, string, Ask['properties'], unknown])[] = [
      [403, 'DELETE', { type, identity }, {}],
      [400, 'UPDATE', { type }, { adminStatus: 'deleted' }],
      [400, 'UPDATE', { type, identity: '999999' }, { adminStatus: 'deleted' }],
      [400, 'UPDATE', { type, identity }, {}],
      [400, 'UPDATE', { type, identity }, { adminStatus: 'gone' }],
      [400, 'READ', { type, name: 'connection/x' }, {}],
      [404, 'READ', { type, identity: '999999' }, {}],
    ];
    for (const [status, operation, properties, body] of refusals) await tool.get(status, operation, properties, body);
    assert.ok(other.is_open());
    let end: unknown;
    other.on('connection_error', ({ connection }: EventContext) => (end = connection.error));
    other.on('connection_close', () => undefined);
    await update({ adminStatus: 'deleted' });
    await until('the end', () => other.is_closed());
    const { condition, description } = end as { condition: string; description: string };
    assert.deepEqual(
      [condition, description],
      ['amqp:connection:forced', 'Connection forced-closed by management request'],
    );
    assert.equal((await tool.rows(type, 'identity')).length, 1);
  });

  it('watches what goes through an address, to the message', async (owner) => {
    const router = await startRouter(owner, `${CONF} address { prefix: news  distribution: multicast }`);
    const tool = await Tool.open(owner, router);
    const peer = rhea.create_container().connect({ host: '127.0.0.1', port: router.port(), reconnect: false });
    whenOver(owner, () => peer.close());
    let got = 0;
    peer.on('message', ({ message, delivery }: EventContext) => {
      got++;
      if (message!.body === 'refused') delivery!.release({ undeliverable_here: false });
      else delivery!.accept();
    });
    const receivers = [1, 2].map(() => peer.open_receiver({ source: 'news/a', autoaccept: false }));
    await until('the receivers', () => receivers.every((receiver) => receiver.is_open()));
    const sender = peer.open_sender('news/a');
    await until('credit', () => sender.sendable());
    let settled = 0;
    peer.on('settled', () => settled++);
    for (const body of ['one', 'two', 'refused']) sender.send({ body });
    await until('the outcomes', () => settled === 3 && got === 6);

    const ADDRESS = `${PREFIX}.router.address`;
    const counts = ['key', 'distribution', 'subscriberCount', 'deliveriesIngress', 'deliveriesEgress', 'priority'];
    const rows = await tool.rows(ADDRESS, ...counts);
    assert.deepEqual(
      rows.find(({ key }) => key === 'M0news/a'),
      {
        key: 'M0news/a',
        distribution: 'multicast',
        subscriberCount: 2,
        deliveriesIngress: 3,
        deliveriesEgress: 6,
        priority: -1,
      },
    );
    const read = (await tool.get(200, 'READ', { type: ADDRESS, identity: 'M0news/a' })) as Record<string, unknown>;
    assert.deepEqual([read['deliveriesIngress'], read['remoteHostRouters']], [3, []]);
    const links = await tool.rows(`${PREFIX}.router.link`, 'linkDir', 'owningAddr', 'deliveryCount', 'acceptedCount');
    assert.deepEqual(
      links
        .filter(({ owningAddr }) => owningAddr === 'M0news/a')
        .map(({ deliveryCount, acceptedCount }) => [deliveryCount, acceptedCount]),
      [
        [3, 2],
        [3, 2],
        [3, 2],
      ],
    );
    const [totals] = await tool.rows(`${PREFIX}.router`, 'addrCount', 'linkCount');
    assert.equal(totals!['linkCount'], links.length);
    assert.equal(totals!['addrCount'], rows.length);
  });

  it('is warned, in the log, of names that are on their way out', async (owner) => {
    const router = await startRouter(owner, CONF);
    const tool = await Tool.open(owner, router);
    const type = `${PREFIX}.router.config.autoLink`;
    await tool.get(201, 'CREATE', { type, name: 'old' }, { addr: 'a', dir: 'in', containerId: 'c' });
    assert.equal(router.logged(/^Attribute 'addr' of entity 'autoLink' has been deprecated/).length, 1);
  });

  it('asks for the schema, the operations and the log', async (owner) => {
    const tool = await Tool.open(owner, await startRouter(owner, CONF));
    const schema = (await tool.get(200, 'GET-SCHEMA')) as { prefix: string; entityTypes: Record<string, unknown> };
    assert.equal(schema.prefix, PREFIX);
    assert.ok('listener' in schema.entityTypes);
    const operations = (await tool.get(200, 'GET-OPERATIONS', { entityType: LISTENER })) as Record<string, string[]>;
    assert.deepEqual(operations[LISTENER]?.toSorted(), ['CREATE', 'DELETE', 'READ']);
    assert.ok(Array.isArray(await tool.get(200, 'GET-LOG', { limit: 5 })));
    assert.deepEqual(await tool.get(200, 'GET-MGMT-NODES'), []);
  });
});
