// SPDX-License-Identifier: Apache-2.0
import { BlockList, isIP, isIPv6 } from 'node:net';
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

/**
 * `NO_PROXY`: names separated by commas or blanks, each with what is below it; `*` for all; addresses, alone or as `10.0.0.0/8`;
 * `:PORT` behind any of them for one port, behind an address of IPv6 where that is in brackets.
 */
function isExempt(list: string, host: string, port: number): boolean {
  const name = host.toLowerCase().replace(/\.$/u, '');
  return list
    .toLowerCase()
    .split(/[\s,]+/u)
    .filter((entry) => entry !== '')
    .some((entry) => {
      const { of, only } = partsOf(entry);
      if (only !== undefined && Number(only) !== port) return false;
      if (of === '*') return true;
      if (isIP(name) !== 0) return isAmong(name, of);
      const domain = of.replace(/^\*?\./u, '').replace(/\.$/u, '');
      return name === domain || name.endsWith(`.${domain}`);
    });
}

function partsOf(entry: string): { readonly of: string; readonly only?: string | undefined } {
  if (isIPv6(entry) || /^[\da-f:.]*:[\da-f:.]*\//u.test(entry)) return { of: entry };
  const [, bracketed, of = entry, only] = /^(?:\[(.+)\]|(.+?))(?::(\d{1,5}))?$/u.exec(entry) ?? [];
  return { of: bracketed ?? of, only };
}

/** @param range - an address, or a network as `ADDRESS/BITS`; anything else holds no address */
function isAmong(address: string, range: string): boolean {
  const [network = '', bits] = range.split('/', 2);
  const family = isIP(network);
  const length = bits === undefined ? undefined : /^\d{1,3}$/u.test(bits) ? Number(bits) : -1;
  if (family === 0 || (length !== undefined && (length < 0 || length > (family === 6 ? 128 : 32)))) return false;
  const among = new BlockList();
  const type = family === 6 ? 'ipv6' : 'ipv4';
  if (length === undefined) among.addAddress(network, type);
  else among.addSubnet(network, length, type);
  return among.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
