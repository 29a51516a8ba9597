// SPDX-License-Identifier: Apache-2.0
import { lookup } from 'node:dns/promises';
import type { HostAddresses } from '@pointsman/router';

/** A router neither starts nor stops later for the sake of a name server that does not answer. */
const PATIENCE_MS = 10_000;

type Found = readonly string[] | { readonly reason: string };

/** Looks up the addresses of hosts by their names. Never rejects: what is not found in time has a reason. */
export async function lookUpHosts(names: ReadonlySet<string>): Promise<HostAddresses> {
  const found = new Map(await Promise.all([...names].map(async (name) => [name, await lookUp(name)] as const)));
  return (name) => found.get(name) ?? { reason: 'it was not looked up' };
}

async function lookUp(name: string): Promise<Found> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Found>((resolve) => {
    timer = setTimeout(() => resolve({ reason: `no answer within ${PATIENCE_MS} ms` }), PATIENCE_MS);
  });
  const addresses = lookup(name, { all: true }).then(
    (all): Found => [...new Set(all.map(({ address }) => address))],
    (error: unknown): Found => ({
      reason: error instanceof Error && 'code' in error ? String(error.code) : String(error),
    }),
  );
  try {
    return await Promise.race([addresses, late]);
  } finally {
    clearTimeout(timer);
  }
}
