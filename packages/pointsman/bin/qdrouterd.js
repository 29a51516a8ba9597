#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { qdrouterdMain } from '../dist/src/qdrouterd/main.js';

await qdrouterdMain();
