#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import type * as Command from './command.js';
import { load } from './load.js';

const { runCommand } = await load<typeof Command>('./command.js');
process.exitCode = await runCommand(process.argv.slice(2), process);
