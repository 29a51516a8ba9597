// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { formatProblems } from '../src/config/problems.js';
import { readConfig } from '../src/config/read-config.js';
import type { ConfigFormat } from '../src/config/read-config.js';

const guide = readFileSync(new URL('../../../../docs/configuration.md', import.meta.url), 'utf8');
const examples = [...guide.matchAll(/^```(conf|yaml|json)\n([^]*?)^```$/gmu)].map(([, format, text = '']) => ({
  format: format as ConfigFormat,
  text,
}));

describe('the configuration guide', () => {
  it('has examples in every format', () => {
    assert.deepEqual(new Set(examples.map(({ format }) => format)), new Set(['conf', 'yaml', 'json']));
  });

  for (const [i, { format, text }] of examples.entries()) {
    it(`shows nothing that would not work: example ${i + 1} (${format})`, () => {
      const secrets = { env: () => 'secret', readFile: () => 'secret' };
      const result = readConfig(text, { path: 'guide', format, secrets });
      assert.equal(formatProblems(result.ok ? result.warnings : result.problems, { color: false }), '');
    });
  }

  it('says the same in all formats', () => {
    const [conf, yaml, json] = examples.slice(0, 3).map(({ format, text }) => {
      const result = readConfig(text, { path: 'guide', format });
      return result.ok ? JSON.stringify(result.config).replaceAll(/"line":\d+/gu, '') : undefined;
    });
    assert.ok(conf);
    assert.equal(yaml, conf);
    assert.equal(json, conf);
  });
});
