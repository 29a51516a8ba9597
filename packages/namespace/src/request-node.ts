// SPDX-License-Identifier: Apache-2.0
import {
  ACCEPTED,
  type IncomingDelivery,
  type ReceiverHandler,
  type ReceiverLink,
  type SenderHandler,
  type SenderLink,
  type TransferFrame,
} from '@pointsman/engine';
import { decodeMessage, encodeMessage, RemoteProtocolError, type Message } from '@pointsman/wire';
import { IncomingPayload } from './incoming-payload.js';
import type { LinkOwner, LinkUse, NamespaceLink } from './namespace-link.js';
import type { Right } from './policy.js';
import { TransactionOf } from './transaction-of.js';

export interface RequestNodeSettings {
  readonly entityPath: string;
  readonly nodePath: string;
  readonly rights: readonly Right[];
  /** Link credit for requests. */
  readonly credit: number;
  readonly now: () => number;
  /** Answers a request, within a transaction where `txnId` is given. Properties that tie the answer to the request are added. */
  readonly answer: (request: Message, txnId: Uint8Array | undefined) => Message;
}

/** Bytes of a request; tokens and lists of lock tokens are far smaller. */
const REQUEST_SIZE_MAX = 1_048_576;

/** Answers that wait for a client that gives no credit, and their bytes. More are dropped, oldest first. */
const ANSWERS_MAX = 1000;
const ANSWERS_BYTES_MAX = 16_777_216;

/**
 * A node that answers requests, as one connection sees it: at most one link for requests and one for answers.
 *
 * An answer goes out on the link whose target address is the request's reply-to.
 */
export class RequestNode {
  readonly #settings: RequestNodeSettings;
  readonly #owner: LinkOwner;
  readonly #requests = new Set<RequestLink>();
  readonly #answers = new Set<AnswerLink>();

  constructor(owner: LinkOwner, settings: RequestNodeSettings) {
    this.#owner = owner;
    this.#settings = settings;
  }

  get hasRequestLink(): boolean {
    return this.#requests.size > 0;
  }

  get hasAnswerLink(): boolean {
    return this.#answers.size > 0;
  }

  /** Answers to that address have a link. */
  answersTo(address: string | undefined): boolean {
    return [...this.#answers].some((link) => link.address === address);
  }

  takeRequests(link: ReceiverLink): RequestLink {
    const { credit } = this.#settings;
    const requests: RequestLink = new RequestLink(
      link,
      this.#owner,
      this.#settings,
      credit,
      (request, txnId) => this.#answer(request, txnId),
      () => this.#requests.delete(requests),
    );
    this.#requests.add(requests);
    return requests;
  }

  takeAnswers(link: SenderLink, address: string | undefined): AnswerLink {
    const answers: AnswerLink = new AnswerLink(link, this.#owner, this.#settings, address, () =>
      this.#answers.delete(answers),
    );
    this.#answers.add(answers);
    return answers;
  }

  #answer(request: Message, txnId: Uint8Array | undefined): void {
    const replyTo = request.properties?.replyTo;
    const links = [...this.#answers];
    const link =
      replyTo === undefined
        ? links[0]
        : (links.find(({ address }) => address === replyTo) ?? links.find(({ address }) => address === undefined));
    // Nobody would ever see the answer; the request is not carried out either.
    if (link === undefined) return;
    const answer = this.#settings.answer(request, txnId);
    link.send({
      ...answer,
      properties: {
        ...answer.properties,
        // Type and value: a client that sends a uuid looks for a uuid.
        correlationId: request.properties?.messageId ?? request.properties?.correlationId,
        ...(replyTo === undefined ? {} : { to: replyTo }),
      },
    });
  }
}

/** The link that requests come on. */
export class RequestLink implements NamespaceLink, ReceiverHandler {
  readonly use: LinkUse = 'request';
  readonly link: ReceiverLink;
  readonly entityPath: string;
  readonly nodePath: string;
  readonly rights: readonly Right[];
  lastActivity: number;
  readonly #owner: LinkOwner;
  readonly #credit: number;
  readonly #onRequest: (request: Message, txnId: Uint8Array | undefined) => void;
  readonly #onGone: () => void;
  readonly #payload = new IncomingPayload();
  readonly #transaction = new TransactionOf();

  constructor(
    link: ReceiverLink,
    owner: LinkOwner,
    settings: RequestNodeSettings,
    credit: number,
    onRequest: (request: Message, txnId: Uint8Array | undefined) => void,
    onGone: () => void,
  ) {
    this.link = link;
    this.entityPath = settings.entityPath;
    this.nodePath = settings.nodePath;
    this.rights = settings.rights;
    this.lastActivity = settings.now();
    this.#owner = owner;
    this.#credit = credit;
    this.#onRequest = onRequest;
    this.#onGone = onGone;
  }

  start(): void {
    this.link.addCredit(this.#credit);
  }

  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    if (this.#payload.size > REQUEST_SIZE_MAX) {
      this.#owner.detach(this, {
        condition: 'amqp:link:message-size-exceeded',
        description: `A request has at most ${REQUEST_SIZE_MAX} bytes.`,
      });
      return;
    }
    this.#transaction.take(frame);
    const bytes = this.#payload.add(delivery, frame);
    if (!delivery.complete) return;
    const txnId = this.#transaction.end();
    link.addCredit(1);
    if (bytes === undefined) return;
    this.#owner.onActivity(this);
    let request: Message;
    try {
      request = decodeMessage(bytes);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      link.settle(delivery, {
        type: 'rejected',
        error: { condition: error.condition, description: error.description },
      });
      return;
    }
    link.settle(delivery, txnId === undefined ? ACCEPTED : { type: 'transactional-state', txnId, outcome: ACCEPTED });
    // Before the answer: clients on Microsoft's library in C take an answer to what they do not know to be taken for a failure.
    link.session.flush();
    this.#onRequest(request, txnId);
  }

  onDetach(): void {
    this.#owner.onGone(this);
  }

  onLost(): void {
    this.#owner.onGone(this);
  }

  onGone(): void {
    this.#onGone();
  }
}

/** The link that answers leave on, settled as they are sent. */
export class AnswerLink implements NamespaceLink, SenderHandler {
  readonly use: LinkUse = 'request';
  readonly link: SenderLink;
  readonly entityPath: string;
  readonly nodePath: string;
  readonly rights: readonly Right[];
  /** Target address: what clients write as reply-to. */
  readonly address: string | undefined;
  lastActivity: number;
  readonly #owner: LinkOwner;
  readonly #onGone: () => void;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** An answer of which only a part is written yet. */
  #rest: { readonly bytes: Uint8Array; position: number } | undefined;

  constructor(
    link: SenderLink,
    owner: LinkOwner,
    settings: RequestNodeSettings,
    address: string | undefined,
    onGone: () => void,
  ) {
    this.link = link;
    this.address = address;
    this.entityPath = settings.entityPath;
    this.nodePath = settings.nodePath;
    this.rights = settings.rights;
    this.lastActivity = settings.now();
    this.#owner = owner;
    this.#onGone = onGone;
  }

  send(answer: Message): void {
    const bytes = encodeMessage(answer);
    while (this.#waiting.length >= ANSWERS_MAX || this.#waitingBytes + bytes.length > ANSWERS_BYTES_MAX)
      if (this.#takeWaiting() === undefined) break;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.onSendable(this.link);
  }

  #takeWaiting(): Uint8Array | undefined {
    const bytes = this.#waiting.shift();
    this.#waitingBytes -= bytes?.length ?? 0;
    return bytes;
  }

  onSendable(link: SenderLink): void {
    const rest = this.#rest;
    if (rest !== undefined) {
      rest.position += link.resume(rest.bytes, rest.position, rest.bytes.length, true);
      if (rest.position < rest.bytes.length) return;
      this.#rest = undefined;
    }
    while (link.sendable) {
      const bytes = this.#takeWaiting();
      if (bytes === undefined) return;
      link.send(undefined, 0, true, undefined, bytes, 0, bytes.length, true);
      this.#owner.onActivity(this);
      if (link.sentBytes < bytes.length) {
        this.#rest = { bytes, position: link.sentBytes };
        return;
      }
    }
  }

  onDisposition(): void {
    // Answers are settled when they are sent.
  }

  onDetach(): void {
    this.#owner.onGone(this);
  }

  onLost(): void {
    this.#owner.onGone(this);
  }

  onGone(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#rest = undefined;
    this.#onGone();
  }
}
