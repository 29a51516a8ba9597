// SPDX-License-Identifier: Apache-2.0
import { lookup } from 'node:dns/promises';
import type { HostAddresses } from '@pointsman/router';

/** Looks up the addresses of hosts by their names. Never rejects: what is not found has a reason. */
export async function lookUpHosts(names: ReadonlySet<string>): Promise<HostAddresses> {
  const found = new Map<string, readonly string[] | { readonly reason: string }>(
    await Promise.all(
      [...names].map(async (name) => {
        try {
          const addresses = await lookup(name, { all: true });
          return [name, [...new Set(addresses.map(({ address }) => address))]] as const;
        } catch (error) {
          const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
          return [name, { reason }] as const;
        }
      }),
    ),
  );
  return (name) => found.get(name) ?? { reason: 'it was not looked up' };
}
