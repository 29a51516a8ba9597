// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { jsonText, parseJson } from '../src/tools/plain-value.js';
import type { Plain, Row } from '../src/tools/plain-value.js';
import { logBlocks, reports } from '../src/tools/reports.js';
import { renderBlocks } from '../src/tools/table.js';
import type { TableForm } from '../src/tools/table.js';

const FOLDER = new URL('../../test/tools-golden/', import.meta.url);
/** Set to write the golden files anew: then read what changed before it is committed. */
const REWRITE = process.env['POINTSMAN_REWRITE_GOLDEN'] !== undefined;

type Tables = Record<string, { attributeNames: string[]; results: unknown[][] }>;

const tables = JSON.parse(readFileSync(new URL('rows.json', FOLDER), 'utf8')) as Tables;

function rowsOf(type: string): Row[] {
  const { attributeNames, results } = tables[type]!;
  return results.map((values) => {
    const plain = parseJson(JSON.stringify(values)) as readonly Plain[];
    return new Map(attributeNames.map((name, at) => [name, plain[at] ?? null]));
  });
}

function checkGolden(name: string, text: string): void {
  const file = new URL(`${name}.txt`, FOLDER);
  if (REWRITE) writeFileSync(file, text);
  assert.equal(text, readFileSync(file, 'utf8'));
}

function rendered(key: string, form: TableForm, verbose = false, empty = false): string {
  const report = reports.find((one) => one.key === key)!;
  const data = Object.fromEntries(report.needs.map((type) => [type, empty ? [] : rowsOf(type)]));
  return renderBlocks(report.render(data, verbose, parseJson(JSON.stringify(tables['schema']))), form);
}

describe('reports of qdstat', () => {
  for (const { key } of reports) {
    it(`prints --${key} as a table and as CSV, as its golden file has it`, () => {
      checkGolden(key, `${rendered(key, 'table')}\n--csv\n${rendered(key, 'csv')}`);
    });

    it(`prints --${key} where there is nothing to tell`, () => {
      checkGolden(`${key}-empty`, rendered(key, 'table', false, true));
    });
  }

  for (const key of ['links', 'nodes', 'address']) {
    it(`shows more columns of --${key} with -v`, () => {
      checkGolden(`${key}-verbose`, rendered(key, 'table', true));
    });
  }

  it('prints a line for each entry of the log, in local time', () => {
    const entry: Plain = ['ROUTER', 'info', 'Router started', null, null, 1_700_000_001];
    const text = renderBlocks(logBlocks([entry]), 'table');
    assert.match(
      text,
      /^Tue Nov 14 \d\d:\d\d:\d\d 2023 ROUTER \(info\) Router started\n$|^Wed Nov 15 \d\d:\d\d:\d\d 2023 ROUTER \(info\) Router started\n$/,
    );
  });

  it('writes JSON with blanks behind commas and colons, and ASCII alone', () => {
    const value = parseJson('{"a":[1,"ü\\"",{}],"b":[],"c":null,"d":1.5}');
    assert.equal(jsonText(value), '{"a": [1, "\\u00fc\\"", {}], "b": [], "c": null, "d": 1.5}');
    assert.equal(jsonText(parseJson('{"a":[1],"b":{}}'), 2), '{\n  "a": [\n    1\n  ],\n  "b": {}\n}');
  });
});
