// SPDX-License-Identifier: Apache-2.0
import { jsonText } from './plain-value.js';
import type { Plain, Row } from './plain-value.js';

/** A value of a row as text; nothing where there is none. Lists, maps and booleans look as Python prints them. */
export function cell(row: Row, name: string): string {
  return shown(row.get(name) ?? null);
}

function shown(value: Plain): string {
  return value === null ? '' : typeof value === 'string' ? value : pythonText(value);
}

/** As Python's `str` prints it. */
export function pythonText(value: Plain): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string')
    return value.includes("'") && !value.includes('"') ? `"${value}"` : `'${escaped(value)}'`;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return `[${value.map(pythonText).join(', ')}]`;
  const entries = [...(value as ReadonlyMap<string, Plain>)];
  return `{${entries.map(([key, one]) => `${pythonText(key)}: ${pythonText(one)}`).join(', ')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
}

/** A number of a row, or undefined. */
export function numberAt(row: Row, name: string): number | undefined {
  const value = row.get(name);
  return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : undefined;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** `DDD:HH:MM:SS` */
export function timeLong(seconds: number | undefined): string {
  if (seconds === undefined) return '';
  const whole = Math.floor(seconds);
  return `${String(Math.floor(whole / 86_400)).padStart(3, '0')}:${clock(whole % 86_400)}`;
}

/** `HH:MM:SS` */
export function clock(seconds: number): string {
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** Bytes, in the largest unit that leaves at least 1 before the point. */
export function byteSize(bytes: number | undefined): string {
  if (bytes === undefined) return '';
  if (bytes < 1024) return String(Math.floor(bytes));
  let value = bytes;
  let unit = -1;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

const CLASSES: Readonly<Record<string, string>> = {
  M: 'mobile',
  R: 'router',
  A: 'area',
  L: 'local',
  T: 'topo',
  C: 'link-in',
  E: 'link-in',
  D: 'link-out',
  F: 'link-out',
  H: 'edge',
};

/** What kind of address a key stands for. */
export function addressClass(key: string): string {
  if (key === '') return '';
  return CLASSES[key[0]!] ?? `unknown: ${key[0]}`;
}

/** The address of a key, without its class and phase. */
export function addressText(key: string): string {
  return key.startsWith('M') ? key.slice(2) : key.slice(1);
}

export function addressPhase(key: string): string {
  return key.startsWith('M') ? (key[1] ?? '') : '';
}

/** How a connection is secured. */
export function security(row: Row): string {
  if (row.get('isEncrypted') !== true) return 'no-security';
  if (row.get('sasl') === 'GSSAPI') return 'Kerberos';
  return `${cell(row, 'sslProto')}(${cell(row, 'sslCipher')})`;
}

const MECHANISMS: Readonly<Record<string, string>> = { GSSAPI: 'Kerberos', EXTERNAL: 'x.509' };

/** Who is at the other end, and how the router knows. */
export function authentication(row: Row): string {
  if (row.get('isAuthenticated') !== true) return 'no-auth';
  const sasl = cell(row, 'sasl');
  if (sasl === 'ANONYMOUS') return 'anonymous-user';
  const mechanism = MECHANISMS[sasl] ?? sasl;
  const user = cell(row, 'user');
  return user === '' ? mechanism : `${user}(${mechanism})`;
}

export function tenant(row: Row): string {
  return cell(row, 'tenant').replace(/\/$/, '');
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Mon Nov  3 07:08:09 2025`, in local time. */
export function localTime(seconds: number): string {
  const at = new Date(seconds * 1000);
  const day = String(at.getDate()).padStart(2);
  const time = clock(at.getHours() * 3600 + at.getMinutes() * 60 + at.getSeconds());
  return `${DAYS[at.getDay()]!.slice(0, 3)} ${MONTHS[at.getMonth()]} ${day} ${time} ${at.getFullYear()}`;
}

/** `Monday Nov 03 07:08:09 2025 GMT` */
export function universalTime(seconds: number): string {
  const at = new Date(seconds * 1000);
  const time = clock(at.getUTCHours() * 3600 + at.getUTCMinutes() * 60 + at.getUTCSeconds());
  return `${DAYS[at.getUTCDay()]} ${MONTHS[at.getUTCMonth()]} ${two(at.getUTCDate())} ${time} ${at.getUTCFullYear()} GMT`;
}

/** `2025-11-03 07:08:09.000000 UTC` */
export function timestampText(ms: number): string {
  return `${new Date(ms).toISOString().replace('T', ' ').replace('Z', '')}000 UTC`;
}

/** An integer with a comma between thousands. */
export function grouped(row: Row, name: string): string {
  return cell(row, name).replaceAll(/(\d)(?=(\d{3})+$)/g, '$1,');
}

/** Any value as one line of text, as JSON where it is a list or a map; nothing for null. */
export function shownText(value: Plain): string {
  if (value === null) return '';
  return typeof value === 'object' ? jsonText(value) : String(value);
}
