// SPDX-License-Identifier: Apache-2.0
import type { WebSocket } from 'ws';
import type { ByteStream, StreamHandler, StreamInfo } from './stream.js';
import { TransportError } from './transport-error.js';

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
      this.#cause ??= error;
    });
    // Until somebody is attached nothing may be lost.
    socket.pause();
  }

  attach(handler: StreamHandler): void {
    const socket = this.#socket;
    this.#onWritten = () => handler.onWritten();
    socket.on('message', (fragments, isBinary) => {
      if (!isBinary) {
        this.#cause ??= new TransportError(
          'not-amqp',
          'The peer sent a text message on the WebSocket; AMQP travels in binary messages.',
          'Use a client that speaks AMQP over WebSocket.',
        );
        socket.close(UNSUPPORTED_DATA, 'AMQP travels in binary messages');
        return;
      }
      for (const bytes of fragments as Buffer[]) handler.onData(bytes);
    });
    if (socket.readyState === socket.CLOSED) {
      process.nextTick(() => handler.onClosed(this.#cause));
      return;
    }
    socket.once('close', () => handler.onClosed(this.#cause));
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

function ignore(): void {}
