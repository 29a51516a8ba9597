// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { Heard } from './raw-peer.js';

interface LinkSaid {
  readonly isReceiver: boolean;
  /** A delivery of which the last frame has not been said. */
  isOpen: boolean;
}

interface SessionSaid {
  readonly links: Map<number, LinkSaid>;
  nextDeliveryId: number | undefined;
}

/**
 * Reads along what one side of a connection says and fails where no AMQP endpoint may say it: the rules of 2.4 to 2.6 that
 * can be told from one direction alone, written without a look at the engine.
 */
export class Conformity {
  #phase: 'start' | 'sasl' | 'header' | 'open' | 'closed' = 'start';
  readonly #sessions = new Map<number, SessionSaid>();

  hear(heard: readonly Heard[]): void {
    for (const one of heard) this.#hear(one);
  }

  get isClosed(): boolean {
    return this.#phase === 'closed';
  }

  #hear({ frame, channel }: Heard): void {
    const say = `${frame.type} on channel ${channel}`;
    assert.notEqual(this.#phase, 'closed', `${say} behind the close`);
    if (frame.type === 'header') {
      // A server that is not spoken to as it wants says which header would have been right: two of them follow at the most.
      assert.ok(this.#phase === 'start' || this.#phase === 'sasl' || this.#phase === 'header', say);
      this.#phase = frame.id === 3 ? 'sasl' : 'header';
      return;
    }
    if (frame.type.startsWith('sasl-')) {
      assert.equal(this.#phase, 'sasl', say);
      return;
    }
    if (frame.type === 'open') {
      assert.equal(this.#phase, 'header', say);
      this.#phase = 'open';
      return;
    }
    assert.equal(this.#phase, 'open', `${say} before the open`);
    if (frame.type === 'empty') return;
    if (frame.type === 'close') {
      this.#phase = 'closed';
      return;
    }
    const session = this.#sessions.get(channel);
    if (frame.type === 'begin') {
      assert.equal(session, undefined, `${say}, where a session is`);
      this.#sessions.set(channel, { links: new Map(), nextDeliveryId: undefined });
      return;
    }
    assert.ok(session !== undefined, `${say}, where no session is`);
    switch (frame.type) {
      case 'end':
        this.#sessions.delete(channel);
        break;
      case 'attach':
        assert.ok(!session.links.has(frame.handle), `${say}: handle ${frame.handle} is taken`);
        session.links.set(frame.handle, { isReceiver: frame.role, isOpen: false });
        break;
      case 'detach':
        assert.ok(session.links.delete(frame.handle), `${say}: handle ${frame.handle} is not attached`);
        break;
      case 'flow':
        if (frame.handle !== undefined) {
          assert.ok(session.links.has(frame.handle), `${say}: handle ${frame.handle} is not attached`);
          assert.notEqual(frame.linkCredit, undefined, `${say}: a link without credit`);
        }
        break;
      case 'transfer': {
        const link = session.links.get(frame.handle);
        assert.ok(link !== undefined && !link.isReceiver, `${say}: no sender has handle ${frame.handle}`);
        if (!link.isOpen) {
          assert.ok(
            frame.deliveryId !== undefined && frame.deliveryTag !== undefined,
            `${say}: a delivery without id or tag`,
          );
          assert.ok(frame.deliveryTag.length <= 32);
          if (session.nextDeliveryId !== undefined)
            assert.equal(frame.deliveryId, session.nextDeliveryId, `${say}: delivery-ids have a gap`);
          session.nextDeliveryId = (frame.deliveryId + 1) >>> 0;
        }
        link.isOpen = frame.more === true && frame.aborted !== true;
        break;
      }
      case 'disposition':
        if (frame.last !== undefined)
          assert.ok(((frame.last - frame.first) | 0) >= 0, `${say}: a range that ends before it begins`);
        break;
      default:
        assert.fail(say);
    }
  }
}
