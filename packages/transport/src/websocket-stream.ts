// SPDX-License-Identifier: Apache-2.0
import type { WebSocket } from 'ws';
import type { ByteStream, StreamHandler, StreamInfo } from './stream.js';
import { TransportError, codeOf, readable, sentence } from './transport-error.js';

/** The subprotocols of AMQP over WebSocket: the standard's, and the one that Service Bus clients in JavaScript ask for. */
export const WEBSOCKET_PROTOCOLS: readonly string[] = ['amqp', 'AMQPWSB10'];

/** Where Service Bus takes WebSocket connections. */
export const SERVICE_BUS_WEBSOCKET_PATH = '/$servicebus/websocket';

/**
 * Bytes of one message that are accepted. The `ws` package holds a message until it is whole; clients put all that they have
 * to say at a moment into one, but not more than a few frames.
 */
export const WEBSOCKET_MESSAGE_BYTES_MAX: number = 16 * 1024 * 1024;

const BINARY = { binary: true, compress: false, fin: true } as const;

/** Status codes of RFC 6455, 7.4.1. */
const NORMAL_CLOSURE = 1000;
const UNSUPPORTED_DATA = 1003;
/** Normal, going away, none given, and cut: they tell nothing. */
const SILENT_CLOSURES: readonly number[] = [NORMAL_CLOSURE, 1001, 1005, 1006];

/** A WebSocket whose binary messages are a stream of bytes. */
export class WebSocketStream implements ByteStream {
  readonly info: StreamInfo;
  readonly #socket: WebSocket;
  #cause: Error | undefined;
  #onWritten: () => void = ignore;

  constructor(socket: WebSocket, info: StreamInfo) {
    this.info = info;
    this.#socket = socket;
    socket.binaryType = 'fragments';
    socket.on('error', (error) => {
      this.#cause ??= broken(error);
    });
    // Until somebody is attached nothing may be lost.
    socket.pause();
  }

  attach(handler: StreamHandler): void {
    const socket = this.#socket;
    let isOver = false;
    const close = (): void => {
      if (isOver) return;
      isOver = true;
      handler.onClosed(this.#cause);
    };
    this.#onWritten = () => {
      if (!isOver) handler.onWritten();
    };
    socket.on('message', (fragments, isBinary) => {
      if (isOver) return;
      if (isBinary) {
        for (const bytes of fragments as Buffer[]) handler.onData(bytes);
        return;
      }
      this.#cause ??= new TransportError(
        'websocket-ended',
        'The peer sent a text message on the WebSocket; AMQP travels in binary messages.',
        'Use a peer that speaks AMQP over WebSocket.',
      );
      socket.close(UNSUPPORTED_DATA, 'AMQP travels in binary messages');
      // Its answer may take its time: nothing that it says counts any more.
      close();
    });
    if (socket.readyState === socket.CLOSED) {
      process.nextTick(close);
      return;
    }
    socket.once('close', (code, reason) => {
      if (!SILENT_CLOSURES.includes(code)) this.#cause ??= closedFor(code, reason.toString('utf8'));
      close();
    });
    socket.resume();
  }

  write(buffers: readonly Uint8Array[]): void {
    const last = buffers.length - 1;
    for (let i = 0; i < last; i++) this.#socket.send(buffers[i] as Uint8Array, BINARY);
    this.#socket.send(buffers[last] as Uint8Array, BINARY, this.#onWritten);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.close(NORMAL_CLOSURE);
  }

  destroy(cause?: Error): void {
    this.#cause ??= cause;
    this.#socket.terminate();
  }
}

/** The peer said why it closed. */
function closedFor(code: number, reason: string): TransportError {
  const said = reason === '' ? '' : `: ${readable(reason)}`;
  return new TransportError(
    'websocket-ended',
    sentence(`The peer closed the WebSocket with status ${code}${said}`),
    'Look into the log of the peer, and of what is on the way.',
  );
}

/** An error of the socket stays as it is; one without a system's or a library's word for a socket is about what came over it. */
function broken(error: Error): Error {
  if (!codeOf(error).startsWith('WS_ERR_')) return error;
  return new TransportError(
    'websocket-ended',
    `What the peer sent is no WebSocket: ${sentence(readable(error.message))}`,
    'Check what on the way looks into HTTP.',
    error,
  );
}

function ignore(): void {}
