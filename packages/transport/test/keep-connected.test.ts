// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keepConnected, listen } from '../src/index.js';
import type { ConnectionControl, ConnectorState, KeepConnectedOptions, KeptConnection } from '../src/index.js';
import { Accepted, TestEndpoint, assertEchoes, withListener } from './support.js';

/** Watches a connector: its states in order, and the endpoints that it made. */
class Watch {
  readonly states: ConnectorState[] = [];
  readonly endpoints: TestEndpoint[] = [];
  readonly controls: ConnectionControl[] = [];
  readonly #waiting = new Set<() => void>();
  #next: (() => void) | undefined;

  start(port: () => number, more: Partial<KeepConnectedOptions> = {}): KeptConnection {
    return keepConnected({
      dialOptions: () => ({ host: '127.0.0.1', port: port(), mode: 'tcp' }),
      makeEndpoint: (_, control) => {
        const endpoint = new TestEndpoint();
        this.endpoints.push(endpoint);
        this.controls.push(control);
        for (const look of this.#waiting) look();
        return endpoint;
      },
      backoff: { minMs: 1, maxMs: 2, jitter: 0 },
      ...more,
      onState: (state) => {
        this.states.push(state);
        this.#next?.();
      },
    });
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#next = resolve;
      });
    }
  }

  get statuses(): string[] {
    return this.states.map(({ status }) => status);
  }
}

describe('keep connected', () => {
  it('connects at once, and says how far it has come', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async ({ port }) => {
      const watch = new Watch();
      const connector = watch.start(() => port);
      await watch.until(() => connector.state.status === 'opening');
      const [endpoint] = watch.endpoints as [TestEndpoint];
      await assertEchoes(endpoint);
      watch.controls[0]?.markEstablished();
      watch.controls[0]?.markEstablished();
      assert.deepEqual(watch.statuses, ['connecting', 'opening', 'established']);
      assert.equal(connector.state.connects, 1);
      assert.equal(connector.state.info?.remotePort, port);
      assert.ok((connector.connection?.sentBytes ?? 0) > 0);
      await connector.stop();
      assert.equal(connector.state.status, 'stopped');
      assert.equal(connector.connection, undefined);
      assert.equal(endpoint.ends.length, 1);
    });
  });

  it('goes on for ever while nothing listens, waiting longer each time, and says why', async () => {
    const listener = await listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, new Accepted().make);
    const { port } = listener;
    await listener.close();
    const watch = new Watch();
    const connector = watch.start(() => port, { backoff: { minMs: 1, maxMs: 8, factor: 2, jitter: 0 } });
    await watch.until(() => connector.state.failures === 6);
    await connector.stop();
    const waits = watch.states.filter(({ status }) => status === 'waiting').map(({ waitMs }) => waitMs);
    assert.deepEqual(waits.slice(0, 5), [1, 2, 4, 8, 8]);
    assert.match(String(connector.state.lastError), /refused the connection/);
    assert.equal(connector.state.attempts, 6);
  });

  it('comes back when a connection is lost, and counts from the beginning if it had stayed up', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async (listener) => {
      const watch = new Watch();
      const connector = watch.start(() => listener.port, { stableMs: 0 });
      for (let round = 0; round < 3; round++) {
        await watch.until(() => watch.endpoints.length === round + 1 && connector.connection !== undefined);
        await assertEchoes(watch.endpoints[round] as TestEndpoint);
        watch.controls[round]?.markEstablished();
        for (const connection of listener.connections) connection.destroy();
        await watch.until(() => connector.state.attempts === round + 2);
        assert.equal(connector.state.failures, 0);
      }
      assert.equal(watch.statuses.includes('waiting'), false, 'no wait after the loss of a stable connection');
      assert.equal(connector.state.connects, 3);
      await connector.stop();
    });
  });

  it('does not run hot against a peer that lets it in and throws it out', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async (listener) => {
      const watch = new Watch();
      const connector = watch.start(() => listener.port, {
        stableMs: 60_000,
        backoff: { minMs: 1, maxMs: 4, factor: 2, jitter: 0 },
      });
      for (let round = 0; round < 4; round++) {
        await watch.until(() => watch.endpoints.length === round + 1 && connector.connection !== undefined);
        watch.controls[round]?.markEstablished();
        (watch.endpoints[round] as TestEndpoint).finish();
        await watch.until(() => connector.state.failures === round + 1);
      }
      await watch.until(() => connector.state.status === 'waiting');
      const waits = watch.states.filter(({ status }) => status === 'waiting').map(({ waitMs }) => waitMs);
      assert.deepEqual(waits, [1, 2, 4, 4]);
      await connector.stop();
    });
  });

  it('waits as long as the endpoint asks for, and keeps the reason that it gave', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async ({ port }) => {
      const watch = new Watch();
      const connector = watch.start(() => port);
      await watch.until(() => connector.state.status === 'opening' && connector.connection !== undefined);
      const reason = new Error('the open was refused');
      watch.controls[0]?.fail(reason);
      watch.controls[0]?.delayNextAttempt(3_600_000);
      watch.controls[0]?.delayNextAttempt(10);
      (watch.endpoints[0] as TestEndpoint).finish();
      await watch.until(() => connector.state.status === 'waiting');
      assert.ok((connector.state.waitMs ?? 0) > 3_590_000);
      assert.equal(connector.state.lastError, reason);
      await connector.stop();
      assert.equal(connector.state.status, 'stopped', 'a wait of an hour is no reason to keep on');
    });
  });

  it('stops in the middle of an attempt', async () => {
    const watch = new Watch();
    // TEST-NET-1 answers nobody, or is refused at once: either way the attempt must not outlive the stop.
    const connector = watch.start(() => 5671, {
      dialOptions: () => ({ host: '192.0.2.1', port: 5671, mode: 'tls', timeoutMs: 600_000 }),
      backoff: { minMs: 600_000, maxMs: 600_000 },
    });
    await watch.until(() => connector.state.status === 'connecting');
    await connector.stop();
    assert.equal(connector.state.status, 'stopped');
  });

  it('gives its connection time to end when it stops', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async ({ port }) => {
      const watch = new Watch();
      const connector = watch.start(() => port);
      await watch.until(() => connector.state.status === 'opening' && connector.connection !== undefined);
      const [endpoint] = watch.endpoints as [TestEndpoint];
      await assertEchoes(endpoint);
      const stopped = connector.stop(60_000);
      assert.equal(endpoint.ends.length, 0);
      endpoint.send('goodbye');
      endpoint.finish();
      await stopped;
      assert.match(accepted.endpoints[0]?.text ?? '', /goodbye$/);
    });
  });

  it('asks for the options before each attempt, and takes a failure of that as one of the attempt', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async ({ port }) => {
      const watch = new Watch();
      let asked = 0;
      const connector = watch.start(() => port, {
        dialOptions: () => {
          asked++;
          if (asked === 1) throw new Error('the file with the certificate is gone');
          return { host: '127.0.0.1', port, mode: 'tcp' };
        },
      });
      await watch.until(() => connector.state.status === 'opening');
      assert.equal(asked, 2);
      assert.match(String(connector.state.lastError), /certificate is gone/);
      await connector.stop();
    });
  });
});
