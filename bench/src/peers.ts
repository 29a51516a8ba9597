// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PeerCommand } from './peer.js';

/** The repository. This file runs from bench/dist/src. */
export const ROOT: string = fileURLToPath(new URL('../../..', import.meta.url));

/** The yardstick: every other peer is shown as a multiple of it. */
export const FLOOR = 'floor';

/** What a user would write to forward between clients on this machine. */
const ROUTER_CONFIG = `
router {
    mode: standalone
    id: bench
}

listener {
    host: 127.0.0.1
    port: 0
    role: normal
    authenticatePeer: no
    saslMechanisms: ANONYMOUS
}

address {
    prefix: bench
    distribution: balanced
}
`;

/** Everything that can be measured, the floor first. */
export const PEERS: Readonly<Record<string, () => PeerCommand>> = {
  [FLOOR]: () => nodeCommand(FLOOR, [join(ROOT, 'bench', 'load', 'floor.mjs')]),
  pointsman: () => {
    const main = join(ROOT, 'packages', 'pointsman', 'dist', 'src', 'main.js');
    if (!existsSync(main)) throw new Error(`${main} is not there: build first (npm run build)`);
    const config = join(mkdtempSync(join(tmpdir(), 'pointsman-bench-')), 'bench.conf');
    writeFileSync(config, ROUTER_CONFIG);
    return nodeCommand('pointsman', [main, '-c', config]);
  },
  rhea: () => nodeCommand('rhea', [fileURLToPath(new URL('rhea-relay.js', import.meta.url))]),
};

function nodeCommand(name: string, args: readonly string[]): PeerCommand {
  return { name, program: process.execPath, args };
}
