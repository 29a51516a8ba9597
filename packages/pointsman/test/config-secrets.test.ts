// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { formatProblems } from '../src/config/problems.js';
import type { ConfigProblem } from '../src/config/problems.js';
import { readConfig } from '../src/config/read-config.js';
import type { SecretSources } from '../src/config/secret.js';

const VARIABLES: Readonly<Record<string, string>> = { KEY: 'from the environment', EMPTY: '' };
const FILES: Readonly<Record<string, string>> = {
  '/run/key': 'from a file\r\nnot this\n',
  '/run/empty': '\nsecond line',
  '/run/large': 'x'.repeat(100_000),
};
const secrets: SecretSources = {
  env: (name) => VARIABLES[name],
  readFile: (path) => {
    const text = FILES[path];
    if (text === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
    return text;
  },
};

function read(password: string): { secret: string | undefined; problems: readonly ConfigProblem[]; shown: string } {
  const text = `connector {\n saslUsername: u\n saslPassword: ${password}\n}`;
  const result = readConfig(text, { path: 'a.conf', secrets });
  if (!result.ok) return { secret: undefined, problems: result.problems, shown: '' };
  const { config, warnings } = result;
  return {
    secret: config.connectors[0]?.saslPassword?.reveal(),
    problems: warnings,
    shown: `${inspect(config, { depth: 9, showHidden: true })}${JSON.stringify(config)}${String(config.connectors[0]?.saslPassword)}`,
  };
}

describe('secrets', () => {
  it('come from the environment or the first line of a file, without a word', () => {
    for (const [form, secret] of [
      ['env:KEY', VARIABLES['KEY']],
      ['env: KEY', VARIABLES['KEY']],
      ['file:/run/key', 'from a file'],
    ]) {
      const reading = read(form!);
      assert.equal(reading.secret, secret);
      assert.deepEqual(reading.problems, []);
    }
  });

  it('come from the configuration file with a warning', () => {
    for (const form of ['pass:hunter2', 'literal:hunter2', 'hunter2', '"hunter2"']) {
      const reading = read(form);
      assert.equal(reading.secret, 'hunter2');
      assert.deepEqual(
        reading.problems.map(({ severity, line }) => [severity, line]),
        [['warning', 3]],
      );
      assert.match(reading.problems[0]!.message, /unsafe .* plain text/u);
    }
  });

  it('are refused where they cannot be found, with the name that was looked for', () => {
    for (const [form, message] of [
      ['env:NO_SUCH', /environment variable NO_SUCH, which is not set/u],
      ['env:EMPTY', /environment variable EMPTY, which is empty/u],
      ['env:', /names no environment variable/u],
      ['env:a b', /names no environment variable/u],
      ['file:/run/none', /file \/run\/none, which does not exist/u],
      ['file:/run/empty', /first line is empty/u],
      ['file:/run/large', /too large/u],
      ['file:', /names no file/u],
      ['pass:', /is empty/u],
    ] as const) {
      const { secret, problems } = read(form);
      assert.equal(secret, undefined);
      assert.deepEqual(
        problems.map(({ severity, line }) => [severity, line]),
        [['error', 3]],
        form,
      );
      assert.match(problems[0]!.message, message);
    }
  });

  it('never show in the configuration, however it is printed', () => {
    const { shown } = read('pass:hunter2');
    assert.match(shown, /saslPassword/u);
    assert.doesNotMatch(shown, /hunter2/u);
  });

  it('get a warning where a # cuts them short, and keep it in quotes', () => {
    for (const [text, secret] of [
      ['hunter2#rest', 'hunter2'],
      ['hunter2 #rest', 'hunter2'],
      ['pass:hunter2#rest', 'hunter2'],
      ['hunter2 //rest', 'hunter2'],
    ]) {
      const reading = read(text!);
      assert.equal(reading.secret, secret);
      assert.ok(
        reading.problems.some(({ message }) => /ends the value of 'saslPassword'/u.test(message)),
        text,
      );
      assert.doesNotMatch(formatProblems(reading.problems, { color: false }), /hunter2|rest/u);
    }
    assert.equal(read('"hunter2#rest"').secret, 'hunter2#rest');
    assert.equal(read("'pass:hunter2#rest'").secret, 'hunter2#rest');
    assert.deepEqual(read('env:KEY # where it comes from').problems, []);
  });

  it('serve sslProfiles too, by the old attribute with a warning', () => {
    const profile = (line: string): ReturnType<typeof readConfig> =>
      readConfig(`sslProfile {\n name: p\n certFile: c\n ${line}\n}`, { path: 'a.conf', secrets });
    for (const [line, warnings] of [
      ['password: file:/run/key', 0],
      ['passwordFile: /run/key', 1],
    ] as const) {
      const result = profile(line);
      assert.ok(result.ok);
      assert.equal(result.config.sslProfiles[0]?.password?.reveal(), 'from a file');
      assert.equal(result.warnings.length, warnings);
    }
  });

  it('get no warning in the connection string of the emulator, whose key is public', () => {
    const string =
      'Endpoint=sb://localhost;SharedAccessKeyName=R;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;';
    const result = readConfig(`connector {\n name: a\n connectionString: ${string}\n}`, { path: 'a.conf', secrets });
    assert.ok(result.ok);
    assert.equal(result.config.connectors[0]?.connectionString?.reveal(), string);
    assert.deepEqual(result.warnings, []);
  });
});
