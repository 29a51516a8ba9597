// SPDX-License-Identifier: Apache-2.0

import type { Load } from './load.js';

export interface Case {
  readonly name: string;
  readonly title: string;
  readonly load: Load;
}

/** The first one is what `npm run bench` runs, and what changes are judged by. */
export const CASES: readonly [Case, ...Case[]] = [
  { name: 'unsettled', title: '100 B, unsettled, 1 pair', load: { sizeBytes: 100, settled: false, pairs: 1 } },
  { name: 'settled', title: '100 B, settled, 1 pair', load: { sizeBytes: 100, settled: true, pairs: 1 } },
  { name: 'pairs', title: '100 B, unsettled, 16 pairs', load: { sizeBytes: 100, settled: false, pairs: 16 } },
  { name: 'large', title: '10 kB, unsettled, 1 pair', load: { sizeBytes: 10_000, settled: false, pairs: 1 } },
];
