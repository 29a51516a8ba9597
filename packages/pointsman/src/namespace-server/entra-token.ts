// SPDX-License-Identifier: Apache-2.0
import { jwtExpiryMs } from '@pointsman/azure';
import type { EntraClaims } from '@pointsman/namespace';

/** What tokens for Service Bus are for; people write it with none, one or two slashes. */
const AUDIENCE = /^https:\/\/servicebus\.azure\.net\/{0,2}$/u;
const LENGTH_MAX = 65_536;

/** Reads a token of Microsoft Entra ID without looking at its signature. @returns why it is good for nothing, else what for */
export function readEntraToken(token: string): EntraClaims | string {
  const malformed = 'MalformedToken: The token is malformed.';
  const [, body] = token.length > LENGTH_MAX ? [] : token.split('.');
  if (body === undefined) return malformed;
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
  } catch {
    return malformed;
  }
  const audience = typeof claims === 'object' && claims !== null && 'aud' in claims ? claims.aud : undefined;
  if (typeof audience !== 'string' || !AUDIENCE.test(audience))
    return 'InvalidAudience: The token is not for https://servicebus.azure.net.';
  const expiresAtMs = jwtExpiryMs(token);
  return expiresAtMs === undefined ? malformed : { rights: ['Send', 'Listen', 'Manage'], expiresAtMs };
}
