// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { issueCertificate } from '@pointsman/transport';
import type { CertificateIssuer, CertificateRequest } from '@pointsman/transport';

const DAY_MS = 86_400_000;

/** An authority and what it has issued, as files in a folder. */
export class Certificates {
  readonly #folder: string;
  readonly #issuer: CertificateIssuer;
  readonly caCertFile: string;

  constructor(folder: string, name = 'test root') {
    this.#folder = folder;
    this.#issuer = issueCertificate({ ...this.#days(), commonName: name, authority: true });
    this.caCertFile = this.#write(`${name.replaceAll(' ', '-')}.pem`, this.#issuer.cert);
  }

  /** Writes `NAME.pem` and `NAME.key`, also over what is there. */
  issue(
    name: string,
    request: Partial<CertificateRequest> = {},
  ): { readonly certFile: string; readonly privateKeyFile: string } {
    const { cert, key } = issueCertificate({ ...this.#days(), commonName: name, ...request }, this.#issuer);
    return { certFile: this.#write(`${name}.pem`, cert), privateKeyFile: this.#write(`${name}.key`, key) };
  }

  #days(): Pick<CertificateRequest, 'notBefore' | 'notAfter'> {
    return { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) };
  }

  #write(name: string, text: string): string {
    const file = join(this.#folder, name);
    writeFileSync(file, text);
    return file;
  }
}
