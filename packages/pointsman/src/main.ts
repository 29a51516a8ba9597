#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import type * as Command from './command.js';
import { load } from './load.js';
import { mindOutput } from './output-streams.js';
import type { OutputManner } from './output-streams.js';

const argv = process.argv.slice(2);
mindOutput(process, mannerOf(argv[0]));
const { runCommand } = await load<typeof Command>('./command.js');
process.exitCode = await runCommand(argv, process);

function mannerOf(command: string | undefined): OutputManner {
  if (command === undefined || command.startsWith('-') || command === 'namespace') return 'server';
  return command === 'demo' ? 'viewer' : 'command';
}
