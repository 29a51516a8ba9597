// SPDX-License-Identifier: Apache-2.0
import { TokenError } from '@pointsman/azure';

/** The part of `@azure/identity` that is used. */
export interface IdentityLibrary {
  readonly ClientSecretCredential: new (tenantId: string, clientId: string, clientSecret: string) => Credential;
  readonly ClientCertificateCredential: new (
    tenantId: string,
    clientId: string,
    certificate: { readonly certificatePath: string; readonly certificatePassword?: string },
  ) => Credential;
  readonly WorkloadIdentityCredential: new (options: {
    readonly tenantId?: string;
    readonly clientId?: string;
    readonly tokenFilePath?: string;
  }) => Credential;
  readonly ManagedIdentityCredential: new (options: { readonly clientId?: string }) => Credential;
  readonly AzureCliCredential: new (options: { readonly tenantId?: string }) => Credential;
  readonly AzureDeveloperCliCredential: new (options: { readonly tenantId?: string }) => Credential;
  readonly AzurePowerShellCredential: new (options: { readonly tenantId?: string }) => Credential;
  readonly ChainedTokenCredential: new (...credentials: Credential[]) => Credential;
}

/** Something that knows who we are. */
export interface Credential {
  getToken(
    scope: string,
    options?: { readonly abortSignal?: AbortSignal },
  ): Promise<{ readonly token: string; readonly expiresOnTimestamp: number } | null>;
}

const PACKAGE = '@azure/identity';

/**
 * Loads `@azure/identity`, which is installed where it is wanted and nowhere else: docs/decisions/0006-azure-identity.md.
 *
 * @throws TokenError where it is not installed, with what to do
 */
export async function loadIdentityLibrary(): Promise<IdentityLibrary> {
  try {
    // By a variable, since the compiler must do without it.
    return (await import(PACKAGE)) as IdentityLibrary;
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
    const why = isMissing && error.message.includes(PACKAGE) ? 'which is not installed' : `which failed to load`;
    const detail = isMissing ? '' : ` (${error instanceof Error ? error.message : String(error)})`;
    throw new TokenError(
      'setup',
      `tokens of Microsoft Entra ID need the package ${PACKAGE}, ${why}${detail}. Install it beside pointsman: npm install ${PACKAGE}@4`,
      { cause: error },
    );
  }
}
