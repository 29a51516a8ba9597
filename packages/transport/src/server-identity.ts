// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { isIPv6 } from 'node:net';
import * as tls from 'node:tls';

/**
 * Whether a certificate is for the host that was asked for: as Node.js has it, some of whose versions (22.23) find no address of
 * IPv6 in any certificate.
 *
 * @param name - name or address of the host
 * @returns undefined where it is
 */
export function checkServerIdentity(name: string, certificate: tls.PeerCertificate): Error | undefined {
  const problem = tls.checkServerIdentity(name, certificate);
  if (problem === undefined || !isIPv6(name)) return problem;
  return new X509Certificate(certificate.raw).checkIP(name) === undefined ? problem : undefined;
}
