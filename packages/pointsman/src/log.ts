// SPDX-License-Identifier: Apache-2.0
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import type { LogConfig } from './config/model.js';
import { LOG_LEVELS } from './config/log-levels.js';
import type { LogLevel } from './config/log-levels.js';

/** Writes what happens, line by line, in the modules and levels of the old router. */
export interface Logger {
  log(module: string, level: LogLevel, text: string): void;
  isEnabled(module: string, level: LogLevel): boolean;
  /** Resolves when everything is written. */
  close(): Promise<void>;
}

export interface LoggerOptions {
  readonly logs?: readonly LogConfig[];
  readonly stderr?: Writable & { isTTY?: boolean };
  readonly stdout?: Writable & { isTTY?: boolean };
  readonly utc?: boolean;
  readonly now?: () => Date;
}

/** Longest text of a line, in characters: what the old router wrote, and enough for anybody. */
const TEXT_MAX = 2047;

const DEFAULT_LEVELS: ReadonlySet<LogLevel> = new Set(LOG_LEVELS.slice(LOG_LEVELS.indexOf('info')));

const PAINT: Readonly<Partial<Record<LogLevel, string>>> = {
  warning: '\u001b[33m',
  error: '\u001b[31m',
  critical: '\u001b[1;31m',
  notice: '\u001b[36m',
  debug: '\u001b[2m',
  trace: '\u001b[2m',
};

interface Sink {
  readonly stream: Writable;
  readonly color: boolean;
  readonly owned: boolean;
}

interface ModuleSettings {
  readonly levels: ReadonlySet<LogLevel>;
  readonly timestamp: boolean;
  readonly sink: Sink;
}

export const silentLogger: Logger = { log: () => undefined, isEnabled: () => false, close: () => Promise.resolve() };

/** A logger as the `log` sections of a configuration have it. */
export function createLogger(options: LoggerOptions = {}): Logger {
  return new TextLogger(options);
}

class TextLogger implements Logger {
  readonly #modules = new Map<string, ModuleSettings>();
  readonly #default: ModuleSettings;
  readonly #sinks = new Map<string, Sink>();
  readonly #now: () => Date;
  readonly #utc: boolean;

  constructor(options: LoggerOptions) {
    const { stderr = process.stderr, stdout = process.stdout, logs = [] } = options;
    this.#now = options.now ?? ((): Date => new Date());
    this.#utc = options.utc ?? false;
    this.#sinks.set('stderr', { stream: stderr, color: stderr.isTTY === true, owned: false });
    this.#sinks.set('stdout', { stream: stdout, color: stdout.isTTY === true, owned: false });
    const common = logs.find(({ module }) => module === 'DEFAULT');
    this.#default = {
      levels: common?.levels ?? DEFAULT_LEVELS,
      timestamp: common?.includeTimestamp ?? true,
      sink: this.#sink(common?.outputFile ?? 'stderr'),
    };
    for (const { module, levels, includeTimestamp, outputFile } of logs) {
      this.#modules.set(module, {
        levels: levels ?? this.#default.levels,
        timestamp: includeTimestamp ?? this.#default.timestamp,
        sink: outputFile === undefined ? this.#default.sink : this.#sink(outputFile),
      });
    }
  }

  isEnabled(module: string, level: LogLevel): boolean {
    return (this.#modules.get(module) ?? this.#default).levels.has(level);
  }

  log(module: string, level: LogLevel, text: string): void {
    const { levels, timestamp, sink } = this.#modules.get(module) ?? this.#default;
    if (!levels.has(level)) return;
    // What a peer wrote must not forge lines or drive the terminal.
    // eslint-disable-next-line no-control-regex
    const shown = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, TEXT_MAX);
    const paint = sink.color ? PAINT[level] : undefined;
    const head = timestamp ? `${stampOf(this.#now(), this.#utc)} ` : '';
    const body = `${module} (${level}) ${shown}`;
    sink.stream.write(`${head}${paint === undefined ? body : `${paint}${body}\u001b[0m`}\n`);
  }

  async close(): Promise<void> {
    const owned = [...this.#sinks.values()].filter((sink) => sink.owned);
    await Promise.all(owned.map((sink) => new Promise<void>((resolve) => sink.stream.end(() => resolve()))));
  }

  #sink(name: string): Sink {
    let sink = this.#sinks.get(name);
    if (sink === undefined) {
      const stream = createWriteStream(name, { flags: 'a' });
      stream.on('error', (error) => process.stderr.write(`Cannot write log output to '${name}': ${error.message}\n`));
      sink = { stream, color: false, owned: true };
      this.#sinks.set(name, sink);
    }
    return sink;
  }
}

const two = (value: number): string => String(value).padStart(2, '0');

/** `2026-01-31 12:00:00.123000 +0100` */
function stampOf(date: Date, utc: boolean): string {
  const offset = utc ? 0 : -date.getTimezoneOffset();
  const shifted = new Date(date.getTime() + offset * 60_000);
  const day = `${shifted.getUTCFullYear()}-${two(shifted.getUTCMonth() + 1)}-${two(shifted.getUTCDate())}`;
  const time = `${two(shifted.getUTCHours())}:${two(shifted.getUTCMinutes())}:${two(shifted.getUTCSeconds())}`;
  const micros = `${String(shifted.getUTCMilliseconds()).padStart(3, '0')}000`;
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  return `${day} ${time}.${micros} ${zone}`;
}
