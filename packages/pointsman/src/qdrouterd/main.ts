// SPDX-License-Identifier: Apache-2.0
import { load } from '../load.js';
import { mindOutput } from '../output-streams.js';
import type * as Command from './command.js';

/** Runs qdrouterd as this process. Ends by the signal that stopped it, where the caller is to see that. */
export async function qdrouterdMain(): Promise<void> {
  mindOutput(process, 'server');
  const { runQdrouterd } = await load<typeof Command>('./qdrouterd/command.js');
  const { status, signal } = await runQdrouterd(process.argv.slice(2), process);
  if (signal !== undefined) process.kill(process.pid, signal);
  process.exitCode = status;
}
