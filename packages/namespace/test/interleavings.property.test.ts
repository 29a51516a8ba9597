// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ACCEPTED, RELEASED } from '@pointsman/engine';
import { Described, ulong, type AmqpValue, type DeliveryState } from '@pointsman/wire';
import { conditionOf, Harness, type Client, type Received, type TestReceiver, type TestSender } from './harness.js';

type Within = Extract<DeliveryState, { type: 'transactional-state' }>;

/** A client with a link each way and a coordinator, and what its open transaction will have done. */
class Actor {
  readonly client: Client;
  readonly sender: TestSender;
  readonly receiver: TestReceiver;
  readonly coordinator: TestSender;
  readonly held: Received[] = [];
  transaction: { state: Within; sent: string[]; completed: string[] } | undefined;
  #seen = 0;

  constructor(harness: Harness) {
    this.client = harness.connect({ user: 'root' });
    this.sender = this.client.sender('orders');
    this.receiver = this.client.receiver('orders');
    this.coordinator = this.client.sender(undefined, { target: { type: 'coordinator' } });
  }

  control(code: number, fields: AmqpValue[]): DeliveryState | undefined {
    return this.coordinator.send({ body: { kind: 'value', value: new Described(ulong(code), fields) } });
  }

  /** What has come since the last time. */
  take(): void {
    this.held.push(...this.receiver.received.slice(this.#seen));
    this.#seen = this.receiver.received.length;
  }
}

const OUTCOMES: readonly DeliveryState[] = [
  ACCEPTED,
  RELEASED,
  { type: 'modified', deliveryFailed: true },
  { type: 'rejected', error: undefined },
];

describe('a queue among clients that come, go and change their minds', () => {
  it('has each message that was taken, once, until somebody has completed it', () => {
    const step = fc.tuple(fc.nat(8), fc.nat(2), fc.nat(20));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const harness = new Harness({
          queues: [{ name: 'orders', lockDurationMs: 20_000, maxDeliveryCount: 3 }],
          times: { linkIdleMs: Infinity },
        });
        const actors = [0, 1, 2].map(() => new Actor(harness));
        const live = new Set<string>();
        let count = 0;
        const settled = (received: Received, answer: Received['answer'], isCompletion: boolean): void => {
          if (!isCompletion || conditionOf(answer?.state) !== 'accepted') return;
          assert.ok(live.delete(String(received.body)), `${String(received.body)} was completed twice, or never taken`);
        };
        for (const [what, who, amount] of steps) {
          let actor = actors[who]!;
          const { transaction } = actor;
          const index = amount % Math.max(1, actor.held.length);
          if (what === 0 || what === 1) {
            const id = `m${count++}`;
            const state = what === 1 ? transaction?.state : undefined;
            const outcome = actor.sender.send(
              { body: { kind: 'value', value: id } },
              state === undefined ? {} : { state },
            );
            if (conditionOf(outcome) === 'accepted') live.add(id);
            if (conditionOf(outcome) === 'transactional-state') transaction!.sent.push(id);
          } else if (what === 2) {
            actor.receiver.credit(1 + (amount % 4));
          } else if (what === 3) harness.advance(1_000 * amount);
          else if (what === 4 && actor.held.length > 0) {
            const [received] = actor.held.splice(index, 1);
            const outcome = OUTCOMES[amount % OUTCOMES.length]!;
            settled(received!, actor.receiver.say(received!, outcome), outcome === ACCEPTED);
          } else if (what === 5 && actor.held.length > 0 && transaction !== undefined) {
            const [received] = actor.held.splice(index, 1);
            const answer = actor.receiver.say(received!, { ...transaction.state, outcome: ACCEPTED });
            if (conditionOf(answer?.state) === 'transactional-state')
              transaction.completed.push(String(received!.body));
          } else if (what === 6) {
            if (transaction === undefined) {
              const declared = actor.control(0x31, [null]);
              assert.ok(declared !== undefined && 'type' in declared && declared.type === 'declared');
              const state: Within = { type: 'transactional-state', txnId: declared.txnId, outcome: undefined };
              actor.transaction = { state, sent: [], completed: [] };
            } else {
              const isGivenUp = amount % 3 === 0;
              const outcome = conditionOf(actor.control(0x32, [transaction.state.txnId, isGivenUp]));
              if (outcome === 'accepted' && !isGivenUp) {
                for (const id of transaction.completed) assert.ok(live.delete(id), `${id} was completed twice`);
                for (const id of transaction.sent) live.add(id);
              }
              actor.transaction = undefined;
            }
          } else if (what === 7) {
            actor.client.connection.close();
            harness.run();
            actor = actors[who] = new Actor(harness);
          } else if (what === 8) harness.namespace.faults.refuseSettlements(amount % 3);
          for (const each of actors) each.take();
          const { active, deadLetter } = harness.namespace.counts('orders');
          assert.equal(active + deadLetter, live.size);
        }
        for (const { client } of actors) client.connection.close();
        harness.run();
        harness.advance(200_000);
        const reader = harness.connect({ user: 'root' });
        const settledMode = { sndSettleMode: 1, rcvSettleMode: 0 } as const;
        const left = ['orders', 'orders/$DeadLetterQueue'].flatMap(
          (path) => reader.receiver(path, 1_000, settledMode).bodies,
        );
        assert.deepEqual(left.map(String).toSorted(), [...live].toSorted());
        assert.equal(harness.namespace.memory.used, 0);
      }),
      { numRuns: Number(process.env['INTERLEAVING_RUNS'] ?? 60) },
    );
  });
});
