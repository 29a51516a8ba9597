// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { RABBITMQ_PROGRAM } from './rabbitmq.js';

/** Debian's Python: its modules are for it alone, whichever comes first on the PATH. */
export const PYTHON = '/usr/bin/python3';

/** A program of others that tests need. */
export type PeerName = 'Qpid Proton (Python)' | 'RabbitMQ' | 'azure-servicebus (Python)';

interface Peer {
  readonly debianPackage: string;
  /** Hundreds of megabytes, which not every machine for tests needs to have. */
  readonly isLarge?: boolean;
  isThere(): boolean;
}

const PEERS: Readonly<Record<PeerName, Peer>> = {
  'Qpid Proton (Python)': {
    debianPackage: 'python3-qpid-proton',
    isThere: () => existsSync(PYTHON) && spawnSync(PYTHON, ['-c', 'import proton'], { stdio: 'ignore' }).status === 0,
  },
  // Of 7.12 or later, which Debian has from 13 on: those before have another AMQP library, which trusts no authority but its own.
  'azure-servicebus (Python)': {
    debianPackage: 'python3-azure',
    isLarge: true,
    isThere: () =>
      existsSync(PYTHON) &&
      spawnSync(PYTHON, ['-c', 'import websocket, azure.servicebus._pyamqp, azure.eventhub._pyamqp'], {
        stdio: 'ignore',
      }).status === 0,
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
  const { debianPackage, isLarge } = PEERS[name];
  const reason = `${name} is not installed (Debian package ${debianPackage})`;
  if (isLarge !== true && process.env['POINTSMAN_REQUIRE_PEERS'] === '1')
    throw new Error(`${reason}, and POINTSMAN_REQUIRE_PEERS=1`);
  return reason;
}
