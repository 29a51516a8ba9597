// SPDX-License-Identifier: Apache-2.0
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Secret } from './secret.js';

export interface SasTokenOptions {
  /** URI of the resource that the token opens, with everything below it: `sb://host/entity`. */
  readonly resource: string;
  /** Name of the shared access policy. */
  readonly keyName: string;
  /** Its key as the portal shows it: the text is the HMAC key, it is not decoded. */
  readonly key: Secret;
  /** Whole seconds since 1970 UTC. */
  readonly expiresAtSeconds: number;
}

/** The parts of a token. `resource` is the encoded text, because that is what was signed. */
export interface SasToken {
  readonly encodedResource: string;
  readonly resource: string;
  readonly keyName: string;
  readonly expiresAtSeconds: number;
  readonly signature: string;
}

export type SasVerdict =
  | { readonly ok: true; readonly keyName: string; readonly expiresAtSeconds: number }
  | {
      readonly ok: false;
      readonly reason: 'malformed' | 'unknown-policy' | 'bad-signature' | 'expired' | 'other-resource';
    };

/** Longer than any real token; bounds what is parsed of a hostile one. */
const TOKEN_LENGTH_MAX = 8192;

/** base64 of HMAC-SHA256 over the encoded resource, a line feed and the expiry. */
export function sasSignature(key: Secret, encodedResource: string, expiresAtSeconds: number): string {
  return createHmac('sha256', key.reveal()).update(`${encodedResource}\n${expiresAtSeconds}`, 'utf8').digest('base64');
}

/** Makes a token as the official JavaScript client does: `SharedAccessSignature sr=…&sig=…&se=…&skn=…`. */
export function makeSasToken(options: SasTokenOptions): Secret {
  const { keyName, key, expiresAtSeconds } = options;
  if (!Number.isSafeInteger(expiresAtSeconds) || expiresAtSeconds < 0) {
    throw new RangeError(`A SAS token expires at a whole number of seconds since 1970, not at ${expiresAtSeconds}.`);
  }
  const encoded = encodeURIComponent(options.resource);
  const signature = encodeURIComponent(sasSignature(key, encoded, expiresAtSeconds));
  return new Secret(
    `SharedAccessSignature sr=${encoded}&sig=${signature}&se=${expiresAtSeconds}&skn=${encodeURIComponent(keyName)}`,
  );
}

/** The parts of a token, in whatever order they stand, or undefined where it is not one. */
export function parseSasToken(token: Secret): SasToken | undefined {
  const text = token.reveal();
  if (text.length > TOKEN_LENGTH_MAX) return undefined;
  const match = /^SharedAccessSignature\s+(.+)$/i.exec(text.trim());
  if (match === null) return undefined;
  const parts = new Map<string, string>();
  for (const pair of (match[1] ?? '').split('&')) {
    const at = pair.indexOf('=');
    if (at <= 0 || parts.has(pair.slice(0, at))) return undefined;
    parts.set(pair.slice(0, at), pair.slice(at + 1));
  }
  const encodedResource = parts.get('sr');
  const resource = decoded(encodedResource);
  const signature = decoded(parts.get('sig'));
  const keyName = decoded(parts.get('skn'));
  const expiry = parts.get('se') ?? '';
  if (encodedResource === undefined || resource === undefined || signature === undefined || keyName === undefined) {
    return undefined;
  }
  if (!/^\d{1,15}$/.test(expiry)) return undefined;
  return { encodedResource, resource, keyName, signature, expiresAtSeconds: Number(expiry) };
}

/**
 * Judges a token.
 *
 * @param audience - URI or path that is to be opened; its scheme, case and closing slash do not matter
 * @param keyOf - key of a policy by name, undefined where there is no such policy
 * @param nowMs - milliseconds since 1970
 */
export function verifySasToken(
  token: Secret,
  audience: string,
  keyOf: (keyName: string) => Secret | undefined,
  nowMs: number,
): SasVerdict {
  const parsed = parseSasToken(token);
  if (parsed === undefined) return { ok: false, reason: 'malformed' };
  const key = keyOf(parsed.keyName);
  if (key === undefined) return { ok: false, reason: 'unknown-policy' };
  const wanted = Buffer.from(sasSignature(key, parsed.encodedResource, parsed.expiresAtSeconds));
  const given = Buffer.from(parsed.signature);
  if (wanted.length !== given.length || !timingSafeEqual(wanted, given)) return { ok: false, reason: 'bad-signature' };
  if (parsed.expiresAtSeconds * 1000 <= nowMs) return { ok: false, reason: 'expired' };
  if (!covers(parsed.resource, audience)) return { ok: false, reason: 'other-resource' };
  return { ok: true, keyName: parsed.keyName, expiresAtSeconds: parsed.expiresAtSeconds };
}

/** Whether `audience` is the resource or lies below it. */
export function covers(resource: string, audience: string): boolean {
  const whole = normalized(resource);
  const part = normalized(audience);
  return part === whole || part.startsWith(`${whole}/`);
}

function normalized(uri: string): string {
  return withoutLastSlashes(uri.toLowerCase().replace(/^[a-z]+:\/\//, ''));
}

/** Step by step: an expression looks at each of many slashes in the middle for whether they are the last. */
export function withoutLastSlashes(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === '/') end--;
  return text.slice(0, end);
}

function decoded(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
