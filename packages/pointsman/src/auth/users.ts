// SPDX-License-Identifier: Apache-2.0
import { statSync } from 'node:fs';
import type { RouterSettings } from '../config/model.js';
import { PasswordChecker } from './password-hash.js';
import type { PasswordHash } from './password-hash.js';
import { saslSettingsOf } from './sasl-settings.js';
import type { SaslSettings } from './sasl-settings.js';
import { UserFileError, parseUsers, readUserFile } from './user-file.js';

/** What came of a login. The reason is for the log, and holds no secret. */
export type Login = { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly busy?: true };

/** Those who may log in by name and password. */
export class Users {
  readonly #router: Pick<RouterSettings, 'saslConfigDir' | 'saslConfigName'>;
  readonly #checker = new PasswordChecker();
  #read: { readonly state: string; readonly users: Map<string, PasswordHash> } | undefined;

  constructor(router: Pick<RouterSettings, 'saslConfigDir' | 'saslConfigName'>) {
    this.#router = router;
  }

  /** As the files say now. */
  get settings(): SaslSettings {
    return saslSettingsOf(this.#router);
  }

  /** Why nobody can log in, and what to do about it; undefined where somebody can. */
  get problem(): string | undefined {
    const settings = this.settings;
    try {
      const users = this.#usersOf(settings);
      if (users === undefined) return missing(settings);
      return users.size > 0 ? undefined : `${settings.users} names no user. ${cure(settings.users)}`;
    } catch (error) {
      if (error instanceof UserFileError) return error.message;
      throw error;
    }
  }

  async logIn(name: string, password: string): Promise<Login> {
    let users: Map<string, PasswordHash> | undefined;
    const settings = this.settings;
    try {
      users = this.#usersOf(settings);
    } catch (error) {
      if (!(error instanceof UserFileError)) throw error;
      return { ok: false, reason: error.message };
    }
    if (users === undefined) return { ok: false, reason: missing(settings) };
    const stored = users.get(name);
    const check = this.#checker.check(password, stored);
    if (check === undefined) return { ok: false, busy: true, reason: 'too many clients log in at once' };
    let right: boolean;
    try {
      right = await check;
    } catch {
      return { ok: false, busy: true, reason: 'the password could not be checked, for want of memory' };
    }
    if (right) return { ok: true };
    const why = stored === undefined ? 'there is no user' : 'the password is wrong of user';
    return { ok: false, reason: `${why} '${name.slice(0, 100)}'` };
  }

  /** Read again where the file has changed. */
  #usersOf({ users: file }: SaslSettings): Map<string, PasswordHash> | undefined {
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats === undefined) return undefined;
    const state = `${file} ${stats.ino} ${stats.size} ${stats.mtimeMs}`;
    if (this.#read?.state === state) return this.#read.users;
    const users = parseUsers(readUserFile(file) ?? '', file);
    this.#read = { state, users };
    return users;
  }
}

function missing({ users, formerUsers }: SaslSettings): string {
  const former =
    formerUsers === undefined
      ? ''
      : ` ${formerUsers} is a database of Cyrus SASL, whose passwords cannot be read here.`;
  return `there is no file of users ${users}.${former} ${cure(users)}`;
}

function cure(file: string): string {
  return `Write one with: pointsman user add NAME --file ${file}`;
}
