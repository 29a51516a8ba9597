// SPDX-License-Identifier: Apache-2.0
import {
  CloseCode,
  FRAME_AMQP,
  FRAME_SASL,
  LocalProtocolError,
  MIN_MAX_FRAME_SIZE,
  OpenCode,
  PROTOCOL_AMQP,
  ProtocolError,
  Reader,
  RemoteProtocolError,
  decodeError,
  protocolHeader,
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
  Writer,
} from '@pointsman/wire';
import { Channels } from './channels.js';
import type { ConnectionEnd, ConnectionHandler, ConnectionOptions, ConnectionPhase } from './connection-options.js';
import { nextConnectionState } from './connection-state.js';
import type { ConnectionEvent, ConnectionState } from './connection-state.js';
import { ConnectionTimers, HEARTBEAT, checkIdleTimeOut } from './connection-timers.js';
import type { ProtocolEndpoint } from './endpoint.js';
import { FRAME_REST, fitError } from './fit.js';
import { frameBytes, frameTooLarge, performativeCodeOf } from './frame-bytes.js';
import type { FrameTracer } from './frame-tracer.js';
import { Handshake } from './handshake.js';
import type { HandshakeHost } from './handshake.js';
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
import { advertisedIdleTimeOutOf, openFieldsOf } from './open-fields.js';
import { Output } from './output.js';
import { Session } from './session.js';
import { WaitingLinks } from './waiting-links.js';

// Shared by all connections: each is filled and used up within one call, and idle connections should cost little.
const TRANSFER = new TransferFrame();
const DISPOSITION = new DispositionFrame();
const FLOW = new FlowFrame();
const OUTPUT_MAX = 1 << 18;
const NO_MECHANISMS: readonly string[] = [];
const NO_SESSIONS: Session[] = [];

/** An AMQP 1.0 connection endpoint: both roles, without I/O. @see OASIS AMQP 1.0, 2.4 */
export class Connection implements ProtocolEndpoint, FrameTaker, HandshakeHost {
  readonly handler: ConnectionHandler;
  /** Ours. */
  readonly containerId: string;
  /** @internal see {@link ConnectionOptions.padded} */
  readonly padded: boolean;
  /** Silence of the peer after which we close, in ms; 0 for never. */
  readonly idleTimeoutMs: number;
  wake: (() => void) | undefined = undefined;
  state: ConnectionState = 'START';
  remoteOpen: Open | undefined = undefined;
  /** Name that SASL established, or undefined. */
  user: string | undefined = undefined;
  /** Server: by which the peer was let in. Client: which was chosen, whatever came of it. */
  saslMechanism: string | undefined = undefined;
  /** Client: what the server announced. */
  offeredMechanisms: readonly string[] = NO_MECHANISMS;
  /** For whoever owns the connection. */
  context: unknown = undefined;
  /** Is shown all that comes and goes. May be set at any time. */
  tracer: FrameTracer | undefined = undefined;
  /** @internal */
  readonly output: Output = new Output();
  /** @internal */
  remoteMaxFrameSize: number = MIN_MAX_FRAME_SIZE;

  /** Until AMQP frames come. */
  #handshake: Handshake | undefined;
  /** Until our open is out: idle connections should cost little. */
  #options: ConnectionOptions | undefined;
  #maxFrameSize: number;
  #channelMax: number;
  readonly #outputMax: number;
  readonly #frames = new IncomingFrames();
  readonly #timers: ConnectionTimers;
  #wakeScheduled = false;
  #ended: ConnectionEnd | undefined;
  #closing: ConnectionEnd | undefined;
  readonly #channels = new Channels();
  #dirtySessions: Session[] = NO_SESSIONS;
  /** @internal */
  readonly waiting: WaitingLinks = new WaitingLinks();
  /** @internal */
  readonly linkBudget: LinkBudget;

  constructor(options: ConnectionOptions, handler: ConnectionHandler) {
    this.handler = handler;
    this.containerId = options.containerId;
    this.idleTimeoutMs = options.idleTimeoutMs ?? 0;
    this.padded = options.padded === true;
    this.#options = options;
    ({ maxFrameSize: this.#maxFrameSize, channelMax: this.#channelMax } = openFieldsOf(options));
    this.#outputMax = options.outputMax ?? OUTPUT_MAX;
    this.linkBudget = new LinkBudget(options.maxLinks);
    this.#timers = new ConnectionTimers(options.now, options.handshakeTimeoutMs, options.closeTimeoutMs);
    this.#handshake = new Handshake(this, options);
    this.#handshake.begin();
  }

  // ---- ProtocolEndpoint ----

  receive(bytes: Uint8Array, now: number): void {
    this.#timers.received(now);
    this.#take(bytes);
  }

  #take(bytes: Uint8Array): void {
    if (this.#isUndecided()) return this.#hold(bytes);
    const frames = this.#frames;
    frames.next = 0;
    while (this.#ended === undefined) {
      try {
        frames.cut(bytes, frames.next, this);
        if (this.#isUndecided()) this.#hold(bytes.subarray(frames.next));
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
      this.#dirtySessions = NO_SESSIONS;
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
          `local-idle-timeout expired: nothing came for ${this.idleTimeoutMs} ms`,
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
    return this.output.backlog > this.#outputMax * 4 || this.#isUndecided();
  }

  get done(): boolean {
    return this.#ended !== undefined;
  }

  // ---- commands ----

  get phase(): ConnectionPhase {
    if (this.remoteOpen !== undefined) return 'opened';
    return this.#handshake === undefined ? 'open' : this.#handshake.phase;
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
    return this.#channels.sessions;
  }

  /** Sessions that there can be at a time: both sides limit them. */
  get channels(): number {
    return Math.min(this.#channelMax, this.remoteOpen?.channelMax ?? 65_535) + 1;
  }

  /** What is advertised as idle-time-out: half of what is enforced, or undefined for none. */
  get advertisedIdleTimeOut(): number | undefined {
    return advertisedIdleTimeOutOf(this.idleTimeoutMs);
  }

  /** Sends our open. `fields` override what the options say. Idempotent. */
  open(fields: Partial<OpenFields> = {}): void {
    const options = this.#options;
    if (options === undefined || this.#handshake !== undefined) return;
    this.#options = undefined;
    // What we say is what we hold the peer to.
    const open: OpenFields = { ...openFieldsOf(options), ...fields };
    this.#maxFrameSize = open.maxFrameSize ?? 0xffffffff;
    this.#channelMax = open.channelMax ?? 65_535;
    this.#say('send:open', 0, (w) => writeOpen(w, open, this.padded));
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
    const session = new Session(this, this.#channels.free(this.channels - 1));
    session.begin(options);
    this.#channels.add(session);
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
    return this.#handshake === undefined || this.#handshake.isFramed;
  }

  /** @internal */
  get stops(): boolean {
    return this.#ended !== undefined || this.#isUndecided();
  }

  /** @internal no SASL frame is larger than any peer has to take. 5.3.1 */
  get frameSizeMax(): number {
    return this.#handshake === undefined ? this.#maxFrameSize : MIN_MAX_FRAME_SIZE;
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
    if (this.#handshake !== undefined) {
      if (type !== FRAME_SASL) throw decodeError(`frame of type ${type} while SASL is spoken`, '5.3.1');
      return this.#handshake.takeSasl(readSaslFrame(new Reader(b, body, end)));
    }
    if (this.#closing !== undefined) return this.#frameWhileClosing(b, body, end);
    if (type !== FRAME_AMQP) throw decodeError(`frame of type ${type}`, '2.3.1');
    if (body === end) return;
    const channel = (b[start + 6]! << 8) | b[start + 7]!;
    if (b[body] === 0 && b[body + 1] === 0x53 && this.state === 'OPENED') {
      const code = b[body + 2];
      if (code === 0x14 || code === 0x15 || code === 0x13) {
        const session = this.#channels.ofPeer(channel);
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
    const session = this.#channels.ofPeer(channel);
    if (session === undefined) {
      // rhea, and with it the official client of Service Bus for JavaScript, answers a detach of ours that its end has crossed. Nobody
      // waits for that answer, and the connection has other sessions.
      if (frame.type === 'detach' && this.#channels.hasEnded(channel)) return;
      throw new RemoteProtocolError(
        'amqp:not-allowed',
        `${frame.type} on channel ${channel}, where no session was begun`,
        { scope: 'connection', section: '2.5.1' },
      );
    }
    if (frame.type === 'end') {
      this.#channels.unbind(channel);
      const ours = session.state === 'ending';
      session.takeEnd(frame.error);
      this.#channels.remove(session);
      if (!ours) this.handler.onEnd(session, frame.error);
      return;
    }
    // Our end is out: what the peer had on the way is discarded. 2.5.3
    if (session.state === 'ending' || session.state === 'ended') return;
    switch (frame.type) {
      case 'attach':
        return session.takeAttach(frame, end - body);
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
    this.#timers.peerOpened(this.idleTimeoutMs);
    const idle = open.idleTimeOut ?? 0;
    checkIdleTimeOut(idle);
    if (this.#options === undefined) this.#timers.keepUpWith(idle);
    this.handler.onOpen(this, open);
  }

  #takeBegin(begin: Begin, channel: number): void {
    let session = this.#channels.answered(begin, channel, this.#channelMax);
    if (session === undefined) {
      session = new Session(this, this.#channels.free(this.channels - 1));
      this.#channels.add(session);
    }
    this.#channels.bind(channel, session);
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
    this.#handshake!.takeHeader(bytes, at);
  }

  /** @internal */
  amqpBegins(mechanism: 'none' | undefined): void {
    this.state = nextConnectionState(this.state, 'recv:header');
    // The client has sent its header already, and is the one to go on.
    const isClient = this.state === 'HDR_EXCH';
    if (!isClient) this.sendHeader(PROTOCOL_AMQP);
    this.#handshake = undefined;
    if (mechanism !== undefined) this.handler.onAuthenticated?.(this, mechanism, undefined);
    if (isClient) this.open();
  }

  /** @internal */
  chose(offered: readonly string[], mechanism: string | undefined): void {
    this.offeredMechanisms = offered;
    this.saslMechanism = mechanism;
  }

  /** @internal */
  authenticated(mechanism: string, user: string | undefined): void {
    this.user = user;
    this.saslMechanism = mechanism;
    this.handler.onAuthenticated?.(this, mechanism, user);
  }

  /** @internal */
  refused(description: string): void {
    const error: AmqpErrorFields = { condition: 'amqp:unauthorized-access', description };
    this.#finish({ by: 'sasl', phase: 'sasl', error });
  }

  /** Whether the peer is let in is not decided yet. */
  #isUndecided(): boolean {
    return this.#handshake !== undefined && this.#handshake.isUndecided;
  }

  #hold(bytes: Uint8Array): void {
    if (!this.#handshake!.hold(bytes)) this.#finish({ by: 'protocol', phase: 'sasl' });
  }

  /** @internal */
  takeHeld(parts: readonly Uint8Array[]): void {
    for (const part of parts) this.#take(part);
    this.wakeUp();
  }

  /** @internal */
  sendSasl(write: (w: Writer) => void): void {
    this.#sayRaw(FRAME_SASL, 0, write);
  }

  /** @internal */
  sendHeader(id: number): void {
    if (id === PROTOCOL_AMQP && (this.state === 'START' || this.state === 'HDR_RCVD'))
      this.state = nextConnectionState(this.state, 'send:header');
    this.output.append(protocolHeader(id));
    this.wakeUp();
  }

  // ---- sending ----

  /** @internal */
  sendBegin(session: Session, begin: BeginFields): void {
    // A begin of the peer may be answered before anybody thought of answering its open.
    if (this.remoteOpen !== undefined) this.open();
    this.#say('send:other', session.channel, (w) => writeBegin(w, begin, this.padded));
  }

  /** @internal */
  sendEnd(session: Session, error: AmqpErrorFields | undefined): void {
    this.#say('send:other', session.channel, (w) => writeEnd(w, { error: this.#fitting(error) }, this.padded));
  }

  /** @internal */
  sendAttach(session: Session, attach: AttachFields): void {
    this.#say('send:other', session.channel, (w) => writeAttach(w, attach, this.padded));
  }

  /** @internal */
  sendDetach(session: Session, detach: DetachFields): void {
    const said = { ...detach, error: this.#fitting(detach.error) };
    this.#say('send:other', session.channel, (w) => writeDetach(w, said, this.padded));
  }

  #fitting(error: AmqpErrorFields | undefined): AmqpErrorFields | undefined {
    return error === undefined ? undefined : fitError(error, this.remoteMaxFrameSize - FRAME_REST);
  }

  #sayClose(error: AmqpErrorFields | undefined): void {
    const event = error === undefined ? 'send:close' : 'send:close-with-error';
    this.#say(event, 0, (w) => writeClose(w, { error: this.#fitting(error) }, this.padded));
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
    if (this.#dirtySessions.length === 0) this.#dirtySessions = [session];
    else this.#dirtySessions.push(session);
    this.wakeUp();
  }

  // ---- ending ----

  #failed(error: ProtocolError): void {
    this.handler.onProtocolError?.(this, error);
    const { condition, description } = error;
    const end: ConnectionEnd = { by: 'protocol', phase: this.phase, error: { condition, description }, cause: error };
    if (this.#handshake !== undefined) return this.#finish(end);
    this.#close(end.error, end);
  }

  #close(error: AmqpErrorFields | undefined, end: ConnectionEnd): void {
    if (this.#ended !== undefined || this.#closing !== undefined) return;
    if (this.#handshake !== undefined) return this.#finish(end);
    this.open();
    for (const session of this.sessions) session.flush();
    this.#closing = end;
    this.#timers.closing();
    this.#sayClose(error);
    this.#loseSessions(error);
  }

  /** The peer cannot be talked to: say why, and leave without waiting. */
  #giveUp(condition: string, description: string): void {
    const error: AmqpErrorFields = { condition, description };
    const end: ConnectionEnd = { by: 'idle', phase: this.phase, error };
    if (this.#handshake === undefined) {
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
    this.#channels.clear();
    this.#dirtySessions = NO_SESSIONS;
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
