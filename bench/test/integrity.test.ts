// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, type ReceiverHandler, type SenderHandler, type SenderLink } from '@pointsman/engine';
import { until } from '@pointsman/testing';
import { startRouter, TestClient } from './clients.js';

/** Room for the head of a data section with a length of four bytes. */
const HEAD_BYTES = 8;
const MESSAGES = 300;

/** Sizes of all kinds: within a frame, of several, around the sizes of buffers; the same in each run. */
function sizeOf(seed: number, number: number): number {
  const mixed = Math.imul(seed * MESSAGES + number + 1, 0x9e3779b1) >>> 0;
  const kind = mixed % 10;
  if (kind < 5) return 8 + (mixed % 300);
  if (kind < 8) return 3_000 + (mixed % 9_000);
  if (kind < 9) return 65_000 + (mixed % 1_000);
  return 100_000 + (mixed % 200_000);
}

/** Bytes that tell where they belong: no two messages have the same at the same place for long. */
function messageOf(seed: number, number: number): Uint8Array {
  const size = sizeOf(seed, number);
  const bytes = new Uint8Array(HEAD_BYTES + size);
  bytes.set([0x00, 0x53, 0x75, 0xb0, size >>> 24, size >>> 16, size >>> 8, size]);
  for (let i = 0; i < size; i++) bytes[HEAD_BYTES + i] = seed * 67 + number * 31 + i * 7 + (i >>> 8);
  return bytes;
}

/** Sends its messages one after the other, as far as credit and room go. */
class Sender implements SenderHandler {
  readonly link: SenderLink;
  readonly #seed: number;
  #next = 0;
  #current: Uint8Array = new Uint8Array(0);
  #offset = 0;
  accepted = 0;

  constructor(client: TestClient, address: string, seed: number) {
    this.#seed = seed;
    this.link = client.session.attachSender(`from-${address}`, this, {
      source: { type: 'source' },
      target: { type: 'target', address },
    });
  }

  onSendable(link: SenderLink): void {
    for (;;) {
      if (link.current === undefined) {
        if (this.#next === MESSAGES || !link.sendable) return;
        this.#current = messageOf(this.#seed, this.#next++);
        link.send(undefined, 0, false, undefined, this.#current, 0, this.#current.length, true);
        this.#offset = link.sentBytes;
      } else {
        if (!link.resumable) return;
        this.#offset += link.resume(this.#current, this.#offset, this.#current.length, true);
      }
    }
  }

  onDisposition(): void {
    this.accepted++;
  }

  onDetach(): void {}
  onLost(): void {}
}

/** Compares every byte that comes with what was sent. */
class Checker {
  number = 0;
  /** The first byte that was wrong, or missing. */
  problem: string | undefined;

  constructor(client: TestClient, address: string, seed: number, credit: number) {
    let at = 0;
    let expected = messageOf(seed, 0);
    const handler: ReceiverHandler = {
      onTransfer: (link, delivery, frame) => {
        for (let i = frame.payloadStart; i < frame.payloadEnd; i++, at++) {
          if (frame.bytes[i] !== expected[at]) this.problem ??= `${address}: message ${this.number}, byte ${at}`;
        }
        if (!delivery.complete) return;
        if (at !== expected.length) this.problem ??= `${address}: message ${this.number} has ${at} bytes`;
        this.number++;
        at = 0;
        if (this.number < MESSAGES) expected = messageOf(seed, this.number);
        link.settle(delivery, ACCEPTED);
        link.addCredit(1);
      },
      onDetach: () => undefined,
      onLost: () => undefined,
    };
    const link = client.session.attachReceiver(`to-${address}`, handler, {
      source: { type: 'source', address },
      target: { type: 'target' },
    });
    link.addCredit(credit);
  }
}

describe('a message', () => {
  it('arrives as it was sent, byte for byte and in order, whatever is on the way beside it', async (t) => {
    const router = await startRouter(t);
    const sending = [await TestClient.connect(t, router), await TestClient.connect(t, router)] as const;
    const receiving = [await TestClient.connect(t, router), await TestClient.connect(t, router)] as const;
    const slow = await TestClient.connect(t, router);
    const checkers = [1, 2, 3, 4, 5, 6].map((seed) => {
      const client = seed > 4 ? slow : receiving[seed % 2 === 0 ? 0 : 1];
      return new Checker(client, `bench/${seed}`, seed, [1, 3, 50][seed % 3] ?? 1);
    });
    const senders = [1, 2, 3, 4, 5, 6].map(
      (seed) => new Sender(sending[seed % 2 === 0 ? 0 : 1], `bench/${seed}`, seed),
    );
    // What waits for a reader that has stopped must be as good afterwards.
    slow.stopReading();
    const isDone = (from: number, to: number): boolean => {
      for (const { problem } of checkers) assert.equal(problem, undefined);
      return checkers.slice(from, to).every(({ number }) => number === MESSAGES);
    };
    const state = (): unknown => checkers.map(({ number }) => number);
    await until('the links that are read', () => isDone(0, 4), { state });
    slow.readOn();
    await until('the links that were not read', () => isDone(4, 6), { state });

    await until('all to be settled', () => senders.every(({ accepted }) => accepted === MESSAGES));
  });
});
