#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { runProcess } from '../dist/src/tools/run-process.js';
import { runQdstat } from '../dist/src/tools/qdstat.js';

await runProcess(runQdstat);
