// SPDX-License-Identifier: Apache-2.0
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readSmallFile } from '@pointsman/transport';
import { fileFailure } from './file-failure.js';

/** A file cannot be had for oneself. The message says why and what to do. */
export class FileLockError extends Error {}

/** A file beside another one, which says what process has that one to itself. */
export class FileLock {
  readonly #path: string;
  #isLocked = false;

  /**
   * @param path - of the file that is wanted
   * @param owner - what processes have it: 'router'
   * @throws FileLockError where another process has it, or nothing can be written there
   */
  constructor(path: string, owner: string) {
    this.#path = `${path}.lock`;
    for (let attempt = 0; ; attempt++) {
      try {
        writeFileSync(this.#path, `${process.pid} ${startOf(process.pid) ?? ''}\n`, { flag: 'wx' });
        this.#isLocked = true;
        return;
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        if (code !== 'EEXIST') {
          const why = code === 'ENOENT' ? 'its folder is not there' : fileFailure(error);
          throw new FileLockError(`${this.#path} cannot be made: ${why}`);
        }
        const { pid, start } = ownerOf(this.#path);
        if (attempt > 0 || isAlive(pid, start))
          throw new FileLockError(
            `${path} is in use by process ${pid}; where that is no ${owner}, remove ${this.#path}`,
          );
        rmSync(this.#path, { force: true });
      }
    }
  }

  /** Idempotent: by then it may be somebody else's. */
  release(): void {
    if (!this.#isLocked) return;
    this.#isLocked = false;
    rmSync(this.#path, { force: true });
  }
}

interface Owner {
  /** 0 where the lock says nothing. */
  readonly pid: number;
  /** When that process began, where the system says so. */
  readonly start: string | undefined;
}

function ownerOf(lockPath: string): Owner {
  try {
    const [, pid, start] = /^(\d{1,10})(?: (\d+))?\s*$/u.exec(readSmallFile(lockPath, 100).toString('latin1')) ?? [];
    return { pid: Number(pid ?? 0), start };
  } catch {
    return { pid: 0, start: undefined };
  }
}

/** Numbers of processes come again: in a container each start may have the one of the last. */
function isAlive(pid: number, start: string | undefined): boolean {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  const now = startOf(pid);
  return start === undefined || now === undefined || start === now;
}

/** In ticks since the machine was started, or undefined where the system does not say. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name before it may have blanks and brackets in it. The first field behind it is the third of all.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[22 - 3];
  } catch {
    return undefined;
  }
}
