// SPDX-License-Identifier: Apache-2.0
// The daemon itself, as daemon.ts starts it.
import { writeFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import type { RouterIo } from '../run/run-router.js';
import { runRouter } from '../run/run-router.js';
import type { DaemonOrder, DaemonReport } from './daemon.js';

const TEXT_MAX = 65_536;

const { config, pidFile, user, testHooks } = JSON.parse(process.argv[2] ?? '{}') as DaemonOrder;

// There is no terminal: what would go there is kept until the process that waits can be told.
let said = '';
let isHeard = true;
const stderr = new PassThrough();
stderr.on('data', (chunk: Buffer) => {
  if (isHeard && said.length < TEXT_MAX) said += chunk.toString();
});
const stdout = new PassThrough().resume();

function report(ok: boolean, text: string): Promise<void> {
  isHeard = false;
  const message: DaemonReport = { ok, text };
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) {
      resolve();
      return;
    }
    process.send(message, () => {
      if (process.connected) process.disconnect();
      resolve();
    });
  });
}

function prepare(): string | undefined {
  // Not 0 as daemons once had it: nobody else is to write into a log file.
  process.umask(0o022);
  try {
    if (pidFile !== undefined) writeFileSync(pidFile, `${process.pid}\n`);
  } catch (error) {
    return `qdrouterd: Can't write pidfile ${pidFile}: ${messageOf(error)}\n`;
  }
  try {
    if (user !== undefined) process.setuid!(/^\d+$/u.test(user) ? Number(user) : user);
  } catch (error) {
    return `qdrouterd: Can't run as user ${user}: ${messageOf(error)}\n`;
  }
  return undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const refusal = prepare();
if (refusal === undefined) {
  const io: RouterIo = {
    stdout,
    stderr,
    on: (event, listener) => process.on(event, listener),
    off: (event, listener) => process.off(event, listener),
  };
  const { status } = await runRouter({
    path: config,
    program: 'qdrouterd',
    io,
    testHooks,
    // Nothing of the log: who started the router waits only for whether it is up.
    onUp: () => void report(true, ''),
  });
  if (status !== 0) {
    await new Promise((resolve) => setImmediate(resolve));
    await report(false, said);
  }
  process.exit(status);
} else {
  await report(false, refusal);
  process.exit(1);
}
