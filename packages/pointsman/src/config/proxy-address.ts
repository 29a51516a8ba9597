// SPDX-License-Identifier: Apache-2.0
import { Secret } from '@pointsman/azure';

/** A proxy as a connector or the environment names it. */
export interface ProxyAddress {
  readonly host: string;
  readonly port: number;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
}

/**
 * Reads `http://HOST:PORT`, also without the scheme. Without a port, 80 as URLs have it.
 *
 * @returns what is wrong with it, without quoting it: it may hold a password
 */
export function parseProxy(text: string): ProxyAddress | { readonly wrong: string } {
  const written = text.trim();
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//iu.test(written) ? written : `http://${written}`;
  if (!URL.canParse(withScheme)) return { wrong: 'is no address of the form http://HOST:PORT' };
  const url = new URL(withScheme);
  if (url.protocol !== 'http:') return { wrong: `has the scheme ${url.protocol}//; proxies are spoken to by http://` };
  if (url.pathname !== '/' && url.pathname !== '') return { wrong: 'has a path; a proxy is a host and a port' };
  if (url.search !== '' || url.hash !== '') return { wrong: 'has more than a host and a port' };
  const host = url.hostname.replace(/^\[(.*)\]$/u, '$1');
  if (host === '') return { wrong: 'has no host' };
  if (url.port === '0') return { wrong: 'has the port 0, which is none' };
  try {
    const username = decodeURIComponent(url.username);
    const password = decodeURIComponent(url.password);
    return {
      host,
      port: url.port === '' ? 80 : Number(url.port),
      ...(username === '' ? {} : { username }),
      ...(password === '' ? {} : { password: new Secret(password) }),
    };
  } catch {
    return { wrong: 'has a % in its user or password that is no percent-encoding' };
  }
}
