// SPDX-License-Identifier: Apache-2.0
import { makeSasToken, parseSasToken } from './sas-token.js';
import type { Secret } from './secret.js';

/** A token as it is put to `$cbs`. */
export interface AzureToken {
  /** `sas`: a shared access signature; `jwt`: of Microsoft Entra ID. */
  readonly kind: 'sas' | 'jwt';
  readonly text: Secret;
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number;
}

/** What a token is wanted for. */
export interface TokenRequest {
  /** URI of the entity: `sb://host/orders`. */
  readonly audience: string;
  /** Milliseconds since 1970: a token that does not last longer is of no use. */
  readonly newerThanMs: number;
}

/** Where tokens come from. */
export interface TokenProvider {
  /** For people, without secrets: `key of policy 'sends'`. */
  readonly name: string;
  /** There is this one token, and never another. */
  readonly isFixed: boolean;
  /** @returns a token; not a newer one where there is none yet. @throws TokenError where there is none at all */
  get(request: TokenRequest): Promise<AzureToken>;
  /** Nobody waits for a token any more: ends what is under way for one. It may be asked again. */
  close?(): void;
}

/** No token was to be had. The message says why and what to change, without secrets. */
export class TokenError extends Error {
  override readonly name = 'TokenError';
  /** `setup`: it stays so until somebody changes something; `passing`: the next attempt may do. */
  readonly kind: 'setup' | 'passing';

  constructor(kind: 'setup' | 'passing', message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** As the official JavaScript client makes them. */
const SAS_LIFETIME_MS = 3_600_000;

/**
 * Makes a token for each entity out of the key of a policy.
 *
 * @param nowMs - milliseconds since 1970
 */
export function sasKeyProvider(
  policy: string,
  key: Secret,
  nowMs: () => number,
  lifetimeMs: number = SAS_LIFETIME_MS,
): TokenProvider {
  return {
    name: `key of policy '${policy}'`,
    isFixed: false,
    get: async ({ audience }) => {
      const expiresAtSeconds = Math.ceil((nowMs() + lifetimeMs) / 1000);
      return {
        kind: 'sas',
        text: makeSasToken({ resource: audience, keyName: policy, key, expiresAtSeconds }),
        expiresAtMs: expiresAtSeconds * 1000,
      };
    },
  };
}

/**
 * The one token that somebody made elsewhere.
 *
 * @throws TokenError where it is none
 */
export function sasTokenProvider(token: Secret): TokenProvider {
  const parsed = parseSasToken(token);
  if (parsed === undefined) {
    throw new TokenError(
      'setup',
      'The shared access signature cannot be read. It is written as SharedAccessSignature sr=…&sig=…&se=…&skn=…',
    );
  }
  const expiresAtMs = parsed.expiresAtSeconds * 1000;
  return {
    name: `shared access signature of policy '${parsed.keyName}'`,
    isFixed: true,
    get: async () => ({ kind: 'sas', text: token, expiresAtMs }),
  };
}

/**
 * One token for all entities: fetched when it is needed, once for all that ask meanwhile, and given again for as long as it
 * will do.
 *
 * @param nowMs - milliseconds since 1970
 * @param spareMs - a token that lasts less than this is not given to somebody new
 */
export function sharedTokenProvider(
  name: string,
  fetch: () => Promise<AzureToken>,
  nowMs: () => number,
  spareMs = 300_000,
): TokenProvider {
  let last: AzureToken | undefined;
  let fetching: Promise<AzureToken> | undefined;
  const fetched = async (): Promise<AzureToken> => {
    try {
      last = await fetch();
      return last;
    } finally {
      fetching = undefined;
    }
  };
  return {
    name,
    isFixed: false,
    get: async ({ newerThanMs }) => {
      if (last !== undefined && last.expiresAtMs > Math.max(newerThanMs, nowMs() + spareMs)) return last;
      fetching ??= fetched();
      return fetching;
    },
  };
}

/** `exp` of a JSON web token in milliseconds since 1970, or undefined where it has none. Nothing is verified. */
export function jwtExpiryMs(token: string): number | undefined {
  const [, body] = token.split('.');
  if (body === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
    const exp = typeof claims === 'object' && claims !== null && 'exp' in claims ? claims.exp : undefined;
    return typeof exp === 'number' && Number.isFinite(exp) && exp > 0 ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}
