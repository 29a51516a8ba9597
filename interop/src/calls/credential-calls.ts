// SPDX-License-Identifier: Apache-2.0
import { createHmac } from 'node:crypto';
import type { Owner } from '@pointsman/testing';
import { AzureClient, type ConnectOptions } from '../azure-client.js';
import { openNamespace } from '../azure-scene.js';
import type { CallRow } from './call-row.js';

const POLICY = { name: 'RootManageSharedAccessKey', key: 'SAS_KEY_VALUE' };

/** `ServiceBusClient` with credentials in place of a connection string: over TLS alone, so at a namespace of their own. */
export const CREDENTIAL_CALLS: readonly CallRow[] = [
  row('with a host and a NamedKeyCredential', (host) => ({ host, credential: POLICY })),
  row('with a host and a SASCredential', (host) => ({ host, credential: { signature: signatureFor(host) } })),
  row('with a host and a TokenCredential', (host) => ({ host, credential: { token: entraToken() } })),
  // That of the client goes on without SASL.
  row('with a connection string that has a SharedAccessSignature', (host) => ({
    connectionString: `Endpoint=sb://${host}/;SharedAccessSignature=${signatureFor(host)}`,
  })),
];

function row(what: string, optionsFor: (host: string) => ConnectOptions): CallRow {
  return {
    of: 'ServiceBusClient',
    call: 'constructor',
    what,
    run: async () => {
      const endings: (() => void | Promise<void>)[] = [];
      const owner: Owner = { after: (action) => void endings.push(action) };
      try {
        await roundTrip(owner, optionsFor);
      } finally {
        for (const end of endings.reverse()) await end();
      }
    },
    missingRouted: 'tokens at the router are tested apart, with connection strings',
  };
}

async function roundTrip(owner: Owner, optionsFor: (host: string) => ConnectOptions): Promise<void> {
  const cloud = await openNamespace(owner, { queues: ['orders'], acceptEntraTokens: true });
  const azure = new AzureClient(owner, cloud.caCertFile);
  const client = await azure.connect(optionsFor(`localhost:${cloud.ports.amqps}`));
  await (await client.sender('orders')).send({ body: 'a' });
  const receiver = await client.receiver('orders');
  await receiver.complete(await receiver.next());
  await client.close();
}

function signatureFor(host: string): string {
  const resource = encodeURIComponent(`sb://${host}/`);
  const expiry = Math.floor(Date.now() / 1000) + 600;
  const hmac = createHmac('sha256', POLICY.key).update(`${resource}\n${expiry}`).digest('base64');
  return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(hmac)}&se=${expiry}&skn=${POLICY.name}`;
}

/** What the cloud would sign. */
function entraToken(): string {
  const claims = { aud: 'https://servicebus.azure.net', exp: Math.floor(Date.now() / 1000) + 600 };
  return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
}
