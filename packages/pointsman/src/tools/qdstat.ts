// SPDX-License-Identifier: Apache-2.0
import { optionHelp, parseArguments, usageText } from './arguments.js';
import type { OptionSpec, ParsedArguments } from './arguments.js';
import { parseBusAddress } from './bus-address.js';
import { timestampText } from './cells.js';
import { commonOptions, connectionOptions, managementAddress, targetOptions } from './common-options.js';
import { fetchReport } from './fetch-report.js';
import { plainOf } from './plain-value.js';
import { allEntities, logBlocks, reports } from './reports.js';
import type { Report } from './reports.js';
import { renderBlocks } from './table.js';
import type { Block } from './table.js';
import type { ManagementClient } from './management-client.js';
import type { ToolIo } from './tool-io.js';
import { runTool } from './tool-io.js';

const reportOptions: readonly OptionSpec[] = [
  ...reports.map(({ key, flags, help }) => ({ key, flags, help, kind: 'flag' as const, group: 'report' })),
  { flags: ['--log'], key: 'log', kind: 'flag', group: 'report', help: 'the latest lines of the log' },
  { flags: ['--all-entities'], key: 'all-entities', kind: 'flag', group: 'report', help: 'most of these, one by one' },
];

const targets: readonly OptionSpec[] = [
  {
    flags: ['--all-routers'],
    key: 'all-routers',
    kind: 'flag',
    group: 'target',
    help: 'ask all routers of the network',
  },
  ...targetOptions('target'),
];

const outputOptions: readonly OptionSpec[] = [
  { flags: ['--limit'], key: 'limit', kind: 'int', help: 'most rows to show; 0 for all (default)' },
  { flags: ['--csv'], key: 'csv', kind: 'flag', help: 'tables as comma-separated values' },
];

const options: readonly OptionSpec[] = [
  ...commonOptions,
  ...reportOptions,
  ...targets,
  ...outputOptions,
  ...connectionOptions,
];

function helpText(): string {
  return `${usageText('qdstat', options)}
Shows what a router does.

Optional Arguments:
${optionHelp([...commonOptions, ...outputOptions])}
Display:
${optionHelp(reportOptions)}
Target:
${optionHelp(targets)}
Connection:
${optionHelp(connectionOptions)}`;
}

/** The command `qdstat`, as scripts know it. @returns the exit status */
export function runQdstat(argv: readonly string[], io: ToolIo): Promise<number> {
  return runTool('qdstat', options, helpText, io, async () => {
    const args = parseArguments(argv, options, false);
    return { args, run: (write) => show(args, write) };
  });
}

async function show(args: ParsedArguments, write: (text: string) => void): Promise<void> {
  const bus = parseBusAddress(args.text('bus') ?? '');
  const { ManagementClient: Opened } = await import('./management-client.js');
  const client = await Opened.open(bus, args);
  try {
    await new Output(client, args, write).all(managementAddress(args, bus.path));
  } finally {
    await client.close();
  }
}

class Output {
  readonly #client: ManagementClient;
  readonly #args: ParsedArguments;
  readonly #write: (text: string) => void;

  constructor(client: ManagementClient, args: ParsedArguments, write: (text: string) => void) {
    this.#client = client;
    this.#args = args;
    this.#write = write;
  }

  async all(address: string): Promise<void> {
    const nodes = plainOf(await this.#client.request(address, { operation: 'GET-MGMT-NODES' }));
    const addresses = Array.isArray(nodes) ? nodes.map(String) : [];
    if (!this.#args.has('all-routers') || addresses.length < 2) {
      await this.#report(address, true);
      return;
    }
    this.#write(`${timestampText(Date.now())}\n`);
    for (const one of addresses) {
      const path = one.replace(/^amqp:\//, '');
      this.#write(`Router  ${path.split('/')[2] ?? ''}\n\n`);
      // oxlint-disable-next-line no-await-in-loop
      await this.#report(path, false);
      this.#write('\n');
    }
  }

  async #report(address: string, isHeaded: boolean): Promise<void> {
    if (this.#args.has('log')) {
      await this.#log(address);
      return;
    }
    const isAll = this.#args.has('all-entities');
    const chosen = isAll
      ? allEntities.map((key) => reports.find((report) => report.key === key)!)
      : [reports.find(({ key }) => this.#args.has(key)) ?? reports[0]!];
    if (isHeaded && chosen[0]!.headed) await this.#head(address);
    for (const report of chosen) {
      // oxlint-disable-next-line no-await-in-loop
      this.#print(await this.#blocks(report, address));
      if (isAll) this.#write('\n');
    }
  }

  async #head(address: string): Promise<void> {
    const [router] = await this.#client.query(address, 'router');
    this.#write(`${timestampText(Date.now())}\n${String(router?.get('id') ?? '')}\n\n`);
  }

  async #blocks(report: Report, address: string): Promise<readonly Block[]> {
    const { data, schema } = await fetchReport(this.#client, report, address, this.#args.number('limit') ?? 0);
    return report.render(data, this.#args.has('verbose'), schema);
  }

  async #log(address: string): Promise<void> {
    const limit = this.#args.number('limit') ?? 0;
    const properties = limit > 0 ? { limit: String(limit) } : {};
    const entries = plainOf(await this.#client.request(address, { operation: 'GET-LOG', properties }));
    this.#print(logBlocks(Array.isArray(entries) ? entries : []));
  }

  #print(blocks: readonly Block[]): void {
    this.#write(renderBlocks(blocks, this.#args.has('csv') ? 'csv' : 'table'));
  }
}
