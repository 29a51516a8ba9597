// SPDX-License-Identifier: Apache-2.0
import {
  FRAME_AMQP,
  FRAME_SASL,
  Reader,
  Writer,
  beginFrame,
  endFrame,
  protocolHeader,
  readPerformative,
  readSaslFrame,
  writeAttach,
  writeBegin,
  writeClose,
  writeDetach,
  writeDisposition,
  writeEnd,
  writeFlow,
  writeOpen,
  writeSaslChallenge,
  writeSaslInit,
  writeSaslMechanisms,
  writeSaslOutcome,
  writeSaslResponse,
  writeTransfer,
} from '@pointsman/wire';
import type {
  AttachFields,
  BeginFields,
  CloseFields,
  DetachFields,
  DispositionFields,
  EndFields,
  FlowFields,
  OpenFields,
  Performative,
  SaslChallengeFields,
  SaslFrame,
  SaslInitFields,
  SaslMechanismsFields,
  SaslOutcomeFields,
  SaslResponseFields,
  TransferFields,
} from '@pointsman/wire';
import { Connection } from '../src/index.js';
import type { ConnectionOptions } from '../src/index.js';
import { Recorder } from './pair.js';

/** A frame as a test says it: the fields, and nothing that reading would add. */
export type Said =
  | ({ type: 'open' } & OpenFields)
  | ({ type: 'begin' } & BeginFields)
  | ({ type: 'attach' } & AttachFields)
  | ({ type: 'flow' } & FlowFields)
  | ({ type: 'transfer' } & TransferFields)
  | ({ type: 'disposition' } & DispositionFields)
  | ({ type: 'detach' } & DetachFields)
  | ({ type: 'end' } & EndFields)
  | ({ type: 'close' } & CloseFields)
  | ({ type: 'sasl-mechanisms' } & SaslMechanismsFields)
  | ({ type: 'sasl-init' } & SaslInitFields)
  | ({ type: 'sasl-challenge' } & SaslChallengeFields)
  | ({ type: 'sasl-response' } & SaslResponseFields)
  | ({ type: 'sasl-outcome' } & SaslOutcomeFields);

export interface Heard {
  readonly channel: number;
  readonly size: number;
  readonly frame:
    | Performative
    | SaslFrame
    | { readonly type: 'header'; readonly id: number }
    | { readonly type: 'empty' };
  readonly payload: Uint8Array;
}

/** A frame with its header. */
export function frameOf(said: Said, channel = 0, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const w = new Writer();
  const start = beginFrame(w);
  switch (said.type) {
    case 'open':
      writeOpen(w, said);
      break;
    case 'begin':
      writeBegin(w, said);
      break;
    case 'attach':
      writeAttach(w, said);
      break;
    case 'flow':
      writeFlow(w, said);
      break;
    case 'transfer':
      writeTransfer(w, said);
      break;
    case 'disposition':
      writeDisposition(w, said);
      break;
    case 'detach':
      writeDetach(w, said);
      break;
    case 'end':
      writeEnd(w, said);
      break;
    case 'close':
      writeClose(w, said);
      break;
    case 'sasl-mechanisms':
      writeSaslMechanisms(w, said);
      break;
    case 'sasl-init':
      writeSaslInit(w, said);
      break;
    case 'sasl-challenge':
      writeSaslChallenge(w, said);
      break;
    case 'sasl-response':
      writeSaslResponse(w, said);
      break;
    case 'sasl-outcome':
      writeSaslOutcome(w, said);
      break;
  }
  w.ensure(payload.length);
  w.bytes.set(payload, w.position);
  w.position += payload.length;
  endFrame(w, start, said.type.startsWith('sasl-') ? FRAME_SASL : FRAME_AMQP, channel);
  return w.toBytes();
}

/** What a stream says, frame by frame. It has to be whole frames. */
export function heardIn(bytes: Uint8Array): Heard[] {
  const heard: Heard[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] === 0x41 && bytes[at + 1] === 0x4d) {
      heard.push({ channel: 0, size: 8, frame: { type: 'header', id: bytes[at + 4]! }, payload: new Uint8Array(0) });
      at += 8;
      continue;
    }
    const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
    const channel = (bytes[at + 6]! << 8) | bytes[at + 7]!;
    const r = new Reader(bytes, at + bytes[at + 4]! * 4, at + size);
    const frame =
      r.remaining === 0
        ? { type: 'empty' as const }
        : bytes[at + 5] === FRAME_SASL
          ? readSaslFrame(r)
          : readPerformative(r);
    heard.push({ channel, size, frame, payload: bytes.slice(r.position, at + size) });
    at += size;
  }
  return heard;
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

/** A connection whose peer is the test: it says any frame at any time, and hears what is answered. */
export class RawPeer {
  now = 1_000;
  readonly connection: Connection;
  readonly recorder: Recorder = new Recorder();

  constructor(options: Partial<ConnectionOptions> = {}) {
    this.connection = new Connection({ role: 'server', containerId: 'ours', now: this.now, ...options }, this.recorder);
  }

  /** Says frames, all in one piece. */
  say(...frames: readonly (Said | Uint8Array | readonly [Said, number] | readonly [Said, number, Uint8Array])[]): this {
    const bytes = frames.map((frame) => {
      if (frame instanceof Uint8Array) return frame;
      return 'type' in frame ? frameOf(frame) : frameOf(frame[0], frame[1], frame[2]);
    });
    this.connection.receive(joined(bytes), this.now);
    return this;
  }

  /** What was said since the last call. */
  hear(): Heard[] {
    const parts: Uint8Array[] = [];
    for (
      let out = this.connection.takeOutput(this.now);
      out !== undefined;
      out = this.connection.takeOutput(this.now)
    ) {
      parts.push(...out.map((part) => part.slice()));
      this.connection.releaseOutput(out, this.now);
    }
    return heardIn(joined(parts));
  }

  /** The types of what was said since the last call. */
  types(): string[] {
    return this.hear().map(({ frame }) => frame.type);
  }

  /** Header and open, both ways. */
  open(fields: Partial<OpenFields> = {}): this {
    this.say(protocolHeader(0), { type: 'open', containerId: 'theirs', ...fields });
    this.hear();
    return this;
  }

  /** Header, open and a session of the peer's on channel 0, both ways. */
  begin(fields: Partial<BeginFields> = {}, open: Partial<OpenFields> = {}): this {
    this.open(open).say({ type: 'begin', nextOutgoingId: 0, incomingWindow: 1_000, outgoingWindow: 1_000, ...fields });
    this.hear();
    return this;
  }

  /** A link that the peer sends on, handle 0 on both sides, with credit. */
  sender(credit: number, fields: Partial<AttachFields> = {}): this {
    this.say({
      type: 'attach',
      name: 'in',
      handle: 0,
      role: false,
      source: { type: 'source' },
      target: { type: 'target', address: 'q' },
      initialDeliveryCount: 0,
      ...fields,
    });
    if (credit > 0) this.recorder.receivers.at(-1)!.link.addCredit(credit);
    this.hear();
    return this;
  }

  /** A link that the peer receives on, handle 0 on both sides. */
  receiver(credit: number, fields: Partial<AttachFields> = {}, flow: Partial<FlowFields> = {}): this {
    this.say({
      type: 'attach',
      name: 'out',
      handle: 0,
      role: true,
      source: { type: 'source', address: 'q' },
      target: { type: 'target' },
      ...fields,
    });
    if (credit > 0) this.say(flowOf({ handle: fields.handle ?? 0, deliveryCount: 0, linkCredit: credit, ...flow }));
    this.hear();
    return this;
  }
}

export function flowOf(fields: Partial<FlowFields> = {}): Said {
  return {
    type: 'flow',
    nextIncomingId: 0,
    incomingWindow: 1_000,
    nextOutgoingId: 0,
    outgoingWindow: 1_000,
    ...fields,
  };
}

export function transferOf(deliveryId: number, fields: Partial<TransferFields> = {}): Said {
  return {
    type: 'transfer',
    handle: 0,
    deliveryId,
    deliveryTag: Uint8Array.of(deliveryId >>> 8, deliveryId & 0xff),
    messageFormat: 0,
    ...fields,
  };
}

export const HEADER: Uint8Array = protocolHeader(0);
export const SASL_HEADER: Uint8Array = protocolHeader(3);
