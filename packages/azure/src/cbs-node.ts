// SPDX-License-Identifier: Apache-2.0
import { ACCEPTED, ReceiverLink, copyOf } from '@pointsman/engine';
import type {
  IncomingDelivery,
  Link,
  OutgoingDelivery,
  ReceiverHandler,
  SenderHandler,
  SenderLink,
  TransferFrame,
} from '@pointsman/engine';
import { RemoteProtocolError, decodeMessage, encodeMessage, int, plainOf } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, Attach, Message } from '@pointsman/wire';
import type { CbsAnswer } from './cbs-links.js';
import { Secret } from './secret.js';

/** Judges a token. @param audience - URI of what is to be opened */
export type TokenJudge = (type: string, audience: string, token: Secret) => CbsAnswer;

/** Requests that may be under way, as at the service. */
const CREDIT = 100;
/** Bytes of a request; a token has at most some thousand. */
const REQUEST_SIZE_MAX = 65_536;
/** Answers that wait for a client that gives no credit. */
const ANSWERS_MAX = 100;
/** Links to `$cbs` of one connection. The service allows one pair; clients that come back before the old ones are gone have two. */
const LINKS_MAX = 16;

/** The node `$cbs` of one connection that came to us: requests on any link to it, answers on the one that reply-to means. */
export class CbsNode {
  readonly #judge: TokenJudge;
  /** Links for answers, oldest first. */
  readonly #answers = new Set<AnswerLink>();
  #links = 0;

  constructor(judge: TokenJudge) {
    this.#judge = judge;
  }

  /** Accepts a link to the node, or refuses it. */
  take(link: SenderLink | ReceiverLink, attach: Attach): void {
    if (this.#links >= LINKS_MAX) {
      link.refuse({
        condition: 'amqp:not-allowed',
        description: `this connection has ${LINKS_MAX} links to $cbs already`,
      });
      return;
    }
    this.#links += 1;
    const onGone = (): void => {
      this.#links -= 1;
    };
    if (link instanceof ReceiverLink) {
      link.accept(new RequestLink((request) => this.#answer(request), onGone), {
        source: attach.source ?? { type: 'source' },
        target: attach.target,
        maxMessageSize: BigInt(REQUEST_SIZE_MAX),
      });
      link.addCredit(CREDIT);
      return;
    }
    const target = attach.target;
    const address = target !== undefined && 'address' in target ? target.address : undefined;
    const answers = new AnswerLink(link, address, () => {
      onGone();
      this.#answers.delete(answers);
    });
    this.#answers.add(answers);
    link.accept(answers, { source: attach.source, target: target ?? { type: 'target' } });
  }

  /** Some clients name the address of their link as reply-to, some its name, and some name neither and have one link. */
  #linkFor(replyTo: string | undefined): AnswerLink | undefined {
    const links = [...this.#answers].toReversed();
    return (
      links.find(({ address }) => address !== undefined && address === replyTo) ??
      links.find(({ name }) => name === replyTo) ??
      links.find(({ address }) => replyTo === undefined || address === undefined)
    );
  }

  /** @returns why the request was not taken, or undefined where it was */
  #answer(request: Message): AmqpErrorFields | undefined {
    const { replyTo, messageId, correlationId } = request.properties ?? {};
    const link = this.#linkFor(replyTo);
    if (link === undefined)
      return {
        condition: 'amqp:not-found',
        description: 'this connection has no link for the answer: attach one that receives from $cbs first',
      };
    const { status, description } = judged(request, this.#judge);
    link.send({
      properties: {
        // Type and value: a client that sends a uuid looks for a uuid.
        correlationId: messageId ?? correlationId,
        ...(replyTo === undefined ? {} : { to: replyTo }),
      },
      applicationProperties: new Map<string, AmqpValue>([
        ['status-code', int(status)],
        ['status-description', description],
      ]),
      body: { kind: 'value', value: null },
    });
    return undefined;
  }
}

function judged({ applicationProperties, body }: Message, judge: TokenJudge): CbsAnswer {
  const text = (name: string): string | undefined => textOf(applicationProperties?.get(name));
  if (text('operation') !== 'put-token')
    return { status: 400, description: "The operation of a request to $cbs is 'put-token'." };
  const [type, name] = [text('type'), text('name')];
  const token = body?.kind === 'value' ? textOf(body.value) : undefined;
  if (type === undefined || name === undefined || token === undefined) {
    return { status: 400, description: "A put-token has the properties 'type' and 'name', and the token as its body." };
  }
  return judge(type, name, new Secret(token));
}

function textOf(value: AmqpValue | undefined): string | undefined {
  const plain = plainOf(value);
  return typeof plain === 'string' ? plain : undefined;
}

/** A link that requests come on. */
class RequestLink implements ReceiverHandler {
  readonly #take: (request: Message) => AmqpErrorFields | undefined;
  readonly #onGone: () => void;
  #parts: Uint8Array[] = [];

  constructor(take: (request: Message) => AmqpErrorFields | undefined, onGone: () => void) {
    this.#take = take;
    this.#onGone = onGone;
  }

  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    // Larger ones end the link before they come here: that is in our attach.
    this.#parts.push(copyOf(frame.bytes, frame.payloadStart, frame.payloadEnd));
    if (!delivery.complete) return;
    const parts = this.#parts;
    this.#parts = [];
    link.addCredit(1);
    if (delivery.aborted) return;
    let error: AmqpErrorFields | undefined;
    try {
      error = this.#take(decodeMessage(joined(parts)));
    } catch (breach) {
      if (!(breach instanceof RemoteProtocolError)) throw breach;
      error = { condition: breach.condition, description: breach.message };
    }
    link.settle(delivery, error === undefined ? ACCEPTED : { type: 'rejected', error });
  }

  onDetach(link: Link): void {
    link.detach();
    this.#onGone();
  }

  onLost(): void {
    this.#onGone();
  }
}

/** A link that answers leave on, settled. */
class AnswerLink implements SenderHandler {
  /** Of its target, where the client gave one. */
  readonly address: string | undefined;
  readonly #link: SenderLink;
  readonly #onGone: () => void;
  readonly #waiting: Uint8Array[] = [];
  #rest: { readonly bytes: Uint8Array; position: number } | undefined;

  constructor(link: SenderLink, address: string | undefined, onGone: () => void) {
    this.#link = link;
    this.address = address;
    this.#onGone = onGone;
  }

  get name(): string {
    return this.#link.name;
  }

  /** The oldest go where there are too many. */
  send(answer: Message): void {
    if (this.#waiting.length >= ANSWERS_MAX) this.#waiting.shift();
    this.#waiting.push(encodeMessage(answer));
    this.onSendable();
  }

  onSendable(): void {
    const link = this.#link;
    const rest = this.#rest;
    if (rest !== undefined) {
      rest.position += link.resume(rest.bytes, rest.position, rest.bytes.length, true);
      if (rest.position < rest.bytes.length) return;
      this.#rest = undefined;
    }
    while (link.sendable) {
      const bytes = this.#waiting.shift();
      if (bytes === undefined) return;
      link.send(undefined, 0, true, undefined, bytes, 0, bytes.length, true);
      if (link.sentBytes < bytes.length) {
        this.#rest = { bytes, position: link.sentBytes };
        return;
      }
    }
  }

  onDisposition(link: SenderLink, delivery: OutgoingDelivery): void {
    link.settle(delivery);
  }

  onDrain(link: SenderLink): void {
    if (this.#waiting.length === 0) link.drained();
  }

  onDetach(link: Link): void {
    link.detach();
    this.#onGone();
  }

  onLost(): void {
    this.#onGone();
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(parts.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
