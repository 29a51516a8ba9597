// SPDX-License-Identifier: Apache-2.0
import { TYPE_PREFIX } from '@pointsman/management';
import { AmqpSymbol, decodeMessage, encodeMessage, Typed, uuid } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bench, growingTable, listTable, standardTables } from './agent-fixture.js';

const map = (values: Record<string, AmqpValue>): Map<AmqpValue, AmqpValue> => new Map(Object.entries(values));
const full = (name: string): string => `${TYPE_PREFIX}.${name}`;

describe('ManagementAgent, QUERY', () => {
  it('gives the columns of a core type in their order, with values of null', async () => {
    const { call } = bench();
    const { statusCode, statusDescription, body } = await call('QUERY', {
      properties: { entityType: full('connection') },
    });
    assert.deepEqual([statusCode, statusDescription], [200, 'OK']);
    const { attributeNames, results } = body as { attributeNames: string[]; results: unknown[][] };
    assert.deepEqual(attributeNames.slice(0, 5), ['name', 'identity', 'host', 'role', 'protocol']);
    assert.deepEqual(results[0]?.slice(0, 5), ['connection/10.0.0.8', '8', '10.0.0.8', null, null]);
    assert.equal(results.length, 3);
    assert.equal(results[0]?.length, attributeNames.length);
  });

  it('gives the wanted attributes of the wanted page', async () => {
    const { call } = bench();
    const page = async (offset: AmqpValue, count: AmqpValue): Promise<unknown> => {
      const properties = { entityType: 'connection', offset, count };
      const { body } = await call('QUERY', { properties, body: map({ attributeNames: ['identity'] }) });
      return body;
    };
    assert.deepEqual(await page(1, 1), { attributeNames: ['identity'], results: [['9']] });
    assert.deepEqual(await page(2, 0), { attributeNames: ['identity'], results: [['10']] });
    assert.deepEqual(await page(new Typed('ulong', 3n), '5'), { attributeNames: ['identity'], results: [] });
    assert.deepEqual(await page(-4, -1), { attributeNames: ['identity'], results: [['8'], ['9'], ['10']] });
  });

  it('pages through entities of several types and leaves out rows that say nothing', async () => {
    const { call } = bench();
    const body = map({ attributeNames: ['port', 'enable'] });
    const all = await call('QUERY', { body });
    assert.deepEqual(all.body, {
      attributeNames: ['port', 'enable'],
      results: [
        ['5672', null],
        ['5673', null],
        [null, 'info+'],
      ],
    });
    const page = await call('QUERY', { body, properties: { offset: 1, count: 1 } });
    assert.deepEqual((page.body as { results: unknown }).results, [['5673', null]]);
  });

  it('has the management node, the router under its name, and none of the core types among all entities', async () => {
    const { call } = bench();
    const attributes = map({ attributeNames: ['type', 'identity', 'linkCount'] });
    const { body } = await call('QUERY', { type: 'org.amqp.management', name: 'self', body: attributes });
    const { results } = body as { results: unknown[][] };
    assert.deepEqual(results.slice(0, 2), [
      [full('management'), 'self', null],
      [full('router'), 'router/A', 0],
    ]);
    assert.ok(results.every(([type]) => type !== full('connection')));
    assert.ok(results.some(([type]) => type === full('log')));
  });

  it('gives all types that extend the wanted one', async () => {
    const { call } = bench();
    const { body } = await call('QUERY', {
      properties: { entityType: 'operationalEntity' },
      body: map({ attributeNames: ['identity'] }),
    });
    assert.deepEqual((body as { results: unknown }).results, [['self']]);
  });

  it('refuses attributes, types and bodies that do not exist', async () => {
    const { call } = bench();
    const unknown = await call('QUERY', {
      properties: { entityType: 'listener' },
      body: map({ attributeNames: ['name', 'colour'] }),
    });
    assert.equal(unknown.statusCode, 404);
    assert.equal(unknown.statusDescription, `Unknown attributes ['colour'] for type ${full('listener')}.`);
    const untyped = await call('QUERY', { body: map({ attributeNames: ['colour'] }) });
    assert.equal(untyped.statusDescription, "Unknown attributes ['colour'].");
    const type = await call('QUERY', { properties: { entityType: 'nosuch' } });
    assert.deepEqual([type.statusCode, type.statusDescription], [400, `No such entity type '${full('nosuch')}'`]);
    const body = await call('QUERY', { body: 'text' });
    assert.deepEqual([body.statusCode, body.statusDescription], [400, 'Body of request must be a map']);
    const offset = await call('QUERY', { properties: { offset: 'far' } });
    assert.deepEqual([offset.statusCode, offset.statusDescription], [400, "'offset' must be a whole number"]);
    const forbidden = await call('QUERY', { properties: { entityType: 'console' } });
    assert.deepEqual(
      [forbidden.statusCode, forbidden.statusDescription, forbidden.body],
      [403, 'Forbidden', { attributeNames: [], results: [] }],
    );
  });

  it('shows aliases of columns by the attribute that they stand for', async () => {
    const { call } = bench();
    await call('CREATE', { type: 'linkRoute', name: 'lr', body: map({ prefix: 'p', dir: 'in' }) });
    const { body } = await call('READ', { type: full('router.config.linkRoute'), name: 'lr' });
    assert.equal((body as Record<string, unknown>)['dir'], 'in');
    assert.equal((body as Record<string, unknown>)['pattern'], null);
  });
});

describe('ManagementAgent, CREATE', () => {
  it('creates with defaults and answers with all that has a value, but no secret', async () => {
    const { call } = bench();
    const answer = await call('create', {
      type: full('connector'),
      name: 'out',
      body: map({ type: full('connector'), name: 'out', port: '5671', saslPassword: 'pass:hush', cost: '3' }),
    });
    assert.deepEqual([answer.statusCode, answer.statusDescription], [201, 'Created']);
    const body = answer.body as Record<string, unknown>;
    assert.equal(body['identity'], 'connector/127.0.0.1:5671');
    assert.equal(body['type'], full('connector'));
    assert.equal(body['cost'], 3);
    assert.ok(!('saslPassword' in body));
    const query = await call('QUERY', {
      properties: { entityType: 'connector' },
      body: map({ attributeNames: ['saslPassword', 'name'] }),
    });
    assert.deepEqual((query.body as { results: unknown }).results, [[null, 'out']]);
  });

  const refusals: readonly [title: string, type: string | undefined, body: AmqpValue, status: number, text: RegExp][] =
    [
      ['no type', undefined, map({ port: '1' }), 400, /^No 'type' attribute in \['port'\]$/u],
      ['another type in the body', 'connector', map({ type: 'listener' }), 400, /^Conflicting values for 'type'$/u],
      ['another name in the body', 'connector', map({ name: 'y' }), 400, /^Conflicting values for 'name'$/u],
      ['an unknown type', 'nosuch', map({}), 400, /^No such entity type 'org\.apache\.qpid\.dispatch\.nosuch'$/u],
      [
        'an unknown attribute',
        'connector',
        map({ colour: 1 }),
        400,
        /^Unknown attribute 'colour' for 'org.*connector'$/u,
      ],
      ['an identity', 'connector', map({ identity: 'x' }), 400, /^Cannot set attribute 'identity' in CREATE$/u],
      [
        'a bad number',
        'connector',
        map({ cost: 'x' }),
        400,
        /connector: invalid literal for int\(\) with base 10: 'x'$/u,
      ],
      ['a bad switch', 'connector', map({ verifyHostname: 'x' }), 400, /connector: Invalid Boolean value ''x''$/u],
      ['a bad tag', 'connector', map({ role: 'x' }), 400, /Invalid value for enum\[normal, .*\]: 'x'$/u],
      ['bad properties', 'connector', map({ openProperties: 'x' }), 400, /Properties must be a map$/u],
      ['a body that is no map', 'connector', 'x', 400, /^Body of request must be a map$/u],
      ['a key that is no text', 'connector', new Map([[1, 2]]), 400, /^Names of attributes must be text$/u],
      ['a name that is taken', 'connector', map({}), 400, /duplicates unique attribute 'name' from existing .*front/u],
      [
        'a type without CREATE',
        'log',
        map({}),
        501,
        /^Operation 'CREATE' not implemented for '.*log' \['UPDATE', 'READ'\]$/u,
      ],
      ['a router', 'router', map({}), 403, /^Forbidden$/u],
      ['address: no prefix', 'address', map({}), 400, /^Either a 'prefix' or 'pattern' attribute must be provided$/u],
      [
        'address: both',
        'address',
        map({ prefix: 'a', pattern: 'b' }),
        400,
        /^Cannot specify both a 'prefix' and a 'pattern'/u,
      ],
      ['address: no text', 'address', map({ prefix: 5 }), 400, /^Prefix must be a non-empty string type$/u],
      ['address: no tokens', 'address', map({ pattern: './/' }), 400, /^Pattern invalid - no tokens$/u],
      [
        'address: phase',
        'address',
        map({ prefix: 'a', ingressPhase: 10 }),
        400,
        /^Phase values must be between 0 and 9$/u,
      ],
      [
        'address: fallback',
        'address',
        map({ prefix: 'a', fallback: true, waypoint: true }),
        400,
        /^Fallback cannot be/u,
      ],
      ['linkRoute: direction', 'linkRoute', map({ prefix: 'a' }), 400, /^No 'direction' attribute provided/u],
      [
        'linkRoute: bad one',
        'linkRoute',
        map({ prefix: 'a', direction: 'up' }),
        400,
        /^Invalid value for 'direction'$/u,
      ],
      [
        'linkRoute: two ways',
        'linkRoute',
        map({ prefix: 'a', direction: 'in', connection: 'c', containerId: 'd' }),
        400,
        /^Both connection and containerId cannot be specified/u,
      ],
      [
        'linkRoute: both names',
        'linkRoute',
        map({ prefix: 'a', direction: 'in', dir: 'in' }),
        400,
        /Both 'dir' and 'direction' cannot be specified for entity 'linkRoute'$/u,
      ],
      ['autoLink', 'autoLink', map({ address: 'a' }), 400, /^address and direction fields are mandatory$/u],
      [
        'autoLink: phase',
        'autoLink',
        map({ address: 'a', direction: 'in', phase: 11 }),
        400,
        /^autoLink phase must be/u,
      ],
      ['exchange', 'exchange', map({}), 400, /^exchange address is mandatory$/u],
      ['exchange: method', 'exchange', map({ address: 'a', matchMethod: 'x' }), 400, /^Exchange matchMethod must be/u],
      ['binding', 'binding', map({}), 400, /^Binding configuration requires an exchange$/u],
      ['binding: hop', 'binding', map({ exchangeName: 'e' }), 400, /^No next hop specified$/u],
      [
        'route of a connection',
        'router.connection.linkRoute',
        map({ pattern: 'a' }),
        400,
        /^Missing value for 'direction'$/u,
      ],
    ];
  for (const [title, type, body, status, text] of refusals) {
    it(`refuses ${title}`, async () => {
      const { call, failures } = bench();
      const answer = await call('CREATE', { ...(type === undefined ? {} : { type }), name: 'front', body });
      assert.match(answer.statusDescription, text);
      assert.equal(answer.statusCode, status);
      assert.equal(failures.length, 1);
      assert.ok(failures[0]!.endsWith(answer.statusDescription));
    });
  }

  it('refuses an exchange without a name, and a second address of one name', async () => {
    const { call, failures } = bench();
    const nameless = await call('CREATE', { type: 'exchange', body: map({ address: 'a' }) });
    assert.equal(nameless.statusDescription, 'exchange requires a unique name');
    assert.equal(nameless.body, null);
    assert.deepEqual(failures, [`CREATE of ${full('router.config.exchange')}: exchange requires a unique name`]);
    const first = await call('CREATE', { type: 'address', name: 'n', body: map({ prefix: 'a', unheardOf: 1 }) });
    assert.equal(first.statusCode, 201);
    const second = await call('CREATE', { type: 'address', name: 'n', body: map({ prefix: 'b' }) });
    assert.deepEqual([second.statusCode, second.statusDescription], [400, 'Name conflicts with an existing entity']);
  });

  const lacking: readonly (readonly [type: string, operations: string, status: number])[] = [
    ['console', 'QUERY CREATE READ UPDATE DELETE', 403],
    ['router', 'CREATE READ DELETE', 403],
    ['router', 'UPDATE', 501],
    ['connection', 'DELETE', 403],
    ['connection', 'CREATE', 501],
    ['router.link', 'CREATE DELETE', 501],
    ['router.address', 'CREATE UPDATE DELETE', 501],
    ['router.config.address', 'UPDATE', 501],
    ['router.config.linkRoute', 'UPDATE', 501],
    ['router.config.autoLink', 'UPDATE', 501],
    ['router.config.exchange', 'UPDATE', 501],
    ['router.config.binding', 'UPDATE', 501],
    ['router.connection.linkRoute', 'UPDATE', 501],
  ];
  for (const [type, operations, status] of lacking) {
    it(`answers ${operations} of ${type} with ${status}, and changes nothing`, async () => {
      const { call, failures } = bench([
        ...standardTables(),
        listTable('router.address', [['M0a', 'M0a', { key: 'M0a' }]]),
        listTable('router.link', [['12', 'l', {}]], { update: () => undefined }),
      ]);
      const list = operations.split(' ');
      for (const operation of list) {
        const properties = operation === 'QUERY' ? { entityType: full(type) } : {};
        const answer = await call(operation, { type: full(type), identity: '1', properties, body: map({}) });
        assert.equal(answer.statusCode, status, `${operation}: ${answer.statusDescription}`);
      }
      assert.equal(failures.length, list.length);
    });
  }

  it('says that there is no profiler, and how to profile', async () => {
    const { call } = bench();
    const stop = await call('PROFILE', { properties: { stop: true } });
    assert.deepEqual([stop.statusCode, stop.statusDescription], [400, 'Profiler not started']);
    const start = await call('PROFILE', { properties: { start: true } });
    assert.equal(start.statusCode, 501);
    assert.match(start.statusDescription, /node --cpu-prof/u);
  });

  it('takes old names of attributes, with a warning for each', async () => {
    const { call, warnings, failures } = bench();
    const body = map({ addr: 'a', dir: 'in', externalAddr: 'b' });
    const made = await call('CREATE', { type: 'autoLink', body });
    assert.equal(made.statusCode, 201, made.statusDescription);
    const { address, direction, externalAddress } = made.body as Record<string, unknown>;
    assert.deepEqual([address, direction, externalAddress], ['a', 'in', 'b']);
    const text = (old: string, name: string): string =>
      `Attribute '${old}' of entity 'autoLink' has been deprecated. Use '${name}' instead`;
    assert.deepEqual(warnings, [
      text('addr', 'address'),
      text('dir', 'direction'),
      text('externalAddr', 'externalAddress'),
    ]);
    const listener = await call('CREATE', { type: 'connector', name: 'c', body: map({ verifyHostName: false }) });
    assert.equal(listener.statusCode, 201, listener.statusDescription);
    assert.equal(warnings.length, 4);
    const both = await call('CREATE', { type: 'linkRoute', body: map({ prefix: 'a', dir: 'in', direction: 'in' }) });
    assert.equal(both.statusCode, 400);
    assert.match(both.statusDescription, /Both 'dir' and 'direction' cannot be specified for entity 'linkRoute'$/u);
    assert.equal(failures.length, 1);
    assert.equal(warnings.length, 4);
  });

  it('never shows what was given for a secret', async () => {
    const { call, failures } = bench();
    const answer = await call('CREATE', { type: 'connector', body: map({ saslPassword: 'hush\u0001' }) });
    assert.equal(answer.statusCode, 400);
    assert.doesNotMatch(JSON.stringify([answer, failures]), /hush/u);
  });
});

describe('ManagementAgent, READ, UPDATE, DELETE', () => {
  it('reads by name and by identity, leaving out what has no value', async () => {
    const { call } = bench();
    const expected = {
      host: '0.0.0.0',
      port: '5672',
      role: 'normal',
      name: 'front',
      identity: 'listener/0.0.0.0:5672:front',
      type: full('listener'),
    };
    assert.deepEqual((await call('READ', { type: 'listener', name: 'front' })).body, expected);
    assert.deepEqual((await call('READ', { identity: expected.identity })).body, expected);
    assert.deepEqual((await call('READ', { identity: expected.identity, name: 'front' })).body, expected);
    assert.deepEqual((await call('READ')).body, { name: 'self', identity: 'self', type: full('management') });
    assert.equal((await call('READ', { identity: 'router/A' })).statusCode, 200);
    const connection = await call('READ', { type: 'connection', identity: '9', name: 'ignored' });
    assert.equal((connection.body as Record<string, unknown>)['host'], '10.0.0.9');
  });

  const misses: readonly [
    request: { type?: string; name?: string; identity?: string },
    status: number,
    text: string,
  ][] = [
    [{ type: 'listener', name: 'nosuch' }, 404, 'No entity with name=nosuch'],
    [{ identity: 'nosuch' }, 404, 'No entity with identity=nosuch'],
    [{ type: 'listener' }, 400, `${full('listener')}: No name or identity provided`],
    [
      { type: 'connector', name: 'front' },
      400,
      `Entity type '${full('listener')}' does not extend requested type '${full('connector')}'`,
    ],
    [{ identity: 'log/AGENT', name: 'front' }, 400, 'Conflicting name=front identity=log/AGENT'],
    [{ type: 'connection' }, 400, 'No name or identity provided'],
    [{ type: 'connection', name: 'connection/10.0.0.8' }, 400, 'Name not supported. Identity required'],
    [{ type: 'connection', identity: '7' }, 404, 'Not Found'],
    [{ type: 'router.node', identity: 'router.node/A' }, 404, 'Not Found'],
    [{ type: 'router', identity: '1' }, 403, 'Forbidden'],
  ];
  for (const [request, status, text] of misses) {
    it(`answers a READ of ${JSON.stringify(request)} with ${status}`, async () => {
      const { call } = bench();
      const answer = await call('READ', request);
      const expected = request.type === 'router.node' ? 'No entity with identity=router.node/A' : text;
      assert.deepEqual([answer.statusCode, answer.statusDescription, answer.body], [status, expected, {}]);
    });
  }

  it('updates what may change, and takes present values of the rest for no change', async () => {
    const { call } = bench();
    const request = { identity: 'log/AGENT', type: 'log' };
    const answer = await call('UPDATE', {
      ...request,
      body: map({ enable: 'debug', module: 'AGENT', name: 'log/AGENT' }),
    });
    assert.deepEqual([answer.statusCode, answer.statusDescription], [200, 'OK']);
    assert.equal((answer.body as Record<string, unknown>)['module'], 'AGENT');
    const text = async (body: Record<string, AmqpValue>): Promise<unknown[]> => {
      const { statusCode, statusDescription } = await call('UPDATE', { ...request, body: map(body) });
      return [statusCode, statusDescription];
    };
    assert.deepEqual(await text({ module: 'SERVER' }), [400, "Cannot update attribute 'module' in UPDATE"]);
    assert.deepEqual(await text({ colour: 1 }), [400, `Unknown attribute 'colour' for '${full('log')}'`]);
    assert.deepEqual(await text({ includeSource: 'blah' }), [400, `${full('log')}: Invalid Boolean value ''blah''`]);
    assert.deepEqual(await text({ enable: 'nonsense' }), [400, "'nonsense' is not a valid log level"]);
    assert.deepEqual(await text({ enable: 'broken' }), [500, 'TypeError: the log is broken']);
    assert.deepEqual(await text({ enable: null }), [400, `${full('log')}: 'enable' needs a value`]);
  });

  it('updates a connection by its identity only, and passes over what it cannot change', async () => {
    const { call } = bench();
    const update = async (request: object, body: Record<string, AmqpValue>): Promise<unknown[]> => {
      const requester = { connection: '10' };
      const answer = await call('UPDATE', { type: 'connection', ...request, body: map(body) }, requester);
      return [answer.statusCode, answer.statusDescription];
    };
    assert.deepEqual(await update({ identity: '8' }, { adminStatus: 'deleted', host: 'x' }), [200, 'OK']);
    const refusal = 'You are not allowed to perform this operation.';
    assert.deepEqual(await update({ identity: '10' }, { adminStatus: 'deleted' }), [403, refusal]);
    for (const request of [{ name: 'connection/10.0.0.8' }, { identity: '7' }, {}]) {
      assert.deepEqual(await update(request, { adminStatus: 'deleted' }), [400, 'Bad Request']);
    }
    assert.deepEqual(await update({ identity: '8' }, { host: 'x' }), [400, 'Bad Request']);
    assert.deepEqual(await update({ identity: '8' }, { adminStatus: 'x' }), [400, 'Bad Request']);
  });

  it('deletes, once', async () => {
    const { call } = bench();
    await call('CREATE', { type: 'connector', name: 'c', body: map({}) });
    const answer = await call('DELETE', { type: 'connector', name: 'c' });
    assert.deepEqual([answer.statusCode, answer.statusDescription, answer.body], [204, 'No Content', {}]);
    assert.equal((await call('DELETE', { type: 'connector', name: 'c' })).statusCode, 404);
    assert.equal((await call('DELETE', { type: 'connection', identity: '8' })).statusCode, 403);
    const listener = await call('DELETE', { type: 'listener', name: 'front' });
    assert.equal(listener.statusCode, 501);
    assert.match(listener.statusDescription, /^Operation 'DELETE' not implemented for '.*listener' \['CREATE', /u);
    const link = await call('DELETE', { type: 'router.config.address', name: 'none' });
    assert.deepEqual([link.statusCode, link.statusDescription], [404, 'Not Found']);
  });

  it('calls further operations of a table with all that the request gives', async () => {
    const { call } = bench();
    await call('CREATE', { type: 'dummy', name: 'd', body: map({ arg1: 'START' }) });
    const updated = await call('UPDATE', { type: 'dummy', name: 'd', body: map({ num1: 42, arg1: 'one' }) });
    assert.deepEqual(updated.body, { arg1: 'one', num1: 42, name: 'd', identity: 'dummy/0', type: full('dummy') });
    const called = await call('callme', {
      type: 'dummy',
      identity: 'dummy/0',
      properties: { data: new Typed('long', -5n) },
    });
    assert.deepEqual(called.body, { operation: 'callme', type: 'dummy', identity: 'dummy/0', data: -5 });
    const other = await call('nosuchop', { type: 'listener', name: 'front' });
    assert.equal(other.statusCode, 501);
    assert.equal((await call('__proto__', { type: 'dummy', name: 'd' })).statusCode, 501);
    assert.equal((await call('DELETE', { type: 'dummy', name: 'd' })).statusCode, 204);
  });
});

describe('ManagementAgent, the node itself', () => {
  it('tells of types, attributes and operations', async () => {
    const { call } = bench();
    const properties = { entityType: 'dummy' };
    assert.deepEqual((await call('GET-TYPES', { properties })).body, { [full('dummy')]: [full('entity')] });
    const { body } = await call('GET-ATTRIBUTES', { properties });
    assert.deepEqual(body, { [full('dummy')]: ['arg1', 'arg2', 'num1', 'num2', 'name', 'identity', 'type'] });
    const operations = await call('get-operations', { properties, name: 'self', type: 'org.amqp.management' });
    assert.deepEqual(operations.body, { [full('dummy')]: ['CREATE', 'READ', 'UPDATE', 'DELETE', 'CALLME'] });
    const types = (await call('GET-TYPES')).body as Record<string, unknown>;
    assert.equal(Object.keys(types).length, 29);
    assert.deepEqual(types[full('listener')], [full('configurationEntity'), full('entity')]);
    assert.deepEqual((await call('GET-ANNOTATIONS')).body, {});
    assert.equal((await call('GET-TYPES', { properties: { entityType: 'nosuch' } })).statusCode, 400);
  });

  it('gives the schema as a map and as JSON', async () => {
    const { call } = bench();
    const { body } = await call('GET-SCHEMA', { identity: 'self' });
    const schema = body as { prefix: string; entityTypes: Record<string, Record<string, unknown>> };
    assert.equal(schema.prefix, TYPE_PREFIX);
    assert.equal(schema.entityTypes['linkRoute']?.['fullyQualifiedType'], full('router.config.linkRoute'));
    const { role, name } = schema.entityTypes['listener']!['attributes'] as Record<string, unknown>;
    assert.deepEqual((role as { type: unknown }).type, ['normal', 'inter-router', 'route-container', 'edge']);
    assert.ok(!('required' in (name as object)));
    const json = await call('GET-JSON-SCHEMA', { properties: { indent: 2 } });
    assert.deepEqual(JSON.parse(json.body as string), body);
    assert.match(json.body as string, /^\{\n {2}"/u);
  });

  it('gives the nodes of the network and the latest lines of the log', async () => {
    const { call } = bench();
    assert.deepEqual((await call('GET-MGMT-NODES')).body, ['amqp:/_topo/0/A/$management']);
    const log = await call('GET-LOG', { properties: { limit: '1' } });
    assert.deepEqual(log.body, [['AGENT', 'error', 'second', 'a.ts', 7, 1_700_000_001]]);
    const all = await call('GET-LOG', { properties: { limit: -1 } });
    assert.deepEqual((all.body as unknown[])[0], ['SERVER', 'info', 'first', null, null, 1_700_000_000]);
    assert.equal((await call('GET-LOG', { properties: { limit: 'x' } })).statusCode, 400);
  });

  it('refuses a request without an operation, or with one that is not there', async () => {
    const { call } = bench();
    const none = await call('', { body: map({ secret: 'hush' }) });
    assert.deepEqual([none.statusCode, none.statusDescription], [400, "No 'operation' property: ['operation']"]);
    for (const request of [{}, { type: 'org.amqp.management' }, { name: 'self' }, { identity: 'self' }]) {
      const other = await call('nosuch', request);
      assert.equal(other.statusCode, 501);
      assert.match(
        other.statusDescription,
        /^Operation 'NOSUCH' not implemented for '.*\.management' \['GET-SCHEMA', /u,
      );
    }
    for (const type of ['router', 'connection', 'dummy', 'listener']) {
      const { statusCode } = await call('nosuch', { type, identity: 'listener/0.0.0.0:5673' });
      assert.ok(statusCode === 501 || (type === 'dummy' && statusCode === 400), `${type}: ${statusCode}`);
    }
    const elsewhere = await call('GET-TYPES', { type: 'listener', name: 'front' });
    assert.equal(elsewhere.statusCode, 501);
  });
});

describe('ManagementAgent, messages', () => {
  it('copies the correlation id whatever its type, and marks the answer as not durable', async () => {
    const { agent } = bench();
    for (const correlationId of [
      'text',
      uuid(new Uint8Array(16).fill(7)),
      new Typed('ulong', 5n),
      Uint8Array.of(1, 2),
    ]) {
      const request = encodeMessage({
        properties: { replyTo: 'there', correlationId },
        applicationProperties: new Map<string, AmqpValue>([['operation', new AmqpSymbol('GET-TYPES')]]),
      });
      const answer = await agent.answer(request, { connection: undefined });
      assert.ok(answer);
      const { header, properties, applicationProperties } = decodeMessage(answer.message);
      assert.deepEqual(properties?.correlationId, correlationId);
      assert.equal(properties?.to, 'there');
      assert.equal(header?.durable ?? false, false);
      assert.deepEqual(applicationProperties?.get('statusCode'), new Typed('int', 200));
    }
  });

  it('ignores a request that names no address to answer to', async () => {
    const { agent } = bench();
    const request = encodeMessage({ applicationProperties: new Map<string, AmqpValue>([['operation', 'READ']]) });
    assert.equal(await agent.answer(request, { connection: undefined }), undefined);
  });

  it('answers a request that is malformed behind its properties', async () => {
    const { agent } = bench();
    const head = encodeMessage({ properties: { replyTo: 'r', correlationId: 'c' } });
    const answer = await agent.answer(Uint8Array.of(...head, 0, 0x53, 0x74, 0xff), { connection: undefined });
    assert.ok(answer);
    const { applicationProperties, properties } = decodeMessage(answer.message);
    assert.deepEqual(applicationProperties?.get('statusCode'), new Typed('int', 400));
    assert.equal(properties?.correlationId, 'c');
  });

  it('carries out requests one after the other, also where one takes its time', async () => {
    const events: string[] = [];
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const slow = listTable('log', [['log/AGENT', 'log/AGENT', {}]], {
      async update(_entity, { enable }) {
        events.push(`begin ${String(enable)}`);
        await gate;
        events.push(`end ${String(enable)}`);
      },
    });
    const { call } = bench([slow]);
    const request = { identity: 'log/AGENT' };
    const calls = ['info', 'debug'].map((enable) => call('UPDATE', { ...request, body: map({ enable }) }));
    release();
    await Promise.all(calls);
    assert.deepEqual(events, ['begin info', 'end info', 'begin debug', 'end debug']);
  });

  it('answers with 500 where a table gives a value that cannot be encoded', async () => {
    const odd = listTable('log', [['log/AGENT', 'log/AGENT', { enable: new Typed('ubyte', 900) }]]);
    const answer = await bench([odd]).call('READ', { identity: 'log/AGENT' });
    assert.equal(answer.statusCode, 500);
  });

  it('refuses two tables of one type', () => {
    const table = growingTable('listener', () => 'x');
    assert.throws(() => bench([table, table]), /two entity tables of the type listener/u);
  });
});
