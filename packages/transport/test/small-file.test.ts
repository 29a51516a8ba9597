// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { TlsCredentialsError, loadTlsCredentials, readSmallFile } from '../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'small-'));
after(() => rmSync(folder, { recursive: true }));

describe('readSmallFile', () => {
  it('reads a file up to its limit, and no further', () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'x'.repeat(100_000));
    assert.equal(readSmallFile(file, 100_000).toString(), 'x'.repeat(100_000));
    assert.throws(() => readSmallFile(file, 99_999), { code: 'EFBIG' });
    assert.throws(() => readSmallFile(join(folder, 'none'), 1), { code: 'ENOENT' });
    assert.throws(() => readSmallFile(folder, 1), { code: 'EISDIR' });
  });

  it('comes to an end at a device that has none, and at a pipe that nobody writes to', () => {
    assert.throws(() => readSmallFile('/dev/zero', 1_000), { code: 'EFBIG' });
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    assert.equal(readSmallFile(pipe, 1_000).length, 0);
    assert.throws(
      () => loadTlsCredentials({ caCertFile: '/dev/zero' }),
      (error: Error) =>
        error instanceof TlsCredentialsError && /caCertFile \/dev\/zero: it is too large/.test(error.message),
    );
  });

  it('reads what somebody writes into a pipe', async () => {
    const script = join(folder, 'read.mjs');
    const index = new URL('../src/index.js', import.meta.url).href;
    writeFileSync(
      script,
      `import { readSmallFile } from '${index}'; console.log('ready'); console.log(String(readSmallFile('/dev/stdin', 100)));`,
    );
    const shell = '{ read line; echo "$line"; } | "$0" "$1"';
    const child = spawn('sh', ['-c', shell, process.execPath, script], { stdio: ['pipe', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
    await once(child.stdout, 'data');
    child.stdin.end('by pipe\n');
    await once(child, 'close');
    assert.equal(said, 'ready\nby pipe\n\n');
  });
});
