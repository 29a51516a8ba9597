// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it } from 'node:test';
import { listen } from '../src/index.js';
import { Accepted, TestAuthority, connectTo, withListener } from './support.js';

const RECORD_HEADER_BYTES = 5;

/** Sizes of the TLS records of a stream. @see RFC 8446, 5.1 */
class Records {
  readonly sizes: number[] = [];
  #head: number[] = [];
  #left = 0;

  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, bytes.length - at);
        this.#left -= taken;
        at += taken;
        continue;
      }
      this.#head.push(bytes[at++]!);
      if (this.#head.length < RECORD_HEADER_BYTES) continue;
      this.#left = (this.#head[3]! << 8) | this.#head[4]!;
      this.sizes.push(this.#left);
      this.#head = [];
    }
  }
}

describe('a turn of output over TLS', () => {
  it('leaves in records as large as TLS has them, however many buffers it is', async () => {
    const authority = new TestAuthority();
    const accepted = new Accepted();
    const options = { host: '127.0.0.1', port: 0, mode: 'tls', tls: { credentials: authority.server() } } as const;
    await withListener(listen(options, accepted.make), async ({ port }) => {
      const records = new Records();
      const between = createServer((client) => {
        const server = connect(port, '127.0.0.1');
        server.on('data', (bytes: Uint8Array) => records.add(bytes));
        joinSockets(client, server);
      }).listen(0, '127.0.0.1');
      await once(between, 'listening');
      try {
        const to = { port: (between.address() as AddressInfo).port };
        const { endpoint } = await connectTo(to, { mode: 'tls', credentials: authority.client() });
        // An echo, so that nothing of the handshake is left to come.
        endpoint.send('hello');
        await endpoint.until(() => endpoint.receivedBytes === 5);
        const before = records.sizes.length;
        const sender = accepted.endpoints[0]!;
        for (let i = 0; i < 320; i++) sender.send(new Uint8Array(1_000));
        await endpoint.until(() => endpoint.receivedBytes === 320_005);
        const sizes = records.sizes.slice(before);
        assert.ok(sizes.length <= 320_000 / 16_384 + 2, `${sizes.length} records: ${sizes.join(' ')}`);
      } finally {
        between.close();
      }
    });
  });
});

function joinSockets(a: Socket, b: Socket): void {
  a.pipe(b).pipe(a);
  a.on('error', () => b.destroy());
  b.on('error', () => a.destroy());
}
