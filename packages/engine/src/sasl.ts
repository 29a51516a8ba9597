// SPDX-License-Identifier: Apache-2.0

/** What a client offers to authenticate with. @see OASIS AMQP 1.0, 5.3 */
export interface SaslClientOptions {
  /** Mechanisms that may be used, best first. The first that the server has is taken. */
  readonly mechanisms: readonly string[];
  readonly username?: string | undefined;
  /** Asked for when it is needed, so that it stands in no object that could be printed. */
  readonly password?: (() => string) | undefined;
  /** Host sent in sasl-init. */
  readonly hostname?: string | undefined;
}

/** What a client of ours has said, for the server to judge. */
export interface SaslRequest {
  readonly mechanism: string;
  /** PLAIN: authentication identity. EXTERNAL: empty; the certificate counts. ANONYMOUS: trace text. */
  readonly username: string;
  /** PLAIN: authorization identity; empty where it is the same. */
  readonly authorizationId: string;
  /** PLAIN alone. */
  readonly password: string | undefined;
  readonly hostname: string | undefined;
}

export interface SaslDecision {
  readonly ok: boolean;
  /** Not refused, but not now either: the peer may try again later. */
  readonly busy?: boolean | undefined;
  /** Name that the peer is known by from here on. */
  readonly user?: string | undefined;
  /** Why not: for the log, never for the peer. */
  readonly reason?: string | undefined;
  readonly additionalData?: Uint8Array | undefined;
}

export interface SaslServerOptions {
  /** Mechanisms in the order in which they are announced. */
  readonly mechanisms: readonly string[];
  /** A peer may leave the SASL layer out. */
  readonly optional: boolean;
  /**
   * Judges a request, at once or, where that takes its time, later: the peer waits, and what it sends meanwhile too. Must not
   * throw or reject. Without it ANONYMOUS and MSSBCBS are let in and nothing else.
   */
  readonly authenticate?: (request: SaslRequest) => SaslDecision | Promise<SaslDecision>;
}

/** Codes of sasl-outcome. @see OASIS AMQP 1.0, 5.3.3.6 */
export const SASL_CODE_NAMES = ['ok', 'auth', 'sys', 'sys-perm', 'sys-temp'] as const;

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export interface ChosenMechanism {
  readonly mechanism: string;
  readonly initialResponse: Uint8Array | undefined;
}

/**
 * Chooses among what the server announced. Symbols are compared exactly.
 *
 * @returns the choice, or a text that says why there is none
 */
export function chooseMechanism(options: SaslClientOptions, server: readonly string[]): ChosenMechanism | string {
  const mechanism = options.mechanisms.find((name) => server.includes(name));
  if (mechanism === undefined) {
    return `the peer offers SASL ${server.join(' ') || 'no mechanism'}, we may use ${options.mechanisms.join(' ') || 'none'}`;
  }
  switch (mechanism) {
    case 'PLAIN':
      return { mechanism, initialResponse: plainResponse(options.username ?? '', options.password?.() ?? '') };
    // The authorization identity: empty lets the certificate decide. It must be there, though, or the server asks for it.
    case 'EXTERNAL':
      return { mechanism, initialResponse: utf8.encode(options.username ?? '') };
    case 'ANONYMOUS':
      return { mechanism, initialResponse: utf8.encode(options.username ?? 'anonymous') };
    case 'MSSBCBS':
      return { mechanism, initialResponse: undefined };
    default:
      return `SASL ${mechanism} is not supported: use PLAIN, EXTERNAL or ANONYMOUS`;
  }
}

/** NUL, identity, NUL, password: no authorization identity. @see RFC 4616, 2 */
function plainResponse(username: string, password: string): Uint8Array {
  return utf8.encode(`\u0000${username}\u0000${password}`);
}

/** Reads the initial response of a mechanism; undefined where it is malformed. */
export function requestOf(
  mechanism: string,
  response: Uint8Array,
  hostname: string | undefined,
): SaslRequest | undefined {
  if (mechanism !== 'PLAIN' && mechanism !== 'EXTERNAL' && mechanism !== 'ANONYMOUS') {
    return { mechanism, username: '', authorizationId: '', password: undefined, hostname };
  }
  let text: string;
  try {
    text = fromUtf8.decode(response);
  } catch {
    return undefined;
  }
  if (mechanism !== 'PLAIN') return { mechanism, username: text, authorizationId: '', password: undefined, hostname };
  const parts = text.split('\u0000');
  if (parts.length !== 3) return undefined;
  const [authorizationId, username, password] = parts as [string, string, string];
  return { mechanism, username, authorizationId, password, hostname };
}

/** What a server without a judge of its own decides. */
export function decideByDefault(request: SaslRequest): SaslDecision {
  if (request.mechanism === 'ANONYMOUS' || request.mechanism === 'MSSBCBS') return { ok: true, user: 'anonymous' };
  return { ok: false, reason: `SASL ${request.mechanism} with nobody to check it` };
}
