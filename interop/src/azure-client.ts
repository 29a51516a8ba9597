// SPDX-License-Identifier: Apache-2.0
import { JsonProcess, until } from '@pointsman/testing';
import type { Owner } from '@pointsman/testing';
import { fileURLToPath } from 'node:url';
import { fromJson, toJson } from './azure-values.js';

const PROGRAM = fileURLToPath(new URL('./azure-program.js', import.meta.url));

/** A message that the official client received, as far as tests look at it. */
export interface AzureMessage {
  /** What it is settled by. */
  readonly handle: number;
  readonly body: unknown;
  readonly messageId?: unknown;
  readonly correlationId?: unknown;
  readonly contentType?: string;
  readonly subject?: string;
  readonly to?: string;
  readonly replyTo?: string;
  readonly sessionId?: string;
  readonly replyToSessionId?: string;
  readonly timeToLive?: number;
  readonly applicationProperties?: Readonly<Record<string, unknown>>;
  readonly deliveryCount?: number;
  readonly sequenceNumber?: bigint;
  readonly enqueuedTimeUtc?: Date;
  readonly lockedUntilUtc?: Date;
  readonly lockToken?: string;
  readonly state?: string;
  readonly deadLetterReason?: string;
  readonly deadLetterErrorDescription?: string;
  /** Sections as the client decoded them, the body apart. */
  readonly raw: {
    readonly bodyType: 'data' | 'value' | 'sequence';
    readonly header?: Readonly<Record<string, unknown>>;
    readonly properties?: Readonly<Record<string, unknown>>;
    readonly messageAnnotations?: Readonly<Record<string, unknown>>;
  };
}

/** Why a call of the official client failed. */
export class AzureError extends Error {
  /** What its documentation calls `ServiceBusError.code`. */
  readonly code: string;
  readonly retryable: boolean | undefined;

  constructor({
    name,
    message,
    code,
    retryable,
  }: {
    name?: string;
    message?: string;
    code?: string;
    retryable?: boolean;
  }) {
    super(message ?? 'no message');
    this.name = name ?? 'Error';
    this.code = code ?? 'none';
    this.retryable = retryable;
  }
}

export interface ConnectOptions {
  /** Left out where {@link host} and {@link credential} stand in its place. */
  readonly connectionString?: string;
  readonly host?: string;
  readonly credential?:
    | { readonly name: string; readonly key: string }
    | { readonly signature: string }
    /** A token of Entra ID, as a TokenCredential would give it. */
    | { readonly token: string };
  /** Where it connects to, in place of the endpoint that the connection string names: `sb://host:port`. */
  readonly customEndpoint?: string;
  readonly webSocket?: boolean;
  /** Further attempts of the client itself. Default: 0, so that each call is one. */
  readonly retries?: number;
  readonly timeoutMs?: number;
}

export interface ReceiverOptions {
  readonly receiveMode?: 'peekLock' | 'receiveAndDelete';
  readonly subQueueType?: 'deadLetter' | 'transferDeadLetter';
  readonly maxAutoLockRenewalDurationInMs?: number;
}

/** The official client in a process of its own; each method is one command of `azure-program.ts`. */
export class AzureClient extends JsonProcess {
  #names = 0;
  #calls = 0;
  #read = 0;
  readonly #answers = new Map<number, (answer: { value?: unknown; error?: object }) => void>();

  /** @param caCertFile - an authority that it trusts beside those of the system */
  constructor(owner: Owner, caCertFile?: string) {
    super(
      owner,
      'the official client',
      process.execPath,
      [PROGRAM],
      caCertFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: caCertFile },
    );
  }

  /** @throws AzureError where the client's promise rejects; Error where the program ends */
  async call<T>(name: string, fields: object = {}): Promise<T> {
    const id = this.#calls++;
    let answer: { value?: unknown; error?: object } | undefined;
    this.#answers.set(id, (given) => {
      answer = given;
    });
    this.tell(toJson({ id, do: name, ...fields }) as object);
    const { value, error } = await until(`the official client to ${name}`, () => {
      this.#readAnswers();
      if (answer === undefined && !this.#isAlive()) throw new Error(`the official client has ended\n${this.stderr}`);
      return answer;
    });
    if (error !== undefined) throw new AzureError(error);
    return fromJson(value) as T;
  }

  #isAlive(): boolean {
    try {
      return process.kill(this.pid, 0);
    } catch {
      return false;
    }
  }

  #readAnswers(): void {
    for (; this.#read < this.events.length; this.#read++) {
      const event = this.events[this.#read]!;
      if (event.event !== 'answer') continue;
      const id = Number(event['id']);
      this.#answers.get(id)?.(event as { value?: unknown; error?: object });
      this.#answers.delete(id);
    }
  }

  #name(kind: string): string {
    return `${kind}-${this.#names++}`;
  }

  /** A client for a namespace; it connects when it is first used. */
  async connect(options: ConnectOptions): Promise<AzureConnection> {
    const name = this.#name('client');
    await this.call('connect', { name, ...options });
    return new AzureConnection(this, name);
  }

  async sender(client: string, entity: string): Promise<AzureSender> {
    const name = this.#name('sender');
    await this.call('sender', { client, name, entity });
    return new AzureSender(this, name);
  }

  async receiver(
    client: string,
    entity: string,
    subscription: string | undefined,
    options: ReceiverOptions,
  ): Promise<AzureReceiver> {
    const name = this.#name('receiver');
    await this.call('receiver', { client, name, entity, subscription, options });
    return new AzureReceiver(this, name);
  }
}

class Named {
  readonly program: AzureClient;
  readonly name: string;

  constructor(program: AzureClient, name: string) {
    this.program = program;
    this.name = name;
  }

  async close(): Promise<void> {
    await this.program.call('close', { name: this.name });
  }
}

/** A `ServiceBusClient`. */
export class AzureConnection extends Named {
  sender(entity: string): Promise<AzureSender> {
    return this.program.sender(this.name, entity);
  }

  receiver(queue: string, options: ReceiverOptions = {}): Promise<AzureReceiver> {
    return this.program.receiver(this.name, queue, undefined, options);
  }

  subscriber(topic: string, subscription: string, options: ReceiverOptions = {}): Promise<AzureReceiver> {
    return this.program.receiver(this.name, topic, subscription, options);
  }
}

/** A `ServiceBusSender`. */
export class AzureSender extends Named {
  /** One message as it is, several as a batch. @throws AzureError */
  async send(...messages: object[]): Promise<void> {
    await this.program.call('send', { sender: this.name, messages });
  }

  /** Several in a `ServiceBusMessageBatch`. */
  async sendBatch(messages: readonly object[]): Promise<{ readonly count: number; readonly sizeInBytes: number }> {
    return this.program.call('send', { sender: this.name, messages, batch: true });
  }
}

/** A `ServiceBusReceiver`. */
export class AzureReceiver extends Named {
  async receive(count: number): Promise<AzureMessage[]> {
    return this.program.call('receive', { receiver: this.name, count });
  }

  async next(): Promise<AzureMessage> {
    return (await this.receive(1))[0]!;
  }

  async peek(count: number, from?: AzureMessage): Promise<AzureMessage[]> {
    return this.program.call('peek', { receiver: this.name, count, handle: from?.handle });
  }

  async receiveDeferred(...messages: AzureMessage[]): Promise<AzureMessage[]> {
    return this.program.call('receiveDeferred', { receiver: this.name, handles: messages.map(({ handle }) => handle) });
  }

  async complete({ handle }: AzureMessage): Promise<void> {
    await this.program.call('complete', { receiver: this.name, handle });
  }

  async abandon({ handle }: AzureMessage, properties?: object): Promise<void> {
    await this.program.call('abandon', { receiver: this.name, handle, properties });
  }

  async defer({ handle }: AzureMessage, properties?: object): Promise<void> {
    await this.program.call('defer', { receiver: this.name, handle, properties });
  }

  async deadLetter({ handle }: AzureMessage, options?: object): Promise<void> {
    await this.program.call('deadLetter', { receiver: this.name, handle, options });
  }

  /** @returns when the lock ends now */
  async renew({ handle }: AzureMessage): Promise<Date> {
    return this.program.call('renew', { receiver: this.name, handle });
  }
}
