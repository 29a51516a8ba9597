// SPDX-License-Identifier: Apache-2.0

/** A numeric IP address: comparable within its family. */
interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

interface Range {
  readonly low: IpAddress;
  readonly high: IpAddress;
}

/**
 * Addresses of a host by its name, or why there are none. Undefined: they are not known yet, and nothing is said about the
 * name.
 */
export type HostAddresses = (name: string) => readonly string[] | { readonly reason: string } | undefined;

/** Hosts that may connect: all, single addresses, and ranges of addresses. */
export class HostRules {
  readonly #isAny: boolean;
  readonly #ranges: readonly Range[];

  private constructor(isAny: boolean, ranges: readonly Range[]) {
    this.#isAny = isAny;
    this.#ranges = ranges;
  }

  /**
   * Reads items such as `*`, `10.0.0.1`, `::1`, `host.example.org` and `10.0.0.0-10.255.255.255`.
   *
   * @param refuse - hears of each item that is wrong
   */
  static read(
    items: readonly string[],
    addressesOf: HostAddresses,
    refuse: (item: string, reason: string) => void,
  ): HostRules {
    const ranges = items.flatMap((item) => {
      if (item === '*') return [];
      const range = rangeOf(item, addressesOf);
      if (range === undefined) return [];
      if (typeof range !== 'string') return [range];
      refuse(item, range);
      return [];
    });
    return new HostRules(items.includes('*'), ranges);
  }

  /** @param host - numeric address of a peer */
  allows(host: string): boolean {
    if (this.#isAny) return true;
    const address = ipAddressOf(host);
    if (address === undefined) return false;
    return this.#ranges.some(
      ({ low, high }) => low.family === address.family && low.value <= address.value && address.value <= high.value,
    );
  }
}

/** The range that an item stands for, a reason why it stands for none, or undefined where that is not known yet. */
function rangeOf(item: string, addressesOf: HostAddresses): Range | string | undefined {
  const ends = item.split('-').map((end) => end.trim());
  if (ends.length > 2 || ends.includes('')) return 'hostspec must contain 1 or 2 host names';
  const found = ends.map((end) => ipAddressOf(end) ?? resolved(end, addressesOf));
  const wrong = found.find((end) => typeof end === 'string');
  if (wrong !== undefined) return wrong as string;
  const [low, high = low] = found as (IpAddress | undefined)[];
  if (low === undefined || high === undefined) return undefined;
  if (low.family !== high.family) return 'mixed IPv4 and IPv6 host specs in range not allowed';
  if (low.value > high.value) return 'host specs in range must have lower numeric address first';
  return { low, high };
}

function resolved(name: string, addressesOf: HostAddresses): IpAddress | string | undefined {
  const failed = (why: string): string => `HostStruct: '${name}' failed to resolve: '${why}'`;
  const addresses = addressesOf(name);
  if (addresses === undefined) return undefined;
  if ('reason' in addresses) return failed(addresses.reason);
  if (addresses.length !== 1) return failed(`it has ${addresses.length} addresses where it has to have one`);
  return ipAddressOf(addresses[0]!) ?? failed('its address is not numeric');
}

/** The numeric address that a text is; an IPv4 address in the form of IPv6 is taken for what it stands for. */
export function ipAddressOf(text: string): IpAddress | undefined {
  const [, plain = ''] = /^([\d.:a-f]+)(?:%.*)?$/iu.exec(text) ?? [];
  if (!plain.includes(':')) {
    const value = ipv4ValueOf(plain);
    return value === undefined ? undefined : { family: 4, value };
  }
  const value = ipv6ValueOf(plain);
  if (value === undefined) return undefined;
  return value >> 32n === 0xffffn ? { family: 4, value: value & 0xffffffffn } : { family: 6, value };
}

/** Not with a zero in front, which some take for octal: that is a name, for the system to look up. */
function ipv4ValueOf(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/u.test(part) && Number(part) <= 255))
    return undefined;
  return parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}

function ipv6ValueOf(text: string): bigint | undefined {
  // The last 32 bits may be written as IPv4.
  const [, head = text, tail] = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/u.exec(text) ?? [];
  const last = tail === undefined ? undefined : ipv4ValueOf(tail);
  if (tail !== undefined && last === undefined) return undefined;
  const whole = last === undefined ? head : `${head}${(last >> 16n).toString(16)}:${(last & 0xffffn).toString(16)}`;
  const halves = whole.split('::');
  if (halves.length > 2) return undefined;
  const [before = [], after] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - before.length - (after?.length ?? 0);
  if (after === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...Array.from({ length: missing }, () => '0'), ...(after ?? [])];
  if (!groups.every((group) => /^[\da-f]{1,4}$/iu.test(group))) return undefined;
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}
