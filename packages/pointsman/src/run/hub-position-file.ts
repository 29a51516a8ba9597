// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HUB_POSITIONS_MAX } from '@pointsman/azure';
import type { HubPosition } from '@pointsman/azure';
import { readSmallFile } from '@pointsman/transport';
import { FileLock, FileLockError } from '../file-lock.js';

export interface HubPositionFileOptions {
  /** Where the file lies; it is made where there is none. */
  readonly folder: string;
  readonly log: (level: 'info' | 'error', text: string) => void;
  /** What is to be in it. */
  readonly positions: () => Iterable<HubPosition>;
  /** Between two writes, and before a failed one is tried again, ms. Default: 1,000 and 5,000. */
  readonly pauseMs?: number;
  readonly retryMs?: number;
}

/** The file cannot be used. */
export class HubPositionFileError extends Error {
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

const NAME = 'event-hub-positions.json';
const VERSION = 1;
const PAUSE_MS = 1_000;
const RETRY_MS = 5_000;
/** Names and filters are below 1 KiB each: far beyond what so many positions take. */
const FILE_BYTES_MAX = 64 * 1_048_576;
const TEXT_MAX = 2_048;

/**
 * A file with positions of event hubs, which a router survives in. It is written anew as a whole, once a second at most while
 * positions move, and takes the place of the one before in one step: a process that is killed leaves one or the other. A file
 * that is older than what was done means events that come again, never one that is missed; so the folder is not forced
 * to the disk after it.
 */
export class HubPositionFile {
  readonly path: string;
  /** What it had at the start, who has moved last at the end. */
  readonly known: readonly HubPosition[];
  readonly #options: HubPositionFileOptions;
  readonly #lock: FileLock;
  #isDirty = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  /** When the last write ended, ms. */
  #wroteAt = -Infinity;
  /** Why the last write did not succeed. */
  #failure: string | undefined;

  /** @throws HubPositionFileError where it is not ours, cannot be read, or is in use */
  constructor(options: HubPositionFileOptions) {
    this.#options = options;
    this.path = join(options.folder, NAME);
    try {
      mkdirSync(options.folder, { recursive: true, mode: 0o700 });
      this.#lock = new FileLock(this.path, 'router');
    } catch (error) {
      throw new HubPositionFileError(
        error instanceof FileLockError ? error.message : `${options.folder} cannot be made: ${messageOf(error)}`,
        'The stateDir of the router is a folder that it alone writes to.',
      );
    }
    try {
      this.known = existsSync(this.path) ? this.#read() : [];
    } catch (error) {
      this.#lock.release();
      throw new HubPositionFileError(
        `${this.path} cannot be read: ${messageOf(error)}`,
        'Put back an older one, or take it away: event hubs are then read from where the filters of their autolinks say.',
      );
    }
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  /** A position has moved: it is written soon. */
  moved(): void {
    this.#isDirty = true;
    const { pauseMs = PAUSE_MS } = this.#options;
    this.#writeIn(Math.max(0, this.#wroteAt + pauseMs - performance.now()));
  }

  /** Writes what is left. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#writing;
    if (this.#isDirty) await this.#write();
    this.#lock.release();
  }

  #writeIn(ms: number): void {
    if (this.#timer !== undefined || this.#writing !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        const { pauseMs = PAUSE_MS, retryMs = RETRY_MS } = this.#options;
        if (this.#isDirty) this.#writeIn(this.#failure === undefined ? pauseMs : retryMs);
      });
    }, ms).unref();
  }

  async #write(): Promise<void> {
    this.#isDirty = false;
    try {
      await replaceFile(this.path, this.#text());
      if (this.#failure !== undefined) this.#options.log('info', `${this.path} can be written again`);
      this.#failure = undefined;
    } catch (error) {
      this.#isDirty = true;
      const why = messageOf(error);
      if (why !== this.#failure)
        this.#options.log(
          'error',
          `${this.path} cannot be written: ${why}. Until it can, positions of event hubs are known in memory alone: a router that starts anew reads events again`,
        );
      this.#failure = why;
    }
    this.#wroteAt = performance.now();
  }

  #text(): string {
    const positions = [...this.#options.positions()].map(({ reader, offset, sequence, isFirst, at }) => ({
      ...reader,
      offset,
      sequence,
      ...(isFirst ? { isFirst } : {}),
      at: new Date(at).toISOString(),
    }));
    // One a line, for people.
    return `{"version":${VERSION},"positions":[\n${positions.map((one) => JSON.stringify(one)).join(',\n')}\n]}\n`;
  }

  /** @throws Error, SyntaxError where it is no such file */
  #read(): HubPosition[] {
    const text = readSmallFile(this.path, FILE_BYTES_MAX).toString('utf8');
    const file = JSON.parse(text) as { version?: unknown; positions?: unknown } | null;
    if (typeof file !== 'object' || file === null || !Array.isArray(file.positions))
      throw new Error('it is no file of positions');
    if (file.version !== VERSION) throw new Error(`it is of version ${String(file.version)}, not ${VERSION}`);
    if (file.positions.length > HUB_POSITIONS_MAX) throw new Error(`it has more than ${HUB_POSITIONS_MAX} positions`);
    return file.positions.map(positionOf);
  }
}

/** @throws Error where it is none */
function positionOf(entry: unknown, index: number): HubPosition {
  const fields = (typeof entry === 'object' && entry !== null ? entry : {}) as Readonly<Record<string, unknown>>;
  const text = (name: string): string => {
    const value = fields[name];
    if (typeof value !== 'string' || value.length > TEXT_MAX) throw new Error(`position ${index + 1} has no ${name}`);
    return value;
  };
  const { sequence, filter, isFirst = false } = fields;
  if (sequence !== undefined && !Number.isSafeInteger(sequence))
    throw new Error(`the sequence of position ${index + 1} is no number`);
  if (typeof isFirst !== 'boolean') throw new Error(`isFirst of position ${index + 1} is neither true nor false`);
  const at = Date.parse(text('at'));
  if (Number.isNaN(at)) throw new Error(`position ${index + 1} has no time`);
  return {
    reader: {
      namespace: text('namespace'),
      node: text('node'),
      address: text('address'),
      filter: filter === undefined ? undefined : text('filter'),
    },
    offset: text('offset'),
    sequence: sequence as number | undefined,
    isFirst,
    at,
  };
}

/** Writes a file that takes the place of another in one step, once it is on the disk. */
async function replaceFile(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  // What lies there may be a link of somebody else's to somewhere else.
  await rm(fresh, { force: true });
  const file = await open(fresh, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
