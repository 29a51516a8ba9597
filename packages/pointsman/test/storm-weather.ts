// SPDX-License-Identifier: Apache-2.0
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { Secret, makeSasToken } from '@pointsman/azure';
import type { Namespace } from '@pointsman/namespace';
import type { AmqpErrorFields } from '@pointsman/wire';
import { KEY, POLICY } from './five-steps-fixture.js';
import type { Line } from './storm-line.js';

export interface WeatherOptions {
  readonly namespace: Namespace;
  /** That all connections to it take. */
  readonly line: Line;
  /** Queues that suffer. */
  readonly queues: readonly string[];
  /** Host, as audiences name it. */
  readonly host: string;
  /** Where whoever asks for a token finds one, while there are any. */
  readonly tokenFile: string;
  readonly random: () => number;
}

/** Whole seconds that a token lasts, its own second of making included. */
const TOKEN_SECONDS = 4;
const TOKEN_EVERY_MS = 900;
/** Without a new token for so long, the old ones run out. */
const DROUGHT_MS = TOKEN_SECONDS * 1_000 + 1_500;
const DETACH_EVERY_MS = 1_000;
/** Mean time between two cuts of the connection. */
const CUT_EVERY_MS = 3_500;
/** Longest that a connection hangs before it ends. */
const FROZEN_MS = 3_000;

/** All that Service Bus does to those who are connected to it, at once: links, tokens, connections, throttling. */
export class Weather {
  /** What it did, and how often. */
  readonly met: Record<string, number> = {};
  readonly #options: WeatherOptions;
  readonly #timers = new Set<NodeJS.Timeout>();
  #droughtUntil = 0;

  constructor(options: WeatherOptions) {
    this.#options = options;
    this.#writeToken();
    this.#every(TOKEN_EVERY_MS, () => this.#writeToken());
  }

  /** @param droughts - ms after which there are no tokens for some time, each */
  start(droughts: readonly number[]): void {
    this.#every(DETACH_EVERY_MS, () => this.#detachLinks());
    this.#cutLater();
    this.#throttleLater();
    for (const at of droughts) this.#after(at, () => this.#stopTokens());
  }

  /** Calm. Tokens are to be had. */
  calm(): void {
    this.stop();
    const { faults } = this.#options.namespace;
    for (const queue of this.#options.queues) {
      faults.refuseSends(0, queue);
      faults.refuseSettlements(0, queue);
      faults.refuseRequests(0, queue);
    }
    this.#droughtUntil = 0;
    this.#writeToken();
    this.#every(TOKEN_EVERY_MS, () => this.#writeToken());
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #count(what: string, times = 1): void {
    if (times > 0) this.met[what] = (this.met[what] ?? 0) + times;
  }

  #after(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  #every(ms: number, act: () => void): void {
    this.#after(ms, () => {
      this.#every(ms, act);
      act();
    });
  }

  #one<T>(of: readonly T[]): T {
    return of[Math.floor(this.#options.random() * of.length)]!;
  }

  // ---- tokens ----

  #writeToken(): void {
    if (performance.now() < this.#droughtUntil) return;
    const { host, tokenFile } = this.#options;
    const expiresAtSeconds = Math.floor(Date.now() / 1000) + TOKEN_SECONDS;
    const token = makeSasToken({ resource: `sb://${host}/`, keyName: POLICY, key: new Secret(KEY), expiresAtSeconds });
    writeFileSync(`${tokenFile}.new`, token.reveal());
    renameSync(`${tokenFile}.new`, tokenFile);
  }

  #stopTokens(): void {
    this.#count('times without tokens');
    this.#droughtUntil = performance.now() + DROUGHT_MS;
    rmSync(this.#options.tokenFile, { force: true });
  }

  // ---- links ----

  #detachLinks(): void {
    const { namespace, queues } = this.#options;
    for (const queue of queues) {
      for (const node of [queue, `${queue}/$management`]) {
        const [name, error] = this.#one(DETACHES);
        this.#count(`links detached (${name})`, namespace.faults.detachLinks(node, error));
      }
    }
  }

  // ---- connections ----

  #cutLater(): void {
    const { random, namespace, line } = this.#options;
    const { faults } = namespace;
    this.#after(-Math.log(1 - random()) * CUT_EVERY_MS, () => {
      const cuts: readonly (readonly [string, () => number])[] = [
        ['cut', () => line.cut()],
        ['cut within a frame', () => line.cutWithin(random())],
        ['dropped', () => faults.dropConnections()],
        ['closed', () => faults.closeConnections()],
        ['recycled', () => faults.closeConnections({ condition: 'com.microsoft:container-close', description: '' })],
        ['idle', () => faults.closeConnections(IDLE_CONNECTION)],
        ['frozen', () => faults.freezeConnections()],
      ];
      const [name, cut] = this.#one(cuts);
      this.#count(`connections ${name}`, cut());
      // How long until a silent peer is given up is another matter: here its socket ends.
      if (name === 'frozen') this.#after(random() * FROZEN_MS, () => faults.dropConnections());
      this.#cutLater();
    });
  }

  // ---- throttling ----

  #throttleLater(): void {
    const { random, namespace, queues } = this.#options;
    const { faults } = namespace;
    this.#after(500 + random() * 2_000, () => {
      const [name, refuse] = this.#one([
        ['sends', (times: number, queue: string) => faults.refuseSends(times, queue)],
        ['settlements', (times: number, queue: string) => faults.refuseSettlements(times, queue)],
        ['requests', (times: number, queue: string) => faults.refuseRequests(times, queue)],
      ] as const);
      this.#count(`times that ${name} were throttled`);
      for (const queue of queues) refuse(Infinity, queue);
      this.#after(200 + random() * 800, () => {
        for (const queue of queues) refuse(0, queue);
      });
      this.#throttleLater();
    });
  }
}

const IDLE_CONNECTION: AmqpErrorFields = {
  condition: 'amqp:connection:forced',
  description: 'The connection was inactive for more than the allowed 60000 milliseconds and is closed by container.',
};

const forced = (details: string): AmqpErrorFields => ({
  condition: 'amqp:link:detach-forced',
  description: `Code: client(link1). Details: ${details}`,
});

/** Ways in which the service ends a link. */
const DETACHES: readonly (readonly [string, AmqpErrorFields | undefined])[] = [
  ['forced', undefined],
  ['idle', forced('AmqpMessageConsumer.IdleTimerExpired: Idle timeout: 00:10:00.')],
  ['idle', forced('AmqpMessagePublisher.IdleTimerExpired: Idle timeout: 00:10:00.')],
];
