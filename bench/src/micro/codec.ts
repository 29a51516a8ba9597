// SPDX-License-Identifier: Apache-2.0

import {
  DispositionFrame,
  FlowFrame,
  parseDisposition,
  parseFlow,
  parseTransfer,
  TransferFrame,
} from '@pointsman/engine';
import {
  decodeMessage,
  encodeMessage,
  Reader,
  readPerformative,
  symbol,
  ubyte,
  writeAttach,
  writeDisposition,
  writeFlow,
  Writer,
  writeTransfer,
  type AttachFields,
  type Message,
  type TransferFields,
} from '@pointsman/wire';
import { mix, type MicroCase } from './micro-case.js';

const OPERATIONS = 1_000;

/** Of a message as most are: one frame, unsettled, a tag of eight bytes. */
const TRANSFER: TransferFields = {
  handle: 1,
  deliveryId: 4_711,
  deliveryTag: Uint8Array.of(0, 0, 0, 0, 0, 0, 18, 103),
  messageFormat: 0,
  settled: false,
  more: false,
};

const ATTACH: AttachFields = {
  name: 'orders-1b8f2c',
  handle: 3,
  role: true,
  sndSettleMode: 2,
  rcvSettleMode: 0,
  source: { type: 'source', address: 'orders/europe', capabilities: ['queue'] },
  target: { type: 'target', address: 'here' },
  maxMessageSize: 1_048_576n,
  properties: new Map([['product', 'bench']]),
};

const MESSAGE: Message = {
  header: { durable: true, priority: 4, deliveryCount: 0 },
  messageAnnotations: new Map([['x-opt-partition-key', 'customer-17']]),
  properties: {
    messageId: 'c0ffee-1',
    to: 'orders/europe',
    contentType: 'application/json',
    creationTime: 1_700_000_000_000n,
  },
  applicationProperties: new Map<string, string | boolean>([
    ['kind', 'order'],
    ['urgent', false],
  ]),
  body: { kind: 'data', sections: [new Uint8Array(100).fill(120)] },
};

function encoded(write: (w: Writer) => void): Uint8Array {
  const w = new Writer();
  write(w);
  return w.toBytes();
}

/** Repeats an operation; the results are hashed together. */
function rounds(operation: () => number): () => number {
  return () => {
    let hash = 0;
    for (let i = 0; i < OPERATIONS; i++) hash = mix(hash, operation());
    return hash;
  };
}

/** What {@link rounds} returns where each operation returns `value`. */
function hashOf(value: number): number {
  let hash = 0;
  for (let i = 0; i < OPERATIONS; i++) hash = mix(hash, value);
  return hash;
}

function codecCase(name: string, value: number, prepare: () => () => number): MicroCase {
  return { name, operations: OPERATIONS, hash: hashOf(value), isLarge: false, prepare: () => rounds(prepare()) };
}

export const CODEC: readonly MicroCase[] = [
  codecCase('codec: transfer, parsed in place', 4_711 + 8, () => {
    const bytes = encoded((w) => writeTransfer(w, TRANSFER));
    const frame = new TransferFrame();
    return () => {
      parseTransfer(frame, bytes, 3, bytes.length);
      return frame.deliveryId + frame.tagLength;
    };
  }),
  codecCase('codec: transfer, read by its table', 4_711 + 8, () => {
    const bytes = encoded((w) => writeTransfer(w, TRANSFER));
    return () => {
      const frame = readPerformative(new Reader(bytes));
      return frame.type === 'transfer' ? (frame.deliveryId ?? 0) + (frame.deliveryTag?.length ?? 0) : 0;
    };
  }),
  codecCase('codec: transfer, written by its table', 26, () => {
    const w = new Writer();
    return () => {
      w.reset();
      writeTransfer(w, TRANSFER);
      return w.position;
    };
  }),
  codecCase('codec: disposition of a range, parsed in place', 4_710 + 63, () => {
    const fields = { role: true, first: 4_710, last: 4_773, settled: true, state: { type: 'accepted' } } as const;
    const bytes = encoded((w) => writeDisposition(w, fields));
    const frame = new DispositionFrame();
    return () => {
      parseDisposition(frame, bytes, 3, bytes.length);
      return frame.first + frame.last - 4_710;
    };
  }),
  codecCase('codec: flow, parsed in place', 250, () => {
    const windows = { nextIncomingId: 7, incomingWindow: 1_024, nextOutgoingId: 9, outgoingWindow: 1_024 };
    const bytes = encoded((w) => writeFlow(w, { ...windows, handle: 2, deliveryCount: 70_000, linkCredit: 250 }));
    const frame = new FlowFrame();
    return () => {
      parseFlow(frame, bytes, 3, bytes.length);
      return frame.linkCredit;
    };
  }),
  codecCase('codec: attach, written and read', 3 + 13, () => {
    const w = new Writer();
    return () => {
      w.reset();
      writeAttach(w, ATTACH);
      const frame = readPerformative(new Reader(w.bytes, 0, w.position));
      return frame.type === 'attach' ? frame.handle + frame.name.length : 0;
    };
  }),
  codecCase('codec: message of five sections, encoded', 249, () => () => encodeMessage(MESSAGE).length),
  codecCase('codec: message of five sections, decoded', 100 + 2, () => {
    const bytes = encodeMessage(MESSAGE);
    return () => {
      const { body, applicationProperties } = decodeMessage(bytes);
      return (body?.kind === 'data' ? (body.sections[0]?.length ?? 0) : 0) + (applicationProperties?.size ?? 0);
    };
  }),
  codecCase('codec: values of a message with a typed map, encoded and decoded', 3, () => {
    const value: Message = {
      body: {
        kind: 'value',
        value: new Map<string, ReturnType<typeof ubyte> | ReturnType<typeof symbol> | string>([
          ['level', ubyte(3)],
          ['state', symbol('open')],
          ['text', 'grün'],
        ]),
      },
    };
    return () => {
      const { body } = decodeMessage(encodeMessage(value));
      return body?.kind === 'value' && body.value instanceof Map ? body.value.size : 0;
    };
  }),
];
