// SPDX-License-Identifier: Apache-2.0
import { mindOutput } from '../output-streams.js';
import type { ToolIo } from './tool-io.js';

/** Runs a tool as this process: an interrupt ends it with status 1, a reader who has seen enough (`| head`) with 0. */
export async function runProcess(run: (argv: readonly string[], io: ToolIo) => Promise<number>): Promise<void> {
  process.once('SIGINT', () => {
    process.stdout.write('\n');
    process.exit(1);
  });
  mindOutput(process, 'viewer');
  process.exitCode = await run(process.argv.slice(2), process);
}
