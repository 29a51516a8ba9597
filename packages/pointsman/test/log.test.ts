// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ManagementError } from '@pointsman/management';
import type { LogConfig } from '../src/config/model.js';
import { parseLogLevels } from '../src/config/log-levels.js';
import { LogError, createLogger } from '../src/log.js';
import type { LoggerOptions } from '../src/log.js';
import { TimestampFormat, microClock } from '../src/log/timestamp.js';
import { logTables } from '../src/manage/log-tables.js';

class Lines extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }
}

/** 2026-01-31 12:00:00.123456 UTC */
const NOW = Date.UTC(2026, 0, 31, 12, 0, 0, 123) + 0.4565;

function section(module: string, settings: Partial<LogConfig> & { readonly enable?: string } = {}): LogConfig {
  const { enable, ...rest } = settings;
  const parsed = enable === undefined ? { levels: undefined } : parseLogLevels(enable);
  assert.ok('levels' in parsed);
  return {
    name: `log/${module}`,
    line: 1,
    module,
    levels: parsed.levels,
    includeTimestamp: undefined,
    includeSource: undefined,
    outputFile: undefined,
    ...rest,
  };
}

function loggerWith(options: LoggerOptions = {}): { logger: ReturnType<typeof createLogger>; stderr: Lines } {
  const stderr = new Lines();
  const logger = createLogger({ stderr, stdout: new Lines(), utc: true, now: () => NOW, ...options });
  return { logger, stderr };
}

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'pointsman-log-'));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

describe('a line of the log', () => {
  it('is time with microseconds, zone, module, level and text', () => {
    const { logger, stderr } = loggerWith();
    logger.log('SERVER', 'notice', 'Shut Down');
    assert.deepEqual(stderr.lines, ['2026-01-31 12:00:00.123456 +0000 SERVER (notice) Shut Down']);
  });

  it('ends with file and line of whoever asked for it, where that is wanted', () => {
    const { logger, stderr } = loggerWith({ logs: [section('AGENT', { includeSource: true })] });
    logger.log('AGENT', 'info', 'here');
    logger.log('SERVER', 'info', 'not here');
    const [, , , file, line] = logger.recent(0)[0]!;
    // With source maps on it is the source's.
    assert.match(file ?? '', /^pointsman\/log\.test\.[jt]s$/);
    assert.ok(line !== null && line > 1);
    assert.match(stderr.lines[0]!, new RegExp(`AGENT \\(info\\) here \\(pointsman/log\\.test\\.[jt]s:${line}\\)$`));
    assert.match(stderr.lines[1]!, /not here$/);
  });

  it('has nothing in it that forges another, and is not longer than 2047 characters', () => {
    const { logger, stderr } = loggerWith({ logs: [section('DEFAULT', { includeTimestamp: false })] });
    logger.log('SERVER', 'info', 'a\nSERVER (info) b\u001b[2J\u0000c');
    logger.log('SERVER', 'info', 'x'.repeat(5000));
    assert.equal(stderr.lines[0], 'SERVER (info) a SERVER (info) b [2J c');
    assert.equal(stderr.lines[1]!.length, 'SERVER (info) '.length + 2047);
    assert.equal(stderr.lines.length, 2);
  });

  it('is a JSON object by switch', () => {
    const { logger, stderr } = loggerWith({ format: 'json' });
    logger.log('SERVER', 'error', 'so "it" is');
    assert.deepEqual(JSON.parse(stderr.lines[0]!), {
      time: '2026-01-31 12:00:00.123456 +0000',
      module: 'SERVER',
      level: 'error',
      text: 'so "it" is',
    });
  });

  it('has the time as router.timestampFormat says', () => {
    const render = (format: string): string => new TimestampFormat(format, true).render(NOW);
    assert.equal(render('%d/%m/%y %T'), '31/01/26 12:00:00');
    assert.equal(render('%a %b %e %H:%M:%S %Y'), 'Sat Jan 31 12:00:00 2026');
    assert.equal(render('%s.%%06lu'), `${Math.floor(NOW / 1000)}.123456`);
    assert.equal(render('%I:%M %p, day %j, 100%%'), '12:00 PM, day 031, 100%');
    assert.equal(render('%F %Q'), '2026-01-31 %Q');
  });

  it('has microseconds that are not all thousands, and never a time far from the clock', () => {
    const clock = microClock();
    const times = Array.from({ length: 50 }, () => clock());
    assert.ok(times.some((time) => Math.floor(time * 1000) % 1000 !== 0));
    assert.ok(Math.abs(clock() - Date.now()) < 5);
  });
});

describe('settings of a module', () => {
  it('are those of DEFAULT where nothing is given', () => {
    const { logger, stderr } = loggerWith({
      logs: [section('DEFAULT', { enable: 'error+', includeTimestamp: false }), section('AGENT', { enable: 'debug+' })],
    });
    assert.equal(logger.isEnabled('AGENT', 'debug'), true);
    assert.equal(logger.isEnabled('SERVER', 'notice'), false);
    assert.equal(logger.isEnabled('MAIN', 'error'), true);
    logger.log('AGENT', 'debug', 'yes');
    logger.log('SERVER', 'notice', 'no');
    assert.deepEqual(stderr.lines, ['AGENT (debug) yes']);
    assert.deepEqual(logger.settings('AGENT'), { enable: 'debug+' });
    assert.deepEqual(logger.settings('SERVER'), { enable: 'default' });
    assert.deepEqual(logger.settings('DEFAULT'), {
      enable: 'error+',
      includeTimestamp: false,
      includeSource: false,
      outputFile: 'stderr',
    });
  });

  it('change at once, for modules that inherit them too', () => {
    const { logger } = loggerWith();
    let told = 0;
    const end = logger.onUpdate(() => told++);
    logger.update('DEFAULT', { enable: 'trace+' });
    assert.equal(logger.isEnabled('PROTOCOL', 'trace'), true);
    logger.update('PROTOCOL', { enable: 'none' });
    assert.equal(logger.isEnabled('PROTOCOL', 'critical'), false);
    logger.update('PROTOCOL', { enable: 'default' });
    assert.equal(logger.isEnabled('PROTOCOL', 'trace'), true);
    assert.equal(told, 3);
    end();
    logger.update('DEFAULT', { enable: 'info+' });
    assert.equal(told, 3);
  });

  it('are refused as a whole for a word that is no level, or an unknown module', () => {
    const { logger } = loggerWith();
    const text =
      "'loud' is not a valid log level. Should be one of {none, trace, debug, info, notice, warning, error, critical}.";
    assert.throws(() => logger.update('DEFAULT', { enable: 'loud', includeTimestamp: false }), new LogError(text));
    assert.throws(() => logger.update('NOBODY', { enable: 'info' }), /no log module 'NOBODY'/);
    assert.equal(logger.settings('DEFAULT').includeTimestamp, true);
  });
});

describe('output', () => {
  it('is appended to files, in order, each line there when the call returns', async (context) => {
    const path = join(folder(context), 'router.log');
    for (const run of [1, 2]) {
      const { logger } = loggerWith({
        logs: [section('DEFAULT', { includeTimestamp: false }), section('AGENT', { outputFile: path })],
      });
      for (let i = 0; i < 3; i++) logger.log('AGENT', 'info', `${run}.${i}`);
      logger.log('SERVER', 'info', 'elsewhere');
      const shown = readFileSync(path, 'utf8');
      assert.equal(shown.split('\n').length - 1, run * 3);
      assert.ok(shown.endsWith(`AGENT (info) ${run}.2\n`));
      await logger.close();
    }
  });

  it('of two modules goes to one file, and to another one from an update on', async (context) => {
    const path = folder(context);
    const [first, second] = [join(path, '1.log'), join(path, '2.log')];
    const { logger } = loggerWith({
      logs: [section('ROUTER', { outputFile: first }), section('AGENT', { outputFile: first })],
    });
    logger.log('ROUTER', 'info', 'a');
    logger.log('AGENT', 'info', 'b');
    logger.update('AGENT', { outputFile: second, includeTimestamp: false });
    logger.log('AGENT', 'info', 'c');
    logger.log('ROUTER', 'info', 'd');
    assert.equal(readFileSync(second, 'utf8'), 'AGENT (info) c\n');
    assert.equal(readFileSync(first, 'utf8').split('\n').length, 4);
    await logger.close();
  });

  it('to a file that cannot be opened is an error that names it, and nothing changes', () => {
    assert.throws(
      () => loggerWith({ logs: [section('DEFAULT', { outputFile: '/nowhere/x.log' })] }),
      (error) =>
        error instanceof LogError &&
        error.message === "Failed to open log file '/nowhere/x.log'" &&
        /ENOENT/.test(error.hint),
    );
    const { logger, stderr } = loggerWith();
    assert.throws(() => logger.update('DEFAULT', { outputFile: '', enable: 'none' }), /Failed to open log file ''$/);
    logger.log('SERVER', 'info', 'still');
    assert.equal(stderr.lines.length, 1);
  });

  it('to syslog has severities in place of times', async (context) => {
    const path = join(folder(context), 'syslog');
    const copy = `process.stdin.pipe(require('node:fs').createWriteStream(process.argv[1]))`;
    const { logger } = loggerWith({
      logs: [section('DEFAULT', { outputFile: 'syslog' })],
      syslogCommand: [process.execPath, '-e', copy, path],
    });
    logger.log('SERVER', 'error', 'bad');
    logger.log('AGENT', 'info', 'good');
    await logger.close();
    assert.equal(readFileSync(path, 'utf8'), '<3>SERVER (error) bad\n<6>AGENT (info) good\n');
  });

  it('goes to stderr where there is no syslog', async () => {
    const stderr = new Lines();
    const said = new Promise<void>((resolve) => {
      const write = stderr._write.bind(stderr);
      stderr._write = (chunk, encoding, done): void => {
        write(chunk, encoding, done);
        if (stderr.text.includes('Cannot write')) resolve();
      };
    });
    const { logger } = loggerWith({
      stderr,
      logs: [section('DEFAULT', { outputFile: 'syslog' })],
      syslogCommand: ['/nowhere/logger'],
    });
    await said;
    assert.match(stderr.lines[0]!, /^Cannot write log output to 'syslog': .*ENOENT.* It goes to stderr instead\.$/);
    logger.log('SERVER', 'info', 'here');
    assert.equal(stderr.lines[1], 'SERVER (info) here');
    await logger.close();
  });
});

describe('what was logged last', () => {
  it('is the last 1000 lines of all modules, oldest first', () => {
    const { logger } = loggerWith();
    for (let i = 0; i < 1005; i++) logger.log(i % 2 === 0 ? 'AGENT' : 'SERVER', 'info', String(i));
    logger.log('AGENT', 'debug', 'not enabled');
    assert.equal(logger.recent(0).length, 1000);
    assert.deepEqual(
      logger.recent(2).map(([module, , text]) => [module, text]),
      [
        ['SERVER', '1003'],
        ['AGENT', '1004'],
      ],
    );
    assert.deepEqual(logger.recent(-1)[0], ['SERVER', 'info', '5', null, null, Math.floor(NOW / 1000)]);
    assert.equal(logger.stats('AGENT').info, 503);
    assert.equal(logger.stats('AGENT').debug, 0);
    assert.equal(logger.stats('HTTP').info, 0);
  });
});

describe('the entities log and logStats', () => {
  it('are one of each for every module', () => {
    const { logger } = loggerWith();
    const [logs, stats] = logTables(logger);
    const requester = { connection: undefined };
    const modules = [...logs!.entities(requester)];
    assert.deepEqual(
      modules.map(({ identity }) => identity),
      logger.modules.map((module) => `log/${module}`),
    );
    logger.log('AGENT', 'warning', 'x');
    const agent = [...stats!.entities(requester)].find(({ identity }) => identity === 'logStats/AGENT')!;
    assert.equal(Number(agent.attribute('warningCount')), 1);
    assert.equal(agent.attribute('nonsense'), null);
  });

  it('update a module, and refuse with the words of the old router', async () => {
    const { logger } = loggerWith();
    const [logs] = logTables(logger);
    const requester = { connection: undefined };
    const protocol = [...logs!.entities(requester)].find(({ identity }) => identity === 'log/PROTOCOL')!;
    await logs!.update!(protocol, { enable: 'trace+' }, requester);
    assert.equal(logger.isEnabled('PROTOCOL', 'trace'), true);
    assert.equal(protocol.attribute('enable'), 'trace+');
    assert.equal(protocol.attribute('outputFile'), null);
    assert.throws(
      () => logs!.update!(protocol, { outputFile: '' }, requester),
      new ManagementError(500, "CError: Configuration: Failed to open log file ''"),
    );
  });
});
