// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Connection, SenderLink } from '@pointsman/engine';
import type { ConnectionHandler } from '@pointsman/engine';
import { Router } from '@pointsman/router';
import { processClock } from '@pointsman/transport';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const ignore = (): void => undefined;
const ENDS = { onDetach: ignore, onLost: ignore };
const CONNECTION: ConnectionHandler = {
  onOpen: (connection) => connection.open(),
  onBegin: (session) => session.begin(),
  onEnd: ignore,
  onAttach: (link) => {
    if (link instanceof SenderLink) link.accept({ ...ENDS, onSendable: ignore, onDisposition: ignore });
  },
  onClosed: ignore,
};

/** What a client says that attaches one receiver, with credit for one message. */
function wordsOf(address: string): readonly Uint8Array[] {
  const client = new Connection({ role: 'client', containerId: 'idle', now: 0 }, CONNECTION);
  const server = new Connection({ role: 'server', containerId: 'any', now: 0 }, CONNECTION);
  const words: Uint8Array[] = [];
  const carry = (): void => {
    for (const bytes of client.takeOutput(0) ?? []) {
      words.push(bytes.slice());
      server.receive(bytes.slice(), 0);
    }
    for (const bytes of server.takeOutput(0) ?? []) client.receive(bytes.slice(), 0);
  };
  for (let i = 0; i < 2; i++) carry();
  const source = { type: 'source', address } as const;
  const link = client
    .session()
    .attachReceiver('link', { ...ENDS, onTransfer: ignore }, { source, target: { type: 'target' } });
  link.addCredit(1);
  for (let i = 0; i < 4; i++) carry();
  return words;
}

describe('an idle connection', () => {
  it('with one link costs engine and core less than five kilobytes', () => {
    const router = new Router({ id: 'R', clock: processClock, random: Math.random });
    const words = Array.from({ length: 600 }, (_, i) => wordsOf(`idle/${i}`));
    const connect = (spoken: readonly Uint8Array[], i: number): void => {
      const routed = router.connection({ role: 'normal', direction: 'in', peer: `peer ${i}` });
      const engine = new Connection({ role: 'server', containerId: 'R', now: 0 }, routed);
      Router.join(routed, engine);
      for (const bytes of spoken) {
        engine.receive(bytes, 0);
        const out = engine.takeOutput(0);
        if (out !== undefined) engine.releaseOutput(out, 0);
      }
      assert.equal(routed.links.size, 1);
    };
    for (let i = 0; i < 100; i++) connect(words[i]!, i);
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let i = 100; i < 600; i++) connect(words[i]!, i);
    collect();
    // The socket, and what its listener has of it, come on top: docs/performance.md.
    const each = (process.memoryUsage().heapUsed - before) / 500;
    assert.ok(each > 1_000 && each < 5_000, `${Math.round(each)} bytes`);
    for (const { connection } of router.connections) connection.abort();
  });
});
