// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startRouter, whenOver } from '@pointsman/testing';
import type { Owner } from '@pointsman/testing';
import rhea from 'rhea';
import type { EventContext, Sender } from 'rhea';

const require = createRequire(import.meta.url);
const BIN = new URL('../../bin/', new URL(`file://${require.resolve('pointsman')}`));

interface Ended {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs one of the commands as users do. */
function run(owner: Owner, tool: string, argv: readonly string[], input = ''): Promise<Ended> {
  const child = spawn(process.execPath, [fileURLToPath(new URL(`${tool}.js`, BIN)), ...argv]);
  whenOver(owner, () => {
    child.kill();
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString('utf8')));
  child.stdin.end(input);
  return new Promise((resolve) => {
    child.on('close', (status) => resolve({ status, out, err }));
  });
}

interface Request {
  readonly properties: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

interface Reply {
  readonly status?: number;
  readonly description?: string;
  readonly body?: unknown;
}

/** A management node that a test plays. @returns its URL */
function node(owner: Owner, answer: (request: Request) => Reply | undefined): Promise<string> {
  const container = rhea.create_container();
  const senders = new Map<string, Sender>();
  container.on('sender_open', ({ sender }: EventContext) => {
    const address = `temp.${senders.size}`;
    sender!.set_source({ address } as never);
    senders.set(address, sender!);
  });
  container.on('receiver_open', ({ receiver }: EventContext) => {
    receiver!.set_target(receiver!.target as never);
  });
  container.on('message', ({ message }: EventContext) => {
    const reply = answer({ properties: message!.application_properties ?? {}, body: message!.body });
    if (reply === undefined) return;
    const { status = 200, description = 'OK', body = {} } = reply;
    senders.get(message!.reply_to!)!.send({
      correlation_id: message!.correlation_id!,
      application_properties: { statusCode: status, statusDescription: description },
      body,
    });
  });
  const server = container.listen({ port: 0, host: '127.0.0.1' });
  whenOver(owner, () => {
    server.close();
  });
  return new Promise((resolve) => {
    server.on('listening', () => resolve(`amqp://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

const ROUTER = { attributeNames: ['id', 'mode'], results: [['QDR.A', 'standalone']] };

describe('qdstat and qdmanage, run as commands', () => {
  it('prints time, router id and a report of 1200 links that are asked for 500 at a time', async (t) => {
    const asked: unknown[] = [];
    const url = await node(t, ({ properties }) => {
      if (properties['operation'] === 'GET-MGMT-NODES') return { body: [] };
      if (properties['entityType'] === 'org.apache.qpid.dispatch.router') return { body: ROUTER };
      const { offset, count } = properties as { offset: number; count: number };
      asked.push([offset, count]);
      const size = Math.min(count, 1200 - offset);
      const results = Array.from({ length: size }, (_, at) => [String(offset + at), 'M0orders']);
      return { body: { attributeNames: ['identity', 'owningAddr'], results } };
    });
    const { status, out } = await run(t, 'qdstat', ['-b', url, '--links']);
    assert.equal(status, 0);
    const lines = out.split('\n');
    assert.match(lines[0]!, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} UTC$/);
    assert.deepEqual(lines.slice(1, 4), ['QDR.A', '', 'Router Links']);
    assert.equal(lines.length, 6 + 1200 + 1);
    assert.deepEqual(asked, [
      [0, 500],
      [500, 500],
      [1000, 500],
    ]);
    const few = await run(t, 'qdstat', ['-b', url, '-l', '--limit', '700', '--csv']);
    assert.equal(few.out.split('\n').length, 5 + 700 + 1);
    assert.deepEqual(asked.slice(3), [
      [0, 500],
      [500, 200],
    ]);
  });

  it('ends although an agent answers every page with all its rows', async (t) => {
    const url = await node(t, ({ properties }) => {
      if (properties['operation'] === 'GET-MGMT-NODES') return { body: [] };
      if (properties['entityType'] === 'org.apache.qpid.dispatch.router') return { body: ROUTER };
      return { body: { attributeNames: ['id'], results: Array.from({ length: 500 }, (_, at) => [`R${at}`]) } };
    });
    const { status, out } = await run(t, 'qdstat', ['-b', url, '-n']);
    assert.equal(status, 0);
    assert.equal(out.split('\n').length, 7 + 500 + 1);
  });

  it('asks each router of the network with --all-routers', async (t) => {
    const url = await node(t, ({ properties }) =>
      properties['operation'] === 'GET-MGMT-NODES'
        ? { body: ['amqp:/_topo/0/A/$management', 'amqp:/_topo/0/B/$management'] }
        : { body: ROUTER },
    );
    const { out } = await run(t, 'qdstat', ['-b', url, '--all-routers']);
    assert.equal(out.match(/ UTC$/gm)?.length, 1);
    assert.deepEqual(out.match(/^Router .*$/gm), ['Router  A', 'Router Statistics', 'Router  B', 'Router Statistics']);
  });

  it('sends what qdmanage is told, and prints the answer as JSON', async (t) => {
    const seen: Request[] = [];
    const url = await node(t, (request) => {
      seen.push(request);
      return request.properties['operation'] === 'CREATE'
        ? { status: 201, body: request.body }
        : { body: request.body };
    });
    const made = await run(t, 'qdmanage', [
      'create',
      '--type',
      'listener',
      'port=amqp',
      'http=true',
      'host',
      '-b',
      url,
      '--name=n',
      '--indent=-1',
    ]);
    assert.deepEqual(made, { status: 0, out: '{"port": "amqp", "http": true, "host": null}\n', err: '' });
    const changed = await run(
      t,
      'qdmanage',
      ['UPDATE', '--stdin', '-b', url, '--indent', '-1'],
      '[{"name":"a","x":"yes"}]',
    );
    assert.equal(changed.out, '[{"name": "a", "x": true}]\n');
    await run(t, 'qdmanage', ['get-log', 'limit=20', '--properties', '{"more":1}', '-b', url]);
    assert.deepEqual(
      seen.map(({ properties }) => properties),
      [
        { operation: 'CREATE', type: 'org.apache.qpid.dispatch.listener', name: 'n' },
        { operation: 'UPDATE', name: 'a' },
        { operation: 'get-log', limit: '20', more: 1 },
      ],
    );
  });

  it("tells a refusal by its status and the router's text, on stdout, with status 1", async (t) => {
    const url = await node(t, () => ({ status: 404, description: 'No entity with name=x' }));
    const ended = await run(t, 'qdmanage', ['read', '--name', 'x', '-b', url]);
    assert.deepEqual(ended, { status: 1, out: 'NotFoundStatus: No entity with name=x\n', err: '' });
  });

  it('gives up when nobody answers', async (t) => {
    const url = await node(t, () => undefined);
    const { status, out } = await run(t, 'qdmanage', ['get-mgmt-nodes', '-b', url, '-t', '0.2']);
    assert.equal(status, 1);
    assert.match(out, /^Timeout: /);
  });

  it('says what is wrong when the router refuses the connection', async (t) => {
    const router = await startRouter(
      t,
      'router {\n id: A\n}\nlistener {\n name: amqp\n host: 127.0.0.1\n port: 0\n}\n',
    );
    const { status, out } = await run(t, 'qdstat', ['-b', `amqps://127.0.0.1:${router.port('amqp')}`]);
    assert.equal(status, 1);
    assert.match(
      out,
      /^ConnectionException: Connection amqps:.* SSL Failure: .* closed the connection during the TLS handshake/,
    );
  });

  it('reads and changes a running router', async (t) => {
    const router = await startRouter(
      t,
      'router {\n id: A\n}\nlistener {\n name: amqp\n host: 127.0.0.1\n port: 0\n}\n',
    );
    const bus = ['-b', `127.0.0.1:${router.port('amqp')}`, '--indent=-1'];
    const query = ['query', 'name', '--type', 'listener', ...bus];
    assert.equal((await run(t, 'qdmanage', query)).out, '[{"name": "amqp"}]\n');
    const create = ['create', '--type', 'listener', '--name', 'second', 'host=127.0.0.1', 'port=0', ...bus];
    assert.equal((await run(t, 'qdmanage', create)).status, 0);
    assert.equal((await run(t, 'qdmanage', query)).out, '[{"name": "amqp"}, {"name": "second"}]\n');
    const remove = ['delete', '--type', 'listener', '--name', 'second', ...bus];
    assert.deepEqual(await run(t, 'qdmanage', remove), { status: 0, out: '', err: '' });
    assert.match((await run(t, 'qdmanage', remove)).out, /^NotFoundStatus: /);
    const policy = await run(t, 'qdstat', ['-p', '--csv', '-b', `127.0.0.1:${router.port('amqp')}`]);
    assert.match(policy.out, /^"Maximum Concurrent Connections","65535"$/m);
  });
});
