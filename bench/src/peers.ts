// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPeer, type Peer, type PeerCommand } from './peer.js';

/** The repository. This file runs from bench/dist/src. */
export const ROOT: string = fileURLToPath(new URL('../../..', import.meta.url));

/** The yardstick: every other peer is shown as a multiple of it. */
export const FLOOR = 'floor';

/** This router. */
export const OURS = 'pointsman';

/** Something to measure: one of {@link PEERS}, which is started, or what runs already. */
export interface Contender {
  readonly name: string;
  /** A peer that was named on the command line. */
  readonly isNamed: boolean;
  /** @returns the peer; its `stop` ends it, where it was started here */
  start(): Promise<Peer>;
}

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
  [OURS]: () => {
    const main = join(ROOT, 'packages', 'pointsman', 'dist', 'src', 'main.js');
    if (!existsSync(main)) throw new Error(`${main} is not there: build first (npm run build)`);
    const config = configFile();
    return nodeCommand(OURS, [main, '-c', config]);
  },
  rhea: () => nodeCommand('rhea', [fileURLToPath(new URL('rhea-relay.js', import.meta.url))]),
};

/** @throws Error where there is no such peer */
export function builtInContender(name: string): Contender {
  const command = PEERS[name];
  if (command === undefined) throw new Error(`there is no peer '${name}'`);
  return { name, isNamed: false, start: () => startPeer(command()) };
}

/**
 * A router that runs already: `NAME=HOST:PORT,PID`, HOST a dotted IPv4 address.
 *
 * @throws Error where the text has another form, or there is no such process
 */
export function namedContender(text: string): Contender {
  const match = /^([^=]+)=(\d+\.\d+\.\d+\.\d+:\d+),(\d+)$/.exec(text);
  if (match === null)
    throw new Error(`--peer is '${text}', which is not NAME=HOST:PORT,PID (HOST a dotted IPv4 address)`);
  const [, name = '', endpoint = '', pid = ''] = match;
  if (PEERS[name] !== undefined)
    throw new Error(`--peer: '${name}' is the name of a peer that the bench starts itself`);
  if (!existsSync(`/proc/${pid}`)) throw new Error(`--peer: there is no process ${pid}`);
  const peer: Peer = { name, pid: Number(pid), endpoint, startMillis: undefined, stop: () => Promise.resolve() };
  return { name, isNamed: true, start: () => Promise.resolve(peer) };
}

let configPath: string | undefined;

/** The router's configuration file, written once for this process. */
function configFile(): string {
  if (configPath === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'pointsman-bench-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    configPath = join(folder, 'bench.conf');
    writeFileSync(configPath, ROUTER_CONFIG);
  }
  return configPath;
}

function nodeCommand(name: string, args: readonly string[]): PeerCommand {
  return { name, program: process.execPath, args };
}
