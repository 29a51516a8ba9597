// SPDX-License-Identifier: Apache-2.0
import { parseProxy } from '../config/proxy-address.js';
import type { ProxyAddress } from '../config/proxy-address.js';

/** Variables of the environment that name proxies. @returns undefined for one that is not set */
export type Environment = (name: string) => string | undefined;

/**
 * The proxy that the environment has for a host: `HTTPS_PROXY` (or `https_proxy`, which counts first), unless `NO_PROXY`
 * names the host.
 *
 * @throws Error where it is no address; its message quotes nothing of it
 */
export function proxyOfEnvironment(env: Environment, host: string, port: number): ProxyAddress | undefined {
  for (const name of ['https_proxy', 'HTTPS_PROXY']) {
    const text = env(name);
    if (text === undefined || text.trim() === '') continue;
    if (isExempt(env('no_proxy') ?? env('NO_PROXY') ?? '', host, port)) return undefined;
    const parsed = parseProxy(text);
    if ('wrong' in parsed) {
      const cure = 'Correct it, or write into the connector proxy: http://HOST:PORT, or proxy: none';
      throw new Error(`${name} of the environment ${parsed.wrong}. ${cure}`);
    }
    return parsed;
  }
  return undefined;
}

/** `NO_PROXY`: names separated by commas or blanks, each with what is below it; `*` for all; `name:port` for one port. */
function isExempt(list: string, host: string, port: number): boolean {
  const name = host.toLowerCase();
  return list
    .toLowerCase()
    .split(/[\s,]+/u)
    .filter((entry) => entry !== '')
    .some((entry) => {
      const [, domain = entry, only] = /^(.+?)(?::(\d{1,5}))?$/u.exec(entry) ?? [];
      if (only !== undefined && Number(only) !== port) return false;
      const plain = domain.replace(/^\*?\./u, '');
      return domain === '*' || name === plain || name.endsWith(`.${plain}`);
    });
}
