// SPDX-License-Identifier: Apache-2.0
import { chownSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readSmallFile } from '@pointsman/transport';
import { fileFailure } from '../file-failure.js';
import { parsePasswordHash } from './password-hash.js';
import type { PasswordHash } from './password-hash.js';

// A line for each user: NAME:HASH. Empty lines and those that begin with # are left alone.

/** A hundred thousand users, and little enough to be read at once. */
const FILE_BYTES_MAX = 16_777_216;
const NAME_LENGTH_MAX = 255;

/** A file of users that cannot be used, with what to do. Nothing of its contents is shown. */
export class UserFileError extends Error {
  override readonly name = 'UserFileError';
}

/** Why a name cannot be that of a user; undefined where it can. */
export function unfitUserName(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name.length > NAME_LENGTH_MAX) return `it is longer than ${NAME_LENGTH_MAX} characters`;
  if (name.includes(':')) return 'it has a colon in it, which ends a name in the file of users';
  if (name.startsWith('#') || name.trim() !== name) return 'it begins with # or a blank, or ends with a blank';
  // eslint-disable-next-line no-control-regex
  return /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/u.test(name) ? 'it has a control character in it' : undefined;
}

/**
 * The users of a text.
 *
 * @throws UserFileError for a line that is no user
 */
export function parseUsers(text: string, file: string): Map<string, PasswordHash> {
  const users = new Map<string, PasswordHash>();
  text.split(/\r?\n/u).forEach((line, index) => {
    if (isNoUser(line)) return;
    const at = line.indexOf(':');
    const name = line.slice(0, Math.max(0, at));
    const stored = parsePasswordHash(line.slice(at + 1).trim());
    const wrong = stored === undefined ? 'what stands behind the name is no hash of scrypt' : unfitUserName(name);
    if (wrong !== undefined || stored === undefined) {
      throw new UserFileError(
        `${file}:${index + 1}: ${at < 0 ? 'there is no colon behind a name' : wrong}. Write users with: pointsman user add NAME --file ${file}`,
      );
    }
    users.set(name, stored);
  });
  return users;
}

/** A text with another entry for `name`, or without one. All other lines stay as they are. */
export function withUser(text: string, name: string, hash: string | undefined): string {
  const lines = text === '' ? [] : text.replace(/\r?\n$/u, '').split(/\r?\n/u);
  const isOwn = (line: string): boolean => !isNoUser(line) && line.startsWith(`${name}:`);
  const first = lines.findIndex(isOwn);
  const rest = lines.filter((line, index) => !isOwn(line) || index === first);
  const at = rest.findIndex(isOwn);
  if (hash === undefined) {
    if (at >= 0) rest.splice(at, 1);
  } else if (at >= 0) rest[at] = `${name}:${hash}`;
  else rest.push(`${name}:${hash}`);
  return rest.length === 0 ? '' : `${rest.join('\n')}\n`;
}

/**
 * The contents of a file of users.
 *
 * @returns undefined where there is no such file
 * @throws UserFileError where it cannot be read
 */
export function readUserFile(file: string): string | undefined {
  try {
    return readSmallFile(file, FILE_BYTES_MAX).toString('utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return undefined;
    if (code === 'EFBIG') throw new UserFileError(`${file} is too large for a file of users`);
    const cure = code === 'EACCES' ? '. Give the user that the router runs as the right to read it' : '';
    throw new UserFileError(`${file} cannot be read: ${fileFailure(error)}${cure}`);
  }
}

/**
 * Puts a text in place of a file of users, all at once: whoever reads it meanwhile sees the old one. Others may not read it.
 *
 * @throws UserFileError where it cannot be written
 */
export function replaceUserFile(file: string, text: string): void {
  const before = statSync(file, { throwIfNoEntry: false });
  // A name that leads elsewhere goes on to do so.
  const place = before === undefined ? file : realpathSync(file);
  const fresh = `${place}.${process.pid}.new`;
  try {
    writeFileSync(fresh, text, { mode: before === undefined ? 0o600 : before.mode & 0o777, flag: 'wx' });
    // The router may run as another user than who keeps its users.
    const made = statSync(fresh);
    if (before !== undefined && (before.uid !== made.uid || before.gid !== made.gid))
      chownSync(fresh, before.uid, before.gid);
    renameSync(fresh, place);
  } catch (error) {
    rmSync(fresh, { force: true });
    const isNoFolder = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new UserFileError(
      `${file} cannot be written: ${isNoFolder ? 'its folder is not there' : fileFailure(error)}`,
    );
  }
}

function isNoUser(line: string): boolean {
  return line.trim() === '' || line.startsWith('#');
}
