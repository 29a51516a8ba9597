// SPDX-License-Identifier: Apache-2.0
import { entityTypes } from '@pointsman/management';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { formatProblems, safeText } from '../src/config/problems.js';
import { configFormatOf, CONFIG_LENGTH_MAX, loadConfig, readConfig } from '../src/config/read-config.js';

const directory = mkdtempSync(join(tmpdir(), 'pointsman-config-'));
after(() => rmSync(directory, { recursive: true }));

function saved(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe('formatProblems', () => {
  const result = readConfig('listener {\n  prot: 5672\n  role: norml\n}\nconnector { maxFrameSize: 1 }', {
    path: 'etc/a.conf',
  });
  assert.ok(!result.ok);
  const { problems } = result;

  it('gives each problem a block with file, line, what stands there, what is allowed and what was meant', () => {
    assert.equal(
      formatProblems(problems, { color: false }),
      `etc/a.conf:2: error: listener has no attribute 'prot'
  found    prot
  allowed  authenticatePeer, azureClients, azureKeys, cost, failoverUrls, healthz, host, http, httpRootDir,
           idleTimeoutSeconds, initialHandshakeTimeoutSeconds, linkCapacity, maxFrameSize, maxSessionFrames,
           maxSessions, messageLoggingComponents, metrics, multiTenant, name, openProperties, policyVhost,
           port, requireEncryption, requireSsl, role, saslMechanisms, saslPlugin, socketAddressFamily,
           sslProfile, stripAnnotations, trustedCertsFile, websockets
  nearest  port

etc/a.conf:3: error: 'role' of listener is not one of its values
  found    norml
  allowed  normal, inter-router, route-container, edge
  nearest  normal

etc/a.conf:5: warning: 'maxFrameSize' of connector is raised to 512
  found    1
  hint     AMQP allows no less

2 errors, 1 warning
`,
    );
  });

  it('colours the severity where it is asked to, and nothing else', () => {
    const coloured = formatProblems(problems, { color: true });
    assert.notEqual(coloured, formatProblems(problems, { color: false }));
    assert.equal(coloured.replaceAll(/\u001b\[[\d;]*m/gu, ''), formatProblems(problems, { color: false }));
  });

  it('refuses sections of types that only management knows', () => {
    const types = entityTypes.filter(({ section }) => section === undefined);
    assert.ok(types.length > 10);
    for (const { name } of types) {
      const read = readConfig(JSON.stringify({ [name]: {} }), { path: 'a.json', format: 'json' });
      assert.ok(!read.ok, name);
      assert.match(read.problems[0]?.message ?? '', /^there is no section/u, name);
    }
  });

  it('says nothing of nothing', () => {
    assert.equal(formatProblems([], { color: true }), '');
  });
});

describe('safeText', () => {
  it('hides what follows a word that announces a secret, spelt in whatever way', () => {
    for (const text of [
      'password: x',
      'saslPassword x',
      'sasl-password=x',
      'pasword x',
      'paswsord x',
      'conectionString: x',
      'Endpoint=sb://n;SharedAccessKey=x',
      'PWD x',
    ]) {
      assert.match(safeText(text), /\[hidden\]$/u, text);
    }
  });

  it('hides keys, token commands, and the user of a URL', () => {
    for (const text of [
      'sas  azureKeys: { shop: k3y',
      'azureKyes: { shop: k3y',
      'shop: pass:k3y',
      'azureTokenCommand: give --key k3y',
      'azureClientS"cret: k3y',
      'x: http://user:k3y@proxy:3128',
    ])
      assert.doesNotMatch(safeText(text), /k3y/u, text);
  });

  it('shows no key of a listener, wherever in its section a character is missing or too much', () => {
    const key = 'c2VjcmV0a2V5';
    const sections = [
      `listener {\n  port: amqp\n  azureClients: sas\n  azureKeys: { shop: ${key}, other: "pass:${key}" }\n}\n`,
      `listener {\n  azureKeys: {\n    "shop": "${key}"\n    other: ${key}\n  }\n}\nrouter {\n  id: A\n}\n`,
    ];
    for (const text of sections) {
      for (let at = 0; at < text.length; at++) {
        const isInKey = [...text.matchAll(new RegExp(key, 'gu'))].some(({ index }) => at >= index && at < index + 12);
        if (isInKey) continue;
        for (const wrong of ['', '"', '{', '}', ',', '#', ' ']) {
          const broken = text.slice(0, at) + wrong + text.slice(at + 1);
          const result = readConfig(broken, { path: 'a.conf' });
          const said = formatProblems(result.ok ? result.warnings : result.problems, { color: false });
          assert.ok(!said.includes(key), `${broken}\n${said}`);
        }
      }
    }
  });

  it('leaves alone what is none', () => {
    for (const text of ['port: 5672', 'password', 'direction: inn', 'passenger/x', 'SharedAccessKeyName=Root'])
      assert.equal(safeText(text), text);
  });

  it('gives no control character to a terminal, and no more than a line', () => {
    assert.equal(safeText('a\u001b[2Jb\u202e'), 'a\ufffd[2Jb\ufffd');
    assert.ok(safeText('x'.repeat(10_000)).length <= 160);
  });
});

describe('configFormatOf', () => {
  it('goes by the ending of the name', () => {
    assert.deepEqual(['a.conf', 'a', 'a.JSON', 'a.yaml', 'b.yml', 'json'].map(configFormatOf), [
      'conf',
      'conf',
      'json',
      'yaml',
      'yaml',
      'conf',
    ]);
  });
});

describe('loadConfig', () => {
  it('reads the same configuration from all formats', () => {
    const files = [
      saved('a.conf', '\ufeffrouter {\r\n  id: A\r\n}\r\nlistener {\r\n  port: amqp\r\n  role: normal\r\n}\r\n'),
      saved('a.yaml', 'router: { id: A }\n\n\nlistener:\n  - port: amqp\n    role: normal\n'),
      saved('a.json', '[["router", { "id": "A" }],\n\n\n["listener", { "port": "amqp", "role": "normal" }]]'),
    ];
    const configs = files.map((path) => {
      const result = loadConfig(path);
      assert.ok(result.ok, path);
      assert.deepEqual(result.warnings, []);
      const { file, ...config } = result.config;
      assert.equal(file, path);
      return config;
    });
    const [conf, yaml, json] = configs.map(
      (config) => JSON.parse(JSON.stringify(config).replaceAll(/"line":\d+/gu, '"line":0')) as unknown,
    );
    assert.deepEqual(yaml, conf);
    assert.deepEqual(json, conf);
  });

  it('makes up an id for a router that has none, another one each time', () => {
    const path = saved('b.conf', '# nothing');
    const ids = [1, 2].map(() => {
      const result = loadConfig(path);
      return result.ok ? result.config.router.id : '';
    });
    for (const id of ids) assert.match(id, /^Standalone_[A-Za-z0-9+_]{15}$/u);
    assert.notEqual(ids[0], ids[1]);
  });

  it('reports a file that is missing, empty, a directory, or too large', () => {
    for (const [path, message] of [
      [join(directory, 'none.conf'), /does not exist/u],
      [saved('empty.conf', ''), /is empty/u],
      [saved('blank.json', ' \n'), /is empty/u],
      [directory, /is a directory/u],
      [saved('large.conf', '#'.repeat(CONFIG_LENGTH_MAX + 1)), /too large/u],
    ] as const) {
      const result = loadConfig(path);
      assert.ok(!result.ok);
      assert.deepEqual(
        result.problems.map(({ severity, line, file }) => [severity, line, file]),
        [['error', undefined, path]],
      );
      assert.match(result.problems[0]!.message, message);
    }
  });
});

describe('more problems than are kept', () => {
  const lost = Array.from({ length: 150 }, (_, i) => `autoLink { address: a${i} direction: in connection: c }\n`);
  const text = `connector { name: c role: route-container port: 5671 }\n${lost.join('')}`;

  it('are no mistake where each is a warning', () => {
    const many = readConfig(text, { path: 'a.conf' });
    assert.ok(many.ok);
    assert.equal(many.warnings.length, 101);
    assert.ok(many.warnings.every(({ severity }) => severity === 'warning'));
    assert.match(many.warnings.at(-1)!.message, /^50 further problems/u);
  });

  it('hide no mistake', () => {
    const result = readConfig(`${text}address { prefix: x waypoint: perhaps }\n`, { path: 'a.conf' });
    assert.ok(!result.ok);
    const mistakes = result.problems.filter(({ severity }) => severity === 'error');
    assert.deepEqual(
      mistakes.map(({ line }) => line),
      [152],
    );
  });
});
