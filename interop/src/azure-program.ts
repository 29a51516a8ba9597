// SPDX-License-Identifier: Apache-2.0

/**
 * The official client of Azure Service Bus as a program of its own, since NODE_EXTRA_CA_CERTS counts only where it is set
 * before the start. Commands come as lines of JSON on stdin, `{"id", "do", ...}`; for each an event goes out,
 * `{"event": "answer", "id", "value"}` or `{"event": "answer", "id", "error"}`. What has no end of its own (`consume`,
 * `produce`) says more events meanwhile. Values that JSON has no form for are those of `azure-values.ts`.
 */
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { ServiceBusClient } from '@azure/service-bus';
import type {
  DeadLetterOptions,
  ServiceBusClientOptions,
  ServiceBusMessage,
  ServiceBusReceivedMessage,
  ServiceBusReceiver,
  ServiceBusReceiverOptions,
  ServiceBusSender,
  TokenCredential,
} from '@azure/service-bus';
import { WebSocket } from 'ws';
import { fromJson, toJson } from './azure-values.js';

type Fields = Record<string, unknown>;

const clients = new Map<string, ServiceBusClient>();
const senders = new Map<string, ServiceBusSender>();
const receivers = new Map<string, ServiceBusReceiver>();
/** Messages that were received, by the number that they were told under. */
const messages: ServiceBusReceivedMessage[] = [];

function say(event: string, fields: Fields = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...(toJson(fields) as Fields) })}\n`);
}

/** What the client says of a failure. `code` is the one that its documentation lists. */
function told(error: unknown): Fields {
  const { name, message, code, retryable } = error as Error & { code?: unknown; retryable?: unknown };
  return { name, message, code, retryable };
}

type KeyCredential = Readonly<Record<'name' | 'key', string>>;

function credentialOf(given: unknown): KeyCredential | TokenCredential {
  if (typeof given !== 'object' || given === null || !('token' in given)) return given as KeyCredential;
  const { token } = given as { token: string };
  return { getToken: () => Promise.resolve({ token, expiresOnTimestamp: Date.now() + 600_000 }) };
}

function found<T>(map: ReadonlyMap<string, T>, name: unknown): T {
  const value = map.get(String(name));
  if (value === undefined) throw new Error(`the program has no '${String(name)}'`);
  return value;
}

const FIELDS = [
  'body',
  'messageId',
  'correlationId',
  'contentType',
  'subject',
  'to',
  'replyTo',
  'sessionId',
  'replyToSessionId',
  'timeToLive',
  'applicationProperties',
  'deliveryCount',
  'sequenceNumber',
  'enqueuedTimeUtc',
  'lockedUntilUtc',
  'lockToken',
  'state',
  'deadLetterReason',
  'deadLetterErrorDescription',
] as const;

/** A message as it is told, with a number to name it by later. */
function taken(message: ServiceBusReceivedMessage): Fields {
  messages.push(message);
  const { header, messageAnnotations, properties, bodyType } = message._rawAmqpMessage;
  return {
    handle: messages.length - 1,
    ...Object.fromEntries(FIELDS.map((name) => [name, message[name]])),
    raw: { header, messageAnnotations, properties, bodyType },
  };
}

const numberOf = (message: ServiceBusReceivedMessage): number => Number(message.applicationProperties?.['number']);

const COMMANDS: Readonly<Record<string, (command: Fields) => Promise<unknown>>> = {
  /** By a connection string, or by the name of a host and a credential, `{name, key}`, `{signature}` or `{token}`. */
  async connect({
    name,
    connectionString,
    host,
    credential,
    customEndpoint,
    webSocket,
    retries = 0,
    timeoutMs = 30_000,
  }) {
    const options: ServiceBusClientOptions = {
      retryOptions: { maxRetries: Number(retries), retryDelayInMs: 50, timeoutInMs: Number(timeoutMs) },
      ...(webSocket === true ? { webSocketOptions: { webSocket: WebSocket as never } } : {}),
      ...(customEndpoint === undefined ? {} : { customEndpointAddress: String(customEndpoint) }),
    };
    const client =
      credential === undefined
        ? new ServiceBusClient(String(connectionString), options)
        : new ServiceBusClient(String(host), credentialOf(credential), options);
    clients.set(String(name), client);
  },

  async sender({ client, name, entity }) {
    senders.set(String(name), found(clients, client).createSender(String(entity)));
  },

  async receiver({ client, name, entity, subscription, options }) {
    const from = found(clients, client);
    const how = options as ServiceBusReceiverOptions;
    const receiver =
      subscription === undefined
        ? from.createReceiver(String(entity), how)
        : from.createReceiver(String(entity), String(subscription), how);
    receivers.set(String(name), receiver);
  },

  /** Sends one message, several in one batch of the client's making, or, with `batch`, in one that is filled by hand. */
  async send({ sender, messages: list, batch }) {
    const to = found(senders, sender);
    const all = list as ServiceBusMessage[];
    if (batch !== true) return to.sendMessages(all.length === 1 ? all[0]! : all);
    const filled = await to.createMessageBatch();
    for (const message of all) if (!filled.tryAddMessage(message)) throw new Error('the batch is full');
    await to.sendMessages(filled);
    return { count: filled.count, sizeInBytes: filled.sizeInBytes };
  },

  /** Waits until `count` messages have come, in as many calls as it takes. */
  async receive({ receiver, count }) {
    const from = found(receivers, receiver);
    const all: ServiceBusReceivedMessage[] = [];
    while (all.length < Number(count)) {
      all.push(...(await from.receiveMessages(Number(count) - all.length, { maxWaitTimeInMs: 1_000 })));
    }
    return all.map(taken);
  },

  async complete({ receiver, handle }) {
    await found(receivers, receiver).completeMessage(messages[Number(handle)]!);
  },

  async abandon({ receiver, handle, properties }) {
    await found(receivers, receiver).abandonMessage(messages[Number(handle)]!, properties as Record<string, string>);
  },

  async defer({ receiver, handle, properties }) {
    await found(receivers, receiver).deferMessage(messages[Number(handle)]!, properties as Record<string, string>);
  },

  async deadLetter({ receiver, handle, options }) {
    await found(receivers, receiver).deadLetterMessage(
      messages[Number(handle)]!,
      options as DeadLetterOptions & Record<string, string>,
    );
  },

  async renew({ receiver, handle }) {
    return found(receivers, receiver).renewMessageLock(messages[Number(handle)]!);
  },

  async receiveDeferred({ receiver, handles }) {
    const sequenceNumbers = (handles as number[]).map((handle) => messages[handle]!.sequenceNumber!);
    return (await found(receivers, receiver).receiveDeferredMessages(sequenceNumbers)).map(taken);
  },

  /** From the message of `handle` on, or from where the last peek ended. */
  async peek({ receiver, count, handle }) {
    const from = handle === undefined ? undefined : messages[Number(handle)]!.sequenceNumber!;
    const how = from === undefined ? {} : { fromSequenceNumber: from };
    return (await found(receivers, receiver).peekMessages(Number(count), how)).map(taken);
  },

  /**
   * Receives and completes for good, `number` and the queue's own numbers of each told: `came` when it arrives, `completed`
   * when the service has confirmed it, `uncertain` where the client could not tell. Its own reconnecting is at work.
   */
  async consume({ receiver, concurrency }) {
    const from = found(receivers, receiver);
    const of = (message: ServiceBusReceivedMessage): Fields => ({
      number: numberOf(message),
      attempt: message.applicationProperties?.['attempt'],
      sequence: Number(message.sequenceNumber),
      deliveryCount: message.deliveryCount,
    });
    from.subscribe(
      {
        processMessage: async (message) => {
          say('came', of(message));
          try {
            await from.completeMessage(message);
            say('completed', of(message));
          } catch (error) {
            say('uncertain', { ...of(message), error: told(error) });
          }
        },
        processError: async ({ error, errorSource }) => say('trouble', { errorSource, error: told(error) }),
      },
      { autoCompleteMessages: false, maxConcurrentCalls: Number(concurrency) },
    );
  },

  /** Sends `count` numbered messages, each again until it is accepted; what becomes of each attempt is told as `sent`. */
  async produce({ sender, count, concurrency }) {
    const to = found(senders, sender);
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < Number(count)) {
        const number = next++;
        for (let attempt = 0, done = false; !done; attempt++) {
          try {
            await to.sendMessages({ body: `order ${number}`, applicationProperties: { number, attempt } });
            done = true;
            say('sent', { number, attempt });
          } catch (error) {
            say('sent', { number, attempt, error: told(error) });
            await delay(20);
          }
        }
      }
    };
    for (let i = 0; i < Number(concurrency); i++) void work();
  },

  async close({ name }) {
    const key = String(name);
    await (senders.get(key) ?? receivers.get(key) ?? found(clients, key)).close();
  },
};

async function perform(line: string): Promise<void> {
  const { id, do: name, ...command } = fromJson(JSON.parse(line)) as Fields;
  try {
    const run = COMMANDS[String(name)];
    if (run === undefined) throw new Error(`there is no command '${String(name)}'`);
    say('answer', { id, value: await run(command) });
  } catch (error) {
    say('answer', { id, error: told(error) });
  }
}

createInterface(process.stdin)
  .on('line', (line) => void perform(line))
  // Whoever started it is gone.
  .on('close', () => process.exit());
say('ready');
