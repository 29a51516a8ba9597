// SPDX-License-Identifier: Apache-2.0

export type Right = 'Send' | 'Listen' | 'Manage';

export interface PolicyOptions {
  readonly name: string;
  /** Used as text, as Service Bus does: it is not base64-decoded. */
  readonly key: string;
  /** A second key that is as good, for rotation. */
  readonly secondaryKey?: string;
  /** Manage includes the others. */
  readonly rights: readonly Right[];
}

/** base64 of HMAC-SHA256 over the UTF-8 bytes of `text`, with those of `key` as the key. */
export type HmacSha256 = (key: string, text: string) => string;

/** A shared access policy. Its keys do not print. */
export class Policy {
  readonly name: string;
  readonly rights: readonly Right[];
  readonly #keys: readonly string[];

  constructor(options: PolicyOptions) {
    if (options.name === '' || options.key === '')
      throw new TypeError('A shared access policy needs a name and a key.');
    this.name = options.name;
    this.rights = [...options.rights];
    this.#keys = options.secondaryKey === undefined ? [options.key] : [options.key, options.secondaryKey];
  }

  grants(right: Right): boolean {
    return this.rights.includes(right) || this.rights.includes('Manage');
  }

  hasKey(key: string): boolean {
    return this.#keys.some((own) => isSame(own, key));
  }

  /** Whether `signature` (base64) was made over `text` with one of the keys. */
  hasSigned(hmac: HmacSha256, text: string, signature: string): boolean {
    return this.#keys.some((key) => isSame(hmac(key, text), signature));
  }
}

/** Compares in a time that depends on the length alone. */
function isSame(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at += 1) difference |= a.charCodeAt(at) ^ b.charCodeAt(at);
  return difference === 0;
}
