// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import os from 'node:os';
import { ROOT } from './peers.js';

/** What the figures were measured with: without it they say nothing. */
export function machine(): Readonly<Record<string, string | number>> {
  const processors = os.cpus();
  return {
    'Node.js': process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    kernel: os.release(),
    processor: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    commit: commit(),
  };
}

/** The commit that is checked out, with a plus where files were changed since. */
function commit(): string {
  const git = (...args: string[]): string | undefined => {
    const { status, stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
    return status === 0 ? stdout.trim() : undefined;
  };
  const id = git('rev-parse', '--short', 'HEAD');
  if (id === undefined) return 'unknown';
  return git('status', '--porcelain', '--untracked-files=no') === '' ? id : `${id}+`;
}
