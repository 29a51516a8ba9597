// SPDX-License-Identifier: Apache-2.0
import { ACCEPTED } from '@pointsman/engine';
import type {
  Clock,
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
import { RemoteProtocolError, decodeMessage, encodeMessage } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, DeliveryState, Message } from '@pointsman/wire';
import { plainOf } from '@pointsman/wire';
import { attachPair } from './request-pair.js';
import type { RequestPair } from './request-pair.js';
import { NodeTally } from './shared-node.js';
import type { SharedNode } from './shared-node.js';
import type { AzureToken } from './token.js';
import { MessageReader, MessageWriter } from './whole-messages.js';

/** What `$cbs` answered to a token. */
export interface CbsAnswer {
  /** As of HTTP: 200 or 202 is a yes. */
  readonly status: number;
  readonly description: string;
}

/** What became of a put-token: an answer, or why there is none. */
export type CbsResult = CbsAnswer | { readonly error: AmqpErrorFields };

export interface CbsLinksOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  /** Name of the receiving link, and the address that answers come to: unique for the container. */
  readonly name: string;
  /** Time for an answer. */
  readonly timeoutMs: number;
}

interface Request {
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly done: (result: CbsResult) => void;
  /** Answers that had come when it was asked. */
  readonly since: number;
  cancel: () => void;
}

const TOKEN_TYPES: Readonly<Record<AzureToken['kind'], string>> = {
  sas: 'servicebus.windows.net:sastoken',
  jwt: 'jwt',
};

/** Answers that may be under way: as many requests as the service takes at once. */
const CREDIT = 100;
/** Bytes of an answer; real ones have a few hundred. */
const ANSWER_SIZE_MAX = 65_536;
/** What an answer says is repeated up to this length. */
const DESCRIPTION_MAX = 400;

/**
 * The one pair of links that a connection has to `$cbs`, on a session of its own. Attached when it is first needed, and again
 * when it was lost since.
 */
export class CbsLinks implements SenderHandler, ReceiverHandler {
  readonly #options: CbsLinksOptions;
  #session: Session | undefined;
  #pair: RequestPair | undefined;
  /** Both halves of the pair count: a service that refuses one refuses the pair. */
  #round = 0;
  #ids = 0;
  #answers = 0;
  readonly #reader = new MessageReader(ANSWER_SIZE_MAX);
  readonly #writer = new MessageWriter();
  readonly #tally = new NodeTally();
  readonly #waiting: Request[] = [];
  readonly #asked = new Map<string, Request>();

  constructor(options: CbsLinksOptions) {
    this.#options = options;
  }

  get node(): SharedNode {
    const session = this.#session;
    const isAttached = this.#pair?.sender.state === 'attached' && this.#pair.receiver.state === 'attached';
    return {
      address: '$cbs',
      state: isAttached ? 'attached' : session === undefined ? 'resting' : 'attaching',
      clients: session === undefined ? 0 : 1,
      waiting: this.#waiting.length,
      underWay: this.#asked.size,
      ...this.#tally.counts,
    };
  }

  /** Puts a token. `done` is called once, and not at once. */
  putToken(audience: string, token: AzureToken, done: (result: CbsResult) => void): void {
    const { clock, timeoutMs } = this.#options;
    const id = `${this.#options.name}-${++this.#ids}`;
    const request: Request = {
      id,
      bytes: requestOf(id, this.#replyTo, audience, token),
      done,
      since: this.#answers,
      cancel: clock.after(timeoutMs, () => this.#timedOut(request)),
    };
    this.#waiting.push(request);
    this.#tally.requests += 1;
    try {
      if (this.#session === undefined) this.#attach();
      else this.onSendable();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const failure = { condition: 'amqp:internal-error', description: `$cbs cannot be attached: ${error.message}` };
      this.#drop();
      clock.after(0, () => this.#fail(failure));
    }
  }

  /** Where nothing has come all that time the links are dead, whatever is said of them: the next request makes others. */
  #timedOut(request: Request): void {
    const { timeoutMs } = this.#options;
    const error = { condition: 'com.microsoft:timeout', description: `$cbs did not answer within ${timeoutMs} ms` };
    this.#tally.failed(error);
    if (request.since === this.#answers) this.#drop();
    this.#finish(request, { error });
    if (this.#session === undefined) this.#fail(error);
  }

  /** Nothing more is sent; whoever waits is told `error`. */
  close(error: AmqpErrorFields): void {
    this.#drop();
    this.#fail(error);
  }

  get #replyTo(): string {
    return `${this.#options.name}-${this.#round}`;
  }

  #attach(): void {
    const session = this.#options.connection.session();
    this.#session = session;
    this.#pair = attachPair(session, this, {
      address: '$cbs',
      name: this.#replyTo,
      credit: CREDIT,
      sndSettleMode: 2,
    });
  }

  #drop(): void {
    const session = this.#session;
    this.#session = this.#pair = undefined;
    this.#writer.reset();
    this.#reader.reset();
    this.#round += 1;
    if (session !== undefined && this.#options.connection.isOpen) session.end();
  }

  #fail(error: AmqpErrorFields): void {
    for (const request of [...this.#asked.values(), ...this.#waiting]) this.#finish(request, { error });
  }

  #finish(request: Request, result: CbsResult): void {
    request.cancel();
    const at = this.#waiting.indexOf(request);
    if (at >= 0) this.#waiting.splice(at, 1);
    else if (!this.#asked.delete(request.id)) return;
    request.done(result);
  }

  // ---- the links ----

  onSendable(): void {
    if (this.#pair === undefined) return;
    this.#writer.write(this.#pair.sender, false, () => {
      const request = this.#waiting.shift();
      if (request === undefined) return undefined;
      this.#asked.set(request.id, request);
      return { bytes: request.bytes, context: request };
    });
  }

  onDisposition(link: SenderLink, delivery: OutgoingDelivery, state: DeliveryState | undefined): void {
    link.settle(delivery);
    if (state === undefined || !('type' in state) || state.type === 'accepted') return;
    const error = (state.type === 'rejected' ? state.error : undefined) ?? {
      condition: 'amqp:internal-error',
      description: `$cbs did not take the request: ${state.type}`,
    };
    this.#finish(delivery.context as Request, { error });
  }

  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    const bytes = this.#reader.read(delivery, frame);
    if (!delivery.complete) return;
    link.settle(delivery, ACCEPTED);
    link.addCredit(1);
    this.#answers += 1;
    if (bytes !== undefined) this.#take(bytes);
  }

  #take(bytes: Uint8Array): void {
    let message: Message;
    try {
      message = decodeMessage(bytes);
    } catch (error) {
      // The request that it belongs to runs out of time.
      if (error instanceof RemoteProtocolError) return;
      throw error;
    }
    const request = this.#asked.get(String(plainOf(message.properties?.correlationId ?? null)));
    if (request !== undefined) this.#finish(request, answerOf(message));
  }

  onDetach(link: Link, error: AmqpErrorFields | undefined): void {
    link.detach();
    this.#gone(link, error);
  }

  onLost(link: Link, error: AmqpErrorFields | undefined): void {
    this.#gone(link, error);
  }

  #gone(link: Link, error: AmqpErrorFields | undefined): void {
    if (link !== this.#pair?.sender && link !== this.#pair?.receiver) return;
    this.#drop();
    const told = error ?? { condition: 'amqp:link:detach-forced', description: 'the link to $cbs was lost' };
    this.#tally.failed(told);
    this.#fail(told);
  }
}

function requestOf(id: string, replyTo: string, audience: string, token: AzureToken): Uint8Array {
  return encodeMessage({
    properties: { messageId: id, to: '$cbs', replyTo },
    applicationProperties: new Map<string, AmqpValue>([
      ['operation', 'put-token'],
      ['type', TOKEN_TYPES[token.kind]],
      ['name', audience],
    ]),
    body: { kind: 'value', value: token.text.reveal() },
  });
}

/** The service writes `status-code`; doubles of it also `statusCode`. */
function answerOf({ applicationProperties }: Message): CbsResult {
  const property = (...names: string[]): AmqpValue =>
    names.map((name) => applicationProperties?.get(name)).find((value) => value !== undefined) ?? null;
  const status = Number(plainOf(property('status-code', 'statusCode')));
  const description = plainOf(property('status-description', 'statusDescription'));
  if (!Number.isInteger(status) || status < 100 || status > 999)
    return { error: { condition: 'amqp:decode-error', description: 'an answer of $cbs has no status-code' } };
  return { status, description: typeof description === 'string' ? description.slice(0, DESCRIPTION_MAX) : '' };
}
