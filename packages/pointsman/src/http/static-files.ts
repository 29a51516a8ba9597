// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { respond } from './respond.js';

/** Media types by extension. What is not here is `application/octet-stream`, which browsers save and do not run. */
// prettier-ignore
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8', '.htm': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8', '.mjs': 'text/javascript; charset=utf-8', '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8', '.csv': 'text/csv; charset=utf-8', '.xml': 'text/xml; charset=utf-8',
  '.json': 'application/json', '.map': 'application/json', '.webmanifest': 'application/manifest+json',
  '.wasm': 'application/wasm', '.pdf': 'application/pdf', '.svg': 'image/svg+xml', '.png': 'image/png',
  '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg', '.gif': 'image/gif', '.webp': 'image/webp', '.ico': 'image/x-icon',
  '.woff': 'font/woff', '.woff2': 'font/woff2', '.ttf': 'font/ttf', '.eot': 'application/vnd.ms-fontobject',
};

/** Opening a FIFO would wait for its other end; a link in the place of what was just resolved is not followed. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

/** Where a path of a request leads: the names of folders and of the file, or why nowhere. */
export type FilePath =
  | { readonly names: readonly string[]; readonly isFolder: boolean }
  | 'malformed'
  /** Upwards, a hidden file, or nothing that a file can be called. */
  | 'forbidden';

/** Takes the path of a request apart. @param path - as sent, without query */
export function filePathOf(path: string): FilePath {
  if (!path.startsWith('/')) return 'malformed';
  const names: string[] = [];
  for (const part of path.split('/')) {
    let name: string;
    try {
      name = decodeURIComponent(part);
    } catch {
      return 'malformed';
    }
    if (name.includes('\0')) return 'malformed';
    if (name === '') continue;
    if (name.includes('/') || name.includes('\\')) return 'forbidden';
    // `.` and `..` among them.
    if (name.startsWith('.') && name !== '.well-known') return 'forbidden';
    names.push(name);
  }
  return { names, isFolder: path.endsWith('/') };
}

/** Files below a folder. Links that lead out of it are not followed, folders are not listed. */
export class StaticFiles {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Answers a GET or HEAD. @param path - of the request, without query */
  async serve(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const wanted = filePathOf(path);
    if (wanted === 'malformed') {
      respond(response, 400, 'Bad Request\n');
      return;
    }
    const found = wanted === 'forbidden' ? undefined : await this.#find(wanted.names, wanted.isFolder);
    if (found === undefined) {
      respond(response, 404, 'Not Found\n');
    } else if (found === 'folder') {
      // Made anew from its parts: `//elsewhere/` would lead to another server.
      const names = wanted === 'forbidden' ? [] : wanted.names;
      const location = `/${names.map((name) => `${encodeURIComponent(name)}/`).join('')}`;
      respond(response, 301, 'Moved Permanently\n', { Location: location });
    } else {
      await send(request, response, found);
    }
  }

  /** The file, open; `folder` where the path names one without its slash. */
  async #find(names: readonly string[], isFolder: boolean): Promise<OpenFile | 'folder' | undefined> {
    try {
      const root = await realpath(this.#root);
      const path = await realpath(join(root, ...names, ...(isFolder ? ['index.html'] : [])));
      if (path !== root && !path.startsWith(root.endsWith(sep) ? root : root + sep)) return undefined;
      const handle = await open(path, OPEN_FLAGS);
      try {
        const stats = await handle.stat();
        if (stats.isFile()) return { handle, stats, type: MEDIA_TYPES[extname(path).toLowerCase()] };
        await handle.close();
        return stats.isDirectory() && !isFolder ? 'folder' : undefined;
      } catch (error) {
        await handle.close();
        throw error;
      }
    } catch {
      // Not there, not readable, a name that is too long, a loop of links: the client learns no more than that.
      return undefined;
    }
  }
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly stats: Stats;
  readonly type: string | undefined;
}

async function send(request: IncomingMessage, response: ServerResponse, file: OpenFile): Promise<void> {
  const { handle, stats, type = 'application/octet-stream' } = file;
  try {
    const etag = `"${stats.size.toString(36)}-${Math.floor(stats.mtimeMs).toString(36)}"`;
    const headers = {
      ETag: etag,
      'Last-Modified': stats.mtime.toUTCString(),
      // To be kept, but asked for each time: files change when the router is updated.
      'Cache-Control': 'no-cache',
      'X-Content-Type-Options': 'nosniff',
    };
    if (isUnchanged(request, etag, stats)) {
      response.writeHead(304, headers).end();
      return;
    }
    response.writeHead(200, { ...headers, 'Content-Type': type, 'Content-Length': stats.size });
    if (request.method === 'HEAD' || stats.size === 0) {
      response.end();
      return;
    }
    // Not a byte more than announced, should the file grow meanwhile.
    await pipeline(handle.createReadStream({ autoClose: false, end: stats.size - 1 }), response);
  } catch {
    // The client left, or the disk failed after the head was sent: a cut connection is all that can tell.
    response.destroy();
  } finally {
    await handle.close().catch(() => undefined);
  }
}

/** @see RFC 9110, 13.1: the tag decides where there is one */
function isUnchanged({ headers }: IncomingMessage, etag: string, stats: Stats): boolean {
  const tags = headers['if-none-match'];
  if (tags !== undefined) {
    return tags.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
  }
  const since = Date.parse(headers['if-modified-since'] ?? '');
  return !Number.isNaN(since) && Math.floor(stats.mtimeMs / 1000) * 1000 <= since;
}
