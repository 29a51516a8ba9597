// SPDX-License-Identifier: Apache-2.0

/**
 * PROTOTYPE for docs/decisions/0005-several-cores.md, never part of the product.
 *
 * What it costs to hand a message of 100 B from one event loop to another, and a settlement back, by the ways that
 * Node.js has: CPU time of both sides together, for batches of several sizes. The sender copies each message into the batch behind
 * its length, the receiver reads each out again, as a router would; 64 batches may be on the way.
 *
 *     node bench/prototypes/hand-over.mjs
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const MESSAGE = new Uint8Array(124).fill(7);
const FRAME = MESSAGE.length + 4;
const IN_FLIGHT = 64;
const SECONDS = 1.5;
const RING_SLOTS = 64;

/** @param {Uint8Array} out @param {number} at @param {number} messages */
function fill(out, at, messages) {
  for (let i = 0; i < messages; i++) {
    out[at] = 0;
    out[at + 1] = 0;
    out[at + 2] = 0;
    out[at + 3] = MESSAGE.length;
    out.set(MESSAGE, at + 4);
    at += FRAME;
  }
}

/** @param {Uint8Array} bytes @param {number} at @param {number} end @returns {number} messages */
function take(bytes, at, end) {
  let messages = 0;
  while (end - at >= FRAME) {
    at += 4 + bytes[at + 3] + (bytes[at + 4] - 7);
    messages++;
  }
  return messages;
}

if (process.argv[2] === 'sink') socketSink(process.argv[3] ?? '');
else if (!isMainThread) workerSink();
else await main();

/** The receiving process: answers each batch with a byte, which stands for its settlements. */
function socketSink(where) {
  const batch = Number(process.argv[4]) * FRAME;
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    let rest = 0;
    let held = new Uint8Array(0);
    socket.on('data', (chunk) => {
      let bytes = chunk;
      if (held.length > 0) bytes = Buffer.concat([held, chunk]);
      const whole = bytes.length - (bytes.length % FRAME);
      take(bytes, 0, whole);
      held = bytes.subarray(whole);
      rest += whole;
      const batches = Math.floor(rest / batch);
      rest -= batches * batch;
      if (batches > 0) socket.write(new Uint8Array(batches));
    });
    socket.on('error', () => {});
    socket.on('close', () => process.exit());
  });
  server.listen(where.startsWith('/') ? where : { port: 0, host: '127.0.0.1' }, () => {
    process.send?.({ address: server.address() });
  });
  process.on('message', () => process.send?.({ cpu: process.cpuUsage() }));
}

function workerSink() {
  const { kind, shared, batchBytes } = workerData;
  if (kind === 'transfer' || kind === 'clone') {
    parentPort.on('message', (buffer) => {
      take(new Uint8Array(buffer), 0, buffer.byteLength);
      // The buffer goes back, with the settlements: it is used again.
      parentPort.postMessage(buffer, kind === 'transfer' ? [buffer] : []);
    });
    return;
  }
  const heads = new Int32Array(shared, 0, 4);
  const bytes = new Uint8Array(shared, 64);
  parentPort.on('message', () => {
    // Rings while there is something: the other side rings only where it found us asleep.
    for (;;) {
      let done = Atomics.load(heads, 1);
      const written = Atomics.load(heads, 0);
      while (done !== written) {
        const at = (done % RING_SLOTS) * batchBytes;
        take(bytes, at, at + batchBytes);
        done = (done + 1) | 0;
      }
      Atomics.store(heads, 1, done);
      if (Atomics.exchange(heads, 3, 0) === 1) parentPort.postMessage(0, []);
      Atomics.store(heads, 2, 1);
      if (Atomics.load(heads, 0) === done) return;
      Atomics.store(heads, 2, 0);
    }
  });
}

async function main() {
  const rows = [['way', ...[1, 16, 64, 256].map((n) => `batches of ${n}`)]];
  const socketPath = join(tmpdir(), `hand-over-${process.pid}.sock`);
  const ways = {
    'copy and read, one loop': sameLoop,
    'two processes, TCP on loopback': (n) => sockets('tcp', n),
    'two processes, unix socket': (n) => sockets(socketPath, n),
    'two threads, MessagePort, transferred': (n) => messagePort('transfer', n),
    'two threads, MessagePort, cloned': (n) => messagePort('clone', n),
    'two threads, shared ring, MessagePort as bell': ring,
  };
  for (const [name, run] of Object.entries(ways)) {
    const row = [name];
    for (const messages of [1, 16, 64, 256]) {
      const { cpuMicros, count } = await run(messages);
      row.push((cpuMicros / count).toFixed(3));
    }
    rows.push(row);
    process.stderr.write(`${row.join('   ')}\n`);
  }
  rmSync(socketPath, { force: true });
  process.stdout.write(`CPU µs a message, both sides\n${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`);
}

function micros({ user, system }) {
  return user + system;
}

async function sameLoop(messages) {
  const batch = new Uint8Array(messages * FRAME);
  const start = process.cpuUsage();
  const end = performance.now() + 500;
  let count = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 64; i++) {
      fill(batch, 0, messages);
      count += take(batch, 0, batch.length);
    }
  }
  return { cpuMicros: micros(process.cpuUsage(start)), count };
}

async function sockets(where, messages) {
  rmSync(where, { force: true });
  const child = fork(fileURLToPath(import.meta.url), ['sink', where, String(messages)]);
  const [{ address }] = await once(child, 'message');
  const socket = typeof address === 'string' ? connect(address) : connect(address.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.setNoDelay(true);
  const spare = Array.from({ length: IN_FLIGHT }, () => new Uint8Array(messages * FRAME));
  let count = 0;
  let running = true;
  let credit = IN_FLIGHT;
  const pump = () => {
    while (running && credit > 0 && spare.length > 0) {
      credit--;
      const batch = spare.pop();
      fill(batch, 0, messages);
      socket.write(batch, () => spare.push(batch));
    }
  };
  socket.on('data', (chunk) => {
    count += chunk.length * messages;
    credit += chunk.length;
    pump();
  });
  const cpuOf = async () => {
    child.send('cpu');
    const [{ cpu }] = await once(child, 'message');
    return micros(cpu);
  };
  pump();
  await new Promise((resolve) => setTimeout(resolve, 400));
  const theirs = await cpuOf();
  const own = process.cpuUsage();
  const before = count;
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
  const cpuMicros = micros(process.cpuUsage(own)) + (await cpuOf()) - theirs;
  const result = { cpuMicros, count: count - before };
  running = false;
  socket.destroy();
  await once(child, 'exit');
  return result;
}

async function messagePort(kind, messages) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { kind } });
  await once(worker, 'online');
  let count = 0;
  let running = true;
  const send = (buffer) => {
    fill(new Uint8Array(buffer), 0, messages);
    worker.postMessage(buffer, kind === 'transfer' ? [buffer] : []);
  };
  worker.on('message', (buffer) => {
    count += messages;
    if (running) send(buffer);
  });
  for (let i = 0; i < IN_FLIGHT; i++) send(new ArrayBuffer(messages * FRAME));
  const result = await measured(() => count);
  running = false;
  await worker.terminate();
  return result;
}

async function ring(messages) {
  const batchBytes = messages * FRAME;
  const shared = new SharedArrayBuffer(64 + RING_SLOTS * batchBytes);
  const heads = new Int32Array(shared, 0, 4);
  const bytes = new Uint8Array(shared, 64);
  // 0: written, 1: done, 2: the reader sleeps, 3: the writer wants a bell when there is room.
  Atomics.store(heads, 2, 1);
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { kind: 'ring', shared, batchBytes } });
  await once(worker, 'online');
  let running = true;
  const pump = () => {
    // By the turn: other work has to get its share of the loop.
    for (let turn = 0; running && turn < RING_SLOTS; turn++) {
      const written = Atomics.load(heads, 0);
      if (written - Atomics.load(heads, 1) >= RING_SLOTS) {
        Atomics.store(heads, 3, 1);
        // Read in the meantime: the bell may not come.
        if (written - Atomics.load(heads, 1) >= RING_SLOTS || Atomics.exchange(heads, 3, 0) === 0) return;
      }
      fill(bytes, (written % RING_SLOTS) * batchBytes, messages);
      Atomics.store(heads, 0, (written + 1) | 0);
      if (Atomics.exchange(heads, 2, 0) === 1) worker.postMessage(0, []);
    }
    if (running) setImmediate(pump);
  };
  worker.on('message', pump);
  pump();
  const result = await measured(() => Atomics.load(heads, 1) * messages);
  running = false;
  await worker.terminate();
  return result;
}

async function measured(countOf) {
  await new Promise((resolve) => setTimeout(resolve, 400));
  const before = countOf();
  const start = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
  return { cpuMicros: micros(process.cpuUsage(start)), count: countOf() - before };
}
