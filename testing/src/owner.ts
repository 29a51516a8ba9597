// SPDX-License-Identifier: Apache-2.0
import { after } from 'node:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What lives as long as something else: the context of a test, or the hooks of a test file. */
export interface Owner {
  after(action: () => void | Promise<void>): void;
}

const stacks = new WeakMap<Owner, (() => void | Promise<void>)[]>();

/** Has `action` run when the owner ends, whatever the outcome: the latest first, each even where another one failed. */
export function whenOver(owner: Owner, action: () => void | Promise<void>): void {
  const known = stacks.get(owner);
  if (known !== undefined) {
    known.push(action);
    return;
  }
  const stack = [action];
  stacks.set(owner, stack);
  owner.after(async () => {
    const errors: unknown[] = [];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      try {
        await next();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  });
}

/** For what all tests of a file share. To be called at the top of the file, outside of tests and hooks. */
export function fileOwner(): Owner {
  const actions: (() => void | Promise<void>)[] = [];
  after(async () => {
    for (const action of actions) await action();
  });
  return { after: (action) => void actions.push(action) };
}

/** A folder that is gone when its owner is. @returns its path */
export async function temporaryFolder(owner: Owner): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'pointsman-test-'));
  whenOver(owner, () => rm(path, { recursive: true, force: true }));
  return path;
}
