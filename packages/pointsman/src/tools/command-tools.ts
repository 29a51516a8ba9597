// SPDX-License-Identifier: Apache-2.0
import { nearestName } from '@pointsman/management';
import { optionHelp, parseArguments } from './arguments.js';
import type { OptionSpec, ParsedArguments } from './arguments.js';
import { parseBusAddress } from './bus-address.js';
import type { BusAddress } from './bus-address.js';
import { commonOptions, connectionOptions, managementAddress, targetOptions } from './common-options.js';
import { fetchReport } from './fetch-report.js';
import { jsonText, plainOf } from './plain-value.js';
import type { Plain } from './plain-value.js';
import { carryOut, requestOptions } from './qdmanage.js';
import { logBlocks, reports } from './reports.js';
import type { Block } from './table.js';
import { outputForm, outputOption, plainCsv, styledBlocks, tableOfAnswer, wantsColor } from './styled-output.js';
import type { OutputForm } from './styled-output.js';
import { ToolError, UsageError } from './tool-error.js';
import type { ToolIo } from './tool-io.js';

const common = commonOptions.filter(({ key }) => key !== 'version');
const limitOption: OptionSpec = { flags: ['--limit'], key: 'limit', kind: 'int', help: 'most rows to show; 0 for all' };

const statOptions: readonly OptionSpec[] = [
  ...common,
  outputOption,
  limitOption,
  ...targetOptions('target'),
  ...connectionOptions,
];

const manageOptions: readonly OptionSpec[] = [
  ...common,
  outputOption,
  ...targetOptions('target'),
  ...requestOptions,
  ...connectionOptions,
];

function statHelp(): string {
  const names = [
    ...reports.map(({ key, help }) => [key, help] as const),
    ['log', 'the latest lines of the log'] as const,
  ];
  return `Usage: pointsman stat [REPORT] [OPTIONS]

Shows what a running router does.

Reports:
${names.map(([key, help]) => `  ${key.padEnd(30)}${help}\n`).join('')}
Options:
${optionHelp(statOptions)}
Examples:
  pointsman stat                              the router as a whole, on this machine, port 5672
  pointsman stat links -b amqp://broker1      its links
  pointsman stat connections -o json | jq '.[].host'
  pointsman stat address -r ROUTER2           those of another router of the network

Exit status: 0, 1 where the router cannot be asked or refuses, 2 for wrong arguments.
`;
}

function manageHelp(): string {
  return `Usage: pointsman manage OPERATION [name=value ...] [OPTIONS]

Asks or changes a running router. Operations, in any case: query, create, read, update, delete, get-types,
get-attributes, get-operations, get-annotations, get-mgmt-nodes, get-schema, get-json-schema, get-log, and what an
entity type has besides.

Options:
${optionHelp(manageOptions)}
Examples:
  pointsman manage query --type listener
  pointsman manage create --type autoLink address=orders direction=in connection=broker
  pointsman manage update --type log --name log/DEFAULT enable=debug+
  pointsman manage delete --type connector --name broker
  pointsman manage create --type address --stdin < addresses.json

Exit status: 0, 1 where the router cannot be asked or refuses, 2 for wrong arguments.
`;
}

/** `pointsman stat`. @returns the exit status */
export function runStat(argv: readonly string[], io: ToolIo): Promise<number> {
  return run('stat', argv, statOptions, statHelp, io, (args) => stat(args, io));
}

/** `pointsman manage`. @returns the exit status */
export function runManage(argv: readonly string[], io: ToolIo): Promise<number> {
  return run('manage', argv, manageOptions, manageHelp, io, (args) => manage(args, io));
}

async function run(
  name: string,
  argv: readonly string[],
  options: readonly OptionSpec[],
  help: () => string,
  io: ToolIo,
  work: (args: ParsedArguments) => Promise<string>,
): Promise<number> {
  try {
    const args = parseArguments(argv, options, true);
    io.stdout.write(args.has('help') ? help() : await work(args));
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      io.stderr.write(`pointsman ${name}: ${error.message}\nTry 'pointsman ${name} --help'.\n`);
      return 2;
    }
    const text = error instanceof Error ? error.message : String(error);
    const hint = error instanceof ToolError && error.hint !== undefined ? `\n  ${error.hint}` : '';
    io.stderr.write(`pointsman ${name}: ${text}${hint}\n`);
    return 1;
  }
}

/** @throws UsageError where `--bus` is no address */
function busOf(args: ParsedArguments): BusAddress {
  try {
    return parseBusAddress(args.text('bus') ?? '');
  } catch (error) {
    throw error instanceof ToolError ? new UsageError(`argument -b/--bus: ${error.message}`) : error;
  }
}

function rendered(blocks: readonly Block[], form: OutputForm, io: ToolIo): string {
  return form === 'csv' ? plainCsv(blocks) : styledBlocks(blocks, wantsColor(io));
}

async function stat(args: ParsedArguments, io: ToolIo): Promise<string> {
  const [key = 'general', ...more] = args.positionals;
  if (more.length > 0) throw new UsageError(`one report at a time: '${key}' or '${more[0]}'`);
  const report = reports.find((one) => one.key === key || `${one.key}es` === key);
  if (report === undefined && key !== 'log') {
    const known = [...reports.map((one) => one.key), 'log'];
    const nearest = nearestName(key, known);
    const hint = nearest === undefined ? `choose one of ${known.join(', ')}` : `did you mean '${nearest}'?`;
    throw new UsageError(`there is no report '${key}': ${hint}`);
  }
  const form = outputForm(args, 'table');
  const limit = args.number('limit') ?? 0;
  if (limit < 0) throw new UsageError(`argument --limit: ${limit} is less than 0, which stands for all`);
  const bus = busOf(args);
  const { ManagementClient } = await import('./management-client.js');
  const client = await ManagementClient.open(bus, args);
  const address = managementAddress(args, bus.path);
  try {
    if (report === undefined) {
      const properties = limit > 0 ? { limit: String(limit) } : {};
      const entries = plainOf(await client.request(address, { operation: 'GET-LOG', properties }));
      const rows = Array.isArray(entries) ? (entries as readonly Plain[]) : [];
      if (form === 'json') return `${jsonText(rows, 2)}\n`;
      return form === 'csv' ? plainCsv([logTable(rows)]) : rendered(logBlocks(rows), form, io);
    }
    const { data, schema } = await fetchReport(client, report, address, limit);
    const rows: Plain = report.together === true ? new Map(Object.entries(data)) : (data[report.needs[0]!] ?? []);
    if (form === 'json') return `${jsonText(rows, 2)}\n`;
    return rendered(report.render(data, args.has('verbose'), schema), form, io);
  } finally {
    await client.close();
  }
}

function logTable(entries: readonly Plain[]): Block {
  return {
    title: '',
    heads: ['module', 'level', 'text', 'file', 'line', 'time'],
    rows: entries.map((entry) =>
      Array.isArray(entry) ? entry.map((one: Plain) => (one === null ? '' : String(one))) : [],
    ),
  };
}

async function manage(args: ParsedArguments, io: ToolIo): Promise<string> {
  if (args.positionals.length === 0)
    throw new UsageError("say what to do: 'pointsman manage query --type listener', for example");
  const form = outputForm(args, io.stdout.isTTY === true ? 'table' : 'json');
  busOf(args);
  const answer = await carryOut(args, io);
  if (answer === undefined) return '';
  if (answer.text !== undefined) return `${answer.text}\n`;
  const table = form === 'json' ? undefined : tableOfAnswer(answer.value);
  if (table !== undefined) return rendered([table], form, io);
  const indent = args.number('indent') ?? 2;
  return `${jsonText(answer.value, indent < 0 ? undefined : indent)}\n`;
}
