// SPDX-License-Identifier: Apache-2.0
import { CHUNK_BYTES, isHeldOnce, letGo, scratch, takeChunk } from '@pointsman/engine';
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Reads in a row that leave most of a chunk empty, after which a connection goes back to the common buffer. */
const QUIET_READS = 16;
const QUIET_BYTES = CHUNK_BYTES >> 3;

/**
 * Has a TCP socket read into buffers that are used again, instead of a new one for each read. Those lie outside the heap of
 * JavaScript: at a gigabyte a second the collector does little else than free them.
 *
 * Connections with little to say share one buffer, of which nothing can be kept; one that fills it gets chunks of its own.
 *
 * It is what `onread` does for sockets that connect; for those that a server accepts Node.js has the means, but no
 * option. Where a version has changed them, all stays as it was.
 *
 * @param onBytes - as for `data`; the bytes are valid during the call, beyond it what `keep` gave
 * @returns false where the socket has to be read as usual
 */
export function readIntoChunks(socket: Socket, onBytes: (bytes: Uint8Array) => void): boolean {
  const { buffer, callback, generator } = SYMBOLS;
  if (socket instanceof TLSSocket || buffer === undefined || callback === undefined || generator === undefined)
    return false;
  const handle = Reflect.get(socket, '_handle') as { useUserBuffer?: (bytes: Uint8Array) => void } | null;
  if (handle === null || typeof handle.useUserBuffer !== 'function') return false;

  let own: Uint8Array | undefined;
  let quiet = 0;
  const next = (): Uint8Array => {
    if (own === undefined) return scratch;
    if (isHeldOnce(own)) return own;
    letGo(own);
    return (own = takeChunk());
  };
  const onRead = (length: number, bytes: Uint8Array): boolean => {
    onBytes(length === bytes.length ? bytes : bytes.subarray(0, length));
    if (length === CHUNK_BYTES) {
      own ??= takeChunk();
      quiet = 0;
    } else if (own !== undefined && (length > QUIET_BYTES ? (quiet = 0) : ++quiet) === QUIET_READS) {
      letGo(own);
      own = undefined;
    }
    return !socket.isPaused();
  };
  socket.on('close', () => {
    if (own !== undefined) letGo(own);
    own = undefined;
  });
  Reflect.set(socket, callback, onRead);
  Reflect.set(socket, generator, next);
  Reflect.set(socket, buffer, scratch);
  handle.useUserBuffer(scratch);
  return true;
}

/** Where a socket of this Node.js keeps what `onread` sets. */
const SYMBOLS = ((): Record<'buffer' | 'callback' | 'generator', symbol | undefined> => {
  const symbols = Object.getOwnPropertySymbols(new Socket());
  const find = (name: string): symbol | undefined => symbols.find((symbol) => symbol.description === name);
  return { buffer: find('kBuffer'), callback: find('kBufferCb'), generator: find('kBufferGen') };
})();
