// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ROUTER, THROUGH_ORDERS, connector, scene, section, sslProfile } from './five-steps-fixture.js';
import type { Attributes, RunningRouter, Scene } from './five-steps-fixture.js';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  /** Over TLS, with this authority and client certificate. */
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
}

function ask(port: number, path: string, { method = 'GET', headers, tls }: Asked = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const make = tls === undefined ? httpRequest : httpsRequest;
    const options = { host: '127.0.0.1', port, path, method, agent: false, ...(headers && { headers }), ...tls };
    const request = make(options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
    request.on('error', reject);
    request.end();
  });
}

/** Sends bytes as they are and returns what comes until the server hangs up. */
function converse(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
    socket.write(bytes, 'latin1');
  });
}

function httpListener(attributes: Attributes = {}): string {
  return section('listener', { host: '127.0.0.1', port: 0, http: 'yes', ...attributes });
}

async function started(one: Scene, attributes: Attributes = {}): Promise<RunningRouter> {
  return one.startRouter(ROUTER + httpListener(attributes));
}

/** A folder to serve, beside a file that must not be. */
function folder(one: Scene): string {
  const outer = mkdtempSync(join(tmpdir(), 'http-root-'));
  one.whenOver(() => rmSync(outer, { recursive: true, force: true }));
  const root = join(outer, 'www');
  mkdirSync(join(root, 'sub folder'), { recursive: true });
  mkdirSync(join(root, 'empty'));
  mkdirSync(join(outer, 'www-not'));
  writeFileSync(join(outer, 'secret.txt'), 'secret');
  writeFileSync(join(outer, 'www-not', 'secret.txt'), 'secret');
  writeFileSync(join(root, 'index.html'), '<p>root</p>\n');
  writeFileSync(join(root, 'app.js'), 'let a;\n');
  writeFileSync(join(root, 'nothing.txt'), '');
  writeFileSync(join(root, '.hidden'), 'secret');
  writeFileSync(join(root, 'large.bin'), Buffer.alloc(300_000, 'x'));
  writeFileSync(join(root, 'sub folder', 'index.html'), '<p>sub</p>\n');
  symlinkSync(join(root, 'app.js'), join(root, 'inside.js'));
  symlinkSync(join(outer, 'secret.txt'), join(root, 'outside.txt'));
  symlinkSync(outer, join(root, 'up'));
  symlinkSync(join(root, 'loop'), join(root, 'loop'));
  return root;
}

describe('an HTTP listener: its pages', () => {
  it(
    'says that the process lives, and how it is found in the log',
    scene(async (one) => {
      const router = await started(one, { name: 'web' });
      const { status, headers, body } = await ask(router.port, '/healthz');
      assert.deepEqual([status, headers['content-type'], body], [200, 'text/plain', 'OK\n']);
      await router.said('SERVER (notice)', `Listening for HTTP on 127.0.0.1:${router.port} (web)`);
      await router.process.stop(0);
      await router.said('SERVER (notice)', `Stopped listening for HTTP on 127.0.0.1:${router.port}`);
    }),
  );

  it(
    'answers HEAD with the head alone, and the query is no part of the path',
    scene(async (one) => {
      const { port } = await started(one);
      const head = await ask(port, '/healthz?a=/b', { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '3', '']);
    }),
  );

  it(
    'publishes metrics in the text format of Prometheus, each with its type and once',
    scene(async (one) => {
      const { port } = await started(one);
      const { status, headers, body } = await ask(port, '/metrics');
      assert.equal(status, 200);
      assert.match(headers['content-type']!, /^text\/plain; version=0\.0\.4/u);
      assert.ok(body.endsWith('\n'));
      const types = new Map<string, string>();
      const seen = new Set<string>();
      for (const line of body.trimEnd().split('\n')) {
        const type = /^# TYPE ([a-z_0-9]+) (gauge|counter)$/u.exec(line);
        if (type !== null) {
          assert.ok(!types.has(type[1]!), line);
          types.set(type[1]!, type[2]!);
        } else if (!line.startsWith('# HELP ')) {
          const sample = /^([a-z_0-9]+)(\{[a-z]+="[^"]+"\})? (\d+(\.\d+)?(e-?\d+)?)$/u.exec(line);
          assert.ok(sample !== null && types.has(sample[1]!), line);
          assert.ok(!seen.has(sample[1]! + sample[2]), line);
          seen.add(sample[1]! + sample[2]);
        }
      }
      assert.equal(types.get('qdr_connections_total'), 'gauge');
      assert.equal(types.get('process_cpu_seconds_total'), 'counter');
      assert.match(body, /^pointsman_heap_used_bytes [1-9]\d+$/mu);
    }),
  );

  it(
    'has only what is not switched off',
    scene(async (one) => {
      const { port } = await started(one, { healthz: 'no', metrics: 'no' });
      for (const path of ['/healthz', '/readyz', '/metrics', '/'])
        assert.equal((await ask(port, path)).status, 404, path);
    }),
  );

  it(
    'refuses other methods, and does not wait for their bodies',
    scene(async (one) => {
      const { port } = await started(one);
      const { status, headers } = await ask(port, '/healthz', { method: 'DELETE' });
      assert.deepEqual([status, headers.allow], [405, 'GET, HEAD']);
      const post = 'POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfirst bytes';
      assert.match(await converse(port, post), /^HTTP\/1\.1 405 /u);
    }),
  );

  it(
    'is ready once every connector has been connected, and stays so when the broker leaves',
    scene(async (one) => {
      const port = await one.closedPort();
      const router = await one.startRouter(
        ROUTER + httpListener() + sslProfile({ caCertFile: one.caCertFile }) + connector(port) + THROUGH_ORDERS,
        { backoff: { minMs: 5, maxMs: 20 } },
      );
      const before = await ask(router.port, '/readyz');
      assert.deepEqual([before.status, before.body], [503, 'Not connected yet: azure\n']);
      const cloud = await one.openNamespace({ onPort: port });
      await router.active();
      assert.deepEqual((await ask(router.port, '/readyz')).body, 'OK\n');
      assert.match((await ask(router.port, '/metrics')).body, /^pointsman_connector_open\{connector="azure"\} 1$/mu);
      await cloud.close();
      await router.until('the loss to be seen', () => router.connector.step !== 'open');
      assert.equal((await ask(router.port, '/readyz')).status, 200);
      assert.match((await ask(router.port, '/metrics')).body, /^pointsman_connector_open\{connector="azure"\} 0$/mu);
    }),
  );
});

describe('an HTTP listener that comes and goes', () => {
  it(
    'is opened and closed at run time, and others stay; the router is not ready while one cannot open',
    scene(async (one) => {
      const router = await started(one, { name: 'first' });
      await router.said('CONN_MGR (info)', 'Configured Listener: 127.0.0.1:0 proto=any, role=normal, http');
      const second = await router.process.addListener({ name: 'second', host: '127.0.0.1', port: '0', http: true });
      const { port } = second.place!;
      assert.equal((await ask(port, '/healthz')).status, 200);
      await router.process.addListener({ name: 'third', host: '127.0.0.1', port: String(port), http: true });
      const { status, body } = await ask(router.port, '/readyz');
      assert.deepEqual([status, body], [503, 'Not listening: third\n']);
      router.process.removeListener('third');
      router.process.removeListener('second');
      await router.said('SERVER (notice)', `Stopped listening for HTTP on 127.0.0.1:${port}`);
      await assert.rejects(ask(port, '/healthz'), { code: 'ECONNREFUSED' });
      assert.equal((await ask(router.port, '/readyz')).status, 200);
    }),
  );
});

describe('an HTTP listener: files below httpRootDir', () => {
  it(
    'are served with their types and index.html for folders; http is implied',
    scene(async (one) => {
      const { port } = await one.startRouter(
        ROUTER + section('listener', { host: '127.0.0.1', port: 0, httpRootDir: folder(one) }),
      );
      const of = async (path: string): Promise<unknown[]> => {
        const { status, headers, body } = await ask(port, path);
        return [status, headers['content-type'], body];
      };
      assert.deepEqual(await of('/'), [200, 'text/html; charset=utf-8', '<p>root</p>\n']);
      assert.deepEqual(await of('/app.js?v=1'), [200, 'text/javascript; charset=utf-8', 'let a;\n']);
      assert.deepEqual(await of('/inside.js'), [200, 'text/javascript; charset=utf-8', 'let a;\n']);
      assert.deepEqual(await of('/nothing.txt'), [200, 'text/plain; charset=utf-8', '']);
      assert.deepEqual(await of('/large.bin'), [200, 'application/octet-stream', 'x'.repeat(300_000)]);
      assert.deepEqual(await of('//sub%20folder//'), [200, 'text/html; charset=utf-8', '<p>sub</p>\n']);
      assert.deepEqual(await of(`http://127.0.0.1:${port}/app.js`), [
        200,
        'text/javascript; charset=utf-8',
        'let a;\n',
      ]);
      assert.equal((await ask(port, '/healthz')).body, 'OK\n');
      const head = await ask(port, '/app.js', { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '7', '']);
    }),
  );

  it(
    'send a folder without its slash to the one with it, on this server and no other',
    scene(async (one) => {
      const { port } = await started(one, { httpRootDir: folder(one) });
      const { status, headers } = await ask(port, '//sub%20folder');
      assert.deepEqual([status, headers.location], [301, '/sub%20folder/']);
    }),
  );

  it(
    'are not sent again while they are the same',
    scene(async (one) => {
      const { port } = await started(one, { httpRootDir: folder(one) });
      const { headers } = await ask(port, '/app.js');
      assert.equal(headers['cache-control'], 'no-cache');
      const again = async (conditions: Record<string, string>): Promise<number> =>
        (await ask(port, '/app.js', { headers: conditions })).status;
      assert.equal(await again({ 'If-None-Match': headers.etag! }), 304);
      assert.equal(await again({ 'If-None-Match': `"other", W/${headers.etag}` }), 304);
      assert.equal(await again({ 'If-None-Match': '"other"', 'If-Modified-Since': headers['last-modified']! }), 200);
      assert.equal(await again({ 'If-Modified-Since': headers['last-modified']! }), 304);
      assert.equal(await again({ 'If-Modified-Since': 'Mon, 01 Jan 2001 00:00:00 GMT' }), 200);
      assert.equal(await again({ 'If-Modified-Since': 'rubbish' }), 200);
    }),
  );

  const absent: readonly string[] = [
    '/no-such',
    '/app.js/',
    '/empty/',
    '/../secret.txt',
    '/sub%20folder/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/%2E%2E%2Fsecret.txt',
    '/..%5csecret.txt',
    '/%252e%252e/secret.txt',
    '/../www-not/secret.txt',
    '/outside.txt',
    '/up/secret.txt',
    '/up',
    '/loop',
    '/.hidden',
    `/${'a'.repeat(5_000)}`,
    `/${'a/'.repeat(5_000)}`,
  ];
  for (const path of absent) {
    it(
      `are not found: ${path.slice(0, 40)}`,
      scene(async (one) => {
        const { port } = await started(one, { httpRootDir: folder(one) });
        const answer = await converse(port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
        assert.match(answer, /^HTTP\/1\.1 404 /u);
        assert.doesNotMatch(answer, /secret/u);
      }),
    );
  }

  const malformed: readonly string[] = ['/app.js%00.html', '/%', '/%zz', '/%ff', '*', 'app.js', '/a\0b'];
  for (const path of malformed) {
    it(
      `are not looked for by what is no path: ${JSON.stringify(path)}`,
      scene(async (one) => {
        const { port } = await started(one, { httpRootDir: folder(one) });
        const answer = await converse(port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
        assert.match(answer, /^HTTP\/1\.1 400 /u);
      }),
    );
  }

  it(
    'are none where the folder is not there, which is said at the start',
    scene(async (one) => {
      const router = await started(one, { httpRootDir: '/no/such/folder', name: 'web' });
      await router.said('HTTP (warning)', "httpRootDir '/no/such/folder' of listener web is not there");
      assert.equal((await ask(router.port, '/')).status, 404);
    }),
  );
});

describe('an HTTP listener: hostile peers', () => {
  it(
    'get 431 for endless headers, 400 for what is not HTTP, and the next one is served',
    scene(async (one) => {
      const { port } = await started(one);
      const long = `GET /healthz HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`;
      assert.match(await converse(port, long), /^HTTP\/1\.1 431 /u);
      assert.match(await converse(port, `GET /${'a'.repeat(40_000)} HTTP/1.1\r\n\r\n`), /^HTTP\/1\.1 431 /u);
      assert.match(await converse(port, 'GET /healthz HTTP/1.1\r\nno header\r\n\r\n'), /^HTTP\/1\.1 400 /u);
      assert.equal((await ask(port, '/healthz')).status, 200);
    }),
  );

  it(
    'get an ordinary answer where they ask for another protocol than WebSocket',
    scene(async (one) => {
      const { port } = await started(one);
      const upgrade = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
      const answer = await converse(port, `GET /healthz HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`);
      assert.match(answer, /^HTTP\/1\.1 200 [^]*\r\n\r\nOK\n$/u);
    }),
  );

  it(
    'cannot hold the port open by keeping connections without a request',
    scene(async (one) => {
      const router = await started(one);
      const quiet = converse(router.port, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
      const half = converse(router.port, 'GET /healthz HTTP/1.1\r\n');
      assert.equal((await ask(router.port, '/healthz')).status, 200);
      // Far longer than this test may take: they are not waited for.
      await router.process.stop(60_000);
      assert.match(await quiet, /OK\n$/u);
      assert.equal(await half, '');
    }),
  );
});

describe('an HTTP listener with an sslProfile', () => {
  const secure = (one: Scene, attributes: Attributes): Promise<RunningRouter> => {
    const server = one.certificate();
    const profile = sslProfile({
      caCertFile: one.caCertFile,
      certFile: one.file('server.pem', server.cert),
      privateKeyFile: one.file('server.key', server.key),
    });
    return one.startRouter(ROUTER + profile + httpListener({ sslProfile: 'cloud', ...attributes }));
  };

  it(
    'takes TLS and plain requests on its one port',
    scene(async (one) => {
      const { port } = await secure(one, { requireSsl: 'no', httpRootDir: folder(one) });
      const tls = { ca: one.authority.cert };
      assert.equal((await ask(port, '/healthz', { tls })).body, 'OK\n');
      assert.equal((await ask(port, '/healthz')).body, 'OK\n');
      assert.equal((await ask(port, '/large.bin', { tls })).body.length, 300_000);
      const two =
        'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /app.js HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
      assert.match(await converse(port, two), /OK\n[^]*let a;\n$/u);
    }),
  );

  it(
    'takes no plain request where TLS is required',
    scene(async (one) => {
      const router = await secure(one, { requireSsl: 'yes' });
      assert.equal((await ask(router.port, '/healthz', { tls: { ca: one.authority.cert } })).status, 200);
      await assert.rejects(ask(router.port, '/healthz'));
      await router.said('SERVER (warning)', 'began without TLS');
    }),
  );

  for (const attributes of [{ authenticatePeer: 'yes' }, { saslMechanisms: 'EXTERNAL' }]) {
    it(
      `takes nobody without a client certificate where there is ${Object.entries(attributes).join().replace(',', ': ')}`,
      scene(async (one) => {
        const { port } = await secure(one, { requireSsl: 'no', ...attributes });
        const ca = one.authority.cert;
        const { cert, key } = one.certificate({ commonName: 'client' });
        assert.equal((await ask(port, '/healthz', { tls: { ca, cert, key } })).status, 200);
        await assert.rejects(ask(port, '/healthz', { tls: { ca } }));
        await assert.rejects(ask(port, '/healthz'));
      }),
    );
  }
});
