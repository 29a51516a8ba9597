// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { until } from '@pointsman/testing';
import { compileLoad, runLoad } from '../src/load.js';
import { residentKilobytes } from '../src/peer.js';
import { CountingReceiver, CountingSender, startRouter, TestClient } from './clients.js';

/** Where the load generator cannot be compiled, what needs it is left out. */
const unavailable =
  process.platform !== 'linux' || spawnSync('cc', ['--version']).status !== 0 ? 'needs Linux and a C compiler' : false;
const skip = process.env['POINTSMAN_REQUIRE_PEERS'] === '1' ? false : unavailable;

/** Messages that a sender may have unsettled with the router: its link capacity. */
const CAPACITY = 250;

const MEGABYTE = 1_000_000;

describe('a slow receiver', () => {
  it('does not hold up messages for another address', async (t) => {
    const router = await startRouter(t);
    const connection = await TestClient.connect(t, router);
    const slow = await CountingReceiver.open(await TestClient.connect(t, router), 'bench/slow', 10, { accepts: false });
    const toSlow = await CountingSender.open(connection, 'bench/slow');
    const fast = await CountingReceiver.open(await TestClient.connect(t, router), 'bench/fast', 100, { accepts: true });
    const toFast = await CountingSender.open(connection, 'bench/fast');

    toSlow.send(20_000);
    toFast.send(20_000);
    await until('the other address', () => toFast.accepted === 20_000, { state: () => toFast.accepted });

    assert.equal(fast.received, 20_000);
    assert.equal(slow.received, 10);
    assert.equal(toSlow.accepted, 0);
    // Its sender is stopped by its credit, not by memory of the router.
    assert.equal(toSlow.sent, CAPACITY);
  });

  it('does not hold up a fast one on the same address, and gets no more than its share', async (t) => {
    const router = await startRouter(t);
    const slow = await CountingReceiver.open(await TestClient.connect(t, router), 'bench/shared', 1_000, {
      accepts: false,
    });
    const fast = await CountingReceiver.open(await TestClient.connect(t, router), 'bench/shared', 100, {
      accepts: true,
    });
    const sender = await CountingSender.open(await TestClient.connect(t, router), 'bench/shared');

    sender.send(20_000);
    await until('all but what the slow one keeps', () => sender.accepted + slow.received === 20_000, {
      state: () => [sender.accepted, slow.received],
    });

    assert.equal(fast.received, sender.accepted);
    assert.ok(slow.received <= CAPACITY, `the slow one got ${slow.received}`);
    assert.equal(sender.unsettled, slow.received);
  });

  it('that stops reading its socket leaves the others alone', async (t) => {
    const router = await startRouter(t);
    const stopped = await TestClient.connect(t, router);
    await CountingReceiver.open(stopped, 'bench/stopped', 1_000_000, { accepts: false });
    stopped.stopReading();
    const toStopped = await CountingSender.open(await TestClient.connect(t, router), 'bench/stopped', {
      bytes: 10_000,
    });
    const fast = await CountingReceiver.open(await TestClient.connect(t, router), 'bench/fast', 100, { accepts: true });
    const toFast = await CountingSender.open(await TestClient.connect(t, router), 'bench/fast');

    toStopped.send(CAPACITY);
    toFast.send(20_000);
    await until('the others', () => toFast.accepted === 20_000, { state: () => toFast.accepted });

    assert.equal(fast.received, 20_000);
    assert.equal(toStopped.accepted, 0);
  });
});

describe('memory', () => {
  it('stays bounded with a receiver that stops reading, where nobody waits for a settlement', async (t) => {
    const router = await startRouter(t);
    const stopped = await TestClient.connect(t, router);
    await CountingReceiver.open(stopped, 'bench/stopped', 1_000_000, { accepts: false });
    stopped.stopReading();
    const sender = await CountingSender.open(await TestClient.connect(t, router), 'bench/stopped', {
      bytes: 10_000,
      settled: true,
    });
    const before = residentKilobytes(router.pid);

    // 300 MB. The router may hold the sender back, or drop what is beyond the capacity of the link.
    sender.send(30_000);
    await until(
      'all to be sent, or no credit for more',
      () => sender.sent >= CAPACITY && sender.isWritten && (sender.hasSentAll || sender.link.credit === 0),
      { state: () => sender.sent },
    );

    const grown = (residentKilobytes(router.pid) - before) / 1024;
    assert.ok(grown < 120, `${grown.toFixed(0)} MB more`);
  });

  it('stays bounded with a receiver that stops reading in the midst of large messages', async (t) => {
    const router = await startRouter(t);
    const stopped = await TestClient.connect(t, router);
    const receiver = await CountingReceiver.open(stopped, 'bench/large', 1_000, { accepts: false });
    const sender = await CountingSender.open(await TestClient.connect(t, router), 'bench/large', { bytes: MEGABYTE });
    stopped.stopReading();
    const before = residentKilobytes(router.pid);

    sender.send(100);
    const beside = await CountingReceiver.open(await TestClient.connect(t, router), 'bench/fast', 100, {
      accepts: true,
    });
    const toBeside = await CountingSender.open(await TestClient.connect(t, router), 'bench/fast');
    toBeside.send(10_000);
    await until('others beside it', () => toBeside.accepted === 10_000, { state: () => toBeside.accepted });
    assert.equal(beside.received, 10_000);
    // The window of its session is closed: 100 MB would have left by now.
    assert.ok(sender.sent < 100, `the sender was not held back: ${sender.sent} of 100`);

    const grown = (residentKilobytes(router.pid) - before) / 1024;
    assert.ok(grown < 100, `${grown.toFixed(0)} MB more`);

    // And nothing is lost by it.
    stopped.readOn();
    await until('the rest', () => receiver.received === 100, { state: () => receiver.received });
  });
});

describe('a busy router', () => {
  it('passes small messages on beside a pair of 1 MB that runs flat out', { skip }, async (t) => {
    const router = await startRouter(t);
    const load = { sizeBytes: 100, settled: false, pairs: 10, ratePerSecond: 2_000, besideBytes: MEGABYTE };
    const result = await runLoad(await compileLoad(), router, load, { warmup: 0.5, seconds: 1 });

    assert.deepEqual([result.refused, result.closed], [0, 0]);
    assert.ok(Number(result.besidePerSecond) > 0, 'no large message arrived');
    // Open loop: what the router cannot take is missing from the rate.
    assert.ok(result.messagesPerSecond > 1_500, `${result.messagesPerSecond} small messages a second of 2000`);
    assert.ok(result.acceptedPerSecond > 1_500, `${result.acceptedPerSecond} settled a second of 2000`);
  });

  it('answers others while a link with a million credits is served', { skip }, async (t) => {
    const router = await startRouter(t);
    const receiver = await CountingReceiver.open(await TestClient.connect(t, router), 'bench/ping', 1, {
      accepts: true,
    });
    const sender = await CountingSender.open(await TestClient.connect(t, router), 'bench/ping');
    const flood = runLoad(
      await compileLoad(),
      router,
      { sizeBytes: 100, settled: true, pairs: 1, credit: 1_000_000 },
      { warmup: 0, seconds: 1.5 },
    );
    let isOver = false;
    const over = flood.finally(() => (isOver = true));

    // One at a time: each waits for the one before it to come back.
    let pings = 0;
    while (!isOver) {
      sender.send(1);
      await until('a ping', () => isOver || sender.unsettled === 0);
      pings++;
    }
    const result = await over;
    await until('the last ping', () => sender.unsettled === 0);

    assert.equal(receiver.received, sender.sent);
    assert.ok(pings >= 20, `${pings} pings`);
    assert.ok(result.messagesPerSecond > 10_000, `${result.messagesPerSecond} messages a second in the flood`);
  });
});
