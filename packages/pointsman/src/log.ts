// SPDX-License-Identifier: Apache-2.0
import type { Writable } from 'node:stream';
import { entityTypeOf } from '@pointsman/management';
import { parseLogLevels } from './config/log-levels.js';
import type { LogLevel } from './config/log-levels.js';
import type { LogConfig } from './config/model.js';
import { LogHistory } from './log/history.js';
import type { LogCounts, LogRow } from './log/history.js';
import { FALLBACK, enableText } from './log/settings.js';
import type { ModuleSettings } from './log/settings.js';
import { FileSink, LogError, SYSLOG_COMMAND, StreamSink, SyslogSink } from './log/sinks.js';
import type { Sink } from './log/sinks.js';
import { callerPlace } from './log/source-place.js';
import { TimestampFormat, microClock } from './log/timestamp.js';

export { LogError } from './log/sinks.js';
export type { LogCounts, LogRow } from './log/history.js';

/** New settings of a module. What is left out stays. */
export interface LogChanges {
  /** As in the configuration: `info+`, `debug, error`, `none`, `default`. */
  readonly enable?: string;
  readonly includeTimestamp?: boolean;
  readonly includeSource?: boolean;
  readonly outputFile?: string;
}

/** Writes what happens, line by line, in the modules and levels of the old router. */
export interface Logger {
  log(module: string, level: LogLevel, text: string): void;
  /** Writes a line that was asked for by itself, whatever the levels of its module are. */
  logAlways(module: string, level: LogLevel, text: string): void;
  isEnabled(module: string, level: LogLevel): boolean;
  /** Resolves when everything is written. */
  close(): Promise<void>;
  /** Modules that can be configured, DEFAULT among them. */
  readonly modules: readonly string[];
  /** What was given for a module; DEFAULT is complete. */
  settings(module: string): LogChanges;
  /**
   * Changes a module at once.
   *
   * @throws LogError for a word that is no level, and a file that cannot be opened; then nothing has changed
   */
  update(module: string, changes: LogChanges): void;
  /** The last lines, at most 1000 and `limit`; 0 or less: all. Oldest first. */
  recent(limit: number): readonly LogRow[];
  /** Lines that a module has written, by level. */
  stats(module: string): LogCounts;
  /** Is called behind every {@link update}. @returns ends that */
  onUpdate(listener: () => void): () => void;
}

export interface LoggerOptions {
  readonly logs?: readonly LogConfig[];
  readonly stderr?: Writable & { isTTY?: boolean };
  readonly stdout?: Writable & { isTTY?: boolean };
  readonly utc?: boolean;
  /** As strftime has it, `%%06lu` for the microseconds. Default: `%Y-%m-%d %H:%M:%S.%%06lu %z`. */
  readonly timestampFormat?: string | undefined;
  /** Lines of text, or one JSON object a line. Default: what the environment variable POINTSMAN_LOG_FORMAT says, or text. */
  readonly format?: 'text' | 'json';
  /** Command that takes lines for syslog, each behind its `<severity>`. Default: `logger` of util-linux. */
  readonly syslogCommand?: readonly string[];
  /** Ms since 1970, with a fraction. */
  readonly now?: () => number;
}

/** Longest text of a line, in characters: what the old router wrote, and enough for anybody. */
const TEXT_MAX = 2047;

const PAINT: Readonly<Partial<Record<LogLevel, string>>> = {
  warning: '\u001b[33m',
  error: '\u001b[31m',
  critical: '\u001b[1;31m',
  notice: '\u001b[36m',
  debug: '\u001b[2m',
  trace: '\u001b[2m',
};

const LOG_MODULES: readonly string[] =
  entityTypeOf('log')?.attributes.find(({ name }) => name === 'module')?.values ?? [];

const NO_LINES: LogCounts = { trace: 0, debug: 0, info: 0, notice: 0, warning: 0, error: 0, critical: 0 };

export const silentLogger: Logger = {
  log: () => undefined,
  logAlways: () => undefined,
  isEnabled: () => false,
  close: () => Promise.resolve(),
  modules: LOG_MODULES,
  settings: () => ({}),
  update: () => undefined,
  recent: () => [],
  stats: () => NO_LINES,
  onUpdate: () => () => undefined,
};

/**
 * A logger as the `log` sections of a configuration have it.
 *
 * @throws LogError where a file cannot be opened
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  return new ModuleLogger(options);
}

/** What holds for a module, whoever said it. */
interface Effective {
  readonly levels: ReadonlySet<LogLevel>;
  readonly timestamp: boolean;
  readonly source: boolean;
  readonly sink: Sink;
}

const NOTHING_GIVEN: ModuleSettings = {
  enable: undefined,
  levels: undefined,
  includeTimestamp: undefined,
  includeSource: undefined,
  outputFile: undefined,
};

class ModuleLogger implements Logger {
  readonly modules: readonly string[] = LOG_MODULES;
  #given = new Map<string, ModuleSettings>();
  #effective = new Map<string, Effective>();
  #default: Effective;
  readonly #sinks = new Map<string, Sink>();
  readonly #stderr: StreamSink;
  readonly #stdout: StreamSink;
  readonly #syslogCommand: readonly string[];
  readonly #history = new LogHistory();
  readonly #listeners = new Set<() => void>();
  readonly #now: () => number;
  readonly #timestamp: TimestampFormat;
  readonly #isJson: boolean;

  constructor(options: LoggerOptions) {
    const { stderr = process.stderr, stdout = process.stdout, logs = [] } = options;
    this.#now = options.now ?? microClock();
    this.#timestamp = new TimestampFormat(options.timestampFormat, options.utc);
    this.#isJson = (options.format ?? process.env['POINTSMAN_LOG_FORMAT']) === 'json';
    this.#stderr = new StreamSink(stderr);
    this.#stdout = new StreamSink(stdout);
    this.#syslogCommand = options.syslogCommand ?? SYSLOG_COMMAND;
    for (const { module, levels, includeTimestamp, includeSource, outputFile } of logs) {
      const enable = levels === undefined ? undefined : enableText(levels);
      this.#given.set(module, { enable, levels, includeTimestamp, includeSource, outputFile });
    }
    this.#default = this.#apply(this.#given);
  }

  isEnabled(module: string, level: LogLevel): boolean {
    return (this.#effective.get(module) ?? this.#default).levels.has(level);
  }

  log(module: string, level: LogLevel, text: string): void {
    if (this.isEnabled(module, level)) this.logAlways(module, level, text);
  }

  logAlways(module: string, level: LogLevel, text: string): void {
    const { timestamp, source, sink } = this.#effective.get(module) ?? this.#default;
    const now = this.#now();
    // What a peer wrote must not forge lines or drive the terminal.
    // eslint-disable-next-line no-control-regex
    const shown = text.slice(0, TEXT_MAX).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');
    const place = source ? callerPlace() : undefined;
    this.#history.add([module, level, shown, place?.file ?? null, place?.line ?? null, Math.floor(now / 1000)]);
    const time = timestamp && !sink.timed ? this.#timestamp.render(now) : undefined;
    if (this.#isJson) {
      sink.write(JSON.stringify({ time, module, level, text: shown, file: place?.file, line: place?.line }), level);
      return;
    }
    const paint = sink.color ? PAINT[level] : undefined;
    const body = `${module} (${level}) ${shown}${place === undefined ? '' : ` (${place.file}:${place.line})`}`;
    const painted = paint === undefined ? body : `${paint}${body}\u001b[0m`;
    sink.write(time === undefined ? painted : `${time} ${painted}`, level);
  }

  settings(module: string): LogChanges {
    const isDefault = module === 'DEFAULT';
    const { enable, includeTimestamp, includeSource, outputFile } = this.#given.get(module) ?? NOTHING_GIVEN;
    const settings = {
      enable: enable ?? (isDefault ? enableText(FALLBACK.levels) : 'default'),
      includeTimestamp: includeTimestamp ?? (isDefault ? FALLBACK.includeTimestamp : undefined),
      includeSource: includeSource ?? (isDefault ? FALLBACK.includeSource : undefined),
      outputFile: outputFile ?? (isDefault ? FALLBACK.outputFile : undefined),
    };
    return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as LogChanges;
  }

  update(module: string, changes: LogChanges): void {
    if (!this.modules.includes(module)) throw new LogError(`there is no log module '${module}'`);
    const before = this.#given.get(module) ?? NOTHING_GIVEN;
    const given = new Map(this.#given);
    given.set(module, {
      includeTimestamp: changes.includeTimestamp ?? before.includeTimestamp,
      includeSource: changes.includeSource ?? before.includeSource,
      outputFile: changes.outputFile ?? before.outputFile,
      ...(changes.enable === undefined
        ? { enable: before.enable, levels: before.levels }
        : { enable: changes.enable, levels: levelsOf(changes.enable) }),
    });
    this.#default = this.#apply(given);
    this.#given = given;
    for (const listener of this.#listeners) listener();
  }

  recent(limit: number): readonly LogRow[] {
    return this.#history.recent(limit);
  }

  stats(module: string): LogCounts {
    return this.#history.counts(module);
  }

  onUpdate(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sinks.values()].map((sink) => sink.close()));
  }

  /** Opens what is new, settles what holds for each module, closes what nobody writes to any more. */
  #apply(given: ReadonlyMap<string, ModuleSettings>): Effective {
    const common = given.get('DEFAULT') ?? NOTHING_GIVEN;
    const commonFile = common.outputFile ?? FALLBACK.outputFile;
    const files = new Set([commonFile]);
    for (const { outputFile } of given.values()) if (outputFile !== undefined) files.add(outputFile);
    this.#open(files);
    const standard: Effective = {
      levels: common.levels ?? FALLBACK.levels,
      timestamp: common.includeTimestamp ?? FALLBACK.includeTimestamp,
      source: common.includeSource ?? FALLBACK.includeSource,
      sink: this.#sinkOf(commonFile),
    };
    const effective = new Map<string, Effective>();
    for (const [module, { levels, includeTimestamp, includeSource, outputFile }] of given) {
      effective.set(module, {
        levels: levels ?? standard.levels,
        timestamp: includeTimestamp ?? standard.timestamp,
        source: includeSource ?? standard.source,
        sink: outputFile === undefined ? standard.sink : this.#sinkOf(outputFile),
      });
    }
    this.#effective = effective;
    for (const [name, sink] of this.#sinks) {
      if (files.has(name)) continue;
      this.#sinks.delete(name);
      void sink.close();
    }
    return standard;
  }

  #open(files: ReadonlySet<string>): void {
    const complain = (text: string): void => this.#stderr.write(text);
    const opened: [string, Sink][] = [];
    try {
      for (const name of files) {
        if (name === 'stderr' || name === 'stdout' || this.#sinks.has(name)) continue;
        const sink =
          name === 'syslog'
            ? new SyslogSink(this.#syslogCommand, this.#stderr, complain)
            : new FileSink(name, complain);
        opened.push([name, sink]);
      }
    } catch (error) {
      for (const [, sink] of opened) void sink.close();
      throw error;
    }
    for (const [name, sink] of opened) this.#sinks.set(name, sink);
  }

  #sinkOf(name: string): Sink {
    if (name === 'stderr') return this.#stderr;
    if (name === 'stdout') return this.#stdout;
    return this.#sinks.get(name)!;
  }
}

/** @throws LogError for a word that is no level */
function levelsOf(enable: string): ReadonlySet<LogLevel> | undefined {
  const parsed = parseLogLevels(enable);
  if ('levels' in parsed) return parsed.levels;
  const allowed = '{none, trace, debug, info, notice, warning, error, critical}';
  throw new LogError(`'${enable}' is not a valid log level. Should be one of ${allowed}.`);
}
