// SPDX-License-Identifier: Apache-2.0
import { audiencePath, readAddress } from './address.js';
import type { Broker } from './broker.js';
import type { NamespaceHost } from './host.js';
import type { Policy, Right } from './policy.js';
import { readSasToken } from './sas-token.js';

/** A token that was accepted. */
interface Grant {
  readonly grants: (right: Right) => boolean;
  /** Path of the audience: the token opens it and what lies below. */
  readonly path: string;
  /** Path of the entity that the policy belongs to, '' for the namespace. */
  readonly scope: string;
  /** Ms of the clock. */
  readonly expiresAt: number;
}

/** Answer to a put-token. */
export interface TokenAnswer {
  readonly status: number;
  readonly description: string;
}

/** Tokens that one connection may hold. */
const TOKENS_MAX = 1000;

/**
 * What one connection may do. PLAIN credentials are taken without a look and judged here, at each attach; tokens are
 * judged when they are put.
 */
export class Access {
  readonly #broker: Broker;
  readonly #host: NamespaceHost;
  #plain: { readonly policyName: string; readonly key: string } | undefined;
  readonly #grants = new Map<string, Grant>();

  constructor(broker: Broker, host: NamespaceHost) {
    this.#broker = broker;
    this.#host = host;
  }

  usePlain(policyName: string, key: string): void {
    this.#plain = { policyName, key };
  }

  /** Came with a name and a key, or has put a token that still lasts. */
  get isKnown(): boolean {
    this.expire();
    return this.isPlain || this.#grants.size > 0;
  }

  get isPlain(): boolean {
    return this.#plain !== undefined;
  }

  /** Earliest end of a token, in ms of the clock. */
  get nextExpiry(): number {
    return Math.min(Infinity, ...[...this.#grants.values()].map(({ expiresAt }) => expiresAt));
  }

  /** Forgets tokens that have run out. */
  expire(): void {
    const now = this.#host.clock.now();
    for (const [path, grant] of this.#grants) if (grant.expiresAt <= now) this.#grants.delete(path);
  }

  /** @param path - of a node (`orders`, `orders/$management`) in lower case */
  may(right: Right, path: string): boolean {
    if (this.#plain !== undefined) return this.#plainMay(this.#plain, right, path);
    const now = this.#host.clock.now();
    for (const grant of this.#grants.values()) {
      if (grant.expiresAt > now && isBelow(path, grant.path) && isBelow(path, grant.scope) && grant.grants(right))
        return true;
    }
    return false;
  }

  #plainMay(plain: { readonly policyName: string; readonly key: string }, right: Right, path: string): boolean {
    return this.#policies(plain.policyName, readAddress(path).path).some(
      ({ policy }) => policy.grants(right) && policy.hasKey(plain.key),
    );
  }

  /** Policies of a name that apply to a path: of the entity, and of the namespace. */
  #policies(name: string, entityPath: string): { policy: Policy; scope: string }[] {
    const key = name.toLowerCase();
    const entity = this.#broker.entity(entityPath);
    const own = entity?.policies.get(key);
    const whole = this.#broker.policies.get(key);
    // Policies of a subscription are those of its topic.
    const scope = (entity?.kind === 'subscription' ? entity.topic.path : (entity?.path ?? '')).toLowerCase();
    return [
      ...(own === undefined ? [] : [{ policy: own, scope }]),
      ...(whole === undefined ? [] : [{ policy: whole, scope: '' }]),
    ];
  }

  /**
   * Takes or refuses a token. A new one for an audience replaces the old.
   *
   * @param audience - URI of what is to be opened
   */
  putToken(type: string, audience: string, token: string): TokenAnswer {
    const judged = this.#judge(type, audience, token);
    return 'status' in judged ? judged : this.#grant(judged);
  }

  /** Looks at a token that came with a request, and is for that alone. @returns why it does not open `audience` */
  refusalOf(audience: string, token: string): string | undefined {
    const judged = this.#judge('jwt', audience, token);
    const answer = 'status' in judged ? judged : this.#expired(judged);
    return answer?.description;
  }

  #judge(type: string, audience: string, token: string): TokenAnswer | Grant {
    if (type !== 'servicebus.windows.net:sastoken' && type !== 'jwt')
      return { status: 400, description: `Token type '${type.slice(0, 60)}' is not supported.` };
    const claims = readSasToken(token);
    // The client for Python calls every token a jwt; the text tells what it is.
    if (type === 'jwt' && claims === undefined) return this.#judgeEntraToken(audience, token);
    if (claims === undefined) return { status: 401, description: 'MalformedToken: The token is malformed.' };
    const path = audiencePath(audience);
    if (!this.#isThere(path)) return notThere(audience);
    const signed = this.#policies(claims.policyName, readAddress(path).path).find(({ policy }) =>
      policy.hasSigned(this.#host.hmacSha256, claims.signedText, claims.signature),
    );
    if (signed === undefined)
      return { status: 401, description: 'InvalidSignature: The token has an invalid signature.' };
    const expiresAt = claims.expiresAtSeconds * 1000 - this.#host.timeOrigin;
    if (!isSameHost(claims.resource, audience) || !isBelow(path, audiencePath(claims.resource))) {
      return { status: 401, description: 'InvalidAudience: The token does not cover the audience.' };
    }
    const { policy, scope } = signed;
    return { grants: (right) => policy.grants(right), path, scope, expiresAt };
  }

  #judgeEntraToken(audience: string, token: string): TokenAnswer | Grant {
    const claims = this.#host.readEntraToken?.(token);
    if (claims === undefined)
      return { status: 401, description: 'Tokens of Microsoft Entra ID are not taken by this namespace.' };
    if (typeof claims === 'string') return { status: 401, description: claims };
    const path = audiencePath(audience);
    if (!this.#isThere(path)) return notThere(audience);
    const { rights, expiresAtMs } = claims;
    const grants = (right: Right): boolean => rights.includes(right) || rights.includes('Manage');
    return { grants, path, scope: '', expiresAt: expiresAtMs - this.#host.timeOrigin };
  }

  /** The namespace itself is, too. */
  #isThere(path: string): boolean {
    return path === '' || this.#broker.resolve(path) !== undefined || this.#broker.eventHubs.knows(path);
  }

  #grant(grant: Grant): TokenAnswer {
    const { path } = grant;
    const expired = this.#expired(grant);
    if (expired !== undefined) return expired;
    if (!this.#grants.has(path) && this.#grants.size >= TOKENS_MAX) {
      return {
        status: 403,
        description: `The maximum number of '${TOKENS_MAX}' tokens per connection has been reached.`,
      };
    }
    this.#grants.set(path, grant);
    return { status: 202, description: 'Accepted' };
  }

  #expired({ expiresAt }: Grant): TokenAnswer | undefined {
    if (expiresAt > this.#host.clock.now()) return undefined;
    const at = new Date(Math.min(expiresAt + this.#host.timeOrigin, 8.64e15)).toISOString();
    return { status: 401, description: `ExpiredToken: The token is expired. Expiration time: '${at}'.` };
  }

  /** Takes all tokens back, as if their policies had been removed. */
  revokeAll(): void {
    this.#grants.clear();
  }
}

function notThere(audience: string): TokenAnswer {
  return { status: 404, description: `The messaging entity '${audience.slice(0, 400)}' could not be found.` };
}

function isBelow(path: string, parent: string): boolean {
  return parent === '' || path === parent || path.startsWith(`${parent}/`);
}

function isSameHost(a: string, b: string): boolean {
  const [hostA, hostB] = [readAddress(a).host, readAddress(b).host];
  return hostA === undefined || hostB === undefined || hostA === hostB;
}
