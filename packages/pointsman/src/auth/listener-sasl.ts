// SPDX-License-Identifier: Apache-2.0
import type { SaslDecision, SaslServerOptions } from '@pointsman/engine';
import type { StreamInfo } from '@pointsman/transport';
import type { ListenerConfig } from '../config/model.js';
import { userOf } from './certificate-user.js';
import type { CertificateNaming } from './certificate-user.js';
import type { Users } from './users.js';

/** Offered where a listener names no mechanisms, as far as they fit. */
const DEFAULT_MECHANISMS = ['EXTERNAL', 'PLAIN', 'ANONYMOUS'];

/** Who is let in at a listener, on a connection that has come as far as SASL. */
export function saslOf(
  config: Pick<ListenerConfig, 'name' | 'authenticatePeer' | 'saslMechanisms' | 'azureClients'>,
  info: Pick<StreamInfo, 'encrypted' | 'peerCertificate'>,
  users: Users,
  naming: CertificateNaming,
): SaslServerOptions {
  const certificate = info.peerCertificate?.verified === true ? info.peerCertificate : undefined;
  const mechanisms = mechanismsOf(config, info, users).filter(
    (mechanism) =>
      (mechanism !== 'EXTERNAL' || certificate !== undefined) &&
      (mechanism !== 'ANONYMOUS' || !config.authenticatePeer),
  );
  // By another name the same: some clients of Service Bus know that one alone.
  const takesTokens = config.azureClients !== 'none' && mechanisms.includes('ANONYMOUS');
  return {
    mechanisms: takesTokens ? ['MSSBCBS', ...mechanisms] : mechanisms,
    optional: !config.authenticatePeer,
    authenticate({ mechanism, username, password, authorizationId }) {
      switch (mechanism) {
        case 'EXTERNAL':
          if (certificate !== undefined) return { ok: true, user: userOf(certificate, naming) };
          break;
        case 'ANONYMOUS':
        case 'MSSBCBS':
          return { ok: true, user: 'anonymous' };
        case 'PLAIN':
          // Nobody may act for another here.
          if (authorizationId !== '' && authorizationId !== username)
            return refused(mechanism, `'${username.slice(0, 100)}' wants to act as somebody else`);
          return users
            .logIn(username, password ?? '')
            .then((login) =>
              login.ok ? { ok: true, user: username } : { ...refused(mechanism, login.reason), busy: login.busy },
            );
        default:
      }
      return refused(mechanism, `it is not offered on listener ${config.name}`);
    },
  };
}

function mechanismsOf(
  { saslMechanisms }: Pick<ListenerConfig, 'saslMechanisms'>,
  { encrypted }: Pick<StreamInfo, 'encrypted'>,
  users: Users,
): readonly string[] {
  if (saslMechanisms !== undefined) return saslMechanisms;
  const { mechanisms } = users.settings;
  // Nobody has asked for passwords in the clear.
  return DEFAULT_MECHANISMS.filter(
    (name) => (name !== 'PLAIN' || (encrypted && users.problem === undefined)) && (mechanisms?.includes(name) ?? true),
  );
}

function refused(mechanism: string, why: string): SaslDecision {
  return { ok: false, reason: `Authentication failed [mech=${mechanism}]: ${why}` };
}
