// SPDX-License-Identifier: Apache-2.0
import { runRouter } from '../run/run-router.js';
import type { RouterIo, StopSignal } from '../run/run-router.js';
import { VERSION } from '../version.js';
import { parseArguments, USAGE } from './arguments.js';
import { startDaemon } from './daemon.js';

/** How the process ends: with a status, or by the signal that stopped it. */
export interface QdrouterdEnd {
  readonly status: number;
  /** It was stopped by that signal, and who waits for it wants to know. */
  readonly signal?: StopSignal;
}

/** `qdrouterd` as it is called from a shell, a unit file or a container. */
export async function runQdrouterd(argv: readonly string[], io: RouterIo): Promise<QdrouterdEnd> {
  const parsed = parseArguments(argv);
  switch (parsed.kind) {
    case 'help':
      io.stdout.write(USAGE);
      return { status: 0 };
    case 'version':
      io.stdout.write(`${VERSION}\n`);
      return { status: 0 };
    case 'wrong':
      io.stderr.write(`${parsed.message}\n\n`);
      io.stdout.write(USAGE);
      return { status: 1 };
    case 'run':
  }
  const { config, daemon, pidFile, user, testHooks } = parsed.arguments;
  if (daemon) return { status: await startDaemon({ config, pidFile, user, testHooks }, io) };
  const end = await runRouter({ path: config, program: 'qdrouterd', io, testHooks });
  // An interrupt is told as one: a shell stops the script that it came from only then.
  if (end.status === 0 && end.signal === 'SIGINT') return end;
  return { status: end.status };
}
