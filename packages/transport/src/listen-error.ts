// SPDX-License-Identifier: Apache-2.0
import { TransportError, codeOf, readable } from './transport-error.js';

/** Why a port cannot be opened, and what to do about it. */
export function describeListenError(error: Error, host: string, port: number): TransportError {
  const where = host === '' ? `port ${port}` : `${host}:${port}`;
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new TransportError(
        'address-in-use',
        `${where} cannot be opened: another program listens there.`,
        "Stop the other program, or change the listener's port.",
        error,
      );
    case 'EACCES':
      return new TransportError(
        'not-permitted',
        `${where} cannot be opened: this process has no right to it.`,
        "Set the listener's port to 1024 or above, or give the process the right.",
        error,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAFNOSUPPORT':
      return new TransportError(
        'address-not-available',
        `${where} cannot be opened: ${host} is no address of this machine.`,
        "Set the listener's host to an address of this machine, or leave it out to listen on all.",
        error,
      );
    default:
      return new TransportError(
        'other',
        `${where} cannot be opened: ${readable(error.message)}`,
        "Check the listener's host and port (0 to 65535).",
        error,
      );
  }
}
