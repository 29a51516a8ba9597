// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Connection } from '@pointsman/engine';
import type { Clock, ConnectionHandler } from '@pointsman/engine';
import { CbsNode } from '../src/cbs-node.js';
import { CbsClient, Secret } from '../src/index.js';
import type { AzureToken } from '../src/index.js';
import { carry } from './carry.js';

const NOW = 1_800_000_000_000;
/** Nothing runs out of time here. */
const CLOCK: Clock = { now: () => 0, after: () => () => undefined };

/** What is said of a token that a service refuses and repeats in its answer. */
async function saidOf(kind: AzureToken['kind'], token: string): Promise<string> {
  const node = new CbsNode(() => {
    return { status: 401, description: `I do not like ${token}, nor ${/sig=([^&]+)/u.exec(token)?.[1] ?? token}` };
  });
  const quiet: ConnectionHandler = {
    onOpen: (connection) => connection.open(),
    onBegin: (session) => session.begin(),
    onEnd: () => undefined,
    onAttach: (link, attach) => node.take(link, attach),
    onClosed: () => undefined,
  };
  const service = new Connection({ role: 'server', containerId: 'S', now: 0 }, quiet);
  const connection = new Connection(
    { role: 'client', containerId: 'C', now: 0 },
    { ...quiet, onOpen: (own) => own.open(), onBegin: () => undefined, onAttach: () => undefined },
  );
  const reasons: string[] = [];
  const cbs = new CbsClient({
    connection,
    host: 'host',
    provider: {
      name: 'a test',
      isFixed: false,
      get: () => Promise.resolve({ kind, text: new Secret(token), expiresAtMs: NOW + 3_600_000 }),
    },
    clock: CLOCK,
    nowMs: () => NOW,
    random: () => 0.5,
    name: 'C-cbs',
    onEvent: (event) => reasons.push('reason' in event ? event.reason : event.type),
  });
  let answer: string | undefined;
  connection.open();
  carry(connection, service);
  cbs.authorize('orders', (error) => (answer = error?.description));
  for (let turn = 0; turn < 8 && answer === undefined; turn++) {
    // oxlint-disable-next-line no-await-in-loop
    await Promise.resolve();
    carry(connection, service);
  }
  assert.ok(answer !== undefined, 'nothing was answered');
  return [answer, ...reasons, ...cbs.tokens.map(({ lastError }) => lastError)].join('\n');
}

describe('a service that repeats a token in its answer', () => {
  it('is quoted without it, to links, in the log and in management', async () => {
    const signature = 'c2lnbmF0dXJl%3D';
    const sas = `SharedAccessSignature sr=sb%3A%2F%2Fhost%2Forders&sig=${signature}&se=1900000000&skn=p`;
    const jwt = 'eyJhbGciOiJub25lIn0.eyJleHAiOjF9.c2lnbmF0dXJl';
    for (const [kind, token] of [
      ['sas', sas],
      ['jwt', jwt],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop
      const said = await saidOf(kind, token);
      assert.match(said, /status 401: I do not like \[secret\]/);
      assert.ok(!said.includes(signature) && !said.includes(jwt), said);
    }
  });
});
