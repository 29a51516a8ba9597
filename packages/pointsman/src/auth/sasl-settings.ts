// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readSmallFile } from '@pointsman/transport';
import type { RouterSettings } from '../config/model.js';

/** Where Cyrus SASL looks for the settings of a program that names no folder. */
const SYSTEM_FOLDER = '/etc/sasl2';
const SETTINGS_BYTES_MAX = 65_536;

/** What the SASL settings of a router say. */
export interface SaslSettings {
  /** File with the users of PLAIN; it need not be there. */
  readonly users: string;
  /** Mechanisms that listeners offer which name none. Undefined: all that fit. */
  readonly mechanisms: readonly string[] | undefined;
  /** The old router's database of users, where there is one: it is not read. */
  readonly formerUsers: string | undefined;
}

/**
 * Looks where `saslConfigDir` and `saslConfigName` lead: to `NAME.users` in that folder. Where there is a `NAME.conf` of Cyrus
 * SASL which names a `sasldb_path`, and no `NAME.users`, the users stand beside that database, in `PATH.users`.
 */
export function saslSettingsOf(router: Pick<RouterSettings, 'saslConfigDir' | 'saslConfigName'>): SaslSettings {
  const base = join(router.saslConfigDir ?? SYSTEM_FOLDER, router.saslConfigName);
  const own = `${base}.users`;
  const cyrus = settingsIn(`${base}.conf`);
  const database = cyrus.get('sasldb_path');
  const list = cyrus.get('mech_list')?.toUpperCase().split(/\s+/u);
  return {
    users: database === undefined || existsSync(own) ? own : `${database}.users`,
    mechanisms: list,
    formerUsers: database !== undefined && existsSync(database) ? database : undefined,
  };
}

/** `name: value` lines. A file that cannot be read says nothing. */
function settingsIn(file: string): ReadonlyMap<string, string> {
  const settings = new Map<string, string>();
  try {
    for (const line of readSmallFile(file, SETTINGS_BYTES_MAX).toString('utf8').split(/\r?\n/u)) {
      const [, name, value] = /^\s*([A-Za-z][\w-]*)\s*:\s*(\S.*?)\s*$/u.exec(line) ?? [];
      if (name !== undefined && value !== undefined) settings.set(name.toLowerCase(), value);
    }
  } catch {
    // Mostly there is none.
  }
  return settings;
}
