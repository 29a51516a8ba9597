// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { PeerCertificate as NodePeerCertificate } from 'node:tls';
import { certificateNames } from './transport-error.js';
import { readIntoChunks } from './read-chunks.js';
import type { ByteStream, PeerCertificate, StreamHandler, StreamInfo } from './stream.js';

export interface SocketStreamOptions {
  /** Turns an error of the socket into one that says what to do. */
  readonly describeError?: ((error: Error, info: StreamInfo) => Error) | undefined;
  /** Looks at the first bytes of the peer: an error ends the connection before anyone else sees them. */
  readonly inspectFirst?: ((bytes: Uint8Array) => Error | undefined) | undefined;
}

/** A TCP or TLS socket as a {@link ByteStream}. The socket was made with `allowHalfOpen`. */
export class SocketStream implements ByteStream {
  readonly info: StreamInfo;
  readonly #socket: Socket;
  readonly #options: SocketStreamOptions;
  #cause: Error | undefined;
  #onWritten: () => void = ignore;

  constructor(socket: Socket, info: StreamInfo, options: SocketStreamOptions = {}) {
    this.info = info;
    this.#socket = socket;
    this.#options = options;
    socket.on('error', (error) => {
      this.#cause ??= options.describeError?.(error, info) ?? error;
      // TLS sockets live on after an alert of the peer, and would report a regular end next.
      socket.destroy();
    });
  }

  attach(handler: StreamHandler): void {
    const socket = this.#socket;
    this.#onWritten = () => handler.onWritten();
    const onData = (bytes: Uint8Array): void => handler.onData(bytes);
    const inspect = this.#options.inspectFirst;
    if (inspect === undefined) {
      // What was read already, and given back, comes the usual way before the rest.
      socket.on('data', onData);
      readIntoChunks(socket, onData);
    } else {
      socket.once('data', (bytes: Uint8Array) => {
        const refusal = inspect(bytes);
        if (refusal !== undefined) {
          this.destroy(refusal);
          return;
        }
        socket.on('data', onData);
        onData(bytes);
        readIntoChunks(socket, onData);
      });
    }
    socket.on('end', () => handler.onEnd());
    if (socket.closed) {
      process.nextTick(() => handler.onClosed(this.#cause));
      return;
    }
    socket.on('close', () => handler.onClosed(this.#cause));
    socket.resume();
  }

  write(buffers: readonly Uint8Array[]): void {
    const socket = this.#socket;
    const last = buffers.length - 1;
    if (last === 0) {
      socket.write(buffers[0] as Uint8Array, this.#onWritten);
      return;
    }
    // Corked writes leave as one writev; over TLS Node.js joins them, so that they share records.
    socket.cork();
    for (let i = 0; i < last; i++) socket.write(buffers[i] as Uint8Array);
    socket.write(buffers[last] as Uint8Array, this.#onWritten);
    socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(cause?: Error): void {
    this.#cause ??= cause;
    this.#socket.destroy();
  }
}

/** What is known of a socket that has finished its handshakes. */
export function streamInfoOf(socket: Socket, more: Partial<StreamInfo> = {}): StreamInfo {
  const addresses = {
    remoteAddress: socket.remoteAddress ?? '',
    remotePort: socket.remotePort ?? 0,
    localAddress: socket.localAddress ?? '',
    localPort: socket.localPort ?? 0,
  };
  if (!(socket instanceof TLSSocket)) return { ...addresses, encrypted: false, websocket: false, ...more };
  const protocol = socket.getProtocol();
  const certificate = socket.getPeerCertificate(false);
  // Node.js types an absent certificate as an empty object.
  const hasCertificate = certificate !== null && Object.keys(certificate).length > 0;
  // A server's socket carries the client's server name, or false; a client's carries its own.
  const servername: unknown = Reflect.get(socket, 'servername');
  return {
    ...addresses,
    encrypted: true,
    ...(protocol === null ? {} : { tlsProtocol: protocol }),
    tlsCipher: socket.getCipher().name,
    ...(hasCertificate ? { peerCertificate: peerCertificateOf(certificate, socket.authorized) } : {}),
    ...(typeof servername === 'string' && servername !== '' ? { servername } : {}),
    websocket: false,
    ...more,
  };
}

function peerCertificateOf(certificate: NodePeerCertificate, verified: boolean): PeerCertificate {
  return {
    subject: nameOf(certificate.subject),
    issuer: nameOf(certificate.issuer),
    names: certificateNames(certificate.subjectaltname),
    validTo: new Date(certificate.valid_to),
    sha1: plainHex(certificate.fingerprint),
    sha256: plainHex(certificate.fingerprint256),
    sha512: plainHex(certificate.fingerprint512),
    verified,
  };
}

function nameOf(name: object): Readonly<Record<string, string>> {
  const entries = Object.entries(name) as [string, string | string[]][];
  return Object.fromEntries(entries.map(([key, value]) => [key, Array.isArray(value) ? value.join(', ') : value]));
}

function plainHex(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}

function ignore(): void {}
