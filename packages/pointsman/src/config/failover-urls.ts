// SPDX-License-Identifier: Apache-2.0

/** Another address of a router, as clients are told of it. */
export interface FailoverUrl {
  /** Undefined: AMQP without TLS. */
  readonly scheme: 'amqp' | 'amqps' | undefined;
  readonly host: string;
  readonly port: string;
}

const DEFAULT_PORT = '5672';
// An open of the smallest frame size has to hold them beside all else.
const URLS_MAX = 16;

/**
 * Reads `failoverUrls`: `[scheme://]host[:port]`, separated by commas, blanks anywhere. IPv6 addresses stand in brackets.
 *
 * @returns the addresses, or the first text among them that is none
 */
export function parseFailoverUrls(text: string): readonly FailoverUrl[] | { readonly wrong: string } {
  if (text.trim() === '') return [];
  const parts = text.replaceAll(/\s/gu, '').split(',');
  if (parts.length > URLS_MAX) return { wrong: `${parts.length} addresses, where ${URLS_MAX} are the most` };
  const urls: FailoverUrl[] = [];
  for (const part of parts) {
    const [, scheme, ipv6, name, port = DEFAULT_PORT] =
      /^(?:(amqps?):\/\/)?(?:\[([\da-f:.]+)\]|([^\s/:@[\]?#]{1,255}))(?::(\d{1,5}|amqps?))?$/u.exec(part) ?? [];
    const host = ipv6 ?? name;
    if (host === undefined || Number(port) > 65_535) return { wrong: part };
    urls.push({ scheme: scheme as FailoverUrl['scheme'], host, port });
  }
  return urls;
}
