// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import type { Journal } from './journal.js';
import type { HmacSha256, Right } from './policy.js';

/** What is taken from a token of Microsoft Entra ID. */
export interface EntraClaims {
  readonly rights: readonly Right[];
  /** Ms since 1970. */
  readonly expiresAtMs: number;
}

/** What a namespace is given by whoever runs it: it has no clock, randomness or cryptography of its own. */
export interface NamespaceHost {
  readonly clock: Clock;
  /** Ms since 1970 at which the clock showed 0, for what is told to clients and for the expiry of tokens. */
  readonly timeOrigin: number;
  /** 0 to 1, exclusive. Good enough for lock tokens; not for keys. */
  readonly random: () => number;
  readonly hmacSha256: HmacSha256;
  /**
   * What a token of Microsoft Entra ID is good for; a text where it is good for nothing, for the answer. Such tokens are refused
   * where this is left out.
   */
  readonly readEntraToken?: (token: string) => EntraClaims | string;
  /** Where the namespace writes what is to survive it. */
  readonly journal?: Journal;
  /** Happenings for a developer to read. No secret is ever in them. */
  readonly log?: (level: 'debug' | 'info' | 'warning', text: string) => void;
}
