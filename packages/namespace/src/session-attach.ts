// SPDX-License-Identifier: Apache-2.0
import type { Clock, SenderHandler, SenderLink } from '@pointsman/engine';
import { Alarm } from './alarm.js';
import type { Refusal } from './entity.js';
import type { MessageQueue } from './message-queue.js';
import type { MessageSession, SessionConsumer, SessionWaiter } from './message-session.js';
import { durationText } from './times.js';

export interface SessionAttachSettings {
  readonly messages: MessageQueue;
  /** The session asked for, undefined for any. */
  readonly sessionId: string | undefined;
  /** Ms after which an attach for any session is refused. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Why the attach, however late, is not allowed. */
  readonly refusal: () => Refusal | undefined;
  /** Accepts the link for a session that is now its own. Undefined where that could not be said. */
  readonly accept: (session: MessageSession) => SessionConsumer | undefined;
  readonly refuse: (refusal: Refusal) => void;
  /** The attach waits no more: it was answered, or the peer went. */
  readonly onDone: () => void;
}

/** An attach that wants a message session: it is answered when there is one, or when its time is over. */
export class SessionAttach implements SessionWaiter, SenderHandler {
  readonly #settings: SessionAttachSettings;
  readonly #alarm: Alarm;
  #isOver = false;

  constructor(link: SenderLink, settings: SessionAttachSettings) {
    this.#settings = settings;
    this.#alarm = new Alarm(settings.clock, () => this.#timeOut());
    link.handler = this;
  }

  get sessionId(): string | undefined {
    return this.#settings.sessionId;
  }

  start(): void {
    const { messages, sessionId, timeoutMs, clock } = this.#settings;
    const result = messages.acceptSession(this);
    if (result === 'waiting') this.#alarm.atLatest(clock.now() + timeoutMs);
    else if (result === 'held')
      this.#refuse({
        condition: 'com.microsoft:session-cannot-be-locked',
        description: `The requested session '${sessionId?.slice(0, 128) ?? ''}' cannot be accepted. It may be locked by another receiver.`,
      });
    else if (result === 'busy')
      this.#refuse({
        condition: 'com.microsoft:server-busy',
        description: 'Too many receivers wait for a session of this entity. Please wait 10 seconds and try again.',
      });
  }

  accept(session: MessageSession): SessionConsumer | undefined {
    if (this.#isOver) return undefined;
    const refusal = this.#settings.refusal();
    if (refusal !== undefined) {
      this.#refuse(refusal);
      return undefined;
    }
    this.#end();
    return this.#settings.accept(session);
  }

  #timeOut(): void {
    this.#refuse({
      condition: 'com.microsoft:timeout',
      description:
        `The operation did not complete within the allotted timeout of ${durationText(this.#settings.timeoutMs)}. ` +
        'No session was available.',
    });
  }

  #refuse(refusal: Refusal): void {
    this.#end();
    this.#settings.refuse(refusal);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#alarm.stop();
    this.#settings.messages.stopWaiting(this);
    this.#settings.onDone();
  }

  onSendable(): void {
    // Credit that comes before the answer is there when the link is accepted.
  }

  onDisposition(): void {
    // Nothing was sent.
  }

  onDetach(): void {
    this.#end();
  }

  onLost(): void {
    this.#end();
  }
}
