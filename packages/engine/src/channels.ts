// SPDX-License-Identifier: Apache-2.0
import { LocalProtocolError, RemoteProtocolError } from '@pointsman/wire';
import type { Begin } from '@pointsman/wire';
import type { Session } from './session.js';
import { NO_SLOTS, withSlot } from './slots.js';

/** The sessions of a connection, by our channel and by the peer's. @see OASIS AMQP 1.0, 2.5.1 */
export class Channels {
  #ours: (Session | undefined)[] = NO_SLOTS;
  #theirs: (Session | undefined)[] = NO_SLOTS;
  /** No channel of ours below is free. */
  #lowestFree = 0;

  /** All that have begun, at either side. */
  get sessions(): Session[] {
    return this.#ours.filter((session) => session !== undefined);
  }

  ofPeer(channel: number): Session | undefined {
    return this.#theirs[channel];
  }

  /** @throws LocalProtocolError where all up to `max` are in use */
  free(max: number): number {
    let channel = this.#lowestFree;
    while (this.#ours[channel] !== undefined) channel++;
    this.#lowestFree = channel;
    if (channel <= max) return channel;
    throw new LocalProtocolError('amqp:resource-limit-exceeded', `all ${max + 1} channels are in use`, {
      scope: 'connection',
      section: '2.7.1',
    });
  }

  add(session: Session): void {
    this.#ours = withSlot(this.#ours, session.channel, session);
  }

  /**
   * The session of ours that a begin of the peer answers; undefined where it begins one of its own.
   *
   * @throws RemoteProtocolError where the channel is above `max` or in use, or no begin of ours waits on the one that is answered
   */
  answered(begin: Begin, channel: number, max: number): Session | undefined {
    if (channel > max) {
      throw new RemoteProtocolError(
        'amqp:connection:framing-error',
        `channel ${channel} is above the channel-max of ${max}`,
        { scope: 'connection', section: '2.7.1' },
      );
    }
    if (this.#theirs[channel] !== undefined) {
      throw new RemoteProtocolError('amqp:not-allowed', `begin on channel ${channel}, where a session is`, {
        scope: 'connection',
        section: '2.5.1',
      });
    }
    if (begin.remoteChannel === undefined) return undefined;
    const ours = this.#ours[begin.remoteChannel];
    if (ours !== undefined && ours.remoteBegin === undefined) return ours;
    throw new RemoteProtocolError(
      'amqp:not-allowed',
      `begin answers channel ${begin.remoteChannel}, where no begin of ours waits`,
      { scope: 'connection', section: '2.7.2' },
    );
  }

  /** The peer speaks of the session on its own `channel`. */
  bind(channel: number, session: Session): void {
    this.#theirs = withSlot(this.#theirs, channel, session);
  }

  /** The peer has ended the session on its `channel`. */
  unbind(channel: number): void {
    this.#theirs[channel] = undefined;
  }

  /** Whether there may have been a session of the peer on its `channel` that it has ended. */
  hasEnded(channel: number): boolean {
    return channel < this.#theirs.length && this.#theirs[channel] === undefined;
  }

  /** Both have ended it: our channel is free again. */
  remove(session: Session): void {
    if (this.#ours[session.channel] !== session) return;
    this.#ours[session.channel] = undefined;
    this.#lowestFree = Math.min(this.#lowestFree, session.channel);
  }

  clear(): void {
    this.#ours = this.#theirs = NO_SLOTS;
    this.#lowestFree = 0;
  }
}
