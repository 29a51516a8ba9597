// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';

import { codeOf, importsOf } from '../source.mjs';
import { tidy } from '../tidy.mjs';

const LICENSE = '// SPDX-License-Identifier: Apache-2.0\n';

/** A small tree that keeps every rule; each test breaks one. */
const SOUND = {
  'package.json': JSON.stringify({ devDependencies: { 'fast-check': '1.0.0' } }),
  'packages/wire/package.json': JSON.stringify({ name: '@pointsman/wire', dependencies: {} }),
  'packages/wire/tsconfig.json': JSON.stringify({ references: [] }),
  'packages/wire/src/index.ts': `${LICENSE}export { a } from './a.js';\n`,
  'packages/wire/src/a.ts': `${LICENSE}export const a = 1;\n`,
  'packages/wire/test/a.test.ts': `${LICENSE}import fc from 'fast-check';\nimport { it } from 'node:test';\nimport { a } from '../src/a.js';\nit('', () => fc.assert(a));\n`,
  'packages/engine/package.json': JSON.stringify({
    name: '@pointsman/engine',
    dependencies: { '@pointsman/wire': '1' },
  }),
  'packages/engine/tsconfig.json': JSON.stringify({ references: [{ path: '../wire' }] }),
  'packages/engine/src/index.ts': `${LICENSE}import { a } from '@pointsman/wire';\nexport const b: number = a;\n`,
  'packages/transport/package.json': JSON.stringify({ name: '@pointsman/transport', dependencies: { ws: '1' } }),
  'packages/transport/src/index.ts': `${LICENSE}import net from 'node:net';\nimport ws from 'ws';\nexport const c = [net, ws, Date.now()];\n`,
};

/**
 * @param {Record<string, string>} changes
 * @param {Record<string, string>} [longFiles]
 */
function problemsOf(changes, longFiles = {}) {
  const root = mkdtempSync(join(tmpdir(), 'tidy '));
  try {
    for (const [path, text] of Object.entries({ ...SOUND, ...changes })) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return tidy(root, longFiles);
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** @param {string} text added to packages/wire/src/a.ts */
const inWire = (text) => problemsOf({ 'packages/wire/src/a.ts': `${LICENSE}export const a = 1;\n${text}\n` });

describe('tidy', () => {
  it('finds nothing in a tree that keeps the rules', () => {
    assert.deepEqual(problemsOf({}), []);
  });

  it('holds who may import whom', () => {
    assert.deepEqual(inWire("import type { b } from '@pointsman/engine';"), [
      'packages/wire/src/a.ts:3: @pointsman/engine is missing in the dependencies of packages/wire/package.json',
      'packages/wire/src/a.ts:3: packages/engine is missing in the references of packages/wire/tsconfig.json',
      'packages/wire/src/a.ts:3: wire may not import @pointsman/engine',
    ]);
  });

  it('keeps the modules of Node.js out of the core, and sockets out of its tests', () => {
    assert.deepEqual(inWire("import { readFileSync } from 'node:fs';"), [
      'packages/wire/src/a.ts:3: wire may not import node:fs',
    ]);
    assert.deepEqual(
      problemsOf({ 'packages/wire/test/b.test.ts': `${LICENSE}import 'node:fs';\nimport 'node:net';\n` }),
      ['packages/wire/test/b.test.ts:3: a test of wire needs no socket: node:net'],
    );
    const azure = (/** @type {string} */ module) =>
      problemsOf({
        'packages/azure/package.json': '{"name":"@pointsman/azure"}',
        'packages/azure/src/index.ts': `${LICENSE}import '${module}';\n`,
      });
    assert.deepEqual(azure('node:crypto'), []);
    assert.deepEqual(azure('node:net'), ['packages/azure/src/index.ts:2: azure may not import node:net']);
  });

  it('asks for a decision before a package of others comes in', () => {
    assert.deepEqual(inWire("import x from 'left-pad';"), [
      'packages/wire/src/a.ts:3: left-pad is missing in the dependencies of packages/wire/package.json',
      'packages/wire/src/a.ts:3: wire may not import left-pad: a new dependency needs a page in docs/decisions and its row in LAYERS',
    ]);
  });

  it('finds dependencies that nothing imports', () => {
    assert.deepEqual(problemsOf({ 'packages/transport/src/index.ts': `${LICENSE}export const c = 1;\n` }), [
      'packages/transport/package.json:1: nothing in packages/transport/src imports ws: take it out of the dependencies',
    ]);
  });

  it('lets no import reach past the index of another package', () => {
    assert.deepEqual(
      problemsOf({
        'packages/engine/src/b.ts': `${LICENSE}import { a } from '@pointsman/wire/dist/src/a.js';\nexport const b = await import('../../wire/src/a.js');\n`,
      }),
      [
        "packages/engine/src/b.ts:2: '@pointsman/wire/dist/src/a.js' reaches into @pointsman/wire: only its index is public",
        "packages/engine/src/b.ts:3: '../../wire/src/a.js' leaves packages/engine: import the package by its name",
      ],
    );
    assert.deepEqual(
      problemsOf({
        'testing/package.json': '{"name":"@pointsman/testing","dependencies":{"@pointsman/wire":"1"}}',
        'testing/src/index.ts': `${LICENSE}import '@pointsman/wire/dist/src/a.js';\n`,
      }),
      [
        "testing/src/index.ts:2: '@pointsman/wire/dist/src/a.js' reaches into @pointsman/wire: only its index is public",
      ],
    );
  });

  it('finds circles of imports, except where they are types alone', () => {
    const circle = (/** @type {string} */ keyword) => ({
      'packages/wire/src/a.ts': `${LICENSE}import { d } from './d.js';\nexport const a = d;\n`,
      'packages/wire/src/d.ts': `${LICENSE}${keyword} { a } from './a.js';\nexport const d = 1;\n`,
    });
    assert.deepEqual(problemsOf(circle('import')), [
      'packages/wire/src/d.ts:2: imports in a circle: packages/wire/src/a.ts -> packages/wire/src/d.ts -> packages/wire/src/a.ts',
    ]);
    assert.deepEqual(problemsOf(circle('import type')), []);
  });

  it('bans clocks, timers, chance and the process where they are passed in', () => {
    for (const call of [
      'Date.now()',
      'performance.now()',
      'new Date()',
      'new Date',
      'setTimeout(f, 1)',
      'setInterval(f, 1)',
      'Math.random()',
      'process.env',
      'globalThis',
      'Buffer.alloc(1)',
    ]) {
      const found = inWire(`export const t = ${call};`);
      assert.equal(found.length, 1, call);
      assert.match(found[0] ?? '', /^packages\/wire\/src\/a\.ts:3: '.*' is banned here: /);
    }
    assert.deepEqual(inWire('export const t = [new Date(7), clock.setTimeout(1), writeBuffer, this.process.x];'), []);
  });

  it('bans Buffer.concat on the way of a message', () => {
    assert.deepEqual(problemsOf({ 'packages/transport/src/b.ts': `${LICENSE}export const b = Buffer.concat([]);\n` }), [
      "packages/transport/src/b.ts:2: 'Buffer.concat' is banned here: it copies a message to look at it",
    ]);
  });

  it('bans printing outside the command, and what the compiler cannot erase', () => {
    assert.equal(inWire('console.log(1);').length, 1);
    assert.equal(inWire('export const enum E { A }').length, 1);
    assert.equal(inWire('namespace N { }').length, 1);
    assert.equal(inWire('export default a;').length, 1);
  });

  it('does not look at comments, texts and patterns', () => {
    const quiet = [
      '// Date.now()',
      '/* import x from "y"; */',
      "'Math.random()'",
      '`${a}process.env`',
      '/[/"]Buffer/.test(a)',
      'a / 2; // console.log',
    ];
    assert.deepEqual(inWire(quiet.join('\n')), []);
  });

  it('finds files that only pass on what others export', () => {
    assert.deepEqual(
      problemsOf({ 'packages/wire/src/all.ts': `${LICENSE}export { a } from './a.js';\nexport * from './a.js';\n` }),
      ['packages/wire/src/all.ts:1: only passes on what other files export: import from those'],
    );
  });

  it('wants a license line on top, below #! where there is one', () => {
    assert.deepEqual(problemsOf({ 'tools/x.mjs': 'let a;\n' }), [
      "tools/x.mjs:1: the first line is not 'SPDX-License-Identifier: Apache-2.0'",
    ]);
    assert.deepEqual(problemsOf({ '.ci/run': '#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n' }), []);
  });

  it('finds files that are too long, unless listed with a reason, and lists that have aged', () => {
    const long = { 'tools/x.mjs': LICENSE + '\n'.repeat(700) };
    assert.deepEqual(problemsOf(long), ['tools/x.mjs:700: 701 lines, over 700: does it hold one thing?']);
    assert.deepEqual(problemsOf(long, { 'tools/x.mjs': 'one table' }), []);
    assert.deepEqual(problemsOf({ 'tools/x.mjs': LICENSE }, { 'tools/x.mjs': 'one table', 'tools/y.mjs': 'gone' }), [
      'tools/tidy.mjs:1: LONG_FILES names tools/y.mjs, which is not there',
      'tools/x.mjs:1: 1 lines: take it off LONG_FILES of tools/tidy.mjs',
    ]);
  });

  it('finds machine paths and registries in any file', () => {
    const path = ['', 'work', 'shared'].join('/');
    assert.deepEqual(problemsOf({ 'docs/a.md': `see\n${path}\n` }), [
      `docs/a.md:2: '${path.slice(0, 6)}' is a path of one person's machine`,
    ]);
    assert.equal(problemsOf({ 'package-lock.json': `{"resolved": ${'"https'}://example.com/a.tgz"}` }).length, 1);
  });
});

describe('codeOf', () => {
  it('keeps every character of the code in its place', () => {
    const text = "const a = 'x\\'y' + `b${c(`d${e}`)}f` / 2; // g\nreturn /h[/]/.test(i)";
    assert.equal(codeOf(text), "const a = '    ' + ` ${c(` ${e}`)} ` / 2;     \nreturn /    /.test(i)");
  });
});

describe('importsOf', () => {
  it('finds every form of import', () => {
    const text =
      "import a, { type b } from 'c';\nimport type { d } from \"e\";\nexport * from 'f';\nimport 'g';\nconst h = await import('i');\nlet j: import('k').L;";
    assert.deepEqual(
      importsOf(text, codeOf(text)).map((i) => [i.line, i.target, i.typeOnly, i.reExport]),
      [
        [1, 'c', false, false],
        [2, 'e', true, false],
        [3, 'f', false, true],
        [4, 'g', false, false],
        [5, 'i', false, false],
        [6, 'k', false, false],
      ],
    );
  });
});
