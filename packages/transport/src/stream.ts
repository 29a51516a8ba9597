// SPDX-License-Identifier: Apache-2.0

/** The certificate that a peer showed in the TLS handshake. */
export interface PeerCertificate {
  /** Components of the subject by their short names: `CN`, `O`, `OU`, `L`, `ST`, `C`. Repeated ones are joined by `, `. */
  readonly subject: Readonly<Record<string, string>>;
  readonly issuer: Readonly<Record<string, string>>;
  /** Names and addresses that it is for. */
  readonly names: readonly string[];
  readonly validTo: Date;
  /** Fingerprints of the certificate in lower-case hex without colons. */
  readonly sha1: string;
  readonly sha256: string;
  readonly sha512: string;
  /** True where its chain ends at an authority that this side trusts. Anything else must not count as an identity. */
  readonly verified: boolean;
}

/** What is known about an established byte stream. */
export interface StreamInfo {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** TLS lies between the peers, whichever way it came about. */
  readonly encrypted: boolean;
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly tlsProtocol?: string;
  /** OpenSSL's name of the cipher. */
  readonly tlsCipher?: string;
  readonly peerCertificate?: PeerCertificate;
  /** Server name of the TLS handshake (SNI): the one that was asked for, or, on a server, the one that the client sent. */
  readonly servername?: string;
  readonly websocket: boolean;
  /** Subprotocol that the WebSocket handshake agreed on. */
  readonly websocketProtocol?: string;
  /** Path of the WebSocket request, as a server saw it. */
  readonly websocketPath?: string;
}

/** What a {@link ByteStream} tells its reader. No call comes after `onClosed`. */
export interface StreamHandler {
  /** Bytes that arrived. They are valid during the call; what is needed longer is taken by `keep`. */
  onData(bytes: Uint8Array): void;
  /** The peer ended its direction. */
  onEnd(): void;
  /** The earliest write that was not reported yet has left this process. */
  onWritten(): void;
  /** The stream is gone, with its error where there was one. Comes exactly once. */
  onClosed(cause: Error | undefined): void;
}

/** An established connection of bytes in both directions, whatever carries it. */
export interface ByteStream {
  readonly info: StreamInfo;
  /** Starts the flow of bytes to `handler`. To be called once, in the turn in which the stream was handed over. */
  attach(handler: StreamHandler): void;
  /** Writes buffers in order, as one write where the carrier can. They must not change until `onWritten`. */
  write(buffers: readonly Uint8Array[]): void;
  pause(): void;
  resume(): void;
  /** Ends our direction once everything written has left. */
  end(): void;
  /** Drops the connection at once. `onClosed` follows, with `cause` if no error came before it. */
  destroy(cause?: Error): void;
}
