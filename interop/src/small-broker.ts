// SPDX-License-Identifier: Apache-2.0
import type { Owner } from '@pointsman/testing';
import type { Container, EventContext, Message, Sender } from 'rhea';
import { RheaServer } from './rhea-client.js';
import type { ServerSecurity } from './rhea-client.js';

/** A broker of a few lines on the rhea library: queues in memory, made when they are first used. */
export class SmallBroker {
  readonly port: number;
  /** Names of users that were let in. */
  readonly users: (string | undefined)[] = [];
  readonly #queues = new Map<string, Message[]>();
  readonly #senders = new Map<string, Sender[]>();

  private constructor(port: number) {
    this.port = port;
  }

  /** @param password - where it is given, only users with it are let in; else everybody */
  static async listen(owner: Owner, id: string, password?: string, security?: ServerSecurity): Promise<SmallBroker> {
    const server = await RheaServer.listen(
      owner,
      id,
      (container) => setUp(container, () => broker, password),
      security,
    );
    const broker = new SmallBroker(server.port);
    return broker;
  }

  /** Messages that wait. */
  waiting(queue: string): readonly Message[] {
    return this.#queues.get(queue) ?? [];
  }

  /** @internal */
  put(queue: string, message: Message): void {
    this.#queues.set(queue, [...this.waiting(queue), message]);
    this.give(queue);
  }

  /** @internal */
  serve(queue: string, sender: Sender): void {
    this.#senders.set(queue, [...(this.#senders.get(queue) ?? []), sender]);
  }

  /** @internal */
  give(queue: string): void {
    const messages = this.#queues.get(queue) ?? [];
    for (const sender of this.#senders.get(queue) ?? []) {
      while (messages.length > 0 && sender.is_open() && sender.sendable()) sender.send(messages.shift()!);
    }
  }
}

function setUp(container: Container, broker: () => SmallBroker, password: string | undefined): void {
  if (password === undefined) container.sasl_server_mechanisms.enable_anonymous();
  else {
    container.sasl_server_mechanisms.enable_plain((user: string, given: string) => {
      broker().users.push(user);
      return given === password;
    });
  }
  container.on('receiver_open', ({ receiver }: EventContext) => receiver!.set_target(receiver!.target));
  container.on('message', ({ receiver, message }: EventContext) => broker().put(receiver!.target.address, message!));
  container.on('sender_open', ({ sender }: EventContext) => {
    sender!.set_source(sender!.source);
    broker().serve(sender!.source.address, sender!);
  });
  container.on('sendable', ({ sender }: EventContext) => broker().give(sender!.source.address));
}
