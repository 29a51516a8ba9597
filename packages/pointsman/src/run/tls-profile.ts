// SPDX-License-Identifier: Apache-2.0
import { TlsCredentialsError, loadTlsCredentials } from '@pointsman/transport';
import type { TlsCredentials } from '@pointsman/transport';
import { statSync } from 'node:fs';
import { readNameMapping } from '../auth/certificate-user.js';
import type { CertificateNaming } from '../auth/certificate-user.js';
import type { SslProfileConfig } from '../config/model.js';

/** An sslProfile with what its files hold now. */
export class TlsProfileRuntime {
  readonly config: SslProfileConfig;
  readonly #file: string;
  credentials: TlsCredentials;
  /** How users of certificates are called. */
  naming: CertificateNaming;
  /** Of the files that the credentials were read from, or that could not be used. */
  #state: string;
  /** Of the files when they were last looked at. */
  #seen: string;

  /**
   * @param file - name of the configuration file, for messages
   * @throws TlsCredentialsError
   */
  constructor(config: SslProfileConfig, file: string) {
    this.config = config;
    this.#file = file;
    this.#state = stateOf(config);
    this.#seen = this.#state;
    this.credentials = credentialsOf(config, file);
    this.naming = namingOf(config, file);
  }

  /**
   * Reads the files again if they have changed, and are not changing still: certificate and key are written one after the
   * other, and belong together.
   *
   * @param atOnce - even if they may be changing still
   * @returns whether the credentials are others now
   * @throws TlsCredentialsError where the changed files do not do, once for each change; the credentials stay the old ones
   */
  refresh(atOnce = false): boolean {
    const before = this.#seen;
    this.#seen = stateOf(this.config);
    if (this.#seen === this.#state || (!atOnce && this.#seen !== before)) return false;
    this.#state = this.#seen;
    const naming = namingOf(this.config, this.#file);
    this.credentials = credentialsOf(this.config, this.#file);
    this.naming = naming;
    return true;
  }
}

function stateOf({ caCertFile, certFile, privateKeyFile, uidNameMappingFile }: SslProfileConfig): string {
  return [caCertFile, certFile, privateKeyFile, uidNameMappingFile]
    .map((file) => {
      if (file === undefined) return '';
      try {
        const { ino, size, mtimeMs } = statSync(file);
        return `${ino} ${size} ${mtimeMs}`;
      } catch {
        return 'none';
      }
    })
    .join('\n');
}

/** @throws TlsCredentialsError where the file of names does not do */
function namingOf({ name, uidFormat, uidNameMappingFile, line }: SslProfileConfig, file: string): CertificateNaming {
  if (uidNameMappingFile === undefined) return { format: uidFormat };
  try {
    return { format: uidFormat, names: readNameMapping(uidNameMappingFile) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TlsCredentialsError(
      'uidNameMappingFile',
      uidNameMappingFile,
      `${line > 0 ? `${file}:${line}: ` : ''}sslProfile ${name}: ${why}.`,
      'Correct it, or take it out.',
      error,
    );
  }
}

/** @throws TlsCredentialsError that also says where the profile stands */
function credentialsOf(profile: SslProfileConfig, file: string): TlsCredentials {
  try {
    return loadTlsCredentials({
      name: profile.name,
      caCertFile: profile.caCertFile,
      certFile: profile.certFile,
      privateKeyFile: profile.privateKeyFile,
      password: profile.password?.reveal(),
      ciphers: profile.ciphers,
      protocols: profile.protocols?.join(' '),
    });
  } catch (error) {
    if (!(error instanceof TlsCredentialsError)) throw error;
    throw new TlsCredentialsError(
      error.setting,
      error.file,
      `${profile.line > 0 ? `${file}:${profile.line}: ` : ''}${error.message}.`,
      error.hint,
      error,
    );
  }
}
