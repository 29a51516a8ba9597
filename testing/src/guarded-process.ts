// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** The end of what a program printed that is kept for error messages, characters. */
const OUTPUT_MAX = 20_000;

export interface GuardedProcess {
  /** The latest that it printed, on stdout and stderr. */
  output(): string;
  /** Resolves when all of it is gone. */
  readonly ended: Promise<void>;
  readonly hasEnded: boolean;
  /** Kills the whole group at once. */
  kill(): Promise<void>;
}

/**
 * Starts programs that may start further ones, in a process group of their own. All of it is killed by
 * {@link GuardedProcess.kill}, and when this process ends in any way, a SIGKILL included: the shell that leads the group
 * notices that its standard input is closed.
 *
 * @param script - shell commands, each ending in `&`
 */
export function startGuarded(script: string, env: NodeJS.ProcessEnv): GuardedProcess {
  const child: ChildProcess = spawn(
    '/bin/sh',
    ['-c', `exec 3<&0 </dev/null\n${script}\ncat <&3 >/dev/null\nkill -KILL 0`],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
      env,
      detached: true,
    },
  );
  let output = '';
  let hasEnded = false;
  const keep = (text: string): void => {
    output = (output + text).slice(-OUTPUT_MAX);
  };
  child.stdout?.setEncoding('utf8').on('data', keep);
  child.stderr?.setEncoding('utf8').on('data', keep);
  child.stdin?.on('error', () => undefined);
  // 'close' comes once nobody holds the output any more: then the whole group is gone.
  const ended = new Promise<void>((resolve) => {
    const over = (): void => {
      hasEnded = true;
      resolve();
    };
    child.on('close', over);
    child.on('error', (error) => {
      keep(error.message);
      over();
    });
  });
  return {
    output: () => output,
    ended,
    get hasEnded() {
      return hasEnded;
    },
    kill: async () => {
      child.stdin?.end();
      if (!hasEnded && child.pid !== undefined) {
        try {
          process.kill(-child.pid, 'SIGKILL');
        } catch {
          // It went by itself.
        }
      }
      await ended;
    },
  };
}
