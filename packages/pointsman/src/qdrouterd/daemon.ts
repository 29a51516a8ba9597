// SPDX-License-Identifier: Apache-2.0
import { fork } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RouterIo } from '../run/run-router.js';

/** What a daemon is told on its command line, as JSON. */
export interface DaemonOrder {
  /** Absolute: a daemon works in `/`. */
  readonly config: string;
  readonly pidFile: string | undefined;
  readonly user: string | undefined;
  readonly testHooks: boolean;
}

/** What a daemon tells the process that started it: once, and then the channel closes. */
export interface DaemonReport {
  readonly ok: boolean;
  /** All that it had to say on stderr so far. */
  readonly text: string;
}

/**
 * Starts the router as a process of its own session, without a terminal, and waits until it is up.
 *
 * @returns the exit status: 0 once the daemon is up, 1 where it is not, after its text was passed on to stderr
 */
export function startDaemon(order: DaemonOrder, io: Pick<RouterIo, 'stderr'>): Promise<number> {
  const absolute: DaemonOrder = {
    ...order,
    config: resolve(order.config),
    pidFile: order.pidFile === undefined ? undefined : resolve(order.pidFile),
  };
  return new Promise((done) => {
    const child = fork(fileURLToPath(new URL('./daemon-main.js', import.meta.url)), [JSON.stringify(absolute)], {
      detached: true,
      cwd: '/',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const end = (status: number, text: string): void => {
      io.stderr.write(text);
      child.removeAllListeners();
      if (child.connected) child.disconnect();
      child.unref();
      done(status);
    };
    child.once('error', (error) => end(1, `qdrouterd: the daemon could not be started: ${error.message}\n`));
    child.once('message', (message) => {
      const { ok, text } = message as DaemonReport;
      end(ok ? 0 : 1, text);
    });
    child.once('exit', (code, signal) =>
      end(1, `qdrouterd: the daemon ended before it was up (${signal ?? `status ${code}`})\n`),
    );
  });
}
