// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  decodeMessage,
  encodeMessage,
  int,
  long,
  RemoteProtocolError,
  timestamp,
  type AmqpValue,
  type Message,
} from '@pointsman/wire';
import fc from 'fast-check';
import { guidText, swapGuid } from '../src/guid.js';
import { BATCH_FORMAT, MessageContent, messagesOf } from '../src/message-content.js';
import { MessageQueue } from '../src/message-queue.js';
import type { MessageQueueSettings } from '../src/queue-settings.js';
import type { Lock } from '../src/stored-message.js';
import { BrokerScenario, contentOf } from './broker-scenarios.js';
import { seededRandom, VirtualClock } from './virtual-clock.js';

const FOLDER = new URL('../../test/scenarios/', import.meta.url);
const REWRITE = process.env['UPDATE'] === '1';

/** Blocks are parted by empty lines: comments, one command, `----`, what happened. */
function rewritten(text: string): string {
  const scenario = new BrokerScenario();
  return (
    text
      .trim()
      .split(/\n\n+/)
      .map((block) => {
        const lines = block.split('\n');
        const at = lines.findIndex((line) => !line.startsWith('#'));
        if (at < 0) return block;
        const commands = lines.slice(at, lines.includes('----') ? lines.indexOf('----') : undefined);
        const answers = commands.map((command) => scenario.run(command)).filter((answer) => answer !== '');
        return [...lines.slice(0, at), ...commands, '----', ...answers].join('\n');
      })
      .join('\n\n') + '\n'
  );
}

describe('broker', () => {
  for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.txt'))) {
    it(`behaves as ${file} says`, () => {
      const path = new URL(file, FOLDER);
      const expected = readFileSync(path, 'utf8');
      const actual = rewritten(expected);
      if (REWRITE) writeFileSync(path, actual);
      else assert.equal(actual, expected);
    });
  }
});

describe('message queue', () => {
  it('gives each lock a tag of its own, a GUID in the byte order of .NET', () => {
    const queue = new MessageQueue(SETTINGS, { clock: new VirtualClock(), random: seededRandom(7) });
    const tags: string[] = [];
    queue.addConsumer({
      mode: 'peek-lock',
      hasRoom: () => true,
      take: (_message, lock) => tags.push(guidText(swapGuid(lock!.tag))),
    });
    for (let i = 0; i < 50; i += 1) queue.enqueue(contentOf('a'));
    assert.equal(new Set(tags).size, 50);
    // Version 4 and variant stand where they do in a GUID that was swapped back.
    for (const tag of tags) assert.match(tag, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(
      guidText(swapGuid(Buffer.from('33221100554477668899aabbccddeeff', 'hex'))),
      '00112233-4455-6677-8899-aabbccddeeff',
    );
  });

  it('loses and doubles nothing, whatever its receivers do', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(5), fc.nat(20)), { maxLength: 200, size: 'max' }),
        fc.nat(),
        (steps, seed) => {
          const clock = new VirtualClock();
          const queue = new MessageQueue({ ...SETTINGS, maxDeliveryCount: 3 }, { clock, random: seededRandom(seed) });
          const held: string[] = [];
          const consumer = {
            mode: 'peek-lock' as const,
            credit: 0,
            hasRoom: (): boolean => consumer.credit > 0,
            take: (_: unknown, lock: Lock | undefined): void => {
              consumer.credit -= 1;
              held.push(lock!.token);
            },
          };
          queue.addConsumer(consumer);
          let sent = 0;
          let completed = 0;
          for (const [what, amount] of steps) {
            const token = held[amount % Math.max(1, held.length)];
            if (what === 0) for (let i = 0; i < amount; i += 1) sent = queue.enqueue(contentOf('a'));
            else if (what === 1) {
              consumer.credit += amount;
              queue.wake(consumer);
            } else if (what === 2) clock.advance(amount * 1000);
            else if (token === undefined) continue;
            else if (what === 3) completed += queue.settle(token, { kind: 'complete' }) === 'done' ? 1 : 0;
            else if (what === 4) queue.settle(token, { kind: 'abandon' });
            else if (amount % 2 === 0) queue.settle(token, { kind: 'unlock' });
            else queue.settle(token, { kind: 'defer' });
            const { active, deferred, deadLetter, locked } = queue.counts();
            assert.equal(active + deferred + deadLetter + completed, sent);
            assert.ok(locked <= active);
          }
          queue.removeConsumer(consumer);
          clock.advance(60_000);
          assert.equal(queue.counts().locked, 0, 'every lock ends');
          assert.equal(clock.pending, 0, 'and so does every order with the clock');
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('message content', () => {
  const properties = { messageId: 'm', groupId: 's', contentEncoding: 'gzip' };
  const bytes = encodeMessage({
    header: { durable: true, ttl: 5000, deliveryCount: 7 },
    deliveryAnnotations: new Map([['x-opt-hop', 'gone']]),
    messageAnnotations: new Map<string, AmqpValue>([
      ['x-own', int(4)],
      ['x-opt-sequence-number', long(99)],
      ['x-opt-locked-until', timestamp(1)],
    ]),
    properties,
    applicationProperties: new Map<string, AmqpValue>([
      ['kept', null],
      ['changed', 'old'],
    ]),
    body: { kind: 'sequence', sections: [[1, 'two'], [true]] },
    footer: new Map([['x-sum', 'f']]),
  });

  it('takes sections in any order, and keeps delivery annotations behind the body where they came', () => {
    const { header, messageAnnotations, properties: own, body } = decodeMessage(bytes);
    const section = (message: Message): Uint8Array => encodeMessage(message);
    const tail = section({ deliveryAnnotations: new Map([['x-tail', 'kept']]) });
    const sections = [section({ body }), section({ properties: own }), section({ messageAnnotations }), tail];
    const content = MessageContent.read(Buffer.concat([...sections, section({ header })]), 0);
    const out = Buffer.concat(content.encode(0, new Map()));
    assert.ok(out.subarray(-tail.length).equals(tail));
    const message = decodeMessage(out.subarray(0, -tail.length));
    assert.deepEqual(message.body, body);
    assert.deepEqual(message.properties, own);
    assert.equal(message.header?.ttl, 5000);
    assert.deepEqual(message.messageAnnotations?.get('x-own'), int(4));
  });

  it('leaves every section from the properties on as it was, bit for bit', () => {
    const content = MessageContent.read(bytes, 0);
    const out = Buffer.concat(content.encode(2, new Map([['x-opt-sequence-number', long(1)]])));
    assert.ok(
      out.subarray(out.length - content.bare.length).equals(bytes.subarray(bytes.length - content.bare.length)),
    );
    const message = decodeMessage(out);
    assert.deepEqual(message.header, { ...message.header, durable: true, ttl: 5000, deliveryCount: 2 });
    assert.equal(message.deliveryAnnotations, undefined);
    // Unknown annotations stay, those of the broker are the broker's.
    assert.deepEqual(
      message.messageAnnotations,
      new Map<string, AmqpValue>([
        ['x-own', int(4)],
        ['x-opt-sequence-number', long(1)],
      ]),
    );
    assert.deepEqual(message.body, decodeMessage(bytes).body);
    assert.deepEqual(message.footer, new Map([['x-sum', 'f']]));
  });

  it('extends the application properties alone where settling changed some', () => {
    const content = MessageContent.read(bytes, 0);
    const changes = new Map<string, AmqpValue>([
      ['changed', 'new'],
      ['added', int(1)],
    ]);
    const message = decodeMessage(Buffer.concat(content.encode(0, new Map(), changes)));
    assert.deepEqual(
      message.applicationProperties,
      new Map<string, AmqpValue>([
        ['kept', null],
        ['changed', 'new'],
        ['added', int(1)],
      ]),
    );
    assert.deepEqual(
      { ...message, applicationProperties: undefined },
      { ...decodeMessage(Buffer.concat(content.encode(0, new Map()))), applicationProperties: undefined },
    );
  });

  it('tells when it ends, where it does, and changes nothing else', () => {
    const content = MessageContent.read(bytes, 0);
    const changes = new Map([['added', 'x']]);
    for (const changed of [undefined, changes]) {
      const plain = decodeMessage(Buffer.concat(content.encode(0, new Map(), changed)));
      const ending = decodeMessage(Buffer.concat(content.encode(0, new Map(), changed, { ttlMs: 4000, fromUtc: 77 })));
      assert.equal(ending.header?.ttl, 4000);
      assert.equal(ending.properties?.absoluteExpiryTime, 4077n);
      assert.deepEqual(
        { ...ending, header: undefined, properties: { ...ending.properties, absoluteExpiryTime: undefined } },
        { ...plain, header: undefined, properties: plain.properties },
      );
    }
    const bare = MessageContent.read(encodeMessage({ body: { kind: 'value', value: 'v' } }), 0);
    const ending = decodeMessage(Buffer.concat(bare.encode(0, new Map(), undefined, { ttlMs: 2 ** 40, fromUtc: 77 })));
    assert.deepEqual([ending.header?.ttl, ending.properties?.absoluteExpiryTime], [0xffff_ffff, BigInt(2 ** 40 + 77)]);
    assert.deepEqual(ending.body, { kind: 'value', value: 'v' });
  });

  it('puts application properties in their place where there were none', () => {
    for (const body of [undefined, { kind: 'value' as const, value: 'v' }]) {
      for (const given of [undefined, properties]) {
        const content = MessageContent.read(encodeMessage({ properties: given, body }), 0);
        const message = decodeMessage(Buffer.concat(content.encode(0, new Map(), new Map([['added', 'x']]))));
        assert.deepEqual(message.applicationProperties, new Map([['added', 'x']]));
        assert.deepEqual(message.body, body);
        assert.equal(message.properties?.messageId, given?.messageId);
      }
    }
  });

  it('takes a batch apart, and nothing else for one', () => {
    const inner = ['a', 'b'].map((value) =>
      encodeMessage({ properties: { messageId: value }, body: { kind: 'value', value } }),
    );
    const batch = encodeMessage({ properties: { messageId: 'a' }, body: { kind: 'data', sections: inner } });
    assert.deepEqual(
      messagesOf(batch, BATCH_FORMAT).map(({ messageId }) => messageId),
      ['a', 'b'],
    );
    assert.equal(messagesOf(batch, 0).length, 1);
    assert.throws(() => messagesOf(inner[0]!, BATCH_FORMAT), RemoteProtocolError);
  });

  it('meets any bytes with a message or a RemoteProtocolError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(bytes.length - 1), fc.nat(255), (random, at, value) => {
        const mutated = Uint8Array.from(bytes);
        mutated[at] = value;
        for (const candidate of [random, mutated]) {
          for (const format of [0, BATCH_FORMAT]) {
            try {
              for (const content of messagesOf(candidate, format)) content.encode(0, new Map(), new Map([['x', 'y']]));
            } catch (error) {
              assert.ok(error instanceof RemoteProtocolError, String(error));
            }
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

const SETTINGS: MessageQueueSettings = {
  lockDurationMs: 60_000,
  maxDeliveryCount: 10,
  defaultTtlMs: Infinity,
  deadLetterOnExpiration: false,
  maxSizeBytes: 1e9,
};
