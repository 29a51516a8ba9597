// SPDX-License-Identifier: Apache-2.0
import { describe, it } from 'node:test';
import { skipWithout, startRouter, until } from '@pointsman/testing';
import type { Owner } from '@pointsman/testing';
import type { NamespaceServer } from 'pointsman';
import { openNamespace } from '../src/azure-scene.js';
import { runRows } from '../src/python-rows.js';

const KEY = 'key-of-the-clients';
const HOST = 'example.servicebus.windows.net';
const ROUTES = ['in', 'out']
  .map((way) => `linkRoute { pattern: "#"  direction: ${way}  connection: service-bus }`)
  .join('\n');
const MANAGEMENT = ROUTES.replaceAll('pattern: "#"', 'prefix: $management');
const HUBS = Array.from({ length: 10 }, (_, at) => ({ name: `hub-${at}`, partitions: 2, consumerGroups: ['others'] }));
const skip = skipWithout('azure-servicebus (Python)');

/** What a client is given, and the namespace that it comes to. */
interface Way {
  readonly server: NamespaceServer;
  readonly given: object;
}

/** `connection_verify` is how this client trusts an authority. */
const secure = (server: NamespaceServer, host: string, port: number, webSocket: boolean): object => ({
  connectionString: `Endpoint=sb://${host}/;SharedAccessKeyName=clients;SharedAccessKey=${KEY}`,
  host,
  policy: 'clients',
  key: KEY,
  options: { custom_endpoint_address: `sb://localhost:${port}`, connection_verify: server.caCertFile, webSocket },
});

async function plain(owner: Owner): Promise<Way> {
  const server = await openNamespace(owner, { mode: 'emulator', eventHubs: HUBS });
  return { server, given: { connectionString: server.connectionString(), options: {} } };
}

async function cloud(owner: Owner, port: 'amqps' | 'wss'): Promise<Way> {
  const server = await openNamespace(owner, { policies: [{ name: 'clients', key: KEY, rights: ['Manage'] }] });
  return { server, given: secure(server, 'localhost', server.ports[port]!, port === 'wss') };
}

/** A client that names a namespace that is not there at all: the router leads it to its own. */
async function routed(owner: Owner, webSocket: boolean): Promise<Way> {
  const server = await openNamespace(owner, { eventHubs: HUBS });
  process.env['PYTHON_AZURE_CLOUD'] = server.connectionString();
  process.env['PYTHON_AZURE_KEY'] = KEY;
  const router = await startRouter(
    owner,
    `
router { mode: standalone  id: python-azure }
sslProfile {
    name: ours
    caCertFile: ${server.caCertFile}
    certFile: ${server.certificate?.certFile}
    privateKeyFile: ${server.certificate?.privateKeyFile}
}
listener {
    host: 127.0.0.1
    port: 0
    http: ${webSocket ? 'yes' : 'no'}
    sslProfile: ours
    azureClients: sas
    azureKeys: { clients: "env:PYTHON_AZURE_KEY" }
}
connector {
    name: service-bus
    role: route-container
    sslProfile: ours
    connectionString: env:PYTHON_AZURE_CLOUD
    azureAuthentication: sas
}
${ROUTES}
${MANAGEMENT}
`,
  );
  await until('the connector to be open', () => router.process.connectors[0]!.step === 'open');
  return { server, given: secure(server, HOST, router.port(), webSocket) };
}

const WAYS: readonly (readonly [what: string, way: (owner: Owner) => Promise<Way>])[] = [
  ['directly, as at the development emulator', plain],
  ['directly, by TLS', (owner) => cloud(owner, 'amqps')],
  ['directly, by WebSocket', (owner) => cloud(owner, 'wss')],
  ['through the router, by TLS', (owner) => routed(owner, false)],
  ['through the router, by WebSocket', (owner) => routed(owner, true)],
];

describe('azure-servicebus for Python', { skip }, () => {
  for (const [what, make] of WAYS) {
    it(what, async (t) => {
      const { server, given } = await make(t);
      await runRows(t, server.namespace, 'servicebus_calls.py', given);
    });
  }
});

describe('azure-eventhub for Python', { skip }, () => {
  for (const [what, make] of WAYS.filter(([way]) => !way.startsWith('directly, by'))) {
    it(what, async (t) => {
      const { server, given } = await make(t);
      await runRows(t, server.namespace, 'eventhub_calls.py', given);
    });
  }
});
