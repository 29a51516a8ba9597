// SPDX-License-Identifier: Apache-2.0

/**
 * Official clients of Azure Service Bus that send to a queue `orders` and to the sessions of a queue `talks`, receive from both, and
 * go on whatever happens. A process of their own, since what they leave behind when connections end at the wrong moment
 * keeps one alive. Arguments: connection string, messages for `orders`, sessions, messages of each session.
 *
 * Says `came` (`queue`, `sequence`, `body`) of each message that it receives, before it completes it, `sent` when all is sent,
 * `failed` (`message`) of what a call was rejected with, and `broken` (`stack`) of what nobody could catch.
 */
import { ServiceBusClient } from '@azure/service-bus';
import type { ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus';

const [connectionString = '', count = '', sessions = '', ofEachSession = ''] = process.argv.slice(2);
/** Sent at a time, and handled. */
const WINDOW = 40;
const CONCURRENT_CALLS = 20;
const LISTENERS = 3;
/**
 * The client waits for ever for what it asked on the link of a session that is detached meanwhile, directly at the service, too, and
 * where a request of its own runs out of time on links that have gone it throws what nobody can catch: whoever uses it has to
 * give up, and to make another.
 */
const STUCK_MS = 3_000;
const SILENT_MS = 8_000;

function say(event: string, fields: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

function failed(error: unknown): void {
  const { name, message } = error as Error;
  say('failed', { name, message: message.slice(0, 200) });
}

function came(queue: string, { sequenceNumber, body }: ServiceBusReceivedMessage): void {
  say('came', { queue, sequence: String(sequenceNumber), body: String(body) });
}

process.on('uncaughtException', (error) => say('broken', { stack: error.stack }));
// Whoever started it is gone.
process.stdin.on('close', () => process.exit()).resume();

function connect(): ServiceBusClient {
  return new ServiceBusClient(connectionString, {
    retryOptions: { maxRetries: 1_000, retryDelayInMs: 20, maxRetryDelayInMs: 500, timeoutInMs: 1_500 },
  });
}

class Stuck extends Error {}

function unlessStuck<T>(act: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Stuck('stuck')), STUCK_MS);
    void act.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** The client gives up at times what it could go on with; whoever uses it then tries again. */
async function again(act: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await act();
      return;
    } catch (error) {
      failed(error);
    }
  }
}

/** Takes one session after another, for as long as there are messages. */
async function listen(): Promise<never> {
  let client = connect();
  for (;;) {
    let receiver: ServiceBusReceiver | undefined;
    try {
      receiver = await unlessStuck(client.acceptNextSession('talks'));
      for (;;) {
        const messages = await unlessStuck(receiver.receiveMessages(10, { maxWaitTimeInMs: 500 }));
        if (messages.length === 0) break;
        for (const message of messages) {
          came('talks', message);
          await unlessStuck(receiver.completeMessage(message));
        }
      }
      await unlessStuck(receiver.close());
    } catch (error) {
      failed(error);
      const isStuck = error instanceof Stuck;
      void (isStuck ? client : receiver)?.close().catch(failed);
      if (isStuck) client = connect();
    }
  }
}

let orderedAt = 0;

function subscribe(): void {
  orderedAt = performance.now();
  connect()
    .createReceiver('orders')
    .subscribe(
      {
        processMessage: async (message) => {
          orderedAt = performance.now();
          came('orders', message);
        },
        processError: async ({ error }) => failed(error),
      },
      { maxConcurrentCalls: CONCURRENT_CALLS },
    );
}

subscribe();
setInterval(() => {
  if (performance.now() - orderedAt > SILENT_MS) subscribe();
}, 1_000);
for (let i = 0; i < LISTENERS; i++) void listen();

const orders = connect().createSender('orders');
const talks = connect().createSender('talks');
let next = 0;
const post = async (): Promise<void> => {
  while (next < Number(count)) {
    const body = `order/${next++}`;
    await again(() => orders.sendMessages({ body }));
  }
};
const speak = async (sessionId: string): Promise<void> => {
  for (let number = 0; number < Number(ofEachSession); number++)
    await again(() => talks.sendMessages({ sessionId, body: `${sessionId}/${number}` }));
};
await Promise.all([
  ...Array.from({ length: WINDOW }, post),
  ...Array.from({ length: Number(sessions) }, (_, index) => speak(`s${index}`)),
]);
say('sent');
