// SPDX-License-Identifier: Apache-2.0
import type { Secret } from '@pointsman/azure';
import type { ConfigEntity } from './entity.js';
import type { AzureAccess } from './model.js';
import type { ProblemList } from './problems.js';
import { safeText } from './problems.js';

type Kind = AzureAccess['kind'];

/** What each way to authenticate needs, and what it may have besides. */
const ATTRIBUTES: Readonly<Record<Kind, { readonly needs: readonly string[]; readonly takes: readonly string[] }>> = {
  plain: { needs: [], takes: [] },
  sas: { needs: [], takes: [] },
  clientSecret: { needs: ['azureTenantId', 'azureClientId', 'azureClientSecret'], takes: [] },
  clientCertificate: {
    needs: ['azureTenantId', 'azureClientId', 'azureClientCertificateFile'],
    takes: ['azureClientCertificatePassword'],
  },
  workloadIdentity: { needs: [], takes: ['azureTenantId', 'azureClientId', 'azureTokenFile'] },
  managedIdentity: { needs: [], takes: ['azureClientId'] },
  developerLogin: { needs: [], takes: ['azureTenantId'] },
  command: { needs: ['azureTokenCommand'], takes: [] },
};

const HINTS: Readonly<Record<string, string>> = {
  azureTenantId: 'azureTenantId: the id of the directory',
  azureClientId: 'azureClientId: the id of the application',
  azureClientSecret: 'azureClientSecret: env:VARIABLE',
  azureClientCertificateFile: 'azureClientCertificateFile: PATH',
  azureTokenCommand: 'azureTokenCommand: az account get-access-token --resource https://servicebus.azure.net',
};

/** All attributes of these ways. */
const ALL: readonly string[] = [
  ...new Set(Object.values(ATTRIBUTES).flatMap(({ needs, takes }) => [...needs, ...takes])),
];

/** Arguments of a command, each of them that long: enough for any, and bounded. */
const ARGUMENTS_MAX = 64;

/** The way that the section names, or undefined where it names none. */
export function azureKindOf(connector: ConfigEntity): Kind | undefined {
  if (!connector.given.has('azureAuthentication')) return undefined;
  return connector.text('azureAuthentication') as Kind;
}

/** What a connector says of its authentication to Azure. */
export function checkAzureAuthentication(connector: ConfigEntity, problems: ProblemList): void {
  const kind = azureKindOf(connector);
  if (kind === undefined) {
    for (const attribute of ALL) {
      if (!connector.given.has(attribute) || connector.isUnsound('azureAuthentication')) continue;
      const kinds = Object.entries(ATTRIBUTES).filter(([, { needs, takes }]) =>
        [...needs, ...takes].includes(attribute),
      );
      problems.error(
        connector.lineOf(attribute),
        `${connector.label} has '${attribute}', but no 'azureAuthentication'`,
        { hint: `azureAuthentication: ${kinds.map(([name]) => name).join(', or ')}` },
      );
    }
    return;
  }
  const { needs, takes } = ATTRIBUTES[kind];
  for (const attribute of needs) {
    if (connector.given.has(attribute) || connector.isUnsound(attribute)) continue;
    problems.error(
      connector.lineOf('azureAuthentication'),
      `${connector.label} has azureAuthentication: ${kind}, but no '${attribute}'`,
      { hint: HINTS[attribute] },
    );
  }
  for (const attribute of ALL) {
    if (!connector.given.has(attribute) || needs.includes(attribute) || takes.includes(attribute)) continue;
    problems.warn(
      connector.lineOf(attribute),
      `'${attribute}' of ${connector.label} has no effect with azureAuthentication: ${kind}`,
      { hint: 'take it out' },
    );
  }
  checkAgainstSasl(connector, kind, problems);
  if (kind === 'command' && connector.given.has('azureTokenCommand')) {
    const parsed = commandWords(connector.text('azureTokenCommand') ?? '');
    if ('wrong' in parsed) {
      connector.markUnsound('azureTokenCommand');
      problems.error(
        connector.lineOf('azureTokenCommand'),
        `'azureTokenCommand' of ${connector.label} ${parsed.wrong}`,
        { hint: HINTS['azureTokenCommand'] },
      );
    }
  }
}

function checkAgainstSasl(connector: ConfigEntity, kind: Kind, problems: ProblemList): void {
  const line = connector.lineOf('azureAuthentication');
  if (kind !== 'plain' && connector.given.has('saslMechanisms')) {
    problems.error(
      connector.lineOf('saslMechanisms'),
      `${connector.label} has both 'saslMechanisms' and azureAuthentication: ${kind}`,
      {
        found: safeText(connector.text('saslMechanisms') ?? ''),
        hint: "take 'saslMechanisms' out: tokens come after SASL",
      },
    );
  }
  if (kind !== 'plain' && kind !== 'sas') {
    for (const attribute of ['connectionString', 'saslUsername', 'saslPassword']) {
      if (!connector.given.has(attribute)) continue;
      problems.error(
        connector.lineOf(attribute),
        `${connector.label} has both '${attribute}' and azureAuthentication: ${kind}`,
        {
          hint:
            attribute === 'connectionString'
              ? 'write host: NAMESPACE.servicebus.windows.net in place of the connection string, which is a key'
              : `take '${attribute}' out`,
        },
      );
    }
    return;
  }
  if (connector.given.has('connectionString')) return;
  const missing = ['saslUsername', 'saslPassword'].filter(
    (name) => !connector.given.has(name) && !connector.isUnsound(name),
  );
  if (missing.length === 0) return;
  problems.error(line, `${connector.label} has azureAuthentication: ${kind}, but no ${missing.join(' and no ')}`, {
    hint: 'saslUsername: the name of the policy, and saslPassword: env:VARIABLE with its key; or a connectionString',
  });
}

/** The checked section as the connector takes it. */
export function azureAccessOf(
  connector: ConfigEntity,
  secretOf: (entity: ConfigEntity, attribute: string) => Secret | undefined,
): AzureAccess | undefined {
  const text = (name: string): string | undefined => connector.text(name)?.trim();
  const kind = azureKindOf(connector);
  const tenantId = text('azureTenantId');
  const clientId = text('azureClientId');
  switch (kind) {
    case undefined:
      return undefined;
    case 'plain':
    case 'sas':
      return { kind };
    case 'clientSecret':
      return {
        kind,
        tenantId: tenantId ?? '',
        clientId: clientId ?? '',
        secret: secretOf(connector, 'azureClientSecret'),
      };
    case 'clientCertificate':
      return {
        kind,
        tenantId: tenantId ?? '',
        clientId: clientId ?? '',
        file: text('azureClientCertificateFile') ?? '',
        password: secretOf(connector, 'azureClientCertificatePassword'),
      };
    case 'workloadIdentity':
      return { kind, tenantId, clientId, tokenFile: text('azureTokenFile') };
    case 'managedIdentity':
      return { kind, clientId };
    case 'developerLogin':
      return { kind, tenantId };
    case 'command': {
      const parsed = commandWords(text('azureTokenCommand') ?? '');
      return { kind, command: 'wrong' in parsed ? [] : parsed };
    }
  }
}

/** The words of a command: split at blanks; single and double quotes group, and nothing else means anything. */
export function commandWords(text: string): readonly string[] | { readonly wrong: string } {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (const character of text) {
    if (quote !== undefined) {
      if (character === quote) quote = undefined;
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (/\s/u.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (quote !== undefined) return { wrong: `has a ${quote} that is never closed` };
  if (word !== undefined) words.push(word);
  if (words.length === 0 || words[0] === '') return { wrong: 'names no program' };
  if (words.length > ARGUMENTS_MAX) return { wrong: `has more than ${ARGUMENTS_MAX} words` };
  return words;
}
