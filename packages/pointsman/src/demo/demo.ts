// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConnectionStringError, parseConnectionString } from '@pointsman/azure';
import type { ConnectionString } from '@pointsman/azure';
import { DEVELOPMENT_POLICY } from '@pointsman/namespace';
import { TlsCredentialsError, TransportError } from '@pointsman/transport';
import { ClientError } from '../client/client-error.js';
import type { CommandIo } from '../command.js';
import { formatProblems } from '../config/problems.js';
import { loadConfig } from '../config/read-config.js';
import type { RouterConfig } from '../config/model.js';
import { silentLogger } from '../log.js';
import { wantsColor } from '../log/color.js';
import { UsageError } from '../command-options.js';
import { startNamespaceServer } from '../namespace-server/namespace-server.js';
import type { NamespaceServer } from '../namespace-server/namespace-server.js';
import { onStopSignal, shown } from '../namespace-server/terminal.js';
import { ConnectorError } from '../run/destination.js';
import { RouterProcess } from '../run/router-process.js';
import { parseDemoArguments } from './arguments.js';
import type { DemoArguments } from './arguments.js';
import { PlanError, besideNamespace, besideRealNamespace, namespaceFor, planOf } from './plan.js';
import type { Plan } from './plan.js';
import { StepWatch } from './step-watch.js';
import { Traffic } from './traffic.js';
import { View, numberOf } from './view.js';

/** Exit statuses of the demo besides 0. */
export const DEMO_STATUS = {
  /** Orders were lost or doubled, or the traffic did not come to its end. */
  incomplete: 1,
  /** Wrong arguments, or a configuration that cannot be used. */
  usage: 2,
  /** One of the five steps failed. */
  step: 3,
  /** Ctrl-C before anything was sent. */
  interrupted: 130,
} as const;

const HELP = `Usage: pointsman demo [OPTIONS]

The main job, end to end: orders go from plain AMQP clients to a router, through a queue of Azure Service Bus, and come
back. Without options it needs nothing but this machine: it starts a namespace that behaves as Service Bus does, and a
router with the configuration file demo/qdrouterd.conf. It shows the five steps of the way to Service Bus, then the
orders and their rates, until Ctrl-C.

Options:
  -n, --messages N             end after N orders
      --rate N                 at most N orders a second (default: as fast as they go; 100 with a real namespace)
  -c, --config FILE            another configuration file; the namespace is made to fit it
      --connection-string STRING|env:NAME
                               a real namespace in place of the embedded one. It must have an empty queue that nobody
                               else uses, and the policy the rights Send and Listen
      --queue NAME             that queue (default orders)
      --no-color               no colours; there are none either where the output is no terminal
  -h, --help                   this text

Examples:
  pointsman demo
  pointsman demo --messages 10000
  pointsman demo --connection-string env:SERVICEBUS_CONNECTION_STRING --queue orders --messages 500

Exit status: 0 where every order arrived and none came twice without a reason, 1 where not, 2 for wrong arguments or a
configuration that cannot be used, 3 where one of the five steps failed, 130 for Ctrl-C before there were orders.
`;

const REPOSITORY_CONFIG = fileURLToPath(new URL('../../../../../demo/qdrouterd.conf', import.meta.url));

/** Time for the five steps, on this machine and over the internet, in ms. */
const STEPS_MS = 5_000;
const STEPS_REAL_MS = 60_000;
/** Time without anything new after which what is open counts as lost, in ms. */
const PATIENCE_MS = 10_000;
const PATIENCE_REAL_MS = 60_000;
/** Time for peers to say goodbye, in ms. */
const STOP_MS = 2_000;

/** `pointsman demo`. Resolves with the exit status. */
export async function runDemo(argv: readonly string[], io: CommandIo): Promise<number> {
  let parsed: DemoArguments | 'help';
  try {
    parsed = parseDemoArguments(argv, (name) => process.env[name]);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr.write(`pointsman demo: ${shown(error.message)}\nTry 'pointsman demo --help'.\n`);
    return DEMO_STATUS.usage;
  }
  if (parsed === 'help') {
    io.stdout.write(HELP);
    return 0;
  }
  const demo = new Demo(parsed, io);
  try {
    return await demo.run();
  } catch (error) {
    const failure = failureOf(error);
    if (failure === undefined) throw error;
    io.stderr.write(`pointsman demo: ${shown(failure.text)}\n`);
    return failure.status;
  } finally {
    await demo.close();
  }
}

class Demo {
  readonly #arguments: DemoArguments;
  readonly #io: CommandIo;
  readonly #view: View;
  #server: NamespaceServer | undefined;
  #router: RouterProcess | undefined;
  #watch: StepWatch | undefined;
  #traffic: Traffic | undefined;
  #forgetSignals: (() => void) | undefined;
  #interrupts = 0;

  constructor(args: DemoArguments, io: CommandIo) {
    this.#arguments = args;
    this.#io = io;
    this.#view = new View(io.stdout, args.color);
  }

  async run(): Promise<number> {
    const file = this.#arguments.config ?? REPOSITORY_CONFIG;
    const real =
      this.#arguments.connectionString === undefined
        ? undefined
        : parseConnectionString(this.#arguments.connectionString.reveal());
    if (this.#arguments.config === undefined && !existsSync(file)) {
      throw new PlanError(
        'demo/qdrouterd.conf is not beside this program: run it from a checkout of the repository, or name a file with --config',
      );
    }
    const read = loadConfig(file, {
      secrets: {
        // Whatever key the file asks for is replaced by that of the namespace used; it need not be set.
        env: (name) => process.env[name] ?? ANY_SECRET,
        readFile: () => ANY_SECRET,
      },
    });
    if (!read.ok) {
      this.#io.stderr.write(
        formatProblems(read.problems, { color: this.#arguments.color && wantsColor(this.#io.stderr) }),
      );
      return DEMO_STATUS.usage;
    }
    const plan = planOf(read.config);
    this.#forgetSignals = onStopSignal(this.#io, () => this.#interrupt());
    const config = await this.#place(read.config, plan, real);
    if (!(await this.#walk(config, plan))) return this.#interrupts > 0 ? DEMO_STATUS.interrupted : DEMO_STATUS.step;
    return this.#trade(plan);
  }

  async close(): Promise<void> {
    this.#forgetSignals?.();
    this.#watch?.stop();
    this.#view.endRates();
    await this.#traffic?.close().catch(() => undefined);
    await this.#router?.stop(STOP_MS);
    await this.#server?.close();
  }

  #interrupt(): void {
    this.#interrupts++;
    if (this.#traffic === undefined) {
      this.#watch?.stop();
      return;
    }
    if (this.#interrupts > 1) {
      this.#traffic.giveUp();
      return;
    }
    const { underWay } = this.#traffic.ledger;
    if (underWay > 0)
      this.#view.line(
        this.#view.styles.faint(
          `  Ending. ${numberOf(underWay)} orders are under way; Ctrl-C again does not wait for them.`,
        ),
      );
    this.#traffic.finish();
  }

  /** The configuration, with its place beside a namespace; the embedded one is started. */
  async #place(config: RouterConfig, plan: Plan, real: ConnectionString | undefined): Promise<RouterConfig> {
    const { strong, faint, accent } = this.#view.styles;
    const { connectionString, config: given } = this.#arguments;
    this.#view.line();
    this.#view.line(strong('  Pointsman: orders from AMQP clients, through a queue of Azure Service Bus, and back'));
    this.#view.line();
    if (real === undefined || connectionString === undefined) {
      this.#server = await startNamespaceServer(namespaceFor(config, plan));
      this.#view.line(
        `    namespace   ${accent(`${this.#server.hostname}:${this.#server.ports.amqps}`)}  ${faint('embedded: behaves as Service Bus does, in memory')}`,
      );
      this.#view.line(
        `    router      ${accent(nameOfFile(given ?? REPOSITORY_CONFIG))}  ${faint('with the ports, certificate and key of this run')}`,
      );
      this.#view.line();
      return besideNamespace(config, plan, this.#server);
    }
    const queue = real.entityPath ?? this.#arguments.queue;
    this.#view.line(`    namespace   ${accent(`${real.host}:${real.port}`)}`);
    this.#view.paragraph(
      `must have a queue '${queue}', empty and used by nobody else; the policy '${real.keyName ?? ''}' must have the rights Send and Listen`,
      faint,
      ' '.repeat(16),
    );
    this.#view.line(
      `    router      ${accent(nameOfFile(REPOSITORY_CONFIG))}  ${faint('with this namespace in place of its own')}`,
    );
    this.#view.line();
    return besideRealNamespace(config, plan, connectionString, queue);
  }

  /** The five steps. @returns whether all were good */
  async #walk(config: RouterConfig, plan: Plan): Promise<boolean> {
    const { connector } = plan;
    const isReal = this.#arguments.connectionString !== undefined;
    const expected = config.autoLinks.filter(({ connection }) => connection === connector.name).length;
    const watch = new StepWatch(connector.name, expected, isReal ? STEPS_REAL_MS : STEPS_MS, (report) =>
      this.#view.step(report),
    );
    this.#watch = watch;
    this.#router = new RouterProcess(config, { log: silentLogger, observer: watch });
    this.#view.pending(
      'connection',
      `to ${this.#router.connectors.find(({ name }) => name === connector.name)?.target ?? ''} ...`,
    );
    await this.#router.start();
    const isGood = await watch.done;
    this.#view.line();
    return isGood;
  }

  /** Orders, until they are all back. @returns the exit status */
  async #trade(plan: Plan): Promise<number> {
    const { messages, rate, connectionString } = this.#arguments;
    const { faint, accent } = this.#view.styles;
    const [listener] = this.#router?.listeners ?? [];
    if (listener === undefined) throw new PlanError('the router has no listener for clients');
    const where = `amqp://${listener.host}:${listener.port}/${plan.address}`;
    this.#view.line(`  A shop sends orders to ${accent(where)}, a warehouse receives them from there.`);
    this.#view.line(
      `  ${faint(messages === undefined ? 'Ctrl-C ends it.' : `${numberOf(messages)} ${messages === 1 ? 'order' : 'orders'}, then it ends.`)}`,
    );
    this.#view.line();
    const traffic = new Traffic({
      host: listener.host,
      port: listener.port,
      address: plan.address,
      messages,
      rate,
      patienceMs: connectionString === undefined ? PATIENCE_MS : PATIENCE_REAL_MS,
      onFirst: (journey) => this.#view.journey(journey, plan.queue),
    });
    this.#traffic = traffic;
    await traffic.start();
    this.#view.startRates(traffic);
    const end = await traffic.ended;
    this.#view.endRates();
    const isGood = this.#view.summary(traffic, end);
    this.#view.line();
    return isGood ? 0 : DEMO_STATUS.incomplete;
  }
}

/** What a user can do something about; undefined for a mistake of this program. */
function failureOf(error: unknown): { readonly text: string; readonly status: number } | undefined {
  if (error instanceof ClientError) {
    return { text: `the router does not take the clients: ${error.message}`, status: DEMO_STATUS.incomplete };
  }
  if (error instanceof TransportError || error instanceof TlsCredentialsError) {
    return { text: `${error.message} ${error.hint}`, status: DEMO_STATUS.usage };
  }
  const isOfTheUser =
    error instanceof PlanError || error instanceof ConnectionStringError || error instanceof ConnectorError;
  return isOfTheUser ? { text: error.message, status: DEMO_STATUS.usage } : undefined;
}

/** A text that may stand for a key as well as for a connection string. */
const ANY_SECRET = `Endpoint=sb://localhost/;SharedAccessKeyName=${DEVELOPMENT_POLICY.name};SharedAccessKey=${DEVELOPMENT_POLICY.key}`;

function nameOfFile(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near;
}
