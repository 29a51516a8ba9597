// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { RABBITMQ_PROGRAM } from './rabbitmq.js';

/** Debian's Python: its modules are for it alone, whichever comes first on the PATH. */
export const PYTHON = '/usr/bin/python3';

/** A program of others that tests need. */
export type PeerName = 'Qpid Proton (Python)' | 'RabbitMQ';

interface Peer {
  readonly debianPackage: string;
  isThere(): boolean;
}

const PEERS: Readonly<Record<PeerName, Peer>> = {
  'Qpid Proton (Python)': {
    debianPackage: 'python3-qpid-proton',
    isThere: () => existsSync(PYTHON) && spawnSync(PYTHON, ['-c', 'import proton'], { stdio: 'ignore' }).status === 0,
  },
  RabbitMQ: { debianPackage: 'rabbitmq-server', isThere: () => existsSync(RABBITMQ_PROGRAM) },
};

/**
 * For the `skip` option of tests that need a program of others.
 *
 * @param isThere - looks for it
 * @returns false where it is there, else why the tests are left out
 * @throws Error where it is missing and `POINTSMAN_REQUIRE_PEERS=1` says that it must not be
 */
export function skipWithout(name: PeerName, isThere: () => boolean = PEERS[name].isThere): string | false {
  if (isThere()) return false;
  const reason = `${name} is not installed (Debian package ${PEERS[name].debianPackage})`;
  if (process.env['POINTSMAN_REQUIRE_PEERS'] === '1') throw new Error(`${reason}, and POINTSMAN_REQUIRE_PEERS=1`);
  return reason;
}
