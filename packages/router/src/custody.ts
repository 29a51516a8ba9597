// SPDX-License-Identifier: Apache-2.0
import type { Clock, IncomingDelivery, TransferFrame } from '@pointsman/engine';
import type { Attach, DeliveryState } from '@pointsman/wire';
import type { CreditThrottle } from './credit-throttle.js';
import type {
  AutoLinkSettings,
  ContainerDialect,
  ContainerInbox,
  HeldMessage,
  InboxCare,
  MessageIdentity,
  ReadPosition,
} from './settings.js';

/** What became of messages from a container apart from the ordinary course, over all links of an autolink. */
export interface CustodyTally {
  /** Outcomes that were told after their link had gone, or again after the container could not take them. */
  settledLater: number;
  /** Outcomes that came too late: the container gives the message out again. */
  tooLate: number;
  /** Told on a link that went before the container had confirmed, and no longer to be told: it may have been heard or not. */
  inDoubt: number;
  /** Locks that were renewed. */
  locksRenewed: number;
  /** Times that every message was released. */
  releaseLoops: number;
  /** How far the node has been read, where it keeps its messages. */
  position: ReadPosition | undefined;
}

/** Messages of a node that keeps them which are not settled yet; undefined where that is not known. */
export function lagOf(position: ReadPosition | undefined): number | undefined {
  if (position?.end === undefined || position.sequence === undefined) return undefined;
  return Math.max(0, position.end - position.sequence);
}

export const emptyTally = (): CustodyTally => ({
  settledLater: 0,
  tooLate: 0,
  inDoubt: 0,
  locksRenewed: 0,
  releaseLoops: 0,
  position: undefined,
});

interface Entry extends HeldMessage {
  readonly identity: MessageIdentity | undefined;
  /** Its outcome is on the other way. */
  isLate: boolean;
  /** The container has given it out once more: what was said of it before came too late. */
  isAgain: boolean;
}

/** Messages in hand of all links of an autolink, the latest of each. */
export type HeldMessages = Map<MessageIdentity, HeldMessage>;

export interface CustodyOptions {
  readonly dialect: ContainerDialect;
  /** Name of the node at the container. */
  readonly address: string;
  readonly clock: Clock;
  readonly tally: CustodyTally;
  readonly inHand: HeldMessages;
  readonly throttle: CreditThrottle;
  readonly settings: AutoLinkSettings;
  /** Detaches the link, and attaches another, after so many ms. */
  readonly onLeave: (afterMs: number) => void;
}

/**
 * The messages that one link took from a container whose dialect settles beyond the link: each is the router's to answer for
 * until the container knows its outcome.
 */
export class Custody implements ContainerInbox {
  readonly address: string;
  settled = 0;
  handlingMs = 0;
  attach: Attach | undefined = undefined;
  readonly #options: CustodyOptions;
  readonly #entries = new Map<IncomingDelivery, Entry>();
  #look: ((bytes: Uint8Array) => boolean) | undefined;
  #care: InboxCare | undefined;
  #isEnded = false;
  /** With the link its messages have gone back to the container. */
  #isLost = false;

  constructor(options: CustodyOptions) {
    this.#options = options;
    this.address = options.address;
  }

  /** The link is attached. @param attach - the container's */
  start(attach: Attach | undefined): void {
    const { dialect } = this.#options;
    this.attach = attach;
    const care = dialect.tend?.(this);
    this.#care = care;
    this.#look = care?.look === undefined ? undefined : (bytes): boolean => care.look!(bytes);
  }

  // ---- ContainerInbox ----

  get held(): Iterable<HeldMessage> {
    return this.#entries.values();
  }

  get heldCount(): number {
    return this.#entries.size;
  }

  get capacity(): number {
    return this.#options.throttle.capacity;
  }

  get settings(): AutoLinkSettings {
    return this.#options.settings;
  }

  get renewsLocks(): boolean {
    return this.#options.settings.renewLocks !== false;
  }

  get creditLimit(): number {
    return this.#options.throttle.limit;
  }

  limitCredit(count: number): void {
    if (!this.#isEnded) this.#options.throttle.setLimit(count);
  }

  renewed(): void {
    this.#options.tally.locksRenewed++;
  }

  leave(afterMs: number = 0): void {
    if (!this.#isEnded) this.#options.onLeave(afterMs);
  }

  get position(): ReadPosition | undefined {
    return this.#options.tally.position;
  }

  reached(position: ReadPosition): void {
    this.#options.tally.position = position;
  }

  // ---- the link ----

  /** A message begins that is settled already. */
  saw(frame: TransferFrame): void {
    if (this.#look?.(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd)) === true) this.#look = undefined;
  }

  /** A message begins. @returns false where it is done with: it is settled as it is, and goes no further */
  took(delivery: IncomingDelivery, frame: TransferFrame): boolean {
    const { clock, dialect, inHand } = this.#options;
    const identity = dialect.identityOf?.(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd));
    const entry = { tag: frame.tag(), since: clock.now(), note: undefined, identity, isLate: false, isAgain: false };
    this.#entries.set(delivery, entry);
    if (identity !== undefined) {
      const former = inHand.get(identity) as Entry | undefined;
      if (former !== undefined) former.isAgain = true;
      inHand.set(identity, entry);
    }
    this.saw(frame);
    return this.#care?.took?.(entry, frame.bytes.subarray(frame.payloadStart, frame.payloadEnd)) ?? true;
  }

  /** The container knows its outcome, or wants none. */
  over(delivery: IncomingDelivery): void {
    const entry = this.#entries.get(delivery);
    if (entry === undefined) return;
    this.settled++;
    this.handlingMs += this.#options.clock.now() - entry.since;
    this.#forget(delivery, entry);
    if (!this.#isEnded) this.#care?.over?.(entry, delivery.localState);
    this.#rest();
  }

  #forget(delivery: IncomingDelivery, entry: Entry): void {
    const { inHand } = this.#options;
    this.#entries.delete(delivery);
    if (entry.identity !== undefined && inHand.get(entry.identity) === entry) inHand.delete(entry.identity);
  }

  /**
   * The container has answered an outcome that it was told.
   *
   * @param done - called where it is told again, with whether the container has taken it then
   * @returns whether it is told again
   */
  answered(delivery: IncomingDelivery, answer: DeliveryState | undefined, done?: (taken: boolean) => void): boolean {
    const said = delivery.localState;
    const verdict =
      said === undefined || answer === undefined ? 'done' : this.#options.dialect.verdictOf?.(said, answer);
    if (verdict === 'again' && this.late(delivery, said, done)) return true;
    if (verdict === 'gone') this.#options.tally.tooLate++;
    this.over(delivery);
    return false;
  }

  /** An outcome that the link can no longer carry. @returns whether it goes another way; then `done` is called once */
  late(
    delivery: IncomingDelivery,
    state: DeliveryState | undefined,
    done: (taken: boolean) => void = () => undefined,
  ): boolean {
    const { dialect, tally, address } = this.#options;
    const entry = this.#entries.get(delivery);
    if (entry === undefined || entry.isLate || state === undefined || dialect.settleLater === undefined) return false;
    const wasTold = delivery.localState !== undefined && this.#isEnded;
    const isOfUse = this.#isLost && this.#care?.late?.(entry, state) === true;
    if (this.#isLost && (isOfUse || !wasTold)) {
      // Else the container has given it out again, or will.
      if (!isOfUse) tally.tooLate++;
      this.over(delivery);
      if (isOfUse) done(true);
      return isOfUse;
    }
    entry.isLate = true;
    const { tag, identity } = entry;
    const care = this.#care;
    const message = {
      tag,
      identity,
      wasTold,
      // It may be renewed while this waits.
      get heldUntil(): number {
        return care?.heldUntil?.(entry) ?? -Infinity;
      },
    };
    dialect.settleLater(address, message, state, (result) => {
      const isAgain = entry.isAgain && !comesAgain(state);
      const isTaken = result === 'taken' && !isAgain;
      if (isTaken) tally.settledLater++;
      else if (result === 'unknown' && !isAgain) tally.inDoubt++;
      else tally.tooLate++;
      this.over(delivery);
      done(isTaken);
    });
    return true;
  }

  /** Can be settled though its link has gone. */
  survives(delivery: IncomingDelivery): boolean {
    return this.#options.dialect.settleLater !== undefined && this.#entries.has(delivery);
  }

  /**
   * The link has gone. What was told on it and not confirmed is told again.
   *
   * @param confirm - tells those who wait for the container's word
   */
  ended(confirm: (delivery: IncomingDelivery, taken: boolean) => void): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const { dialect, settings } = this.#options;
    this.#isLost = dialect.locksEndWithLink?.(settings) === true;
    for (const [delivery, entry] of this.#entries) {
      if (!delivery.complete) this.#forget(delivery, entry);
      else if (delivery.localState !== undefined)
        this.late(delivery, delivery.localState, (taken) => confirm(delivery, taken));
    }
    this.#rest();
  }

  #rest(): void {
    if (!this.#isEnded || this.#entries.size > 0) return;
    this.#care?.stop();
    this.#care = undefined;
  }
}

/** That a message of this outcome is given out again is what was asked for. */
function comesAgain(state: DeliveryState): boolean {
  if (!('type' in state)) return false;
  return state.type === 'released' || (state.type === 'modified' && state.undeliverableHere !== true);
}
