// SPDX-License-Identifier: Apache-2.0
import { sasKeyProvider, sasTokenProvider } from '@pointsman/azure';
import type { ImpliedAuthentication, TokenProvider } from '@pointsman/azure';
import type { AzureAccess } from '../config/model.js';
import { entraTokenProvider } from './entra-tokens.js';
import { commandTokenProvider } from './token-command.js';

/**
 * Where a connector's tokens come from; undefined where it has none.
 *
 * @param authentication - the key, or the ready-made token, that the configuration gives
 * @throws TokenError where a ready-made token is none
 */
export function tokenSourceOf(
  access: AzureAccess | undefined,
  authentication: ImpliedAuthentication | undefined,
): TokenProvider | undefined {
  const chosen: AzureAccess = access ?? { kind: 'sas' };
  switch (chosen.kind) {
    case 'plain':
      return undefined;
    case 'sas':
      if (authentication === undefined) return undefined;
      return authentication.mechanism === 'PLAIN'
        ? sasKeyProvider(authentication.username, authentication.password, Date.now)
        : sasTokenProvider(authentication.token);
    case 'command':
      return commandTokenProvider(chosen.command, Date.now);
    default:
      return entraTokenProvider(chosen, Date.now);
  }
}
