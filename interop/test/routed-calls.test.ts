// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import type { ServiceBusClientOptions } from '@azure/service-bus';
import { startRouter, until } from '@pointsman/testing';
import type { RouterFixture } from '@pointsman/testing';
import type { NamespaceServer } from 'pointsman';
import WebSocket from 'ws';
import { openNamespace } from '../src/azure-scene.js';
import { CALLS } from '../src/calls/all-calls.js';
import { CallScene } from '../src/calls/call-row.js';

const owner = { after };
const KEY = 'key-of-the-clients';
const HOST = 'example.servicebus.windows.net';
process.env['ROUTED_CALLS_KEY'] = KEY;

const ROUTES = `
linkRoute { pattern: "#"  direction: in   connection: service-bus }
linkRoute { pattern: "#"  direction: out  connection: service-bus }
`;

const emulator = await openNamespace(owner, { mode: 'emulator' });
process.env['ROUTED_CALLS_EMULATOR'] = emulator.connectionString();
const plain = await startRouter(
  owner,
  `
router { mode: standalone  id: routed-calls }
listener { host: 127.0.0.1  port: 0  azureClients: admitted }
connector { name: service-bus  role: route-container  connectionString: env:ROUTED_CALLS_EMULATOR }
${ROUTES}`,
);

const cloud = await openNamespace(owner);
process.env['ROUTED_CALLS_CLOUD'] = cloud.connectionString();
const secure = await startRouter(
  owner,
  `
router { mode: standalone  id: routed-calls-secure }
sslProfile {
    name: ours
    caCertFile: ${cloud.caCertFile}
    certFile: ${cloud.certificate?.certFile}
    privateKeyFile: ${cloud.certificate?.privateKeyFile}
}
listener {
    host: 127.0.0.1
    port: 0
    http: yes
    sslProfile: ours
    azureClients: sas
    azureKeys: { clients: "env:ROUTED_CALLS_KEY" }
}
connector {
    name: service-bus
    role: route-container
    sslProfile: ours
    connectionString: env:ROUTED_CALLS_CLOUD
    azureAuthentication: sas
}
${ROUTES}`,
);
const ca = readFileSync(cloud.caCertFile!);

/** Trusts the router's certificate: the client leaves that to the WebSocket. */
class TrustingWebSocket extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols, { ca });
  }
}

interface Way {
  readonly what: string;
  readonly server: NamespaceServer;
  readonly router: RouterFixture;
  readonly connectionString: string;
  readonly options: ServiceBusClientOptions;
}

const WAYS: readonly Way[] = [
  {
    what: 'by TCP, admitted; the router comes with a key',
    server: emulator,
    router: plain,
    connectionString: `Endpoint=sb://localhost:${plain.port()};SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true`,
    options: {},
  },
  {
    what: 'by TLS and WebSocket at a custom endpoint, with tokens; the router comes with tokens of its own',
    server: cloud,
    router: secure,
    connectionString: `Endpoint=sb://${HOST};SharedAccessKeyName=clients;SharedAccessKey=${KEY}`,
    options: {
      customEndpointAddress: `sb://localhost:${secure.port()}`,
      webSocketOptions: { webSocket: TrustingWebSocket },
    },
  },
];

for (const { what, server, router, connectionString, options } of WAYS) {
  await until('the connector to be open', () => router.process.connectors[0]!.step === 'open');
  const clients: ServiceBusClient[] = [];
  const scene = new CallScene(server.namespace, () => {
    const client = new ServiceBusClient(connectionString, {
      ...options,
      retryOptions: { maxRetries: 0, timeoutInMs: 4_000 },
    });
    clients.push(client);
    return client;
  });
  after(() => Promise.all(clients.map((client) => client.close())));

  // All of them over one connection of the router's.
  describe(`each call of the official client through the router: ${what}`, { concurrency: 8 }, () => {
    for (const { of, call, what: how, missingRouted, run } of CALLS) {
      if (run !== undefined && missingRouted === undefined) it(`${of} ${call}: ${how}`, () => run(scene));
    }
  });
}
