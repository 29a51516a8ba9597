// SPDX-License-Identifier: Apache-2.0
import { CbsClient, Secret } from '@pointsman/azure';
import type { AzureToken, CbsClientOptions, CbsEvent } from '@pointsman/azure';
import { Connection } from '@pointsman/engine';
import type {
  ConnectionHandler,
  IncomingDelivery,
  OutgoingDelivery,
  ReceiverLink,
  SenderLink,
  TransferFrame,
} from '@pointsman/engine';
import { decodeMessage, encodeMessage, int } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, Attach } from '@pointsman/wire';
import { VirtualClock } from './virtual-cloud.js';

/** 2026-01-01, at which the virtual clock showed 0. */
const TIME_ORIGIN = 1_767_225_600_000;

/** What `$cbs` does with a token: a status, nothing at all, or no link. */
export type Script = number | 'silence' | { readonly refuse: AmqpErrorFields };

const SILENT: ConnectionHandler = {
  onOpen: (connection) => connection.open(),
  onBegin: (session) => session.begin(),
  onEnd: () => undefined,
  onAttach: () => undefined,
  onClosed: () => undefined,
};

/** A service of which there is nothing but `$cbs`, and that does as it is told; one process, virtual time. */
export class ScriptedCbs {
  readonly clock: VirtualClock = new VirtualClock();
  readonly connection: Connection;
  readonly cbs: CbsClient;
  readonly events: CbsEvent[] = [];
  script: Script = 202;
  /** Times of the clock at which tokens were put. */
  readonly puts: number[] = [];
  pairs = 0;
  /** What the wall shows beside the time that has passed. */
  skewMs = 0;
  readonly #service: Connection;
  #answers: SenderLink | undefined;
  #waiting: Uint8Array[] = [];

  constructor(options: Partial<CbsClientOptions> = {}) {
    const { clock } = this;
    this.connection = new Connection({ role: 'client', containerId: 'R', now: 0 }, SILENT);
    this.#service = new Connection(
      { role: 'server', containerId: 'S', now: 0 },
      { ...SILENT, onAttach: (link, attach) => this.#attach(link, attach) },
    );
    this.cbs = new CbsClient({
      connection: this.connection,
      host: 'h',
      provider: this.provider(3_600_000),
      clock,
      nowMs: () => this.wallMs,
      random: () => 0.5,
      name: 'R-cbs',
      onEvent: (event) => this.events.push(event),
      ...options,
    });
    this.#carry();
  }

  get wallMs(): number {
    return TIME_ORIGIN + this.clock.time + this.skewMs;
  }

  /** Of tokens that are all different, and last for so long. */
  provider(lifeMs: number): CbsClientOptions['provider'] {
    let count = 0;
    return {
      name: 'a test',
      isFixed: false,
      get: async (): Promise<AzureToken> => ({
        kind: 'jwt',
        text: new Secret(`token-${count++}`),
        expiresAtMs: this.wallMs + lifeMs,
      }),
    };
  }

  async advance(ms: number): Promise<this> {
    const end = this.clock.time + ms;
    await this.#settle();
    this.clock.strike();
    await this.#settle();
    while (this.clock.time < end) {
      this.clock.time = Math.min(end, Math.max(this.clock.time + 1, this.clock.next));
      this.clock.strike();
      // oxlint-disable-next-line no-await-in-loop
      await this.#settle();
    }
    return this;
  }

  async #settle(): Promise<void> {
    for (let turn = 0; turn < 6; turn++) {
      this.#carry();
      // oxlint-disable-next-line no-await-in-loop
      await Promise.resolve();
    }
  }

  #carry(): void {
    const { time } = this.clock;
    for (let moved = true; moved;) {
      moved = false;
      for (const [from, to] of [
        [this.connection, this.#service],
        [this.#service, this.connection],
      ] as const) {
        const buffers = from.takeOutput(time);
        if (buffers === undefined) continue;
        moved = true;
        for (const buffer of buffers) if (!to.done) to.receive(Uint8Array.from(buffer), time);
        from.releaseOutput(buffers, time);
      }
    }
  }

  #attach(link: SenderLink | ReceiverLink, attach: Attach): void {
    const { script } = this;
    if (typeof script === 'object') {
      link.refuse(script.refuse);
      return;
    }
    const ends = { onDetach: () => link.detach(), onLost: () => undefined };
    if (!link.isReceiver) {
      this.pairs += 1;
      this.#waiting = [];
      this.#answers = link as SenderLink;
      const handler = {
        ...ends,
        onSendable: () => this.#answer(),
        onDisposition: (sender: SenderLink, delivery: OutgoingDelivery) => sender.settle(delivery),
      };
      this.#answers.accept(handler, { source: attach.source, target: attach.target });
      return;
    }
    const requests = link as ReceiverLink;
    requests.accept(
      {
        ...ends,
        onTransfer: (receiver: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame) => {
          receiver.settle(delivery, { type: 'accepted' });
          this.#asked(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd));
        },
      },
      { source: attach.source, target: attach.target },
    );
    requests.addCredit(1_000);
  }

  #asked(bytes: Uint8Array): void {
    this.puts.push(this.clock.time);
    const { script } = this;
    if (typeof script !== 'number') return;
    const { messageId } = decodeMessage(bytes).properties ?? {};
    const answer = encodeMessage({
      properties: { correlationId: messageId },
      applicationProperties: new Map<string, AmqpValue>([
        ['status-code', int(script)],
        ['status-description', `so says the script: ${script}`],
      ]),
      body: { kind: 'value', value: null },
    });
    this.#waiting.push(answer);
    this.#answer();
  }

  #answer(): void {
    const link = this.#answers;
    while (link?.sendable === true) {
      const answer = this.#waiting.shift();
      if (answer === undefined) return;
      link.send(undefined, 0, true, undefined, answer, 0, answer.length, true);
    }
  }
}
