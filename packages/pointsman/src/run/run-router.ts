// SPDX-License-Identifier: Apache-2.0
import type { Writable } from 'node:stream';
import type { LogLevel } from '../config/log-levels.js';
import type { LogConfig, RouterConfig } from '../config/model.js';
import { formerWords, formatProblems } from '../config/problems.js';
import type { ConfigProblem } from '../config/problems.js';
import { loadConfig } from '../config/read-config.js';
import { LogError, createLogger } from '../log.js';
import { wantsColor } from '../log/color.js';
import { RouterProcess } from './router-process.js';

/** Signals that ask a router to stop, and the one that asks it to read its configuration again. */
export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGQUIT';
export type RouterSignal = StopSignal | 'SIGHUP';

/** What a router needs of the process that it runs in. */
export interface RouterIo {
  readonly stdout: Writable & { isTTY?: boolean };
  readonly stderr: Writable & { isTTY?: boolean };
  on(event: RouterSignal, listener: () => void): unknown;
  off(event: RouterSignal, listener: () => void): unknown;
}

export interface RunRouterOptions {
  /** The configuration file. */
  readonly path: string;
  /** Name of the command, for what it says of itself. */
  readonly program: string;
  readonly io: RouterIo;
  /** Deliveries that are stuck are found sooner: every 5 s, from an age of 3 s on. */
  readonly testHooks?: boolean;
  readonly log?: LogChoice;
  /** Time that receivers have to settle what they hold when the router stops. Default: 2,000. */
  readonly settleMs?: number | undefined;
  /** The whole configuration is applied, and every listener listens. */
  readonly onUp?: () => void;
}

/** What a command line says about the log; what it leaves out, the configuration says. */
export interface LogChoice {
  readonly format?: 'text' | 'json' | undefined;
  /** Of module DEFAULT, as `enable` has it. */
  readonly levels?: ReadonlySet<LogLevel> | undefined;
}

/** What the flag for tests of the old router sets, in seconds. */
const TEST_HOOKS = { scanSeconds: 5, ageSeconds: 3 };
const KEEP_ALIVE_MS = 3_600_000;

/** How it ended: by which signal, or not even started. */
export type RunEnd = { readonly status: 0; readonly signal: StopSignal } | { readonly status: 1 };

/**
 * Reads a configuration, runs its router, and stops it at the first signal that asks for that. What keeps it from starting
 * is told on stderr wherever the log goes.
 */
export async function runRouter(options: RunRouterOptions): Promise<RunEnd> {
  const { path, program, io, onUp, testHooks = false } = options;
  const loaded = configOf(path, program, io);
  if (loaded === undefined) return { status: 1 };
  const { config, warnings } = loaded;
  const stopped = stopSignal(io);
  let failure: unknown;
  let router: RouterProcess | undefined;
  const log = loggerOf(config, program, io, options.log);
  if (log === undefined) {
    stopped.forget();
    return { status: 1 };
  }
  for (const words of formerWords(warnings)) log.log('AGENT', 'warning', words);
  // Heard from the beginning, since the default is to die of it; done once there is something to reload.
  let isUp = false;
  let isAsked = false;
  const reload = (): void => {
    isAsked = !isUp;
    if (isUp)
      router?.reload().catch((error: unknown) => log.log('AGENT', 'error', `Reload failed: ${startFailure(error)}`));
  };
  io.on('SIGHUP', reload);
  try {
    router = new RouterProcess(config, {
      log,
      settleMs: options.settleMs,
      ...(testHooks ? { stuckDeliveries: TEST_HOOKS } : {}),
    });
    await router.start();
  } catch (error) {
    failure = error;
  }
  if (router === undefined || failure !== undefined) {
    const why = startFailure(failure);
    log.log('MAIN', 'critical', `Router start-up failed: ${why}`);
    await log.close();
    io.stderr.write(`${program}: ${why}\n`);
    stopped.forget();
    io.off('SIGHUP', reload);
    return { status: 1 };
  }
  const running = router;
  isUp = true;
  if (isAsked) reload();
  onUp?.();
  // A router without a port and without a connection runs all the same.
  const alive = setInterval(() => undefined, KEEP_ALIVE_MS);
  const signal = await stopped.signal;
  clearInterval(alive);
  await running.stop();
  await log.close();
  io.off('SIGHUP', reload);
  return { status: 0, signal };
}

/** Reads a configuration; what is wrong with it goes to stderr. */
export function configOf(
  path: string,
  program: string,
  io: Pick<RouterIo, 'stderr'>,
): { readonly config: RouterConfig; readonly warnings: readonly ConfigProblem[] } | undefined {
  const color = wantsColor(io.stderr);
  const result = loadConfig(path);
  if (result.ok) {
    io.stderr.write(formatProblems(result.warnings, { color }));
    return result;
  }
  io.stderr.write(formatProblems(result.problems, { color }));
  // For scripts that look for the old router's line: they call the old name.
  if (program !== 'qdrouterd') return undefined;
  const words = [...formerWords(result.problems)];
  if (!words.some((text) => text.startsWith('Python: '))) {
    const first = result.problems.find(({ severity }) => severity === 'error');
    words.push(`Python: Exception: Cannot load configuration file ${path}: ${first?.message ?? 'see above'}`);
  }
  io.stderr.write(`\n${words.map((text) => `${program}: ${text}\n`).join('')}`);
  return undefined;
}

function loggerOf(
  config: RouterConfig,
  program: string,
  io: RouterIo,
  { format, levels }: LogChoice = {},
): ReturnType<typeof createLogger> | undefined {
  try {
    return createLogger({
      logs: levels === undefined ? config.logs : withLevels(config.logs, levels),
      ...(format === undefined ? {} : { format }),
      stderr: io.stderr,
      stdout: io.stdout,
      utc: config.router.timestampsInUTC,
      timestampFormat: config.router.timestampFormat,
    });
  } catch (error) {
    io.stderr.write(`${program}: ${startFailure(error)}\n`);
    return undefined;
  }
}

/** The same with other levels for DEFAULT. */
function withLevels(logs: readonly LogConfig[], levels: ReadonlySet<LogLevel>): LogConfig[] {
  const before = logs.find(({ module }) => module === 'DEFAULT');
  const common: LogConfig = before ?? {
    name: 'log/DEFAULT',
    line: 0,
    module: 'DEFAULT',
    levels,
    includeTimestamp: undefined,
    includeSource: undefined,
    outputFile: undefined,
  };
  return [...logs.filter((entry) => entry !== before), { ...common, levels }];
}

/**
 * The first signal that asks the process to stop. A second interrupt ends it at once; the other two are ignored from then
 * on, so that a supervisor which asks twice still sees a clean end.
 */
function stopSignal(io: RouterIo): { readonly signal: Promise<StopSignal>; forget(): void } {
  const handlers = new Map<StopSignal, () => void>();
  const signal = new Promise<StopSignal>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const) {
      const handler = (): void => {
        resolve(name);
        const interrupt = handlers.get('SIGINT');
        if (interrupt !== undefined) io.off('SIGINT', interrupt);
      };
      handlers.set(name, handler);
      io.on(name, handler);
    }
  });
  return {
    signal,
    forget: () => {
      for (const [name, handler] of handlers) io.off(name, handler);
    },
  };
}

/** Why a router did not start, with what to do about it. */
export function startFailure(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof LogError) return `${message}: ${error.hint}`;
  const hint = error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? ` ${error.hint}` : '';
  return `${message}${hint}`;
}
