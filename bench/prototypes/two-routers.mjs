// SPDX-License-Identifier: Apache-2.0

/**
 * PROTOTYPE for docs/decisions/0005-several-cores.md, never part of the product.
 *
 * What a message costs whose sender and receiver are on different processes of one group: two routers, joined by a connection
 * with an autolink for the address, against one router with both. CPU time of all routers, µs a message.
 *
 *     npm run build && node bench/prototypes/two-routers.mjs LOAD-GENERATOR [amqpload options]
 */

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../packages/pointsman/dist/src/main.js', import.meta.url));
const [load = '', ...options] = process.argv.slice(2);
const RUNS = 3;
const folder = mkdtempSync(join(tmpdir(), 'two-routers-'));

/** @param {string} name @param {string} more */
async function router(name, more = '') {
  const config = join(folder, `${name}.conf`);
  writeFileSync(
    config,
    `router { id: ${name} }\nlistener { host: 127.0.0.1\n port: 0 }\naddress { prefix: bench }\n${more}`,
  );
  const child = spawn(process.execPath, [MAIN, '-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  const endpoint = await new Promise((resolve) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
      const match = /listening on (\S+:\d+)/i.exec(log);
      if (match !== null) resolve(match[1]);
    });
  });
  return { child, endpoint, pid: child.pid };
}

function run(to, from, pids) {
  const args = ['--to', to, '--from', from, '--pid', pids.join(','), '--warmup', '0.7', '--seconds', '1.5', ...options];
  return JSON.parse(execFileSync(load, args, { encoding: 'utf8' }));
}

const PAIRS = Number(options[options.indexOf('--pairs') + 1] ?? 1) || 1;
const b = await router('b');
const [host, port] = b.endpoint.split(':');
const links = Array.from(
  { length: PAIRS },
  (_, i) => `autoLink { address: bench/${i}\n direction: out\n phase: 0\n connection: b }\n`,
).join('');
// The window of the hop: as many messages as the clients have.
const a = await router('a', `connector { name: b\n role: route-container\n host: ${host}\n port: ${port} }\n${links}`);
const alone = await router('alone');
await new Promise((resolve) => setTimeout(resolve, 500));

const median = (values) => values.toSorted((x, y) => x - y)[values.length >> 1];
const results = { 'one router': [], 'two routers': [] };
try {
  for (let i = 0; i < RUNS; i++) {
    results['one router'].push(run(alone.endpoint, alone.endpoint, [alone.pid]));
    results['two routers'].push(run(a.endpoint, b.endpoint, [a.pid, b.pid]));
  }
  for (const [name, runs] of Object.entries(results)) {
    const cpu = runs.map((r) => r.peer_cpu_us_per_msg);
    const rate = median(runs.map((r) => r.msgs_per_s));
    const latency =
      runs[0].latency_us === undefined ? '' : JSON.stringify(runs.map((r) => [r.latency_us.p50, r.latency_us.p99]));
    process.stdout.write(`${name}: ${median(cpu).toFixed(2)} (${cpu.join(', ')}), ${rate} messages/s ${latency}\n`);
  }
} finally {
  for (const { child } of [a, b, alone]) child.kill();
  rmSync(folder, { recursive: true, force: true });
}
