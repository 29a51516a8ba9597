// SPDX-License-Identifier: Apache-2.0
import type { ProtocolEndpoint } from '@pointsman/engine';
import type { StreamInfo } from '@pointsman/transport';
import { Reader, readPerformative, readSaslFrame } from '@pointsman/wire';
import type { Open, Performative, SaslFrame } from '@pointsman/wire';

const HEADER_BYTES = 8;
const EMPTY_FRAME_BYTES = 8;

/** One connection as the namespace saw it: the endpoint passes everything on and keeps what came. */
export class Visit implements ProtocolEndpoint {
  readonly info: StreamInfo;
  readonly #inner: ProtocolEndpoint;
  readonly #came = new FrameLog();
  readonly #went = new FrameLog();
  isOver = false;

  constructor(info: StreamInfo, inner: ProtocolEndpoint) {
    this.info = info;
    this.#inner = inner;
  }

  get open(): Open | undefined {
    return this.#came.performatives.find((frame) => frame.type === 'open');
  }

  get saslInit(): Extract<SaslFrame, { type: 'sasl-init' }> | undefined {
    return this.#came.sasl.find((frame) => frame.type === 'sasl-init');
  }

  /** Names of the links that were attached, in order. */
  get linkNames(): string[] {
    return this.#came.performatives.flatMap((frame) => (frame.type === 'attach' ? [frame.name] : []));
  }

  /** Empty frames: signs of life, of the router and of the namespace. */
  get heartbeats(): { readonly came: number; readonly went: number } {
    return { came: this.#came.empty, went: this.#went.empty };
  }

  get wake(): (() => void) | undefined {
    return this.#inner.wake;
  }

  set wake(wake: (() => void) | undefined) {
    this.#inner.wake = wake;
  }

  receive(bytes: Uint8Array, now: number): void {
    this.#came.add(bytes);
    this.#inner.receive(bytes, now);
  }

  receiveEnd(now: number, cause?: Error): void {
    this.isOver = true;
    this.#inner.receiveEnd(now, cause);
  }

  takeOutput(now: number): Uint8Array[] | undefined {
    const buffers = this.#inner.takeOutput(now);
    for (const bytes of buffers ?? []) this.#went.add(bytes);
    return buffers;
  }

  releaseOutput(buffers: Uint8Array[], now: number): void {
    this.#inner.releaseOutput(buffers, now);
  }

  deadline(): number | undefined {
    return this.#inner.deadline();
  }

  tick(now: number): void {
    this.#inner.tick(now);
  }

  get congested(): boolean {
    return this.#inner.congested;
  }

  get done(): boolean {
    return this.#inner.done;
  }
}

/** Takes one direction of a connection apart. Transfers, dispositions and flows are left out. */
class FrameLog {
  readonly sasl: SaslFrame[] = [];
  readonly performatives: Performative[] = [];
  empty = 0;
  #rest: Uint8Array = new Uint8Array(0);

  add(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    let at = 0;
    while (all.length - at >= HEADER_BYTES) {
      const view = new DataView(all.buffer, at);
      const isHeader = view.getUint32(0) === 0x414d5150;
      const size = isHeader ? HEADER_BYTES : view.getUint32(0);
      if (size < HEADER_BYTES || all.length - at < size) break;
      if (size === EMPTY_FRAME_BYTES && !isHeader) this.empty++;
      else if (!isHeader) this.#frame(all, at, size);
      at += size;
    }
    this.#rest = all.slice(at);
  }

  #frame(all: Uint8Array, at: number, size: number): void {
    const body = at + 4 * all[at + 4]!;
    const reader = new Reader(all, body, at + size);
    if (all[at + 5] === 1) {
      this.sasl.push(readSaslFrame(reader));
      return;
    }
    // The descriptor's code: 0x13 to 0x15 are flow, transfer and disposition.
    const code = all[body + 2]!;
    if (code < 0x13 || code > 0x15) this.performatives.push(readPerformative(reader));
  }
}
