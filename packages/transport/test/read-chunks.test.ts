// SPDX-License-Identifier: Apache-2.0
import { keep, letGo } from '@pointsman/engine';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { readIntoChunks } from '../src/read-chunks.js';

const MEGABYTES_16 = 1 << 24;

/** A socket that connected to one that a server accepted. */
async function pair(t: TestContext): Promise<{ near: Socket; accepted: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    near.destroy();
    accepted.destroy();
    server.close();
  });
  return { near, accepted };
}

describe('reading into chunks', () => {
  it('is possible with this version of Node.js, and reads a stream into few buffers, in order', async (t) => {
    const { near, accepted } = await pair(t);
    const buffers = new Set<ArrayBufferLike>();
    let at = 0;
    const isRead = readIntoChunks(accepted, (bytes) => {
      buffers.add(bytes.buffer);
      for (let i = 0; i < bytes.length; i += 997) assert.equal(bytes[i], ((at + i) * 31) & 255);
      at += bytes.length;
    });
    assert.equal(isRead, true);
    accepted.resume();
    near.end(Uint8Array.from({ length: MEGABYTES_16 }, (_, i) => i * 31));
    await once(accepted, 'end');
    assert.equal(at, MEGABYTES_16);
    // The common one, and the connection's own.
    assert.ok(buffers.size <= 2, `${buffers.size} buffers`);
  });

  it('leaves alone what is kept, until it is let go', async (t) => {
    const { near, accepted } = await pair(t);
    const kept: { bytes: Uint8Array; at: number }[] = [];
    let at = 0;
    const check = ({ bytes, at: from }: { bytes: Uint8Array; at: number }): void => {
      for (let i = 0; i < bytes.length; i += 89) assert.equal(bytes[i], ((from + i) * 31) & 255);
      letGo(bytes);
    };
    readIntoChunks(accepted, (bytes) => {
      kept.push({ bytes: keep(bytes), at });
      at += bytes.length;
      if (kept.length > 20) for (const one of kept.splice(0, 10)) check(one);
    });
    accepted.resume();
    near.end(Uint8Array.from({ length: MEGABYTES_16 }, (_, i) => i * 31));
    await once(accepted, 'end');
    for (const one of kept) check(one);
    assert.equal(at, MEGABYTES_16);
  });

  it('stops while the socket is paused, and goes on behind it', async (t) => {
    const { near, accepted } = await pair(t);
    let at = 0;
    let reads = 0;
    readIntoChunks(accepted, (bytes) => {
      assert.equal(accepted.isPaused(), false);
      at += bytes.length;
      if (++reads % 3 !== 0) return;
      accepted.pause();
      setImmediate(() => accepted.resume());
    });
    accepted.resume();
    near.end(new Uint8Array(MEGABYTES_16));
    await once(accepted, 'end');
    assert.equal(at, MEGABYTES_16);
    assert.ok(reads > 3);
  });
});
