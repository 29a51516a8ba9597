#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { runCommand } from './command.js';

const argv = process.argv.slice(2);
// A reader who has seen enough (`| head`) ends a command. A router is none: it goes on without readers.
if (argv[0]?.startsWith('-') === false) {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
process.exitCode = await runCommand(argv, process);
