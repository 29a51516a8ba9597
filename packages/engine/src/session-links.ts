// SPDX-License-Identifier: Apache-2.0
import { LocalProtocolError, serial } from '@pointsman/wire';
import type { AmqpErrorFields, Attach } from '@pointsman/wire';
import { ReceiverLink, SenderLink } from './link.js';
import type { AttachParameters, Link, ReceiverHandler, SenderHandler } from './link.js';
import { LinkTable } from './link-table.js';
import type { Session } from './session.js';

/** How the links of a session come and go. @see OASIS AMQP 1.0, 2.6.3 to 2.6.6 */
export class SessionLinks extends LinkTable {
  readonly #session: Session;

  constructor(session: Session) {
    super(session.connection.linkBudget);
    this.#session = session;
  }

  /** The lowest handle that is free and that the peer lets us use, or -1. */
  get nextHandle(): number {
    return this.freeHandle(this.#session.remoteBegin?.handleMax ?? 0xffffffff);
  }

  /** See {@link Session.attachReceiver}. */
  attachReceiver(name: string, handler: ReceiverHandler, parameters: AttachParameters): ReceiverLink {
    const link = new ReceiverLink(this.#session, name, this.#handleFor(name));
    link.handler = handler;
    link.maxMessageSize = Number(parameters.maxMessageSize ?? 0n);
    this.#attach(link, parameters);
    return link;
  }

  /** See {@link Session.attachSender}. */
  attachSender(name: string, handler: SenderHandler, parameters: AttachParameters): SenderLink {
    const link = new SenderLink(this.#session, name, this.#handleFor(name));
    link.handler = handler;
    this.#attach(link, parameters);
    return link;
  }

  #attach(link: Link, parameters: AttachParameters): void {
    this.#session.begin();
    this.#send(link, parameters);
    this.add(link, true);
  }

  #send(link: Link, parameters: AttachParameters): void {
    const session = this.#session;
    session.connection.sendAttach(session, link.attachFields(parameters));
    link.localAttached = true;
  }

  #handleFor(name: string): number {
    const { localEnded, state } = this.#session;
    if (localEnded || state === 'ending' || state === 'ended') {
      throw new LocalProtocolError('amqp:illegal-state', `link ${name} cannot be attached: its session has ended`, {
        scope: 'link',
        section: '2.5.5',
      });
    }
    const handle = this.nextHandle;
    if (handle >= 0) return handle;
    throw new LocalProtocolError(
      'amqp:resource-limit-exceeded',
      `link ${name} cannot be attached: the peer takes no further handle on this session`,
      {
        scope: 'link',
        section: '2.7.2',
      },
    );
  }

  /** Answers an attach of the peer. Idempotent. */
  answer(link: Link, parameters: AttachParameters): void {
    if (link.localAttached || link.localDetached) return;
    this.#session.begin();
    this.#send(link, parameters);
    link.state = 'attached';
    if (link instanceof ReceiverLink && link.credit > 0) this.#session.oweFlow(link);
  }

  /** An attach of the peer: the answer to one of ours, or a link of its own. @param bytes - its size on the wire */
  take(attach: Attach, bytes: number): void {
    const session = this.#session;
    if (attach.handle > session.handleMax) {
      return session.fail(
        'amqp:resource-limit-exceeded',
        `handle ${attach.handle} is above the handle-max of ${session.handleMax}`,
        '2.7.2',
      );
    }
    if (this.ofRemote(attach.handle) !== undefined) {
      return session.fail('amqp:session:handle-in-use', `handle ${attach.handle} is attached already`, '2.7.3');
    }
    // Their sender is our receiver.
    const first = this.named(attach.name, !attach.role);
    let known = first;
    while (known !== undefined && !(known.remoteHandle < 0 && known.localAttached)) known = known.namesake;
    if (known !== undefined) {
      this.#bind(known, attach, bytes);
      if (!known.localDetached) {
        known.state = 'attached';
        known.commonHandler.onAttached?.(known, attach);
        if (known instanceof ReceiverLink && known.credit > 0) session.oweFlow(known);
      }
      return;
    }
    const handle = this.nextHandle;
    const { linkBudget } = session.connection;
    if (handle < 0 || linkBudget.isAbused) {
      const why =
        handle < 0 ? 'no handle is left to answer an attach with, by the handle-max of the peer' : linkBudget.words;
      return session.fail('amqp:resource-limit-exceeded', why, '2.7.2');
    }
    const link = attach.role
      ? new SenderLink(session, attach.name, handle)
      : new ReceiverLink(session, attach.name, handle);
    this.add(link, first === undefined);
    this.#bind(link, attach, bytes);
    if (linkBudget.isSpent)
      return link.refuse({ condition: 'amqp:resource-limit-exceeded', description: linkBudget.words });
    // A name that is taken on this very session: the newer link is the one that is refused, the older stays.
    if (first !== undefined) {
      link.refuse({
        condition: 'amqp:resource-locked',
        description: `a link named ${attach.name} is attached already`,
      });
      return;
    }
    session.connection.handler.onAttach(link, attach);
  }

  #bind(link: Link, attach: Attach, bytes: number): void {
    link.remoteAttach = attach;
    link.attachBytes = bytes;
    this.#session.connection.linkBudget.bytes += bytes;
    link.remoteHandle = attach.handle;
    this.setRemote(attach.handle, link);
    // Each mode is for the end to decide that acts by it; what the other end said of it before was a wish. 2.6.9
    if (link instanceof ReceiverLink) {
      link.sndSettleMode = attach.sndSettleMode ?? 2;
      link.deliveryCount = serial(attach.initialDeliveryCount ?? 0);
    } else if (link instanceof SenderLink) {
      link.rcvSettleMode = attach.rcvSettleMode ?? 0;
      link.remoteMaxMessageSize = attach.maxMessageSize ?? 0n;
    }
  }

  /** Detaches, or answers the detach of the peer. Idempotent. */
  detach(link: Link, error: AmqpErrorFields | undefined, closed: boolean): void {
    if (link.localDetached) return;
    link.localDetached = true;
    link.state = 'detached';
    if (!link.localAttached && !this.#answerInBrief(link)) return;
    const session = this.#session;
    if (link instanceof SenderLink) {
      link.current = undefined;
      session.connection.waiting.remove(link);
    }
    session.flush();
    session.forgetDeliveries(link);
    session.connection.sendDetach(session, { handle: link.handle, closed, error });
    if (link.remoteDetached) this.remove(link);
  }

  /** An attach that was never answered: it has to be, before it can be detached. @returns false where the session ended instead */
  #answerInBrief(link: Link): boolean {
    const session = this.#session;
    link.localAttached = true;
    session.begin();
    try {
      session.connection.sendAttach(session, link.attachFields({}));
      return true;
    } catch (error) {
      if (!(error instanceof LocalProtocolError)) throw error;
      session.fail(error.condition, error.description, '2.3.1');
      return false;
    }
  }

  takeDetach(handle: number, closed: boolean, error: AmqpErrorFields | undefined): void {
    const link = this.ofRemote(handle);
    if (link === undefined) {
      const what = `detach of handle ${handle}, which is not attached`;
      return this.#session.fail('amqp:session:unattached-handle', what, '2.7.7');
    }
    link.remoteDetached = true;
    this.setRemote(handle, undefined);
    if (link.localDetached) {
      this.remove(link);
      return link.answered(error, closed);
    }
    link.state = 'detached';
    link.commonHandler.onDetach(link, error, closed);
    // A detach is always answered, even by a handler that forgot to.
    if (!link.localDetached && !link.answersLater) link.detach(undefined, closed);
  }
}
