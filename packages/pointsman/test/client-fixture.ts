// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from 'node:events';
import { Writable } from 'node:stream';
import { DEVELOPMENT_POLICY } from '@pointsman/namespace';
import { loadTlsCredentials } from '@pointsman/transport';
import type { Message } from '@pointsman/wire';
import { connect } from '../src/client/client.js';
import type { Client, ConnectOptions } from '../src/client/client.js';
import type { CommandIo } from '../src/command.js';
import { startNamespaceServer } from '../src/namespace-server/namespace-server.js';
import type { NamespaceServer, NamespaceServerOptions } from '../src/namespace-server/namespace-server.js';

export { until } from './five-steps-fixture.js';

/** What a test opened, to be closed whatever comes of it. */
export class Opened {
  readonly #closers: (() => unknown)[] = [];

  add<T extends { close(): unknown }>(thing: T): T {
    this.#closers.push(() => thing.close());
    return thing;
  }

  later(close: () => unknown): void {
    this.#closers.push(close);
  }

  async namespace(options: NamespaceServerOptions = {}): Promise<NamespaceServer> {
    return this.add(await startNamespaceServer({ queues: ['orders'], ...options }));
  }

  /** A client of a namespace: PLAIN over TLS unless told otherwise. */
  async client(server: NamespaceServer, options: Partial<ConnectOptions> = {}): Promise<Client> {
    const { name, key } = DEVELOPMENT_POLICY;
    return this.add(
      await connect({
        host: 'localhost',
        ...(server.mode === 'cloud'
          ? { port: server.ports.amqps!, mode: 'tls', tls: loadTlsCredentials({ caCertFile: server.caCertFile }) }
          : { port: server.ports.amqp! }),
        sasl: { mechanisms: ['PLAIN'], username: name, password: () => key },
        ...options,
      }),
    );
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

/** Runs a test and closes what it opened, the latest first. */
export function opening(body: (opened: Opened) => Promise<void>): () => Promise<void> {
  return async () => {
    const opened = new Opened();
    try {
      await body(opened);
    } finally {
      await opened.close();
    }
  };
}

export function text(body: string): Message {
  return { body: { kind: 'value', value: body } };
}

export function textOf(message: Message): unknown {
  return message.body?.kind === 'value' ? message.body.value : undefined;
}

/** The surroundings of a command, with what it wrote. */
export class TestIo extends EventEmitter implements CommandIo {
  out = '';
  err = '';
  readonly stdout: Writable = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      this.out += chunk.toString();
      done();
    },
  });
  readonly stderr: Writable = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      this.err += chunk.toString();
      done();
    },
  });
}
