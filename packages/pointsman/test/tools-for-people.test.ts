// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { runManage, runStat } from '../src/tools/command-tools.js';
import { parseJson } from '../src/tools/plain-value.js';
import { plainCsv, styledBlocks, tableOfAnswer, wantsColor } from '../src/tools/styled-output.js';
import { toolIo } from './tools-fixture.js';

const TABLE = {
  title: 'AutoLinks',
  heads: ['addr', 'phs', 'status'],
  rows: [
    ['orders', '0', 'active'],
    ['x', '10', 'failed'],
  ],
};

/** A port on which nothing listens any more. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

describe('pointsman stat and pointsman manage', () => {
  it('align text to the left and numbers to the right', () => {
    assert.equal(
      styledBlocks([TABLE], false),
      ['AutoLinks', 'addr    phs  status', 'orders    0  active', 'x        10  failed', ''].join('\n'),
    );
  });

  it('colour states on a terminal, without changing the text', () => {
    const text = styledBlocks([TABLE], true);
    assert.ok(text.includes('\u001b[32mactive\u001b[0m'));
    assert.ok(text.includes('\u001b[31mfailed\u001b[0m'));
    // oxlint-disable-next-line no-control-regex
    assert.equal(text.replaceAll(/\u001b\[\d+m/g, ''), styledBlocks([TABLE], false));
  });

  it('use colours only for a terminal whose user did not forbid them', () => {
    const io = toolIo();
    const terminal = Object.assign(io.stdout, { isTTY: true });
    assert.equal(wantsColor({ ...io, stdout: terminal }), true);
    assert.equal(wantsColor({ ...io, stdout: terminal, env: { NO_COLOR: '1' } }), false);
    assert.equal(wantsColor(toolIo()), false);
  });

  it('let no name that a peer chose speak to the terminal', () => {
    const text = styledBlocks([{ title: '', heads: ['name'], rows: [['a\u001b[2Jb\nc']] }], false);
    assert.equal(text, 'name\na [2Jb c\n');
  });

  it('write CSV with one head line and nothing around it', () => {
    assert.equal(plainCsv([TABLE]), '"addr","phs","status"\n"orders","0","active"\n"x","10","failed"\n');
  });

  it('make tables of what qdmanage would print as JSON', () => {
    const rows = tableOfAnswer(parseJson('[{"a":1,"n":null},{"a":2,"b":["x"]}]'));
    assert.deepEqual(rows, {
      title: '',
      heads: ['a', 'b'],
      rows: [
        ['1', ''],
        ['2', '["x"]'],
      ],
    });
    assert.deepEqual(tableOfAnswer(parseJson('{"a":true}'))?.rows, [['a', 'true']]);
    assert.equal(tableOfAnswer('text'), undefined);
  });

  it('say what is wrong, where, and what to do, with status 1', async () => {
    const io = toolIo();
    const port = await closedPort();
    assert.equal(await runStat(['links', '-b', `127.0.0.1:${port}`], io), 1);
    assert.equal(io.stdoutText(), '');
    assert.match(
      io.stderrText(),
      new RegExp(`^pointsman stat: .*127\\.0\\.0\\.1:${port} refused the connection.*\n  Check `),
    );
  });

  it('refuse wrong arguments with status 2 before they connect anywhere', async () => {
    for (const [run, argv, text] of [
      [runStat, ['linkz'], "there is no report 'linkz'"],
      [runStat, ['links', '-o', 'xml'], "there is no form 'xml'"],
      [runStat, ['link'], "did you mean 'links'?"],
      [runStat, ['links', 'nodes'], 'one report at a time'],
      [runStat, ['links', '--limit', '-1'], '--limit: -1 is less than 0'],
      [runStat, ['-b', 'http://x'], "-b/--bus: invalid URL 'http://x'"],
      [runManage, ['query', '-b', 'a:70000'], "-b/--bus: invalid URL 'a:70000'"],
      [runManage, [], 'say what to do'],
    ] as const) {
      const io = toolIo();
      assert.equal(await run(argv, io), 2);
      assert.ok(io.stderrText().includes(text), io.stderrText());
    }
  });

  it('explain themselves with --help', async () => {
    for (const run of [runStat, runManage]) {
      const io = toolIo();
      assert.equal(await run(['--help'], io), 0);
      assert.match(io.stdoutText(), /^Usage: pointsman \w+[^]*\nExamples:\n/);
    }
  });
});
