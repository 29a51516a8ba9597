// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { partitionOf } from '@pointsman/namespace';
import { startRouter, until } from '@pointsman/testing';
import fc from 'fast-check';
import { openNamespace } from '../src/azure-scene.js';
import { HUB_CALLS, hubCallTable } from '../src/hub-calls/all-hub-calls.js';
import { HubScene } from '../src/hub-calls/hub-scene.js';

const PAGE = new URL('../../../docs/namespace.md', import.meta.url);
const BEGIN = '<!-- hub calls: written by the tests -->';
const END = '<!-- end of hub calls -->';

const owner = { after };
const server = await openNamespace(owner, { mode: 'emulator', eventHubs: [{ name: 'any' }] });
process.env['EVENT_HUBS_CLOUD'] = server.connectionString();

const router = await startRouter(
  owner,
  `
router { mode: standalone  id: event-hubs }

listener { host: 127.0.0.1  port: 0  azureClients: admitted }

connector { name: event-hubs  role: route-container  connectionString: env:EVENT_HUBS_CLOUD }

${['routed', '$management']
  .flatMap((prefix) =>
    ['in', 'out'].map((way) => `linkRoute { prefix: ${prefix}  direction: ${way}  connection: event-hubs }`),
  )
  .join('\n')}
`,
);
await until('the connector to be open', () => router.process.connectors[0]!.step === 'open');

// The client leaves timers of a minute behind, which would hold this process.
after(() => void setTimeout(() => process.exit(), 1_000).unref());

for (const [way, prefix, connectionString] of [
  ['directly', 'direct', server.connectionString()],
  [
    'through the router',
    'routed',
    `Endpoint=sb://localhost:${router.port()};SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true`,
  ],
] as const) {
  // Each has hubs of its own.
  describe(`each call of the official client of Event Hubs, ${way}`, { concurrency: 4 }, () => {
    for (const { of, call, what, run } of HUB_CALLS) {
      it(`${of} ${call}: ${what}`, async (t) => {
        const scene = new HubScene(server, connectionString, prefix);
        t.after(() => scene.close());
        await run(scene);
      });
    }
  });
}

describe('the partition of a key', () => {
  it('is the same for the namespace and for the client', async () => {
    const inner = new URL('./impl/partitionKeyToIdMapper.js', import.meta.resolve('@azure/event-hubs'));
    const { mapPartitionKeyToId } = (await import(inner.href)) as {
      mapPartitionKeyToId: (key: string, partitions: number) => number;
    };
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ maxLength: 128 }), fc.string({ unit: 'grapheme', maxLength: 40 }), fc.uuid()),
        fc.integer({ min: 1, max: 32 }),
        (key, partitions) => assert.equal(partitionOf(key, partitions), mapPartitionKeyToId(key, partitions)),
      ),
      { numRuns: 5_000 },
    );
  });
});

describe('the table of calls of Event Hubs', () => {
  it('is that of docs/namespace.md', () => {
    const page = readFileSync(PAGE, 'utf8');
    const [start, end] = [page.indexOf(BEGIN), page.indexOf(END)];
    assert.ok(start >= 0 && end > start, 'the page has no place for the table');
    const whole = `${page.slice(0, start)}${BEGIN}\n\n${hubCallTable()}\n\n${page.slice(end)}`;
    if (process.env['UPDATE'] === '1') writeFileSync(PAGE, whole);
    else assert.equal(page, whole, 'run the tests with UPDATE=1');
  });
});
