// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { HubHistory, QueueHistory, isHubRecord } from '@pointsman/namespace';
import type { Journal, JournalRecord } from '@pointsman/namespace';
import { Reader, encodeValue, readValue } from '@pointsman/wire';
import { fileFailure } from '../file-failure.js';
import { FileLock, FileLockError } from '../file-lock.js';

/** What a namespace is told of its file. */
export interface NamespaceFileOptions {
  readonly path: string;
  /** `always`: on the disk before anything is answered, for what must outlive a power cut. Default: `system`. */
  readonly sync?: 'always' | 'system' | undefined;
  readonly log?: ((level: 'debug' | 'info' | 'warning', text: string) => void) | undefined;
}

/** A file that cannot be used. The message says why and what to do. */
export class NamespaceFileError extends Error {}

/**
 * The file begins with this, followed by frames: length and CRC-32 of what follows (4 bytes each, in network order), then
 * records one behind the other, each an AMQP list. A frame counts as a whole or not at all.
 */
const MAGIC = Buffer.from('pointsman namespace 1\n', 'latin1');
const FRAME_HEAD = 8;
const FRAME_MAX = 0x4000_0000;
/** A file that has grown to twice of what it began with, and to this, is written anew. */
const COMPACT_BYTES = 16 * 1_048_576;
/** Bytes that are kept free behind what is written, at least. */
const RESERVE = 1_048_576;
const ZEROS: Uint8Array = new Uint8Array(262_144);
/** Ms after which a write is tried again that failed. */
const RETRY_MS = 1_000;
/** Ms between two attempts to get along with less, and how many times as long as one takes. */
const RESCUE_MS = 1_000;
const RESCUE_SHARE = 20;
/** Bytes of a snapshot that go into one frame, which is lost as a whole where one of them is damaged, and into one write. */
const SNAPSHOT_FRAME = 4_096;
const SNAPSHOT_WRITE = 1_048_576;

/** One file that a namespace survives in: what happens is appended, and at times all is written anew. */
export class NamespaceFile implements Journal {
  readonly path: string;
  /** What the file had: requests of the management API, in order, and each queue's messages by its name. */
  readonly requests: JournalRecord[] = [];
  readonly history: Map<string, QueueHistory> = new Map();
  readonly hubHistory: Map<string, HubHistory> = new Map();
  readonly #options: NamespaceFileOptions;
  #snapshot: (() => Iterable<JournalRecord>) | undefined;
  #fd: number | undefined;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  /** Bytes that count. */
  #size = 0;
  /** Bytes of the file on the disk: behind those that count there are zeros, which keep the room for what comes. */
  #reservedTo = 0;
  #isOutOfRoom = false;
  /** When a full disk may be met with an attempt to write less, ms of the process. */
  #nextRescue = 0;
  #compactAt = COMPACT_BYTES;
  #isScheduled = false;
  readonly #lock: FileLock;
  /** Why the last write did not succeed. */
  #failure: string | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** What could not be written is written: what waited for it can go on. */
  onWritten: (() => void) | undefined;

  /** @throws NamespaceFileError where it is not ours, cannot be read, or is in use */
  constructor(options: NamespaceFileOptions) {
    this.path = options.path;
    this.#options = options;
    try {
      this.#lock = new FileLock(this.path, 'namespace');
    } catch (error) {
      throw error instanceof FileLockError ? new NamespaceFileError(error.message) : error;
    }
    try {
      if (existsSync(this.path)) this.#read(readFileSync(this.path));
    } catch (error) {
      this.#lock.release();
      throw error instanceof NamespaceFileError
        ? error
        : new NamespaceFileError(`${this.path} cannot be read: ${fileFailure(error)}`);
    }
  }

  get failure(): string | undefined {
    return this.#failure ?? (this.#isOutOfRoom ? 'there is no room for more' : undefined);
  }

  /**
   * Everything is back: the file is written anew, without what is gone, and changes are taken from now on.
   *
   * @throws NamespaceFileError where it cannot be written
   */
  start(snapshot: () => Iterable<JournalRecord>): void {
    this.#snapshot = snapshot;
    this.history.clear();
    this.hubHistory.clear();
    this.requests.length = 0;
    try {
      this.#compact();
    } catch (error) {
      this.#lock.release();
      throw new NamespaceFileError(`${this.path} cannot be written: ${fileFailure(error)}`);
    }
  }

  // ---- Journal ----

  write(record: JournalRecord): void {
    if (this.#snapshot === undefined) return;
    const bytes = encodeValue(record);
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#isScheduled) return;
    // What a timer does, the end of a lock, is answered to nobody.
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.flush();
    });
  }

  flush(): boolean {
    if (this.#pending.length === 0 || this.#fd === undefined) return true;
    try {
      const written = writeFrame(this.#fd, this.#pending, this.#size);
      if (this.#options.sync === 'always') fdatasyncSync(this.#fd);
      this.#size += written;
      this.#reservedTo = Math.max(this.#reservedTo, this.#size);
      this.#pending = [];
      this.#pendingBytes = 0;
      if (this.#failure !== undefined) this.#options.log?.('info', `${this.path} can be written again`);
      this.#failure = undefined;
    } catch (error) {
      if (this.#rescue()) return true;
      if (this.#failure === undefined)
        this.#options.log?.(
          'warning',
          `${this.path} cannot be written: ${messageOf(error)}. Nothing is answered until it can`,
        );
      this.#failure = messageOf(error);
      // Half a frame does not count, and the next attempt writes over it.
      this.#retryLater();
      return false;
    }
    if (this.#size >= this.#compactAt) this.#compactIfPossible();
    return true;
  }

  /** Nobody may say anything while all wait for an answer. */
  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      if (this.flush()) this.onWritten?.();
    }, RETRY_MS).unref();
  }

  hasRoom(bytes: number): boolean {
    if (this.#fd === undefined) return true;
    if (this.#failure !== undefined && !this.flush()) return false;
    const needed = this.#pendingBytes + FRAME_HEAD + bytes;
    if (this.#size + needed <= this.#reservedTo) return true;
    const hasRoom = this.#reserve(needed) || (this.#rescue() && this.#reserve(needed));
    if (hasRoom === this.#isOutOfRoom) {
      this.#isOutOfRoom = !hasRoom;
      if (hasRoom) this.#options.log?.('info', `${this.path}: there is room again`);
      else
        this.#options.log?.(
          'warning',
          `${this.path}: there is no room for more on the disk. What needs room is refused until there is`,
        );
    }
    return hasRoom;
  }

  /** Sees to it that so many bytes can be written, and then some. */
  #reserve(bytes: number): boolean {
    try {
      while (this.#reservedTo < this.#size + bytes + RESERVE)
        this.#reservedTo += writeSync(this.#fd!, ZEROS, 0, ZEROS.length, this.#reservedTo);
    } catch {
      // What was got is good for something.
    }
    return this.#size + bytes <= this.#reservedTo;
  }

  /** A disk is full, and much of the file may be of what is gone: all that is left is perhaps less. At times only: it takes long. */
  #rescue(): boolean {
    const begin = performance.now();
    if (begin < this.#nextRescue) return false;
    try {
      this.#compact();
      return true;
    } catch {
      return false;
    } finally {
      const end = performance.now();
      this.#nextRescue = end + Math.max(RESCUE_MS, RESCUE_SHARE * (end - begin));
    }
  }

  /** Everything is in the file already: where there is no room for a second one it only grows for longer. */
  #compactIfPossible(): void {
    try {
      this.#compact();
    } catch (error) {
      this.#compactAt = 2 * this.#size;
      this.#options.log?.('warning', `${this.path} cannot be written anew, and grows: ${messageOf(error)}`);
    }
  }

  /** Writes what is left. Idempotent. */
  close(): void {
    if (this.#fd !== undefined) {
      this.flush();
      clearTimeout(this.#retry);
      ftruncateSync(this.#fd, this.#size);
      fdatasyncSync(this.#fd);
      closeSync(this.#fd);
      this.#fd = undefined;
    }
    this.#lock.release();
  }

  // ---- the file ----

  #read(bytes: Buffer): void {
    if (bytes.length > 0 && !bytes.subarray(0, MAGIC.length).equals(MAGIC))
      throw new NamespaceFileError(`${this.path} is no file of a namespace; name another, or take it away`);
    // Zeros behind keep room.
    const last = bytes.findLastIndex((byte) => byte !== 0);
    let at = MAGIC.length;
    let damaged = 0;
    while (at <= last && at + FRAME_HEAD <= bytes.length) {
      const length = bytes.readUInt32BE(at);
      const end = at + FRAME_HEAD + length;
      if (length > FRAME_MAX || end > bytes.length) break;
      const payload = bytes.subarray(at + FRAME_HEAD, end);
      if (crc32(payload) === bytes.readUInt32BE(at + 4)) {
        const reader = new Reader(payload);
        while (reader.position < payload.length) this.#apply(readValue(reader) as JournalRecord);
      } else if (end > last) break;
      else damaged += end - at;
      at = end;
    }
    const unfinished = Math.max(0, last + 1 - at);
    if (damaged === 0 && unfinished === 0) return;
    const causes = [
      ...(damaged === 0
        ? []
        : [`${damaged} bytes within it cannot be read: messages are missing, or there again that were gone`]),
      ...(unfinished === 0 ? [] : [`the last ${unfinished} bytes were not written to the end, and do not count`]),
    ];
    this.#options.log?.('warning', `${this.path}: ${causes.join('; ')}. It is kept as ${this.#keepAside()}`);
  }

  /** The file as it was, beside the one that takes its place. @throws NamespaceFileError where it cannot be kept */
  #keepAside(): string {
    const time = new Date().toISOString().replaceAll(/[^\dT]/gu, '');
    const aside = `${this.path}.damaged-${time}`;
    try {
      linkSync(this.path, aside);
    } catch {
      try {
        // Not every file system has links.
        copyFileSync(this.path, aside, constants.COPYFILE_EXCL);
      } catch (error) {
        throw new NamespaceFileError(
          `${this.path} is damaged, and cannot be kept as ${aside}: ${messageOf(error)}. Take it away, or make room for it`,
        );
      }
    }
    return aside;
  }

  #apply(record: JournalRecord): void {
    const [kind, name] = record;
    const key = String(name);
    if (kind === 'admin') this.requests.push(record);
    else if (kind === 'dropped') {
      for (const other of this.history.keys())
        if (other === key || other.startsWith(`${key}/`)) this.history.delete(other);
    } else {
      const history = isHubRecord(record)
        ? ofName(this.hubHistory, key, HubHistory)
        : ofName(this.history, key, QueueHistory);
      history.add(record);
    }
  }

  /** Writes all that there is to a new file, which takes the place of the old one in one step. */
  #compact(): void {
    const fresh = `${this.path}.new`;
    // What lies there may be a link of somebody else's to somewhere else.
    rmSync(fresh, { force: true });
    const fd = openSync(fresh, 'wx', 0o600);
    let size: number;
    try {
      size = this.#writeAll(fd);
      fdatasyncSync(fd);
      renameSync(fresh, this.path);
      if (this.#options.sync === 'always') syncFolder(dirname(this.path));
    } catch (error) {
      closeSync(fd);
      rmSync(fresh, { force: true });
      throw error;
    }
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = fd;
    this.#size = this.#reservedTo = size;
    this.#compactAt = Math.max(COMPACT_BYTES, 2 * size);
    // It is all in the snapshot.
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#failure = undefined;
  }

  /** @returns the number of bytes */
  #writeAll(fd: number): number {
    let size = writeSync(fd, MAGIC);
    let frames: Buffer[] = [];
    let framed = 0;
    let batch: Uint8Array[] = [];
    let batched = 0;
    const frame = (): void => {
      if (batch.length === 0) return;
      frames.push(frameOf(batch));
      framed += frames.at(-1)!.length;
      batch = [];
      batched = 0;
    };
    const write = (): void => {
      writeWhole(fd, frames.length === 1 ? frames[0]! : Buffer.concat(frames), size);
      size += framed;
      frames = [];
      framed = 0;
    };
    for (const record of this.#snapshot!()) {
      const bytes = encodeValue(record);
      batch.push(bytes);
      batched += bytes.length;
      if (batched >= SNAPSHOT_FRAME) frame();
      if (framed >= SNAPSHOT_WRITE) write();
    }
    frame();
    write();
    return size;
  }
}

function ofName<T>(histories: Map<string, T>, name: string, History: new () => T): T {
  const known = histories.get(name);
  if (known !== undefined) return known;
  const history = new History();
  histories.set(name, history);
  return history;
}

/** @returns the number of bytes */
function writeFrame(fd: number, parts: readonly Uint8Array[], at: number): number {
  const frame = frameOf(parts);
  writeWhole(fd, frame, at);
  return frame.length;
}

function frameOf(parts: readonly Uint8Array[]): Buffer {
  const payload = Buffer.concat(parts);
  const frame = Buffer.allocUnsafe(FRAME_HEAD + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt32BE(crc32(payload), 4);
  payload.copy(frame, FRAME_HEAD);
  return frame;
}

function writeWhole(fd: number, bytes: Uint8Array, at: number): void {
  let written = 0;
  while (written < bytes.length) written += writeSync(fd, bytes, written, bytes.length - written, at + written);
}

/** A new name in a folder outlives a power cut only then. */
function syncFolder(folder: string): void {
  let fd: number | undefined;
  try {
    fd = openSync(folder, 'r');
    fsyncSync(fd);
  } catch {
    // Not every system has that.
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
