// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startGuarded } from './guarded-process.js';
import type { GuardedProcess } from './guarded-process.js';
import { temporaryFolder, whenOver } from './owner.js';
import type { Owner } from './owner.js';
import { freePorts, speaksAmqp } from './ports.js';
import { until } from './wait.js';

/** The scripts themselves: those on the PATH change the user first. */
export const RABBITMQ_PROGRAM = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const RABBITMQ_CONTROL = '/usr/lib/rabbitmq/bin/rabbitmqctl';

/**
 * A RabbitMQ with its AMQP 1.0 plugin: user `guest`, password `guest`, nodes `/queue/NAME` (made when first used) and
 * `/amq/queue/NAME`. It shares nothing with one of the system: own node, data, cookie, ports and port mapper.
 */
export class RabbitMq {
  readonly port: number;
  /** `NAME@localhost` of the Erlang node. */
  readonly node: string;
  readonly #env: NodeJS.ProcessEnv;
  #process: GuardedProcess | undefined;

  private constructor(port: number, node: string, env: NodeJS.ProcessEnv) {
    this.port = port;
    this.node = node;
    this.#env = env;
  }

  /** Starts one that ends with its owner, whatever happens. @throws Error with its output where it does not start */
  static async start(owner: Owner): Promise<RabbitMq> {
    const folder = await temporaryFolder(owner);
    const [port, epmdPort, distributionPort] = await freePorts(3);
    const node = `pointsman-${process.pid}-${port}@localhost`;
    await mkdir(join(folder, 'log'));
    await writeFile(join(folder, 'enabled_plugins'), '[rabbitmq_amqp1_0].\n');
    await writeFile(join(folder, 'env.conf'), '');
    await writeFile(
      join(folder, 'rabbitmq.conf'),
      `listeners.tcp.1 = 127.0.0.1:${port}\nlog.console = true\nlog.console.level = warning\nlog.file = false\n`,
    );
    const broker = new RabbitMq(port!, node, {
      PATH: process.env['PATH'],
      LANG: 'C.UTF-8',
      // The cookie is made here.
      HOME: folder,
      ERL_EPMD_PORT: String(epmdPort),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: node,
      RABBITMQ_DIST_PORT: String(distributionPort),
      RABBITMQ_CONF_ENV_FILE: join(folder, 'env.conf'),
      RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
      RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_PID_FILE: join(folder, 'pid'),
      // Two cores are shared by all: its schedulers must not spin.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+sbwt none +sbwtdcpu none +sbwtdio none',
    });
    whenOver(owner, () => broker.kill());
    await broker.boot();
    return broker;
  }

  /** Starts it, the first time or again with the data and on the port that it had. */
  async boot(): Promise<void> {
    const started = startGuarded(`epmd &\n${RABBITMQ_PROGRAM} &`, this.#env);
    this.#process = started;
    await until('RabbitMQ to speak AMQP 1.0', async () => {
      if (/BOOT FAILED|Error during startup/.test(started.output()) || started.hasEnded)
        throw new Error(`RabbitMQ did not start: ${started.output()}`);
      return speaksAmqp(this.port);
    });
  }

  /** Ends it from one moment to the next, as a power cut does; what it confirmed is on its disk. */
  async kill(): Promise<void> {
    await this.#process?.kill();
    this.#process = undefined;
  }

  /** Has it write to its disk which queues there are: of its own accord it does so some time after they were made. */
  async flush(): Promise<void> {
    await promisify(execFile)(RABBITMQ_CONTROL, ['eval', 'mnesia:sync_log().'], { env: this.#env, timeout: 60_000 });
  }

  /** The latest that it printed. */
  output(): string {
    return this.#process?.output() ?? '';
  }
}
