// SPDX-License-Identifier: Apache-2.0
import { Secret, TokenError, sharedTokenProvider, withoutSecrets } from '@pointsman/azure';
import type { AzureToken, TokenProvider } from '@pointsman/azure';
import { within } from '../client/deferred.js';
import type { AzureAccess } from '../config/model.js';
import { loadIdentityLibrary } from './identity-library.js';
import type { Credential, IdentityLibrary } from './identity-library.js';
import { onOneLine } from './one-line.js';

/** Ways that go by Microsoft Entra ID. */
export type EntraAccess = Extract<
  AzureAccess,
  { readonly kind: 'clientSecret' | 'clientCertificate' | 'workloadIdentity' | 'managedIdentity' | 'developerLogin' }
>;

/** What Service Bus is called in Entra ID. The two slashes are meant. */
const SCOPE = 'https://servicebus.azure.net//.default';

/** For a token: time for the library's own attempts, and no more. */
const TIMEOUT_MS = 60_000;

const NAMES: Readonly<Record<EntraAccess['kind'], string>> = {
  clientSecret: 'Entra ID by client secret',
  clientCertificate: 'Entra ID by client certificate',
  workloadIdentity: 'Entra ID by workload identity',
  managedIdentity: 'Entra ID by managed identity',
  developerLogin: 'Entra ID by the login of a developer',
};

/** Tokens of Microsoft Entra ID: one for the whole namespace. The library for it is loaded with the first of them. */
export function entraTokenProvider(
  access: EntraAccess,
  nowMs: () => number,
  load: () => Promise<IdentityLibrary> = loadIdentityLibrary,
  timeoutMs: number = TIMEOUT_MS,
): TokenProvider {
  let credential: Credential | undefined;
  let asking: AbortController | undefined;
  const fetch = async (): Promise<AzureToken> => {
    const abort = new AbortController();
    asking = abort;
    try {
      credential ??= credentialOf(access, await load());
      const late = (): TokenError => new TokenError('passing', `Entra ID gave none within ${timeoutMs} ms`);
      // The library may wait for ever, and need not look at the signal in time.
      const token = await within(credential.getToken(SCOPE, { abortSignal: abort.signal }), timeoutMs, late);
      if (token === null) throw new TokenError('setup', 'Entra ID gave none');
      return { kind: 'jwt', text: new Secret(token.token), expiresAtMs: token.expiresOnTimestamp };
    } catch (error) {
      if (error instanceof TokenError) throw error;
      throw failureOf(access, error);
    } finally {
      abort.abort();
      asking = undefined;
    }
  };
  return { ...sharedTokenProvider(NAMES[access.kind], fetch, nowMs), close: () => asking?.abort() };
}

function credentialOf(access: EntraAccess, library: IdentityLibrary): Credential {
  switch (access.kind) {
    case 'clientSecret':
      return new library.ClientSecretCredential(access.tenantId, access.clientId, access.secret?.reveal() ?? '');
    case 'clientCertificate': {
      const { tenantId, clientId, file, password } = access;
      return new library.ClientCertificateCredential(tenantId, clientId, {
        certificatePath: file,
        ...(password === undefined ? {} : { certificatePassword: password.reveal() }),
      });
    }
    case 'workloadIdentity': {
      const { tenantId, clientId, tokenFile } = access;
      return new library.WorkloadIdentityCredential({
        ...(tenantId === undefined ? {} : { tenantId }),
        ...(clientId === undefined ? {} : { clientId }),
        ...(tokenFile === undefined ? {} : { tokenFilePath: tokenFile }),
      });
    }
    case 'managedIdentity':
      return new library.ManagedIdentityCredential(access.clientId === undefined ? {} : { clientId: access.clientId });
    case 'developerLogin': {
      const options = access.tenantId === undefined ? {} : { tenantId: access.tenantId };
      return new library.ChainedTokenCredential(
        new library.AzureCliCredential(options),
        new library.AzureDeveloperCliCredential(options),
        new library.AzurePowerShellCredential(options),
      );
    }
  }
}

/** What the library threw, in a sentence. What it says of the network passes; what it says of us stays as it is. */
function failureOf(access: EntraAccess, error: unknown): TokenError {
  const message = error instanceof Error ? error.message : String(error);
  const secrets = [
    access.kind === 'clientSecret' ? access.secret : undefined,
    access.kind === 'clientCertificate' ? access.password : undefined,
  ].filter((secret) => secret !== undefined);
  const status = typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 0;
  const name = error instanceof Error ? error.name : '';
  const isFile = error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES');
  const isSetup = isFile || name === 'CredentialUnavailableError' || status === 400 || status === 401 || status === 403;
  return new TokenError(isSetup ? 'setup' : 'passing', onOneLine(withoutSecrets(message, secrets)));
}
