// SPDX-License-Identifier: Apache-2.0
import type { DialOptions } from '@pointsman/transport';
import type { CommandIo } from '../command.js';
import type { ConnectorConfig, RouterConfig } from '../config/model.js';
import { formatProblems } from '../config/problems.js';
import type { ConfigProblem } from '../config/problems.js';
import { loadConfig } from '../config/read-config.js';
import { processSecretSources } from '../config/secret.js';
import { wantsColor } from '../log/color.js';
import { UsageError } from '../command-options.js';
import { onStopSignal } from '../namespace-server/terminal.js';
import type { Environment } from '../run/environment-proxy.js';
import { parseDoctorArguments } from './arguments.js';
import type { DoctorArguments } from './arguments.js';
import { examine } from './examination.js';
import { exitStatusOf } from './finding.js';
import type { Finding } from './finding.js';
import { configByString, inOptions } from './named-by-string.js';
import { PatientError, patientOf } from './patient.js';
import { reportOf, textOf } from './json-report.js';
import type { ConnectorReport } from './json-report.js';
import { Report } from './report.js';

const HELP = `Says why a connector does not connect, or that it does: name, network, proxy, TLS, clock, authentication, open,
tokens, and each entity with its locks, sessions and dead letters. Nothing is sent and nothing taken, unless
--round-trip is given; where an autolink is to have a message session, that is locked for a moment.

Usage:
  pointsman doctor -c FILE [--connector NAME] [OPTIONS]
  pointsman doctor --connection-string env:NAME [OPTIONS]

Options:
  -c, --config FILE              configuration file; its connectors are examined with their autolinks
      --connector NAME           only this connector of the file
      --connection-string FROM   env:NAME or file:PATH (the text itself also does, for others on this machine to see)
      --entity [send:|receive:]PATH
                                 one more entity, as orders or events/Subscriptions/all; may be repeated
      --round-trip QUEUE         send one message to this queue and take it again; messages of others before it are
                                 locked for a moment and given back
      --transport tcp|websocket|auto, --proxy http://HOST:PORT, --ca-file FILE, --hostname NAME, --http-port PORT
                                 with --connection-string, what a connector would say itself: sslProfile's caCertFile,
                                 hostname (behind a private endpoint), webSocketPort (443; of the management API, too)
      --timeout SECONDS          of each step (15)
  -o, --output text|json         for people, or for programs (docs/doctor.schema.json)
      --no-color                 no colours (NO_COLOR)
  -h, --help                     this text

The right Manage, or the role Azure Service Bus Data Owner, is not needed, but tells more: the management API is asked
about each entity. Without it --round-trip QUEUE reads the lock off a message.

Examples:
  pointsman doctor -c router.conf
  pointsman doctor --connection-string env:SERVICEBUS_CONNECTION_STRING --entity orders
  pointsman doctor -c router.conf --connector azure --round-trip orders -o json

Exit status: 0 it works; 1 the configuration has a mistake, 2 wrong arguments, 130 interrupted; else where it fails
  first: 10 name, 11 network or proxy, 12 TLS, 13 authentication, tokens or clock, 14 open, 15 an entity, 16 the round
  trip.
`;

/** What differs in tests. */
export interface DoctorSurroundings {
  readonly environment?: Environment;
  readonly lookup?: DialOptions['lookup'];
}

const INTERRUPTED = 130;
/** For the last words to leave. */
const FLUSH_MS = 200;

/** Runs `pointsman doctor`. @returns the exit status */
export async function runDoctor(
  argv: readonly string[],
  io: CommandIo,
  surroundings: DoctorSurroundings = {},
): Promise<number> {
  let args: DoctorArguments | 'help';
  try {
    args = parseDoctorArguments(argv);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr.write(`pointsman doctor: ${error.message}\nTry 'pointsman doctor --help'.\n`);
    return 2;
  }
  if (args === 'help') {
    io.stdout.write(HELP);
    return 0;
  }
  const problems: string[] = [];
  const fail = (text: string): void => {
    io.stderr.write(text);
    problems.push(text.trimEnd());
  };
  const connectors = connectorsOf(args, io, surroundings, fail);
  if (connectors === undefined) {
    if (args.json) io.stdout.write(textOf({ version: 1, works: false, exitStatus: 1, problems, connectors: [] }));
    return 1;
  }
  const { config, warnings, chosen } = connectors;
  const interruption = new Interruption(io);
  const report = args.json ? undefined : new Report(io.stdout, args.color, args.timeoutMs);
  const results: ConnectorReport[] = [];
  let status = 0;
  try {
    for (const connector of chosen) {
      if (interruption.isOver) break;
      const findings: Finding[] = [];
      try {
        const patient = patientOf(config, connector, args.entities, surroundings, warnings);
        report?.begin(patient);
        const options = {
          timeoutMs: args.timeoutMs,
          roundTrip: args.roundTrip,
          ...(report === undefined ? {} : { onWait: report.waiting.bind(report) }),
        };
        for await (const finding of interruption.until(examine(patient, options))) {
          findings.push(finding);
          report?.finding(finding);
        }
        report?.end(findings, interruption.isOver);
        const own = exitStatusOf(findings);
        if (status === 0) status = own;
        results.push(reportOf(patient, findings, own));
      } catch (error) {
        if (!(error instanceof PatientError)) throw error;
        fail(
          args.config === undefined
            ? `pointsman doctor: ${inOptions(error.message)}\n`
            : `${config.file}: ${error.message}\n`,
        );
        if (status === 0) status = 1;
      }
    }
    if (interruption.isOver) status = INTERRUPTED;
  } finally {
    report?.stop();
    interruption.close();
  }
  if (args.json)
    io.stdout.write(textOf({ version: 1, works: status === 0, exitStatus: status, problems, connectors: results }));
  return status;
}

interface ReadConfig {
  readonly config: RouterConfig;
  readonly warnings: readonly ConfigProblem[];
}

/** The connectors that are to be looked at; undefined where there are none, which has been said. */
function connectorsOf(
  args: DoctorArguments,
  io: CommandIo,
  surroundings: DoctorSurroundings,
  fail: (text: string) => void,
): (ReadConfig & { readonly chosen: readonly ConnectorConfig[] }) | undefined {
  const read = configOf(args, io, surroundings, fail);
  if (read === undefined) return undefined;
  const { config } = read;
  const { connector: name } = args;
  const chosen = config.connectors.filter((one) => name === undefined || one.name === name);
  if (chosen.length > 0) return { ...read, chosen };
  const known = config.connectors.map((one) => one.name).join(', ');
  const what = name === undefined ? 'there is no connector' : `there is no connector '${name}'`;
  fail(`${config.file}: ${what}${known === '' ? '' : `; there is ${known}`}\n`);
  return undefined;
}

/** Ctrl-C: what was found so far is told, and nothing more is waited for. */
class Interruption {
  readonly #controller = new AbortController();
  readonly #stopListening: () => void;
  readonly #isProcess: boolean;

  constructor(io: CommandIo) {
    this.#isProcess = (io as unknown) === process;
    this.#stopListening = onStopSignal(io, () => this.#controller.abort());
  }

  get isOver(): boolean {
    return this.#controller.signal.aborted;
  }

  /** What `findings` brings until then. */
  async *until(findings: AsyncGenerator<Finding>): AsyncGenerator<Finding> {
    const { signal } = this.#controller;
    let stop: () => void = () => undefined;
    const over = new Promise<undefined>((resolve) => {
      stop = () => resolve(undefined);
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
    try {
      for (;;) {
        const next = await Promise.race([findings.next(), over]);
        if (next === undefined || next.done === true) return;
        yield next.value;
      }
    } finally {
      signal.removeEventListener('abort', stop);
      // It ends with what it waits for.
      findings.return(undefined).catch(() => undefined);
    }
  }

  close(): void {
    this.#stopListening();
    // What is under way has time limits, but nobody waits for them now.
    if (this.isOver && this.#isProcess) setTimeout(() => process.exit(INTERRUPTED), FLUSH_MS).unref();
  }
}

function configOf(
  args: DoctorArguments,
  io: CommandIo,
  { environment }: DoctorSurroundings,
  fail: (text: string) => void,
): ReadConfig | undefined {
  const env = environment ?? processSecretSources.env;
  const secrets = { ...processSecretSources, env };
  const result = args.config === undefined ? configByString(args, env) : loadConfig(args.config, { secrets });
  if (result.ok) return { config: result.config, warnings: result.warnings };
  fail(formatProblems(result.problems, { color: !args.json && wantsColor(io.stderr, process.env) }));
  return undefined;
}
