// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { makeSasToken, Secret } from '@pointsman/azure';
import { startRouter, until } from '@pointsman/testing';
import { openNamespace } from '../src/azure-scene.js';
import { RheaClient } from '../src/rhea-client.js';

const owner = { after };
const HOST = 'example.servicebus.windows.net';
// The namespace knows nothing of the key that clients have: the router is there under its own.
const cloud = await openNamespace(owner, { mode: 'emulator', eventHubs: [{ name: 'red' }, { name: 'blue' }] });
process.env['HUB_TOKENS_CLOUD'] = cloud.connectionString();
process.env['HUB_TOKENS_KEY'] = 'key-of-the-clients';
const router = await startRouter(
  owner,
  `
router { mode: standalone  id: hub-tokens }
listener { host: 127.0.0.1  port: 0  azureClients: sas  azureKeys: { clients: "env:HUB_TOKENS_KEY" } }
connector { name: hubs  role: route-container  connectionString: env:HUB_TOKENS_CLOUD }
linkRoute { prefix: $management  direction: in   connection: hubs }
linkRoute { prefix: $management  direction: out  connection: hubs }
`,
);
await until('the connector to be open', () => router.process.connectors[0]!.step === 'open');

function tokenFor(path: string, key = 'key-of-the-clients'): string {
  const expiresAtSeconds = Math.ceil(Date.now() / 1_000) + 600;
  const resource = `sb://${HOST}/${path}`;
  return makeSasToken({ resource, keyName: 'clients', key: new Secret(key), expiresAtSeconds }).reveal();
}

/** Asks at a node, and gives the status of the answer. */
async function asker(
  client: RheaClient,
  node: string,
): Promise<(properties: object, body?: unknown) => Promise<number>> {
  const answers = await client.receiver({ source: node, target: `answers of ${node}` });
  const requests = await client.sender(node);
  return async (properties, body = '') => {
    const message = { message_id: 'a', reply_to: `answers of ${node}`, application_properties: properties, body };
    assert.equal((await requests.send(message)).outcome, 'accepted');
    const { application_properties: told } = (await answers.next()).message;
    return Number(told?.['status-code'] ?? told?.['statusCode']);
  };
}

describe('a token that a client of event hubs gives with a request through the router', () => {
  it('is judged by the router for the hub in question, and the service gets one of the router in its place', async () => {
    const client = await RheaClient.connect(owner, router.port());
    const put = await asker(client, '$cbs');
    const audience = `sb://${HOST}/red/$management`;
    const claim = { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: audience };
    assert.equal(await put(claim, tokenFor('red/$management')), 202);
    const ask = await asker(client, '$management');
    const read = async (name: string, token?: string): Promise<number> =>
      ask({
        operation: 'READ',
        type: 'com.microsoft:eventhub',
        name,
        ...(token === undefined ? {} : { security_token: token }),
      });
    // The namespace itself would refuse all of them: the key is not one of its own.
    assert.equal(await read('red', tokenFor('red')), 200);
    assert.equal(await read('red', tokenFor('')), 200);
    assert.equal(await read('red', tokenFor('red', 'another key')), 401);
    assert.equal(await read('red', tokenFor('blue')), 401);
    assert.equal(await read('blue', tokenFor('red')), 401);
    assert.equal(await read('red', 'nonsense'), 401);
    // Without one, what was put at $cbs counts.
    assert.equal(await read('red'), 200);
    assert.equal(await read('blue'), 401);
  });
});
