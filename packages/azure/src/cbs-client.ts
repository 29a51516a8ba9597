// SPDX-License-Identifier: Apache-2.0
import type { Clock, Connection } from '@pointsman/engine';
import type { AmqpErrorFields } from '@pointsman/wire';
import { CbsLinks } from './cbs-links.js';
import type { CbsResult } from './cbs-links.js';
import { classify } from './conditions.js';
import { entityAddressOf } from './entity-address.js';
import { retryDelay } from './retry.js';
import { Secret, withoutSecrets } from './secret.js';
import type { SharedNode } from './shared-node.js';
import { TokenError } from './token.js';
import type { AzureToken, TokenProvider } from './token.js';

export interface CbsClientOptions {
  readonly connection: Connection;
  /** Host of the namespace, as audiences name it. */
  readonly host: string;
  readonly provider: TokenProvider;
  readonly clock: Clock;
  /** Milliseconds since 1970: what the expiry of tokens is measured by. */
  readonly nowMs: () => number;
  readonly random: () => number;
  /** Unique for the container: names the links. */
  readonly name: string;
  /** Time for a token to be had, and for `$cbs` to answer. */
  readonly timeoutMs?: number;
  /**
   * A connection without a token, or without links, is closed by the service. Where no link stands on a token by then, one is put
   * for this entity, or for the whole namespace (''), and again each time: so that there are links at least to `$cbs`, and these are
   * not idle. An answer of any kind will do.
   */
  readonly keepAlive?: { readonly path: string; readonly firstMs: number; readonly everyMs: number };
  readonly onEvent?: (event: CbsEvent) => void;
}

/** Something that a log should have. Texts are without secrets. */
export type CbsEvent =
  | { readonly type: 'put' | 'renewed'; readonly audience: string; readonly expiresAtMs: number }
  | {
      readonly type: 'refused' | 'not-renewed';
      readonly audience: string;
      readonly reason: string;
      /** What `$cbs` answered; undefined where there was no token to put, or no answer. */
      readonly status: number | undefined;
      /** The old token lasts until then; undefined where there is none. */
      readonly expiresAtMs: number | undefined;
    }
  | { readonly type: 'ends'; readonly audience: string; readonly expiresAtMs: number };

/** One token of a connection, without the token. */
export interface TokenState {
  readonly audience: string;
  /** Where it comes from, and of which kind it is. */
  readonly provider: string;
  readonly kind: AzureToken['kind'] | undefined;
  readonly state: 'requested' | 'valid' | 'expired' | 'failed';
  /** Milliseconds since 1970; undefined before the first. */
  readonly expiresAtMs: number | undefined;
  /** When it was put, milliseconds since 1970. */
  readonly putAtMs: number | undefined;
  readonly renewals: number;
  /** Attempts that failed, since the connection was opened. */
  readonly failures: number;
  /** Of the last attempt; undefined where it succeeded. */
  readonly lastError: string | undefined;
  /** Links that stand on it. */
  readonly links: number;
}

/** An error made of an answer of `$cbs`, or for want of a token. */
export interface TokenFailure {
  readonly error: AmqpErrorFields;
  /** What `$cbs` answered; undefined where it was not even asked. */
  readonly status: number | undefined;
}

/** Tokens that the service keeps for one connection. */
const TOKENS_MAX = 1000;
const TIMEOUT_MS = 60_000;
/** Renewed when a quarter of its life is left, at most this long ahead. */
const LEAD_SHARE = 1 / 4;
const LEAD_MAX_MS = 15 * 60_000;
/** Renewals are spread over so much of the life before that. */
const JITTER_SHARE = 1 / 20;
const JITTER_MAX_MS = 30_000;
/** Least time between two looks for a newer token. */
const LOOK_AGAIN_MS = 1_000;
/** Time at the least for a token to be had. */
const PATIENCE_MIN_MS = 5_000;
/** A refusal holds for so long: clients that attach again and again do not ask the service each time. */
const REFUSAL_HOLDS_MS = 1_000;

const CONDITIONS_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'amqp:not-allowed',
  401: 'amqp:unauthorized-access',
  403: 'amqp:resource-limit-exceeded',
  404: 'amqp:not-found',
  408: 'com.microsoft:timeout',
  429: 'com.microsoft:server-busy',
  503: 'com.microsoft:server-busy',
  504: 'com.microsoft:timeout',
};

interface Entry {
  readonly audience: string;
  links: number;
  token: AzureToken | undefined;
  /** Ms of the clock until which the token counts, and at which it was put. */
  validUntil: number;
  putAt: number | undefined;
  /** A link that stood on it was refused or detached for want of a token: the next one needs a new one. */
  isStale: boolean;
  isAsking: boolean;
  /** Expiry of the last token that was tried; a refused one is not tried again where there is a newer. */
  triedMs: number;
  renewals: number;
  failures: number;
  /** Failures in a row. */
  attempt: number;
  failure: TokenFailure | undefined;
  failedAt: number;
  readonly waiting: Set<(error: AmqpErrorFields | undefined) => void>;
  cancel: (() => void) | undefined;
}

/**
 * The tokens of one connection: one for each entity, put before its first link attaches and renewed for as long as there are
 * links. Renewing disturbs no link; where it fails it is tried again while the old token lasts.
 */
export class CbsClient {
  readonly #options: CbsClientOptions;
  readonly #links: CbsLinks;
  readonly #entries = new Map<string, Entry>();
  #cancelKeepAlive: (() => void) | undefined;
  /** End the waits for providers. */
  readonly #waits = new Set<() => void>();
  #isClosed = false;

  constructor(options: CbsClientOptions) {
    this.#options = options;
    const { connection, clock, name, timeoutMs = TIMEOUT_MS, keepAlive } = options;
    this.#links = new CbsLinks({ connection, clock, name, timeoutMs });
    if (keepAlive !== undefined) this.#keepAliveAfter(keepAlive.firstMs);
  }

  #keepAliveAfter(ms: number): void {
    const { clock, connection, keepAlive } = this.#options;
    if (keepAlive === undefined) return;
    this.#cancelKeepAlive = clock.after(ms, () => {
      this.#keepAliveAfter(keepAlive.everyMs);
      if (!connection.isOpen || [...this.#entries.values()].some(({ links }) => links > 0)) return;
      const entry = this.#entryOf(keepAlive.path);
      if (entry === undefined) return;
      // The same again is what it takes.
      entry.isStale = true;
      this.#ask(entry);
    });
  }

  /**
   * Gets the right to attach at a node of the namespace.
   *
   * @param address - as it stands in the attach
   * @param done - called once, with an error where there is no token; at once only without
   * @returns to be called when the link has ended, with the error that ended it; `done` is not called from then on
   */
  authorize(address: string, done: (error: AmqpErrorFields | undefined) => void): (error?: AmqpErrorFields) => void {
    const { clock } = this.#options;
    const entry = this.#entryOf(entityAddressOf(address).owner);
    if (entry === undefined || this.#isClosed) {
      const error: AmqpErrorFields = this.#isClosed
        ? { condition: 'amqp:connection:forced', description: 'the connection is closed' }
        : {
            condition: 'amqp:resource-limit-exceeded',
            description: `there are ${TOKENS_MAX} tokens on the connection, which is all that the service takes`,
          };
      return clock.after(0, () => done(error));
    }
    entry.links += 1;
    let isReleased = false;
    let waits: ((error: AmqpErrorFields | undefined) => void) | undefined;
    if (this.#isValid(entry) && !entry.isStale) {
      // While no link stood on it nobody renewed it.
      if (entry.links === 1 && !entry.isAsking) this.#schedule(entry);
      done(undefined);
    } else {
      waits = (error) => {
        if (!isReleased) done(error);
      };
      entry.waiting.add(waits);
      const { failure } = entry;
      if (failure !== undefined && !entry.isAsking && clock.now() < entry.failedAt + REFUSAL_HOLDS_MS) {
        clock.after(0, () => this.#tell(entry, failure.error));
      } else {
        this.#ask(entry);
      }
    }
    return (error) => {
      if (isReleased) return;
      isReleased = true;
      if (waits !== undefined) entry.waiting.delete(waits);
      entry.links -= 1;
      const kind = error === undefined ? undefined : classify(error.condition, error.description);
      if ((kind === 'token' || kind === 'unauthorized') && entry.failure?.error !== error) entry.isStale = true;
      if (entry.links === 0) this.#rest(entry);
    };
  }

  get tokens(): readonly TokenState[] {
    const { provider } = this.#options;
    return [...this.#entries.values()].map((entry) => ({
      audience: entry.audience,
      provider: provider.name,
      kind: entry.token?.kind,
      state: this.#isValid(entry)
        ? ('valid' as const)
        : entry.token !== undefined
          ? ('expired' as const)
          : entry.failure === undefined
            ? ('requested' as const)
            : ('failed' as const),
      expiresAtMs: entry.token?.expiresAtMs,
      putAtMs: entry.putAt === undefined ? undefined : this.#wallOf(entry.putAt),
      renewals: entry.renewals,
      failures: entry.failures,
      lastError: entry.failure?.error.description,
      links: entry.links,
    }));
  }

  /** What there is of links to `$cbs`. */
  get node(): SharedNode {
    return this.#links.node;
  }

  /** What was behind an error that {@link authorize} gave, or undefined where it came from elsewhere. */
  failureOf(error: AmqpErrorFields): TokenFailure | undefined {
    for (const { failure } of this.#entries.values()) if (failure?.error === error) return failure;
    return undefined;
  }

  /**
   * As {@link authorize}, on behalf of somebody who is not to know where our tokens come from, and what was said there: a
   * command's words may hold anything.
   */
  authorizeClient(
    address: string,
    done: (error: AmqpErrorFields | undefined) => void,
  ): (error?: AmqpErrorFields) => void {
    let own: AmqpErrorFields | undefined;
    let told: AmqpErrorFields | undefined;
    const release = this.authorize(address, (error) => {
      own = error;
      told = error === undefined ? undefined : this.#forClients(error);
      done(told);
    });
    return (error) => release(error === told ? own : error);
  }

  #forClients(error: AmqpErrorFields): AmqpErrorFields {
    const failure = this.failureOf(error);
    // What the service itself said is for everybody: that there is no such entity, for instance.
    if (failure === undefined || failure.status !== undefined) return error;
    return {
      condition: error.condition,
      description: 'There is no token of the router for this entity. Its log says why.',
    };
  }

  /** The connection has ended. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelKeepAlive?.();
    for (const cancel of this.#waits) cancel();
    this.#waits.clear();
    const error = { condition: 'amqp:connection:forced', description: 'the connection was closed' };
    this.#links.close(error);
    for (const entry of this.#entries.values()) {
      entry.cancel?.();
      this.#tell(entry, error);
    }
    this.#entries.clear();
  }

  #entryOf(path: string): Entry | undefined {
    const key = path.toLowerCase();
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    if (this.#entries.size >= TOKENS_MAX) {
      // Its token still counts at the service; but it is the one that nobody needs.
      for (const [other, { links }] of this.#entries) {
        if (links > 0) continue;
        this.#forget(other);
        break;
      }
      if (this.#entries.size >= TOKENS_MAX) return undefined;
    }
    const entry: Entry = {
      audience: `sb://${this.#options.host}/${path}`,
      links: 0,
      token: undefined,
      validUntil: -Infinity,
      putAt: undefined,
      isStale: false,
      isAsking: false,
      triedMs: 0,
      renewals: 0,
      failures: 0,
      attempt: 0,
      failure: undefined,
      failedAt: -Infinity,
      waiting: new Set(),
      cancel: undefined,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #forget(key: string): void {
    this.#entries.get(key)?.cancel?.();
    this.#entries.delete(key);
  }

  #isValid(entry: Entry): boolean {
    return this.#options.clock.now() < entry.validUntil;
  }

  #wallOf(time: number): number {
    return this.#options.nowMs() + time - this.#options.clock.now();
  }

  // ---- getting and putting ----

  #ask(entry: Entry): void {
    if (entry.isAsking || this.#isClosed) return;
    entry.isAsking = true;
    entry.cancel?.();
    const { provider, clock, timeoutMs = TIMEOUT_MS } = this.#options;
    let isOver = false;
    const once =
      <T>(act: (value: T) => void) =>
      (value: T): void => {
        if (isOver || this.#isClosed) return;
        isOver = true;
        cancel();
        this.#waits.delete(cancel);
        act(value);
      };
    const fail = once((error: unknown) => this.#failed(entry, { error: errorOf(error, provider), status: undefined }));
    // While there is a token that lasts there has to be time for another attempt.
    const left = this.#isValid(entry) ? (entry.validUntil - clock.now()) / 2 : Infinity;
    const patienceMs = Math.min(timeoutMs, Math.max(PATIENCE_MIN_MS, left));
    const cancel = clock.after(patienceMs, () =>
      fail(new TokenError('passing', `no token came within ${Math.round(patienceMs)} ms`)),
    );
    this.#waits.add(cancel);
    provider.get({ audience: entry.audience, newerThanMs: entry.triedMs }).then(
      once((token: AzureToken) => this.#put(entry, token)),
      fail,
    );
  }

  #put(entry: Entry, token: AzureToken): void {
    const now = this.#options.nowMs();
    const { provider } = this.#options;
    const isSame = token.text.reveal() === entry.token?.text.reveal();
    if (token.expiresAtMs <= now && isSame && !provider.isFixed) {
      // Whoever makes them is late: that passes.
      const description = `${provider.name} has no newer token than the one that expired at ${dateText(token.expiresAtMs)}`;
      return this.#failed(entry, { error: { condition: 'com.microsoft:timeout', description }, status: undefined });
    }
    if (token.expiresAtMs <= now) {
      const at = dateText(token.expiresAtMs);
      return this.#failed(entry, {
        error: {
          condition: 'com.microsoft:auth-failed',
          description: `the token of ${provider.name} expired at ${at}${provider.isFixed ? ': give a new one' : ''}; is the clock of this machine right?`,
        },
        status: undefined,
      });
    }
    if (isSame && this.#isValid(entry) && !entry.isStale) {
      // There is no newer one yet: nothing to tell the service.
      entry.isAsking = false;
      this.#schedule(entry);
      return;
    }
    entry.triedMs = token.expiresAtMs;
    this.#links.putToken(entry.audience, token, (result) => {
      if (this.#isClosed) return;
      this.#answered(entry, token, withoutToken(result, token));
    });
  }

  #answered(entry: Entry, token: AzureToken, result: CbsResult): void {
    if ('error' in result) return this.#failed(entry, { error: { ...result.error }, status: undefined });
    const { status, description } = result;
    if (status !== 200 && status !== 202) {
      const condition = CONDITIONS_OF_STATUS[status] ?? 'amqp:internal-error';
      const said = description === '' ? '' : `: ${description}`;
      return this.#failed(entry, {
        error: { condition, description: `$cbs refused the token for ${entry.audience} with status ${status}${said}` },
        status,
      });
    }
    const { clock, nowMs, provider } = this.#options;
    const isRenewal = this.#isValid(entry);
    const now = clock.now();
    entry.isAsking = false;
    entry.isStale = false;
    entry.token = token;
    entry.putAt = now;
    entry.validUntil = now + Math.max(LOOK_AGAIN_MS, token.expiresAtMs - nowMs());
    entry.attempt = 0;
    entry.failure = undefined;
    if (isRenewal) entry.renewals += 1;
    const { audience } = entry;
    this.#tellOwner({ type: isRenewal ? 'renewed' : 'put', audience, expiresAtMs: token.expiresAtMs });
    if (provider.isFixed && !isRenewal) this.#tellOwner({ type: 'ends', audience, expiresAtMs: token.expiresAtMs });
    if (entry.links > 0) this.#schedule(entry);
    else this.#rest(entry);
    this.#tell(entry, undefined);
  }

  /** The token or the answer did not come. Links that stand on the old token are left alone for as long as it lasts. */
  #failed(entry: Entry, failure: TokenFailure): void {
    const { clock, random } = this.#options;
    const { error, status } = failure;
    entry.isAsking = false;
    entry.failure = failure;
    entry.failedAt = clock.now();
    entry.failures += 1;
    const isValid = this.#isValid(entry);
    const reason = error.description ?? error.condition;
    const expiresAtMs = isValid ? entry.token?.expiresAtMs : undefined;
    this.#tellOwner({
      type: isValid ? 'not-renewed' : 'refused',
      audience: entry.audience,
      reason,
      status,
      expiresAtMs,
    });
    const delay = retryDelay(classify(error.condition, error.description), entry.attempt, random);
    entry.attempt += 1;
    if (entry.links > 0 && (isValid || entry.waiting.size < entry.links)) {
      // Half of what is left at the latest: a slow class must not outlast the token.
      const left = isValid ? Math.max(LOOK_AGAIN_MS, (entry.validUntil - clock.now()) / 2) : Infinity;
      entry.cancel = clock.after(Math.min(delay, left), () => this.#ask(entry));
    }
    this.#tell(entry, error);
    if (entry.links === 0) this.#rest(entry);
  }

  #schedule(entry: Entry): void {
    const { clock, random, provider } = this.#options;
    entry.cancel?.();
    if (provider.isFixed || this.#isClosed) return;
    const now = clock.now();
    const life = entry.validUntil - (entry.putAt ?? now);
    const lead = Math.min(LEAD_MAX_MS, life * LEAD_SHARE);
    const jitter = random() * Math.min(JITTER_MAX_MS, life * JITTER_SHARE);
    const due = entry.validUntil - lead - jitter;
    // Past that there was no newer token: what is left is halved until there is one.
    const delay = due > now ? due - now : Math.max(LOOK_AGAIN_MS, (entry.validUntil - now) / 2);
    entry.cancel = clock.after(delay, () => this.#ask(entry));
  }

  /** No link stands on it: it is not renewed, and forgotten when it ends. */
  #rest(entry: Entry): void {
    if (entry.isAsking || this.#isClosed) return;
    entry.cancel?.();
    const left = Math.max(entry.validUntil - this.#options.clock.now(), REFUSAL_HOLDS_MS);
    entry.cancel = this.#options.clock.after(left, () => {
      if (entry.links > 0 || entry.isAsking) return;
      for (const [key, other] of this.#entries) if (other === entry) this.#forget(key);
    });
  }

  #tell(entry: Entry, error: AmqpErrorFields | undefined): void {
    const waiting = [...entry.waiting];
    entry.waiting.clear();
    for (const done of waiting) done(error);
  }

  #tellOwner(event: CbsEvent): void {
    this.#options.onEvent?.(event);
  }
}

function errorOf(error: unknown, provider: TokenProvider): AmqpErrorFields {
  const description = `no token from ${provider.name}: ${error instanceof Error ? error.message : String(error)}`;
  const isSetup = error instanceof TokenError && error.kind === 'setup';
  return { condition: isSetup ? 'com.microsoft:auth-failed' : 'com.microsoft:timeout', description };
}

/** What the service says, should it repeat the token. */
function withoutToken(result: CbsResult, { text }: AzureToken): CbsResult {
  const [, signature] = /\bsig=([^&\s]+)/u.exec(text.reveal()) ?? [];
  const secrets = signature === undefined ? [text] : [text, new Secret(signature)];
  if ('status' in result) return { ...result, description: withoutSecrets(result.description, secrets) };
  const { condition, description } = result.error;
  return {
    error: { condition, ...(description === undefined ? {} : { description: withoutSecrets(description, secrets) }) },
  };
}

function dateText(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), 8.64e15)).toISOString();
}
