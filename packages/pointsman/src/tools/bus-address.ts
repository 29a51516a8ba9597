// SPDX-License-Identifier: Apache-2.0
import { ToolError } from './tool-error.js';

/** Where a tool connects to. */
export interface BusAddress {
  readonly tls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly host: string;
  readonly port: number;
  /** Of the management node; undefined where the URL has none. */
  readonly path: string | undefined;
}

const URL_FORM =
  /^(?:(?<scheme>[a-z][a-z0-9+.-]*):\/\/)?(?:(?<user>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<host>\[[^\]]*\]|[^:/@]*)(?::(?<port>[^/]*))?(?:\/(?<path>.*))?$/i;

/**
 * Takes `[amqp|amqps://][user[:password]@]host[:port][/path]` apart.
 *
 * @throws ToolError `ValueError`; the text never shows a password
 */
export function parseBusAddress(text: string): BusAddress {
  const shown = text.replace(/:[^:@/]*@/, ':***@');
  const parts = URL_FORM.exec(text)?.groups;
  if (parts === undefined)
    throw new ToolError('ValueError', `invalid URL '${shown}': expected [amqp|amqps://][user[:password]@]host[:port]`);
  const scheme = parts['scheme']?.toLowerCase() ?? 'amqp';
  if (scheme !== 'amqp' && scheme !== 'amqps')
    throw new ToolError('ValueError', `invalid URL '${shown}': the scheme is '${scheme}', expected amqp or amqps`);
  const host = (parts['host'] ?? '').replace(/^\[(.*)\]$/, '$1');
  const path = parts['path'];
  return {
    tls: scheme === 'amqps',
    user: decoded(parts['user']),
    password: decoded(parts['password']),
    host: host === '' ? '0.0.0.0' : host,
    port: portOf(parts['port'], scheme, shown),
    path: path === undefined || path === '' ? undefined : path,
  };
}

function portOf(text: string | undefined, scheme: string, shown: string): number {
  if (text === undefined || text === '') return scheme === 'amqps' ? 5671 : 5672;
  if (text === 'amqp') return 5672;
  if (text === 'amqps') return 5671;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535)
    throw new ToolError('ValueError', `invalid URL '${shown}': '${text}' is no port, expected 1 to 65535`);
  return port;
}

function decoded(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
