// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { formatProblems } from '../src/config/problems.js';
import { readConfig } from '../src/config/read-config.js';

const text = (path: string): string => readFileSync(new URL(`../../../../${path}`, import.meta.url), 'utf8');

const guide = text('docs/service-bus.md');
const operation = text('docs/operation.md');

/** Where the messages are made. */
const SOURCES = [
  'packages/azure/src/connection-string.ts',
  'packages/azure/src/explain.ts',
  'packages/azure/src/explain-hub.ts',
  'packages/azure/src/hub-reader.ts',
  'packages/pointsman/src/config/connection-rules.ts',
  'packages/pointsman/src/run/connection-end.ts',
  'packages/pointsman/src/run/connection-tokens.ts',
  'packages/azure/src/token.ts',
  'packages/azure/src/cbs-client.ts',
  'packages/azure/src/front-door.ts',
  'packages/pointsman/src/run/front-door.ts',
  'packages/pointsman/src/tokens/identity-library.ts',
  'packages/pointsman/src/run/connector.ts',
  'packages/transport/src/websocket-stream.ts',
  'packages/pointsman/src/run/hub-position-file.ts',
  'packages/pointsman/src/run/transport-cure.ts',
  'packages/pointsman/src/file-lock.ts',
  'packages/pointsman/src/run/destination.ts',
  'packages/transport/src/dial.ts',
  'packages/transport/src/proxy.ts',
  'packages/transport/src/tls-credentials.ts',
  'packages/transport/src/transport-error.ts',
];

describe('the guide to Service Bus', () => {
  const examples = [...`${guide}\n${operation}`.matchAll(/^```conf\n([^]*?)^```$/gmu)].map(
    ([, example = '']) => example,
  );

  for (const [i, example] of examples.entries()) {
    it(`shows nothing that would not work: example ${i + 1}`, () => {
      const result = readConfig(example, { path: 'guide', secrets: { env: () => 'secret', readFile: () => 'secret' } });
      assert.equal(formatProblems(result.ok ? result.warnings : result.problems, { color: false }), '');
    });
  }

  it('names metrics that there are', () => {
    const known = text('packages/pointsman/src/http/metrics.ts');
    const names = [...`${guide}\n${operation}`.matchAll(/\b(?:pointsman|qdr|process)_[a-z0-9_]*[a-z0-9]\b(?!…)/gu)];
    assert.ok(names.length > 20, `${names.length} names`);
    assert.deepEqual(
      names.map(([name]) => name).filter((name) => !known.includes(`'${name}'`)),
      [],
    );
  });

  it('quotes messages as they are', () => {
    // Literals that are broken over lines are one.
    const sources = SOURCES.map((path) => text(path).replaceAll(/(['"`]) \+\s*['"`]/gu, '')).join('\n');
    const tables = [...guide.matchAll(/^\| message \|.*\n((?:\|.*\n)+)/gmu)].map(([, rows = '']) => rows);
    const quotes = tables.flatMap((rows) =>
      rows
        .split('\n')
        .flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/gu)])
        .map(([, quote = '']) => quote),
    );
    assert.ok(quotes.length > 40, `${quotes.length} messages`);
    assert.deepEqual(
      quotes.filter((quote) => !sources.includes(quote)),
      [],
    );
  });
});
