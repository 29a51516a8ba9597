// SPDX-License-Identifier: Apache-2.0
import {
  CloseCode,
  FRAME_AMQP,
  FRAME_SASL,
  LocalProtocolError,
  MIN_MAX_FRAME_SIZE,
  OpenCode,
  PROTOCOL_AMQP,
  PROTOCOL_SASL,
  ProtocolError,
  Reader,
  RemoteProtocolError,
  decodeError,
  protocolHeader,
  protocolIdOf,
  readPerformative,
  readSaslFrame,
  writeAttach,
  writeBegin,
  writeClose,
  writeDetach,
  writeEnd,
  writeOpen,
} from '@pointsman/wire';
import type {
  AmqpErrorFields,
  AttachFields,
  Begin,
  BeginFields,
  DetachFields,
  Open,
  OpenFields,
  Performative,
  SaslFrame,
  Writer,
} from '@pointsman/wire';
import type { ConnectionEnd, ConnectionHandler, ConnectionOptions, ConnectionPhase } from './connection-options.js';
import { nextConnectionState } from './connection-state.js';
import type { ConnectionEvent, ConnectionState } from './connection-state.js';
import { ConnectionTimers, HEARTBEAT, checkIdleTimeOut } from './connection-timers.js';
import type { ProtocolEndpoint } from './endpoint.js';
import { FRAME_REST, fitError } from './fit.js';
import { frameBytes, frameTooLarge, performativeCodeOf } from './frame-bytes.js';
import type { FrameTracer } from './frame-tracer.js';
import { HeldInput } from './held-input.js';
import {
  DispositionFrame,
  FlowFrame,
  TransferFrame,
  listStart,
  parseDisposition,
  parseFlow,
  parseTransfer,
} from './hot-frames.js';
import { IncomingFrames } from './incoming-frames.js';
import type { FrameTaker } from './incoming-frames.js';
import { LinkBudget } from './link-budget.js';
import { advertisedIdleTimeOutOf, noFreeChannel, openFieldsOf } from './open-fields.js';
import { Output } from './output.js';
import { OPEN_DOOR, SaslClientExchange, SaslServerExchange, headerMismatch, unfitHeader } from './sasl-exchange.js';
import type { SaslExchange, SaslStep } from './sasl-exchange.js';
import { Session } from './session.js';
import { WaitingLinks } from './waiting-links.js';

// Shared by all connections: each is filled and used up within one call, and idle connections should cost little.
const TRANSFER = new TransferFrame();
const DISPOSITION = new DispositionFrame();
const FLOW = new FlowFrame();
const OUTPUT_MAX = 1 << 18;

/** An AMQP 1.0 connection endpoint: both roles, without I/O. @see OASIS AMQP 1.0, 2.4 */
export class Connection implements ProtocolEndpoint, FrameTaker {
  readonly handler: ConnectionHandler;
  readonly options: ConnectionOptions;
  wake: (() => void) | undefined = undefined;
  state: ConnectionState = 'START';
  remoteOpen: Open | undefined = undefined;
  /** Name that SASL established, or undefined. */
  user: string | undefined = undefined;
  /** Server: by which the peer was let in. Client: which was chosen, whatever came of it. */
  saslMechanism: string | undefined = undefined;
  /** Client: what the server announced. */
  offeredMechanisms: readonly string[] = [];
  /** For whoever owns the connection. */
  context: unknown = undefined;
  /** Is shown all that comes and goes. May be set at any time. */
  tracer: FrameTracer | undefined = undefined;
  /** @internal */
  readonly output: Output = new Output();
  /** @internal */
  remoteMaxFrameSize: number = MIN_MAX_FRAME_SIZE;

  #layer: 'start' | 'sasl-header' | 'sasl' | 'amqp-header' | 'amqp' = 'start';
  #exchange: SaslExchange | undefined = undefined;
  /** What came while it is not decided yet whether the peer is let in. */
  #held: HeldInput | undefined = undefined;
  #maxFrameSize: number;
  #channelMax: number;
  readonly #outputMax: number;
  readonly #frames = new IncomingFrames();
  readonly #timers: ConnectionTimers;
  #wakeScheduled = false;
  #ended: ConnectionEnd | undefined;
  #closing: ConnectionEnd | undefined;
  readonly #sessions: (Session | undefined)[] = [];
  readonly #byRemoteChannel: (Session | undefined)[] = [];
  #dirtySessions: Session[] = [];
  /** @internal */
  readonly waiting: WaitingLinks = new WaitingLinks();
  /** @internal */
  readonly linkBudget: LinkBudget;
  #localOpenSent = false;

  constructor(options: ConnectionOptions, handler: ConnectionHandler) {
    this.options = options;
    this.handler = handler;
    ({ maxFrameSize: this.#maxFrameSize, channelMax: this.#channelMax } = openFieldsOf(options));
    this.#outputMax = options.outputMax ?? OUTPUT_MAX;
    this.linkBudget = new LinkBudget(options.maxLinks);
    this.#timers = new ConnectionTimers(options.now, options.handshakeTimeoutMs);
    if (options.role === 'client') {
      this.#layer = options.saslClient === undefined ? 'amqp-header' : 'sasl-header';
      this.#sendHeader(options.saslClient === undefined ? PROTOCOL_AMQP : PROTOCOL_SASL);
    }
  }

  // ---- ProtocolEndpoint ----

  receive(bytes: Uint8Array, now: number): void {
    this.#timers.received(now);
    this.#take(bytes);
  }

  #take(bytes: Uint8Array): void {
    if (this.#held !== undefined) return this.#hold(bytes);
    const frames = this.#frames;
    frames.next = 0;
    while (this.#ended === undefined) {
      try {
        frames.cut(bytes, frames.next, this);
        if (this.#held !== undefined) this.#hold(bytes.subarray(frames.next));
        return;
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.#failed(error);
        // Behind a frame whose content is wrong the stream goes on, and the peer's close is in it. Without frames it is over.
        if (frames.next < 0 && this.#closing !== undefined) this.#finish(this.#closing);
      }
    }
  }

  receiveEnd(now: number, cause?: Error): void {
    this.#timers.now = now;
    this.#finish(this.#closing ?? { by: 'lost', phase: this.phase, cause });
  }

  takeOutput(now: number): Uint8Array[] | undefined {
    this.#timers.now = now;
    // What is added here leaves at once: nobody has to be woken for it.
    this.#wakeScheduled = true;
    const dirty = this.#dirtySessions;
    if (dirty.length > 0) {
      this.#dirtySessions = [];
      for (let i = 0; i < dirty.length; i++) dirty[i]!.flush();
    }
    this.#wakeScheduled = false;
    const buffers = this.output.take();
    if (buffers === undefined) return undefined;
    this.#timers.sent(now);
    if (this.tracer !== undefined) this.tracer.outgoing(buffers);
    return buffers;
  }

  releaseOutput(_buffers: Uint8Array[], now: number): void {
    this.#timers.now = now;
    // While we take no input, what the peer reads is its sign of life.
    if (this.congested) this.#timers.received(now);
    this.output.release();
    if (!this.waiting.isEmpty && this.output.backlog < this.#outputMax >> 1) this.waiting.wake();
  }

  deadline(): number | undefined {
    return this.#ended === undefined ? this.#timers.deadline() : undefined;
  }

  tick(now: number): void {
    if (this.#ended !== undefined) return;
    switch (this.#timers.due(now)) {
      case 'close':
        return this.#finish(this.#closing!);
      case 'handshake':
        return this.#giveUp('amqp:not-allowed', 'Timeout waiting for initial handshake');
      case 'silence':
        return this.#giveUp(
          'amqp:resource-limit-exceeded',
          `local-idle-timeout expired: nothing came for ${this.options.idleTimeoutMs} ms`,
        );
      case 'heartbeat':
        // An empty frame, 2.4.5. Behind what waits for a slow peer it would tell nothing.
        if (this.output.backlog === 0) this.output.append(HEARTBEAT);
        this.#timers.sent(now);
        this.wakeUp();
        break;
      default:
    }
  }

  get congested(): boolean {
    // A peer that does not read must not make us collect answers without end.
    return this.#held !== undefined || this.output.backlog > this.#outputMax * 4;
  }

  get done(): boolean {
    return this.#ended !== undefined;
  }

  // ---- commands ----

  get phase(): ConnectionPhase {
    if (this.remoteOpen !== undefined) return 'opened';
    if (this.#layer === 'amqp') return 'open';
    return this.#layer === 'sasl' || this.#layer === 'amqp-header' ? 'sasl' : 'header';
  }

  /** @internal Largest frame that we take. */
  get maxFrameSize(): number {
    return this.#maxFrameSize;
  }

  get now(): number {
    return this.#timers.now;
  }

  /** Both have opened, and neither has closed. */
  get isOpen(): boolean {
    return this.state === 'OPENED' && this.#ended === undefined;
  }

  /** How it ended; undefined while it lives. */
  get ended(): ConnectionEnd | undefined {
    return this.#ended;
  }

  /** @internal transfers have to wait: the socket is behind. */
  get outputFull(): boolean {
    return this.output.backlog > this.#outputMax;
  }

  get sessions(): Session[] {
    return this.#sessions.filter((session) => session !== undefined);
  }

  /** Sessions that there can be at a time: both sides limit them. */
  get channels(): number {
    return Math.min(this.#channelMax, this.remoteOpen?.channelMax ?? 65_535) + 1;
  }

  /** What is advertised as idle-time-out: half of what is enforced, or undefined for none. */
  get advertisedIdleTimeOut(): number | undefined {
    return advertisedIdleTimeOutOf(this.options);
  }

  /** Sends our open. `fields` override what the options say. Idempotent. */
  open(fields: Partial<OpenFields> = {}): void {
    if (this.#localOpenSent || this.#layer !== 'amqp') return;
    this.#localOpenSent = true;
    // What we say is what we hold the peer to.
    const open: OpenFields = { ...openFieldsOf(this.options), ...fields };
    this.#maxFrameSize = open.maxFrameSize ?? 0xffffffff;
    this.#channelMax = open.channelMax ?? 65_535;
    this.#say('send:open', 0, (w) => writeOpen(w, open, this.options.padded === true));
    this.#timers.keepUpWith(this.remoteOpen?.idleTimeOut ?? 0);
  }

  /** Begins a session of ours. @throws LocalProtocolError where no channel is free, or the connection is not open or closing */
  session(options: Parameters<Session['begin']>[0] = {}): Session {
    if (this.#closing !== undefined || this.#ended !== undefined) {
      throw new LocalProtocolError('amqp:illegal-state', 'no session can begin on a connection that is closed', {
        scope: 'connection',
        section: '2.4.6',
      });
    }
    const session = new Session(this, this.#freeChannel());
    session.begin(options);
    this.#sessions[session.channel] = session;
    return session;
  }

  /** Closes; the peer has some seconds to answer. Idempotent. */
  close(error?: AmqpErrorFields): void {
    this.#close(error, { by: 'local', phase: this.phase, error });
  }

  /** Ends at once, without a word: the socket is closed once what waits is written. */
  abort(): void {
    this.#finish({ by: 'local', phase: this.phase });
  }

  // ---- receiving ----

  /** @internal */
  get isFramed(): boolean {
    return this.#layer === 'amqp' || this.#layer === 'sasl';
  }

  /** @internal */
  get stops(): boolean {
    return this.#ended !== undefined || this.#held !== undefined;
  }

  /** @internal no SASL frame is larger than any peer has to take. 5.3.1 */
  get frameSizeMax(): number {
    return this.#layer === 'sasl' ? MIN_MAX_FRAME_SIZE : this.#maxFrameSize;
  }

  /** @internal */
  takeFrame(b: Uint8Array, start: number, end: number): void {
    if (this.tracer !== undefined) this.tracer.incomingFrame(b, start, end);
    const doff = b[start + 4]!;
    const body = start + (doff << 2);
    if (doff < 2 || body > end) {
      throw new RemoteProtocolError(
        'amqp:connection:framing-error',
        `data offset ${doff} in a frame of ${end - start} bytes`,
        { scope: 'connection', section: '2.3.1' },
      );
    }
    const type = b[start + 5]!;
    if (this.#layer === 'sasl') {
      if (type !== FRAME_SASL) throw decodeError(`frame of type ${type} while SASL is spoken`, '5.3.1');
      return this.#sasl(readSaslFrame(new Reader(b, body, end)));
    }
    if (this.#closing !== undefined) return this.#frameWhileClosing(b, body, end);
    if (type !== FRAME_AMQP) throw decodeError(`frame of type ${type}`, '2.3.1');
    if (body === end) return;
    const channel = (b[start + 6]! << 8) | b[start + 7]!;
    if (b[body] === 0 && b[body + 1] === 0x53 && this.state === 'OPENED') {
      const code = b[body + 2];
      if (code === 0x14 || code === 0x15 || code === 0x13) {
        const session = this.#byRemoteChannel[channel];
        if (session !== undefined && session.state === 'mapped') {
          if (code === 0x14) {
            const f = TRANSFER;
            parseTransfer(f, b, body + 3, end);
            session.takeTransfer(f);
          } else if (code === 0x15) {
            const f = DISPOSITION;
            parseDisposition(f, b, body + 3, end);
            session.takeDisposition(f);
          } else {
            const f = FLOW;
            parseFlow(f, b, body + 3, end);
            session.takeFlow(f);
          }
          return;
        }
      }
    }
    this.#performative(readPerformative(new Reader(b, body, end)), channel, b, body, end);
  }

  /** Behind our close only the close of the peer counts: what it had on the way is not looked at, right or wrong. 2.4.6 */
  #frameWhileClosing(b: Uint8Array, body: number, end: number): void {
    const code = performativeCodeOf(b, body, end);
    if (code === OpenCode && this.state === 'CLOSE_PIPE') this.state = nextConnectionState(this.state, 'recv:open');
    if (code !== CloseCode) return;
    // A peer that closes without having opened is as gone as one that did it in order.
    this.state = 'END';
    this.#finish(this.#closing!);
  }

  #performative(frame: Performative, channel: number, b: Uint8Array, body: number, end: number): void {
    const event: ConnectionEvent =
      frame.type === 'open' ? 'recv:open' : frame.type === 'close' ? 'recv:close' : 'recv:other';
    this.state = nextConnectionState(this.state, event);
    switch (frame.type) {
      case 'open':
        return this.#takeOpen(frame);
      case 'close':
        return this.#takeClose(frame.error);
      case 'begin':
        return this.#takeBegin(frame, channel);
      default:
    }
    const session = this.#byRemoteChannel[channel];
    if (session === undefined) {
      throw new RemoteProtocolError(
        'amqp:not-allowed',
        `${frame.type} on channel ${channel}, where no session was begun`,
        { scope: 'connection', section: '2.5.1' },
      );
    }
    if (frame.type === 'end') {
      this.#byRemoteChannel[channel] = undefined;
      const ours = session.state === 'ending';
      session.takeEnd(frame.error);
      if (this.#sessions[session.channel] === session) this.#sessions[session.channel] = undefined;
      if (!ours) this.handler.onEnd(session, frame.error);
      return;
    }
    // Our end is out: what the peer had on the way is discarded. 2.5.3
    if (session.state === 'ending' || session.state === 'ended') return;
    switch (frame.type) {
      case 'attach':
        return session.takeAttach(frame);
      case 'detach':
        return session.takeDetach(frame.handle, frame.closed === true, frame.error);
      // Written in a form that the fast path leaves alone, such as with a symbolic descriptor.
      case 'transfer':
        parseTransfer(TRANSFER, b, listStart(b, body), end);
        return session.takeTransfer(TRANSFER);
      case 'disposition':
        parseDisposition(DISPOSITION, b, listStart(b, body), end);
        return session.takeDisposition(DISPOSITION);
      case 'flow':
        parseFlow(FLOW, b, listStart(b, body), end);
        return session.takeFlow(FLOW);
    }
  }

  #takeOpen(open: Open): void {
    const max = open.maxFrameSize ?? 0xffffffff;
    if (max < MIN_MAX_FRAME_SIZE) {
      throw new RemoteProtocolError('amqp:invalid-field', `max-frame-size ${max} is below ${MIN_MAX_FRAME_SIZE}`, {
        scope: 'connection',
        section: '2.7.1',
      });
    }
    this.remoteOpen = open;
    // A frame has to fit one buffer of the output.
    this.remoteMaxFrameSize = Math.min(max, 1 << 16);
    this.#timers.peerOpened(this.options.idleTimeoutMs ?? 0);
    const idle = open.idleTimeOut ?? 0;
    checkIdleTimeOut(idle);
    if (this.#localOpenSent) this.#timers.keepUpWith(idle);
    this.handler.onOpen(this, open);
  }

  #takeBegin(begin: Begin, channel: number): void {
    if (channel > this.#channelMax) {
      throw new RemoteProtocolError(
        'amqp:connection:framing-error',
        `channel ${channel} is above the channel-max of ${this.#channelMax}`,
        { scope: 'connection', section: '2.7.1' },
      );
    }
    if (this.#byRemoteChannel[channel] !== undefined) {
      throw new RemoteProtocolError('amqp:not-allowed', `begin on channel ${channel}, where a session is`, {
        scope: 'connection',
        section: '2.5.1',
      });
    }
    let session: Session;
    if (begin.remoteChannel !== undefined) {
      const ours = this.#sessions[begin.remoteChannel];
      if (ours === undefined || ours.remoteBegin !== undefined) {
        throw new RemoteProtocolError(
          'amqp:not-allowed',
          `begin answers channel ${begin.remoteChannel}, where no begin of ours waits`,
          { scope: 'connection', section: '2.7.2' },
        );
      }
      session = ours;
    } else {
      session = new Session(this, this.#freeChannel());
      this.#sessions[session.channel] = session;
    }
    this.#byRemoteChannel[channel] = session;
    session.takeBegin(begin, channel);
    // Ended by us before it was answered: what follows is the end of the peer.
    if (session.state !== 'ending') this.handler.onBegin(session);
  }

  #takeClose(error: AmqpErrorFields | undefined): void {
    const end: ConnectionEnd = { by: 'remote', phase: this.phase, error };
    this.#closing = end;
    this.#loseSessions(error);
    this.open();
    this.#sayClose(undefined);
    this.#finish(end);
  }

  // ---- protocol headers and SASL ----

  /** @internal */
  takeHeader(bytes: Uint8Array, at: number): void {
    if (this.tracer !== undefined) this.tracer.incomingHeader(bytes, at);
    const id = protocolIdOf(bytes, at);
    if (this.options.role === 'server') return this.#clientHeader(id);
    const wanted = this.#layer === 'sasl-header' ? PROTOCOL_SASL : PROTOCOL_AMQP;
    if (id === wanted) {
      if (wanted === PROTOCOL_SASL) return this.#beginSasl(new SaslClientExchange(this.options.saslClient!));
      this.state = nextConnectionState(this.state, 'recv:header');
      this.#layer = 'amqp';
      this.open();
      return;
    }
    throw headerMismatch(wanted, id);
  }

  #clientHeader(id: number | string): void {
    const sasl = this.options.saslServer ?? OPEN_DOOR;
    if (id === PROTOCOL_SASL && this.#layer === 'start') {
      this.#sendHeader(PROTOCOL_SASL);
      return this.#beginSasl(new SaslServerExchange(sasl));
    }
    const authenticated = this.#layer === 'amqp-header';
    if (id === PROTOCOL_AMQP && (authenticated || sasl.optional)) {
      this.state = nextConnectionState(this.state, 'recv:header');
      this.#sendHeader(PROTOCOL_AMQP);
      this.#layer = 'amqp';
      if (!authenticated) this.handler.onAuthenticated?.(this, 'none', undefined);
      return;
    }
    // 2.2: say what would have been right, then close.
    this.#sendHeader(authenticated || sasl.optional ? PROTOCOL_AMQP : PROTOCOL_SASL);
    this.#failed(unfitHeader(id));
  }

  #beginSasl(exchange: SaslExchange): void {
    this.#exchange = exchange;
    this.#layer = 'sasl';
    if (exchange.first !== undefined) this.#sayRaw(FRAME_SASL, 0, exchange.first);
  }

  #sasl(frame: SaslFrame): void {
    const exchange = this.#exchange!;
    const step = exchange.take(frame);
    if (step.later !== undefined) {
      this.#held = new HeldInput();
      void step.later.then((decided) => this.#decided(decided));
      return;
    }
    if (exchange instanceof SaslClientExchange) {
      this.offeredMechanisms = exchange.offered;
      this.saslMechanism = exchange.mechanism;
    }
    this.#saslStep(step);
  }

  #hold(bytes: Uint8Array): void {
    if (!this.#held!.add(bytes)) this.#finish({ by: 'protocol', phase: 'sasl' });
  }

  #decided(step: SaslStep): void {
    const { parts } = this.#held!;
    this.#held = undefined;
    if (this.#ended !== undefined) return;
    this.#saslStep(step);
    for (const part of parts) this.#take(part);
    this.wakeUp();
  }

  #saslStep({ write, done, failed }: SaslStep): void {
    if (write !== undefined) this.#sayRaw(FRAME_SASL, 0, write);
    if (failed !== undefined) {
      return this.#finish({
        by: 'sasl',
        phase: 'sasl',
        error: { condition: 'amqp:unauthorized-access', description: failed },
      });
    }
    if (done === undefined) return;
    this.user = done.user;
    this.saslMechanism = done.mechanism;
    this.#layer = 'amqp-header';
    if (this.options.role === 'client') this.#sendHeader(PROTOCOL_AMQP);
    this.handler.onAuthenticated?.(this, done.mechanism, done.user);
  }

  #sendHeader(id: number): void {
    if (id === PROTOCOL_AMQP && (this.state === 'START' || this.state === 'HDR_RCVD'))
      this.state = nextConnectionState(this.state, 'send:header');
    this.output.append(protocolHeader(id));
    this.wakeUp();
  }

  // ---- sending ----

  /** @internal */
  sendBegin(session: Session, begin: BeginFields, padded: boolean): void {
    // A begin of the peer may be answered before anybody thought of answering its open.
    if (this.remoteOpen !== undefined) this.open();
    this.#say('send:other', session.channel, (w) => writeBegin(w, begin, padded));
  }

  /** @internal */
  sendEnd(session: Session, error: AmqpErrorFields | undefined): void {
    this.#say('send:other', session.channel, (w) => writeEnd(w, { error: this.#fitting(error) }));
  }

  /** @internal */
  sendAttach(session: Session, attach: AttachFields, padded: boolean): void {
    this.#say('send:other', session.channel, (w) => writeAttach(w, attach, padded));
  }

  /** @internal */
  sendDetach(session: Session, detach: DetachFields): void {
    this.#say('send:other', session.channel, (w) => writeDetach(w, { ...detach, error: this.#fitting(detach.error) }));
  }

  #fitting(error: AmqpErrorFields | undefined): AmqpErrorFields | undefined {
    return error === undefined ? undefined : fitError(error, this.remoteMaxFrameSize - FRAME_REST);
  }

  #sayClose(error: AmqpErrorFields | undefined): void {
    const event = error === undefined ? 'send:close' : 'send:close-with-error';
    this.#say(event, 0, (w) => writeClose(w, { error: this.#fitting(error) }));
  }

  #say(event: ConnectionEvent, channel: number, write: (w: Writer) => void): void {
    // Nothing can be said any more: the peer has closed, or we have.
    if (this.#ended !== undefined || this.state === 'END' || this.state === 'DISCARDING' || this.state === 'CLOSE_SENT')
      return;
    this.state = nextConnectionState(this.state, event);
    this.#sayRaw(FRAME_AMQP, channel, write);
  }

  #sayRaw(type: number, channel: number, write: (w: Writer) => void): void {
    const bytes = frameBytes(type, channel, write);
    if (type === FRAME_AMQP && this.remoteOpen !== undefined && bytes.length > this.remoteMaxFrameSize)
      throw frameTooLarge(bytes.length, this.remoteMaxFrameSize);
    this.output.append(bytes);
    this.wakeUp();
  }

  /** @internal something waits to be written. */
  wakeUp(): void {
    if (this.#wakeScheduled) return;
    this.#wakeScheduled = true;
    if (this.wake !== undefined) this.wake();
  }

  /** @internal */
  sessionDirty(session: Session): void {
    this.#dirtySessions.push(session);
    this.wakeUp();
  }

  // ---- ending ----

  #freeChannel(): number {
    const max = this.channels - 1;
    for (let i = 0; i <= max; i++) if (this.#sessions[i] === undefined) return i;
    throw noFreeChannel(max);
  }

  #failed(error: ProtocolError): void {
    this.handler.onProtocolError?.(this, error);
    const { condition, description } = error;
    const end: ConnectionEnd = { by: 'protocol', phase: this.phase, error: { condition, description }, cause: error };
    if (this.#layer !== 'amqp') return this.#finish(end);
    this.#close(end.error, end);
  }

  #close(error: AmqpErrorFields | undefined, end: ConnectionEnd): void {
    if (this.#ended !== undefined || this.#closing !== undefined) return;
    if (this.#layer !== 'amqp') return this.#finish(end);
    this.open();
    for (const session of this.sessions) session.flush();
    this.#closing = end;
    this.#timers.closing(this.options.closeTimeoutMs);
    this.#sayClose(error);
    this.#loseSessions(error);
  }

  /** The peer cannot be talked to: say why, and leave without waiting. */
  #giveUp(condition: string, description: string): void {
    const error: AmqpErrorFields = { condition, description };
    const end: ConnectionEnd = { by: 'idle', phase: this.phase, error };
    if (this.#layer === 'amqp') {
      this.open();
      if (this.state === 'OPENED' || this.state === 'OPEN_SENT') this.#sayClose(error);
    }
    this.#finish(end);
  }

  #loseSessions(error: AmqpErrorFields | undefined): void {
    const sessions = this.sessions;
    // All of them first: what is done about the loss of one link must not be said on another.
    const untold = sessions.flatMap((session) => session.cut());
    for (const session of sessions) session.state = 'ended';
    this.#sessions.length = 0;
    this.#byRemoteChannel.length = 0;
    this.#dirtySessions.length = 0;
    for (const link of untold) link.lose(error);
    for (const session of sessions) session.forget();
  }

  #finish(end: ConnectionEnd): void {
    if (this.#ended !== undefined) return;
    // First of all, so that a link that is told of its loss can see whether only its session went.
    this.#ended = end;
    this.#loseSessions(end.error);
    this.#frames.clear();
    this.handler.onClosed(this, end);
    this.wakeUp();
  }
}
