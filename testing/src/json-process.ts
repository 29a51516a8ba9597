// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { whenOver } from './owner.js';
import type { Owner } from './owner.js';
import { until, within } from './wait.js';

/** What a program says of itself, one JSON object a line on stdout: `{"event": NAME, ...}`. */
export interface ProcessEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** The end of stderr that is kept for error messages, characters. */
const STDERR_MAX = 20_000;

/** A program that talks in lines of JSON, both ways. */
export class JsonProcess {
  /** All that it said, in order. */
  readonly events: ProcessEvent[] = [];
  readonly #name: string;
  readonly #child: ReturnType<typeof spawn>;
  readonly #ended: Promise<number | NodeJS.Signals | null>;
  #status: number | NodeJS.Signals | null | undefined;
  #stderr = '';
  /** Events before this one are taken. */
  #taken = 0;

  /** Starts a program; it is killed with its owner where it has not ended by then. */
  constructor(owner: Owner, name: string, program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#name = name;
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_MAX);
    });
    child.stdin.on('error', () => undefined);
    createInterface(child.stdout).on('line', (line) => {
      if (line.startsWith('{')) this.events.push(JSON.parse(line) as ProcessEvent);
      else this.#stderr = `${this.#stderr}${line}\n`.slice(-STDERR_MAX);
    });
    this.#ended = new Promise((resolve) => {
      child.on('error', (error) => {
        this.#stderr += error.message;
        this.#status = -1;
        resolve(-1);
      });
      child.on('close', (status, signal) => {
        this.#status = status ?? signal;
        resolve(status ?? signal);
      });
    });
    whenOver(owner, async () => {
      child.kill('SIGKILL');
      await this.#ended;
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Says something to it. */
  tell(command: object): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  count(event: string): number {
    return this.events.filter((one) => one.event === event).length;
  }

  /**
   * The next event of that name that was not taken yet; those before it are passed over.
   *
   * @throws Error where the program ends first, or reports an `error` while another event is waited for
   */
  async next(event: string): Promise<ProcessEvent> {
    return until(`event '${event}' of ${this.#name}`, () => {
      for (let i = this.#taken; i < this.events.length; i++) {
        const one = this.events[i]!;
        if (one.event !== event && one.event !== 'error') continue;
        this.#taken = i + 1;
        if (one.event !== event) throw new Error(`${this.#name}: ${JSON.stringify(one)}\n${this.#stderr}`);
        return one;
      }
      if (this.#status !== undefined) throw this.#endError(`before event '${event}'`);
      return undefined;
    });
  }

  /** Resolves when it has ended well. @throws Error where its exit status is not 0 */
  async done(): Promise<void> {
    const status = await within(`${this.#name} to end`, this.#ended);
    if (status !== 0) throw this.#endError('with a failure');
  }

  /** Ends it at once, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  #endError(when: string): Error {
    return new Error(
      `${this.#name} ended ${when}, status ${this.#status}\n${JSON.stringify(this.events.at(-1))}\n${this.#stderr}`,
    );
  }
}
