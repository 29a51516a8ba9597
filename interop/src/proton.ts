// SPDX-License-Identifier: Apache-2.0
import { JsonProcess, PYTHON } from '@pointsman/testing';
import type { Owner, ProcessEvent } from '@pointsman/testing';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where the Python programs lie, seen from the compiled file. */
const PROGRAMS = fileURLToPath(new URL('../../python/', import.meta.url));

/** Each answer means a turn of its event loop, and at least one of ours. */
const SAME_ANSWERS = 20;

/** Runs a program of `python/blocking.py` to its end. @returns what it said */
export async function runBlocking(
  owner: Owner,
  program: string,
  ...args: (string | number)[]
): Promise<ProcessEvent[]> {
  return runProgram(owner, 'blocking.py', program, ...args);
}

/** Runs a file of `python/` to its end. @returns what it said */
export async function runProgram(owner: Owner, file: string, ...args: (string | number)[]): Promise<ProcessEvent[]> {
  const child = new JsonProcess(owner, `Proton (${file})`, PYTHON, [join(PROGRAMS, file), ...args.map(String)]);
  await child.done();
  return child.events;
}

/** An event-driven Proton container; commands and events are those of `python/peer.py`. */
export class ProtonPeer extends JsonProcess {
  constructor(owner: Owner, env: NodeJS.ProcessEnv = {}) {
    super(owner, 'Proton', PYTHON, [join(PROGRAMS, 'peer.py')], env);
  }

  /** One that is connected, as `c`, to a port of 127.0.0.1. Without SASL unless `options` say so. */
  static async connect(owner: Owner, port: number, options: object = {}): Promise<ProtonPeer> {
    const peer = new ProtonPeer(owner);
    await peer.next('ready');
    peer.tell({ do: 'connect', id: 'c', url: `amqp://127.0.0.1:${port}`, sasl: false, ...options });
    await peer.next('connected');
    return peer;
  }

  /** One that listens on a port of 127.0.0.1 as a container of that name. */
  static async listen(owner: Owner, port: number, container: string, serve: object = {}): Promise<ProtonPeer> {
    const peer = new ProtonPeer(owner);
    await peer.next('ready');
    peer.tell({ do: 'listen', port, container, serve });
    await peer.next('listening');
    return peer;
  }

  async sender(id: string, address: string | null, options: object = {}): Promise<ProcessEvent> {
    this.tell({ do: 'sender', connection: 'c', id, address, ...options });
    return this.next('link-opened');
  }

  async receiver(id: string, address: string | null, options: object = {}): Promise<ProcessEvent> {
    this.tell({ do: 'receiver', connection: 'c', id, address, ...options });
    return this.next('link-opened');
  }

  /** Resolves when it has nothing more to send for now: its frames do not get more, however often it is asked. */
  async stalled(): Promise<void> {
    let [frames, same] = [-1, 0];
    while (same < SAME_ANSWERS) {
      this.tell({ do: 'frames', connection: 'c' });
      const outgoing = Number((await this.next('frames'))['outgoing']);
      same = outgoing === frames ? same + 1 : 0;
      frames = outgoing;
    }
  }

  /** Sends a message, and waits for its outcome. */
  async send(link: string, what: object): Promise<ProcessEvent> {
    this.tell({ do: 'send', link, ...what });
    return this.next('settled');
  }
}
