// SPDX-License-Identifier: Apache-2.0
import type { SenderLink } from '@pointsman/engine';
import { ConsumerLink, type ConsumerSettings } from './consumer-link.js';
import type { MessageSession, SessionConsumer } from './message-session.js';
import type { LinkOwner } from './namespace-link.js';

/** A link on which the peer receives one message session. */
export class SessionConsumerLink extends ConsumerLink implements SessionConsumer {
  override readonly session: MessageSession;
  readonly owner: LinkOwner;

  constructor(link: SenderLink, owner: LinkOwner, settings: ConsumerSettings, session: MessageSession) {
    super(link, owner, settings);
    this.session = session;
    this.owner = owner;
  }

  get linkName(): string {
    return this.link.name;
  }

  onSessionLost(): void {
    this.owner.detach(this, {
      condition: 'com.microsoft:session-lock-lost',
      description: `The lock on the session '${this.session.id.slice(0, 128)}' has expired. Accept a new session.`,
    });
  }
}
