// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type {
  Connection,
  IncomingDelivery,
  Link,
  OutgoingDelivery,
  ReceiverHandler,
  ReceiverLink,
  SenderHandler,
  SenderLink,
  Session,
  TransferFrame,
} from '@pointsman/engine';
import { decodeMessage, encodeMessage, plainOf, symbol } from '@pointsman/wire';
import type { AmqpValue, Attach, Message } from '@pointsman/wire';
import { VirtualSite } from './virtual-site.js';

const MINUTE = 60_000;
const IDS = ['a', 'b', 'c', 'd'];
const SEEDS =
  process.env['SHARED_SESSIONS_SEED'] === undefined ? [1, 2, 3] : [Number(process.env['SHARED_SESSIONS_SEED'])];

/** Numbers from 0 to 1 that are the same each time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A link of a client, whichever way it goes. */
class ClientLink implements SenderHandler, ReceiverHandler {
  link!: SenderLink | ReceiverLink;
  isGone = false;
  readonly #onAnswer: (answer: Message) => void;

  constructor(onAnswer: (answer: Message) => void = () => undefined) {
    this.#onAnswer = onAnswer;
  }

  onAttached(_link: Link, { role, source, target }: Attach): void {
    // Refused: the detach follows.
    if ((role ? target : source) === undefined) this.isGone = true;
  }
  onDetach(link: Link): void {
    this.isGone = true;
    link.detach();
  }
  onLost(): void {
    this.isGone = true;
  }
  onSendable(): void {
    /* sends when it is its turn */
  }
  onDisposition(link: SenderLink, delivery: OutgoingDelivery): void {
    link.settle(delivery);
  }
  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    if (!delivery.complete) return;
    link.settle(delivery, { type: 'accepted' });
    this.#onAnswer(decodeMessage(Uint8Array.from(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd))));
  }
}

/** A client that asks about sessions of its own and of others. */
class Visitor {
  readonly connection: Connection;
  /** Answers that were a yes, to requests about sessions that it cannot have. */
  readonly wrong: string[] = [];
  granted = 0;
  refused = 0;
  readonly #sessions: { readonly id: string; readonly held: ClientLink }[] = [];
  readonly #asked = new Map<string, { readonly id: string; readonly mayHave: boolean }>();
  #answers: ClientLink | undefined;
  #requests: ClientLink | undefined;
  #count = 0;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  get #session(): Session {
    const known = this.connection.sessions.find(({ state }) => state !== 'ended' && state !== 'ending');
    return known ?? this.connection.session();
  }

  accept(id: string): void {
    const held = new ClientLink();
    held.link = this.#session.attachReceiver(`session-${this.#count++}`, held, {
      source: { type: 'source', address: 'hall', filter: new Map([[symbol('com.microsoft:session-filter'), id]]) },
      target: { type: 'target' },
    });
    this.#sessions.push({ id, held });
  }

  leave(): void {
    const one = this.#sessions.find(({ held }) => !held.isGone);
    if (one === undefined) return;
    one.held.isGone = true;
    one.held.link.detach();
  }

  /** It has it, or has just asked for it. */
  #mayHave(id: string): boolean {
    return this.#sessions.some((one) => one.id === id && !one.held.isGone);
  }

  open(): void {
    if (this.#requests?.isGone === false && this.#answers?.isGone === false) return;
    const answers = new ClientLink((answer) => this.#answered(answer));
    const link = this.#session.attachReceiver(`answers-${this.#count++}`, answers, {
      source: { type: 'source', address: 'hall/$management' },
      target: { type: 'target', address: 'answers' },
    });
    link.addCredit(1_000);
    answers.link = link;
    this.#answers = answers;
    this.#requests = new ClientLink();
    this.#requests.link = this.#session.attachSender(`requests-${this.#count++}`, this.#requests, {
      source: { type: 'source' },
      target: { type: 'target', address: 'hall/$management' },
    });
  }

  ask(id: string): void {
    const { link } = this.#requests ?? {};
    if (link === undefined || !(link as SenderLink).sendable) return;
    // Ids of several clients are the same.
    const messageId = `request-${this.#count++}`;
    this.#asked.set(messageId, { id, mayHave: this.#mayHave(id) });
    const bytes = encodeMessage({
      properties: { messageId, replyTo: 'answers' },
      applicationProperties: new Map([['operation', 'com.microsoft:renew-session-lock']]),
      body: { kind: 'value', value: new Map<AmqpValue, AmqpValue>([['session-id', id]]) },
    });
    (link as SenderLink).send(undefined, 0, false, undefined, bytes, 0, bytes.length, true);
  }

  askAboutOwn(): void {
    const own = this.#sessions.find(({ held }) => !held.isGone);
    if (own !== undefined) this.ask(own.id);
  }

  #answered({ properties, applicationProperties }: Message): void {
    const key = String(properties?.correlationId);
    const asked = this.#asked.get(key);
    this.#asked.delete(key);
    if (asked === undefined) {
      this.wrong.push(`${key} was not asked`);
      return;
    }
    const status = plainOf(applicationProperties?.get('statusCode'));
    if (status !== 200) {
      this.refused += 1;
      return;
    }
    this.granted += 1;
    if (!asked.mayHave && !this.#mayHave(asked.id)) this.wrong.push(`session ${asked.id} is another's`);
  }
}

describe('clients that share a connection to Service Bus, by chance', () => {
  for (const seed of SEEDS) {
    it(`never get at sessions of each other, and leave nothing behind: SHARED_SESSIONS_SEED=${seed}`, async () => {
      const chance = numbers(seed);
      const one = <T>(list: readonly T[]): T => list[Math.floor(chance() * list.length)]!;
      const site = new VirtualSite({
        namespace: { queues: [{ name: 'orders' }, { name: 'hall', requiresSession: true }] },
        autoLinks: [{ address: 'orders', direction: 'out' }],
        router: {
          linkRoutes: [
            { prefix: 'hall', direction: 'in', connection: 'cloud' },
            { prefix: 'hall', direction: 'out', connection: 'cloud' },
          ],
        },
      });
      const { faults } = site.namespace;
      await site.advance(MINUTE);
      const { pending } = site.clock;
      const { links } = site.namespace;
      const all: Visitor[] = [];
      const visitor = (): Visitor | undefined => one(all.filter(({ connection }) => !connection.done));
      const happenings: readonly (readonly [weight: number, happening: () => void])[] = [
        [8, () => void all.push(new Visitor(site.client(`client-${all.length}`)))],
        [18, () => visitor()?.accept(one(IDS))],
        [15, () => visitor()?.open()],
        [25, () => visitor()?.ask(one(IDS))],
        [20, () => visitor()?.askAboutOwn()],
        [6, () => visitor()?.leave()],
        [2, () => visitor()?.connection.abort()],
        [2, () => void faults.detachLinks(one(['hall', 'hall/$management', '$cbs']))],
        [1, () => void one([faults.closeConnections, faults.dropConnections, faults.revokeTokens])()],
      ];
      const sum = happenings.reduce((total, [weight]) => total + weight, 0);
      for (let n = 0; n < 500; n++) {
        let at = chance() * sum;
        happenings.find(([weight]) => (at -= weight) < 0)?.[1]();
        const kind = chance();
        // oxlint-disable-next-line no-await-in-loop
        await site.advance(chance() * (kind < 0.7 ? 20 : kind < 0.95 ? 3_000 : 3 * MINUTE));
      }
      assert.deepEqual(
        all.flatMap(({ wrong }) => wrong),
        [],
      );
      const granted = all.reduce((total, { granted: count }) => total + count, 0);
      const refused = all.reduce((total, { refused: count }) => total + count, 0);
      assert.ok(granted > 0 && refused > 0, `${granted} granted, ${refused} refused`);
      for (const { connection } of all) connection.close();
      await site.advance(20 * MINUTE);
      assert.deepEqual(
        site
          .service!.nodes.filter(({ address }) => address !== '$cbs')
          .map(({ clients, waiting, underWay }) => [clients, waiting, underWay])
          .flat()
          .filter((count) => count > 0),
        [],
      );
      // Those to $cbs may have been detached meanwhile.
      assert.ok(site.namespace.links <= links, `${site.namespace.links} links, ${links} before`);
      assert.ok(site.clock.pending <= pending + 3, `${site.clock.pending} timers, ${pending} before`);
    });
  }
});
