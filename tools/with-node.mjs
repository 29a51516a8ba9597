// SPDX-License-Identifier: Apache-2.0

/**
 * Runs a command of tools/run.mjs under another version of Node.js, which npm fetches into its cache.
 *
 *     node tools/with-node.mjs 24 -- test wire
 */

import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const [version, separator, ...command] = process.argv.slice(2);

if (version === undefined || !/^\d+(\.\d+){0,2}$/.test(version) || separator !== '--' || command.length === 0) {
  process.stderr.write('usage: node tools/with-node.mjs VERSION -- COMMAND [ARGUMENT ...]\n');
  process.stderr.write('       VERSION as 22 or 22.12.0, COMMAND as of tools/run.mjs\n');
  process.exitCode = 2;
} else {
  const { status } = spawnSync(
    'npm',
    ['exec', '--yes', `--package=node@${version}`, '--', 'node', 'tools/run.mjs', ...command],
    { cwd: fileURLToPath(new URL('..', import.meta.url)), stdio: 'inherit', shell: process.platform === 'win32' },
  );
  process.exitCode = status ?? 1;
}
