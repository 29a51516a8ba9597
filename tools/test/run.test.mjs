// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

/** A tree in a path with a blank, with a compiler that has nothing to do, a command and two compiled tests. */
const root = mkdtempSync(join(tmpdir(), 'run me '));
after(() => rmSync(root, { recursive: true }));

const LOCK = JSON.stringify({
  packages: {
    '': { name: 'root' },
    'packages/pointsman': { version: '0.1.0' },
    'node_modules/elsewhere': { version: '1.0.0', optional: true },
  },
});
const TEST = "import { it } from 'node:test';\nit('from NAME', () => {});\n";
const FILES = {
  'package.json': '{"type":"module"}',
  'package-lock.json': LOCK,
  'node_modules/.package-lock.json': JSON.stringify({ packages: { 'packages/pointsman': { version: '0.1.0' } } }),
  'node_modules/typescript/bin/tsc': '',
  'packages/pointsman/package.json': '{"type":"module"}',
  'packages/pointsman/dist/src/main.js': `
    if (process.argv.includes('--wait')) {
      process.on('SIGTERM', () => process.exit(7));
      setInterval(() => {}, 1000);
    }
    console.log(JSON.stringify(process.argv.slice(2)));
    if (process.argv.includes('--die')) process.kill(process.pid, 'SIGKILL');
    process.exitCode = 5;`,
  'packages/pointsman/test/sub/kept.test.ts': '',
  'packages/pointsman/test/other.test.ts': '',
  'packages/pointsman/dist/test/sub/kept.test.js': TEST.replace('NAME', 'kept'),
  'packages/pointsman/dist/test/other.test.js': TEST.replace('NAME', 'other'),
  'packages/pointsman/dist/test/removed.test.js': TEST.replace('NAME', 'removed'),
};
for (const [path, text] of Object.entries(FILES)) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
mkdirSync(join(root, 'tools'));
copyFileSync(fileURLToPath(new URL('../run.mjs', import.meta.url)), join(root, 'tools', 'run.mjs'));

/** @param {string[]} args */
function start(...args) {
  // A test runner tells its children by this variable that they are to report to it.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(process.execPath, [join(root, 'tools', 'run.mjs'), ...args], { env, cwd: tmpdir() });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (output.stderr += text));
  return { child, output, closed: once(child, 'close') };
}

/** @param {string[]} args */
async function run(...args) {
  const { output, closed } = start(...args);
  const [status, signal] = await closed;
  return { ...output, status, signal };
}

describe('tools/run.mjs', () => {
  it('starts the demo with the arguments it was given, and passes its exit status on', async () => {
    const { stdout, stderr, status } = await run('start', '--messages', '10');
    assert.equal(stdout, '["demo","--messages","10"]\n');
    assert.equal(status, 5);
    assert.match(stderr, /^pointsman: building/);
    assert.doesNotMatch(stderr, /installing/);
  });

  it('passes a signal to the demo and waits for its end', async () => {
    const { child, closed } = start('start', '--wait');
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    assert.deepEqual(await closed, [7, null]);
  });

  it('ends by the signal that ended the demo', async () => {
    assert.equal((await run('start', '--die')).signal, 'SIGKILL');
  });

  it('runs the compiled tests that a filter selects', async () => {
    const { stdout, status } = await run('test', 'sub/kept');
    assert.equal(status, 0);
    assert.match(stdout, /✔ from kept/);
    assert.match(stdout, /tests 1\n/);
  });

  it('never runs what an earlier build left of a test', async () => {
    const { stdout, status } = await run('test', 'pointsman');
    assert.equal(status, 0);
    assert.match(stdout, /✔ from other/);
    assert.doesNotMatch(stdout, /removed/);
  });

  it('says where a filter selects nothing, or the command does not exist', async () => {
    const none = await run('test', 'nowhere');
    assert.equal(none.status, 1);
    assert.match(none.stderr, /no test file's path contains 'nowhere'/);
    const unknown = await run('sing');
    assert.equal(unknown.status, 2);
    assert.match(unknown.stderr, /'sing' is no command .* start, test, /);
  });

  it('installs anew when package-lock.json asks for something else than what is installed', async () => {
    // package.json does not fit package-lock.json: npm refuses, without asking a registry, and touches nothing.
    writeFileSync(join(root, 'package-lock.json'), LOCK.replace('0.1.0', '0.2.0'));
    writeFileSync(join(root, 'package.json'), '{"type":"module","dependencies":{"absent":"file:absent"}}');
    const { stderr, status } = await run('build');
    assert.notEqual(status, 0);
    assert.match(stderr, /installing \(package-lock\.json has changed, .*\n[^]*npm ci failed/);
  });
});
