// SPDX-License-Identifier: Apache-2.0
import { ACCEPTED } from '@pointsman/engine';
import type {
  IncomingDelivery,
  Link,
  OutgoingDelivery,
  ReceiverHandler,
  ReceiverLink,
  SenderHandler,
  SenderLink,
  TransferFrame,
} from '@pointsman/engine';
import { RemoteProtocolError } from '@pointsman/wire';
import type { AmqpErrorFields, Attach } from '@pointsman/wire';
import { MessageReader, MessageWriter } from './whole-messages.js';

/** Takes a request: a whole message. @returns why it was not taken, or undefined where it was */
export type RequestTaker = (request: Uint8Array) => AmqpErrorFields | undefined;

export interface RequestLinkOptions {
  readonly take: RequestTaker;
  /** Where answers leave. */
  readonly answers: AnswerLinks;
  /** The link has ended. */
  readonly onGone: () => void;
  /** Bytes of a request. */
  readonly sizeMax: number;
  /** Requests that may be on their way to us. */
  readonly credit: number;
}

/** Accepts a link of a client that sends requests. */
export function acceptRequests(link: ReceiverLink, attach: Attach, options: RequestLinkOptions): void {
  const { sizeMax, credit } = options;
  link.accept(new RequestLink(options), {
    source: attach.source ?? { type: 'source' },
    target: attach.target,
    maxMessageSize: BigInt(sizeMax),
  });
  link.addCredit(credit);
}

/** What is held of answers for a client that gives no credit. The oldest go where there are more. */
const ANSWERS_MAX = 100;
const ANSWERS_BYTES_MAX = 1 << 24;

/** A link of a client that requests come on. A message that is larger than its attach allows ends the link. */
class RequestLink implements ReceiverHandler {
  readonly #take: RequestTaker;
  readonly #answers: AnswerLinks;
  readonly #onGone: () => void;
  /** Larger ones end the link before they come here: that is in our attach. */
  readonly #reader = new MessageReader();

  constructor({ take, answers, onGone }: RequestLinkOptions) {
    this.#take = take;
    this.#answers = answers;
    this.#onGone = onGone;
  }

  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    const request = this.#reader.read(delivery, frame);
    if (!delivery.complete) return;
    link.addCredit(1);
    if (request === undefined) return;
    const answers = this.#answers;
    let error: AmqpErrorFields | undefined;
    // An answer follows the outcome of its request: clients on Microsoft's library in C take the other order for a failure.
    answers.isHeld = true;
    try {
      error = this.#take(request);
    } catch (breach) {
      if (!(breach instanceof RemoteProtocolError)) throw breach;
      error = { condition: breach.condition, description: breach.message };
    } finally {
      answers.isHeld = false;
    }
    link.settle(delivery, error === undefined ? ACCEPTED : { type: 'rejected', error });
    link.session.flush();
    answers.release();
  }

  onDetach(link: Link): void {
    link.detach();
    this.#onGone();
  }

  onLost(): void {
    this.#onGone();
  }
}

/** A link of a client that answers leave on, settled. */
class AnswerLink implements SenderHandler {
  /** Of its target, where the client gave one. */
  readonly address: string | undefined;
  readonly #link: SenderLink;
  readonly #onGone: () => void;
  readonly #waiting: Uint8Array[] = [];
  #bytes = 0;
  readonly #writer = new MessageWriter();

  readonly #links: AnswerLinks;

  constructor(link: SenderLink, address: string | undefined, links: AnswerLinks, onGone: () => void) {
    this.#link = link;
    this.address = address;
    this.#links = links;
    this.#onGone = onGone;
  }

  get name(): string {
    return this.#link.name;
  }

  /** @param answer - a whole message */
  send(answer: Uint8Array): void {
    this.#waiting.push(answer);
    this.#bytes += answer.length;
    this.onSendable();
    while (this.#waiting.length > ANSWERS_MAX || this.#bytes > ANSWERS_BYTES_MAX) this.#next();
  }

  #next(): Uint8Array | undefined {
    const next = this.#waiting.shift();
    this.#bytes -= next?.length ?? 0;
    return next;
  }

  onSendable(): void {
    if (this.#links.isHeld) return;
    this.#writer.write(this.#link, true, () => {
      const bytes = this.#next();
      return bytes === undefined ? undefined : { bytes };
    });
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

/** Links for answers, of one client. */
export class AnswerLinks {
  readonly #links = new Set<AnswerLink>();

  /** @internal answers wait for {@link release} */
  isHeld = false;

  get size(): number {
    return this.#links.size;
  }

  /** @internal sends what was held. */
  release(): void {
    for (const link of this.#links) link.onSendable();
  }

  /** Accepts a link that answers are to leave on. @param onGone - the link has ended, and is none of these any more */
  accept(link: SenderLink, attach: Attach, onGone: () => void): void {
    const answers = new AnswerLink(link, targetAddressOf(attach), this, () => {
      this.#links.delete(answers);
      onGone();
    });
    this.#links.add(answers);
    link.accept(answers, { source: attach.source, target: attach.target ?? { type: 'target' } });
  }

  /** Some clients name the address of their link as reply-to, some its name, and some name neither and have one link. */
  for(replyTo: string | undefined): AnswerLink | undefined {
    const links = [...this.#links].toReversed();
    return (
      links.find(({ address }) => address !== undefined && address === replyTo) ??
      links.find(({ name }) => name === replyTo) ??
      links.find(({ address }) => replyTo === undefined || address === undefined)
    );
  }
}

/** The address that a client gives its receiving link. */
function targetAddressOf({ target }: Attach): string | undefined {
  return target !== undefined && 'address' in target ? target.address : undefined;
}
