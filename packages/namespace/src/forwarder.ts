// SPDX-License-Identifier: Apache-2.0
import type { Consumer, ReceiveMode } from './consumer.js';
import type { Refusal } from './entity.js';
import type { MessageContent } from './message-content.js';
import type { MessageQueue } from './message-queue.js';
import { deadLetterProperties } from './settlement.js';
import type { Arrival, StoredMessage } from './stored-message.js';

/** How often a message may be forwarded. */
const HOPS_MAX = 4;

/** Where messages are forwarded to, found anew for each: entities come and go. */
export type Destination = (content: MessageContent, arrival: Arrival) => Refusal | undefined;

export interface ForwarderSettings {
  /** Takes what cannot be forwarded. */
  readonly deadLetters: MessageQueue;
  /** Path of the entity, told with its dead letters. */
  readonly source: string;
  readonly isDeadLetterQueue: boolean;
  readonly destination: Destination;
}

/** A consumer that hands on all it gets to another entity of the namespace. */
export class Forwarder implements Consumer {
  readonly mode: ReceiveMode = 'receive-and-delete';
  readonly #settings: ForwarderSettings;

  constructor(settings: ForwarderSettings) {
    this.#settings = settings;
  }

  hasRoom(): boolean {
    return true;
  }

  take(message: StoredMessage): void {
    const { deadLetters, source, isDeadLetterQueue, destination } = this.#settings;
    if (message.hops >= HOPS_MAX) {
      message.change(
        deadLetterProperties(
          'MaxTransferHopCountExceeded',
          'The maximum number of allowed hops when forwarding between queues has been exceeded. ' +
            `This value is set to ${HOPS_MAX}.`,
        ),
      );
      deadLetters.adopt(message);
      return;
    }
    const refusal = destination(message.content, {
      originalSequence: message.originalSequence ?? message.sequence,
      hops: message.hops + 1,
      changes: message.changes,
      deadLetterSource: message.deadLetterSource ?? (isDeadLetterQueue ? source : undefined),
    });
    if (refusal === undefined) return;
    message.change(deadLetterProperties(refusal.condition, refusal.description));
    deadLetters.adopt(message);
  }
}
