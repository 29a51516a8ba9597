// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { LogLevel } from '../config/log-levels.js';
import { wantsColor } from './color.js';

/** Where lines of the log go. */
export interface Sink {
  /** Lines may be painted. */
  readonly color: boolean;
  /** Lines carry no time: it is added where they go. */
  readonly timed: boolean;
  /** @param line - without its end */
  write(line: string, level: LogLevel): void;
  /** Resolves when all is written. Nothing is written from then on. */
  close(): Promise<void>;
}

/** A change of the log's settings that cannot be made. Nothing has changed then. */
export class LogError extends Error {
  override readonly name = 'LogError';
  /** What is behind it, for people. */
  readonly hint: string;

  constructor(message: string, hint = '') {
    super(message);
    this.hint = hint;
  }
}

/** A stream of the process, which is not closed. */
export class StreamSink implements Sink {
  readonly color: boolean;
  readonly timed = false;
  readonly #stream: Writable;

  constructor(stream: Writable & { isTTY?: boolean }) {
    this.#stream = stream;
    this.color = wantsColor(stream);
  }

  write(line: string): void {
    this.#stream.write(`${line}\n`);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A file that lines are appended to. Each is with the system when the call returns, so that a crash loses none. */
export class FileSink implements Sink {
  readonly color = false;
  readonly timed = false;
  readonly #name: string;
  readonly #complain: (text: string) => void;
  #descriptor: number | undefined;
  #failing = false;

  /** @throws LogError where it cannot be opened */
  constructor(name: string, complain: (text: string) => void) {
    this.#name = name;
    this.#complain = complain;
    try {
      this.#descriptor = openSync(name, 'a', 0o666);
    } catch (error) {
      throw new LogError(`Failed to open log file '${name}'`, `${messageOf(error)}.`);
    }
  }

  write(line: string): void {
    if (this.#descriptor === undefined) return;
    try {
      const bytes = Buffer.from(`${line}\n`);
      for (let at = 0; at < bytes.length;) at += writeSync(this.#descriptor, bytes, at);
      this.#failing = false;
    } catch (error) {
      // A disk that is full is no reason to stop forwarding. Once, not with every line.
      if (!this.#failing) this.#complain(`Cannot write log output to '${this.#name}': ${messageOf(error)}`);
      this.#failing = true;
    }
  }

  close(): Promise<void> {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    return Promise.resolve();
  }
}

/** Severities of syslog. */
const SEVERITIES: Readonly<Record<LogLevel, number>> = {
  critical: 2,
  error: 3,
  warning: 4,
  notice: 5,
  info: 6,
  debug: 7,
  trace: 7,
};

/** Reads lines that begin with `<severity>`, and gives them to the system's log. Of util-linux; systemd or not. */
export const SYSLOG_COMMAND: readonly string[] = [
  'logger',
  '--prio-prefix',
  '--priority',
  'daemon.notice',
  '--tag',
  'pointsman',
  `--id=${process.pid}`,
];

/** Bytes that may wait for a syslog that does not take them. */
const SYSLOG_WAITING_MAX = 1 << 20;
/** Time that a syslog has to take the last lines, in ms. */
const SYSLOG_CLOSE_MS = 2_000;

/**
 * The system's log, facility daemon. Its socket takes datagrams, which Node.js cannot send, so that the command `logger`
 * stands between. Where it is not there, or ends, lines go to `instead`.
 */
export class SyslogSink implements Sink {
  readonly color = false;
  readonly timed = true;
  readonly #instead: Sink;
  readonly #ended: Promise<void>;
  #child: ChildProcess | undefined;
  #closing = false;
  #dropped = 0;

  constructor([command, ...args]: readonly string[], instead: Sink, complain: (text: string) => void) {
    this.#instead = instead;
    const child = spawn(command!, args, { stdio: ['pipe', 'ignore', 'ignore'] });
    this.#child = child;
    // It must not keep a process alive that has nothing else to do.
    child.unref();
    this.#ended = new Promise((resolve) => {
      const over = (why: string): void => {
        if (this.#child !== undefined && !this.#closing) {
          complain(`Cannot write log output to 'syslog': ${why}. It goes to stderr instead.`);
        }
        this.#child = undefined;
        resolve();
      };
      child.on('error', (error) => over(error.message));
      child.on('close', (code) => over(`${command} ended with status ${code}`));
      child.stdin!.on('error', () => undefined);
    });
  }

  write(line: string, level: LogLevel): void {
    const stdin = this.#child?.stdin;
    if (this.#closing) return;
    if (stdin === undefined || stdin === null) return this.#instead.write(line, level);
    if (stdin.writableLength > SYSLOG_WAITING_MAX) {
      this.#dropped++;
      return;
    }
    if (this.#dropped > 0) stdin.write(`<4>${this.#dropped} lines were dropped, syslog was too slow\n`);
    this.#dropped = 0;
    stdin.write(`<${SEVERITIES[level]}>${line}\n`);
  }

  async close(): Promise<void> {
    this.#closing = true;
    const child = this.#child;
    if (child === undefined) return;
    child.ref();
    child.stdin!.end();
    const timer = setTimeout(() => child.kill(), SYSLOG_CLOSE_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
