// SPDX-License-Identifier: Apache-2.0
import type { AutoLink } from '@pointsman/router';
import { RouterProcess, readConfig, silentLogger } from 'pointsman';
import type { ConfigFormat, Logger, RouterConfig, RouterProcessOptions } from 'pointsman';
import { whenOver } from './owner.js';
import type { Owner } from './owner.js';
import { until } from './wait.js';

/** A line of a router's log. */
export interface LogLine {
  readonly module: string;
  readonly level: string;
  readonly text: string;
}

/** A router in this process, with its log at hand. */
export class RouterFixture {
  readonly process: RouterProcess;
  readonly log: LogLine[];

  constructor(process: RouterProcess, log: LogLine[]) {
    this.process = process;
    this.log = log;
  }

  /** Port of the listener of that name, or of the first one. */
  port(listener?: string): number {
    const found = this.process.listeners.find(({ name }) => listener === undefined || name === listener);
    if (found === undefined) throw new Error(`the configuration has no listener ${listener ?? ''}`);
    return found.port;
  }

  autoLink(name: string): AutoLink {
    const found = this.process.router.autoLinks.find((autoLink) => autoLink.name === name);
    if (found === undefined) throw new Error(`the configuration has no autoLink ${name}`);
    return found;
  }

  /** Resolves when every autolink, or those named, are active. */
  async autoLinksActive(...names: string[]): Promise<void> {
    const { autoLinks } = this.process.router;
    const chosen = names.length === 0 ? autoLinks : names.map((name) => this.autoLink(name));
    await until('autolinks to be active', () => chosen.every(({ status }) => status === 'active'), {
      state: () => chosen.map(({ name, status, lastError }) => ({ name, status, lastError })),
    });
  }

  /** Resolves when every link route to a connection or container of that name, or every one at all, is active. */
  async linkRoutesActive(to?: string): Promise<void> {
    const { linkRoutes } = this.process.router;
    const chosen = linkRoutes.filter(
      ({ settings: { connection, containerId } }) => to === undefined || connection === to || containerId === to,
    );
    await until('link routes to be active', () => chosen.every(({ status }) => status === 'active'));
  }

  /** Resolves when the address has at least `count` consumers, whatever its phase. */
  async consumers(address: string, count = 1): Promise<void> {
    const { router } = this.process;
    await until(`${count} consumers of ${address}`, () =>
      [...router.addresses].some(({ key, consumers }) => key.slice(2) === address && consumers.length >= count),
    );
  }

  /** Texts of the log that match. */
  logged(pattern: RegExp): string[] {
    return this.log.map(({ text }) => text).filter((text) => pattern.test(text));
  }
}

export interface StartOptions {
  /** Of the configuration's text; the `.conf` grammar by default. */
  readonly format?: ConfigFormat;
  /** How long connectors wait before they connect again. */
  readonly backoff?: RouterProcessOptions['backoff'];
}

/** Lines of log that are kept; the latest count. */
const LOG_MAX = 5_000;

/**
 * Starts a router from the text of a configuration, in this process; it stops with its owner. Listeners use port 0.
 *
 * @throws Error where the configuration is wrong, with every problem of it
 */
export async function startRouter(
  owner: Owner,
  text: string,
  { format, backoff }: StartOptions = {},
): Promise<RouterFixture> {
  const log: LogLine[] = [];
  const keep: Logger['log'] = (module, level, line) => {
    if (log.length >= LOG_MAX) log.shift();
    log.push({ module, level, text: line });
  };
  const logger: Logger = {
    ...silentLogger,
    log: keep,
    logAlways: keep,
    isEnabled: (module) => module !== 'PROTOCOL',
  };
  const process = new RouterProcess(configOf(text, format), {
    log: logger,
    ...(backoff === undefined ? {} : { backoff }),
  });
  whenOver(owner, () => process.stop());
  await process.start();
  return new RouterFixture(process, log);
}

/** @throws Error where the configuration is wrong, with every problem of it */
export function configOf(text: string, format: ConfigFormat = 'conf'): RouterConfig {
  const result = readConfig(text, { path: `test.${format}`, format });
  if (!result.ok)
    throw new Error(result.problems.map(({ line, message }) => `line ${line ?? '?'}: ${message}`).join('\n'));
  return result.config;
}
