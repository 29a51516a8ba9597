#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { runProcess } from '../dist/src/tools/run-process.js';
import { runQdmanage } from '../dist/src/tools/qdmanage.js';

await runProcess(runQdmanage);
