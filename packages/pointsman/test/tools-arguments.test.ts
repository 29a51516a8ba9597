// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseBusAddress } from '../src/tools/bus-address.js';
import { longTypeName, runQdmanage } from '../src/tools/qdmanage.js';
import { runQdstat } from '../src/tools/qdstat.js';
import { ToolError } from '../src/tools/tool-error.js';
import { toolIo } from './tools-fixture.js';

async function lastOf(run: typeof runQdstat, ...argv: string[]): Promise<readonly [number, string | undefined]> {
  const io = toolIo();
  const status = await run(argv, io);
  return [status, io.stderrText().trimEnd().split('\n').at(-1)];
}

describe('command lines of the tools', () => {
  it('refuses two reports at once, in the words of argparse', async () => {
    assert.deepEqual(await lastOf(runQdstat, '-c', '-l'), [
      2,
      'qdstat: error: argument -l/--links: not allowed with argument -c/--connections',
    ]);
    assert.deepEqual(await lastOf(runQdstat, '--all-routers', '-r', 'A'), [
      2,
      'qdstat: error: argument -r/--router: not allowed with argument --all-routers',
    ]);
  });

  it('names all options that an ambiguous beginning could mean', async () => {
    const [status, text] = await lastOf(runQdstat, '--sasl-p', 'x');
    assert.equal(status, 2);
    assert.equal(text, 'qdstat: error: ambiguous option: --sasl-p could match --sasl-password, --sasl-password-file');
  });

  it('refuses what it does not know, lacks or cannot read', async () => {
    assert.deepEqual(await lastOf(runQdstat, '--nothing', 'x'), [
      2,
      'qdstat: error: unrecognized arguments: --nothing x',
    ]);
    assert.deepEqual(await lastOf(runQdstat, '--limit', '-l'), [
      2,
      'qdstat: error: argument --limit: expected one argument',
    ]);
    assert.deepEqual(await lastOf(runQdstat, '--limit=x'), [
      2,
      "qdstat: error: argument --limit: invalid int value: 'x'",
    ]);
    assert.deepEqual(await lastOf(runQdstat, '--csv=1'), [
      2,
      "qdstat: error: argument --csv: ignored explicit argument '1'",
    ]);
    assert.deepEqual(await lastOf(runQdmanage, '--indent', '-1'), [
      2,
      'qdmanage <operation>: error: No operation specified',
    ]);
  });

  it('prints version and help, and ends with 0', async () => {
    const io = toolIo();
    assert.equal(await runQdstat(['--versi'], io), 0);
    assert.equal(io.stdoutText(), '1.19.0\n');
    const help = toolIo();
    assert.equal(await runQdmanage(['-h'], help), 0);
    assert.match(help.stdoutText(), /^usage: qdmanage <operation> \[-h\]/);
  });

  it('takes URLs apart, and never shows their passwords', () => {
    assert.deepEqual(parseBusAddress('amqps://me:a%40b@[::1]:1234/node'), {
      tls: true,
      user: 'me',
      password: 'a@b',
      host: '::1',
      port: 1234,
      path: 'node',
    });
    assert.deepEqual([parseBusAddress('').host, parseBusAddress('').port], ['0.0.0.0', 5672]);
    assert.equal(parseBusAddress('amqps://h').port, 5671);
    assert.throws(
      () => parseBusAddress('http://me:secret@h'),
      (error: unknown) =>
        error instanceof ToolError && error.kind === 'ValueError' && !error.message.includes('secret'),
    );
  });

  it('knows the short names of types', () => {
    const names = ['link', 'autoLink', 'listener', 'router.node', 'a.b'].map(longTypeName);
    const prefix = 'org.apache.qpid.dispatch.';
    assert.deepEqual(names, [
      `${prefix}router.link`,
      `${prefix}router.config.autoLink`,
      `${prefix}listener`,
      `${prefix}router.node`,
      'a.b',
    ]);
  });
});
