// SPDX-License-Identifier: Apache-2.0

/**
 * A router in a process of its own, so that its memory can be looked at. The configuration is the file that the first
 * argument names. Says `{"event": "started", "port"}`, and for each line on stdin `{"event": "memory", "rss", "rssMax"}`,
 * in bytes.
 */
import { createInterface } from 'node:readline';
import { RouterProcess, loadConfig, silentLogger } from 'pointsman';

function say(event: string, fields: object): void {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

const result = loadConfig(process.argv[2]!);
if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'));
const router = new RouterProcess(result.config, { log: silentLogger });
await router.start();
say('started', { port: router.listeners[0]!.port });

createInterface(process.stdin)
  .on('line', () => {
    const { maxRSS } = process.resourceUsage();
    say('memory', { rss: process.memoryUsage.rss(), rssMax: maxRSS * 1024 });
  })
  // Whoever started it is gone.
  .on('close', () => process.exit());
