// SPDX-License-Identifier: Apache-2.0
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { makeDevelopmentCertificates } from '@pointsman/transport';
import { fileFailure } from '../file-failure.js';

/** Where a development certificate lies. The names are fixed, so that a configuration can name them. */
export interface CertificateFiles {
  readonly folder: string;
  /** The authority, PEM: what a client's caCertFile has to name. */
  readonly caCertFile: string;
  readonly certFile: string;
  readonly privateKeyFile: string;
  /** It was there already. */
  readonly reused: boolean;
  /** Removes a folder that was made for this run alone; otherwise nothing. */
  dispose(): void;
}

export interface CertificateNames {
  readonly names: readonly string[];
  readonly ips: readonly string[];
}

const CA_FILE = 'ca.pem';
const CERT_FILE = 'cert.pem';
const KEY_FILE = 'key.pem';

/** A certificate that ends before this is made anew, so that none runs out under a running server soon. */
const REMAINING_MS_MIN = 24 * 3_600_000;

/**
 * A development certificate in a folder: the one that lies there if it serves these names, or else a new one.
 *
 * @param folder - kept for the next run; undefined for one of the system's temporary folders
 * @throws Error where the folder cannot be used
 */
export function certificateIn(folder: string | undefined, wanted: CertificateNames): CertificateFiles {
  const temporary = folder === undefined;
  const path = temporary ? mkdtempSync(join(tmpdir(), 'pointsman-namespace-')) : ownFolder(resolve(folder));
  const files = {
    folder: path,
    caCertFile: join(path, CA_FILE),
    certFile: join(path, CERT_FILE),
    privateKeyFile: join(path, KEY_FILE),
    dispose: (): void => {
      if (temporary) rmSync(path, { recursive: true, force: true });
    },
  };
  if (!temporary && isUsable(files, wanted)) return { ...files, reused: true };
  const { caCert, cert, key } = makeDevelopmentCertificates(wanted);
  // The key first: who finds the authority finds the rest as well.
  put(files.privateKeyFile, key, 0o600);
  put(files.certFile, cert, 0o644);
  put(files.caCertFile, caCert, 0o644);
  return { ...files, reused: false };
}

/** The folder, made if need be. What others may write to is no place for what we trust. */
function ownFolder(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Error(
      `the folder '${path}' cannot be made: ${fileFailure(error)}. Name another one for the certificate`,
      { cause: error },
    );
  }
  const status = lstatSync(path);
  if (!status.isDirectory()) throw new Error(`'${path}' is not a folder: name another one for the certificate`);
  if (process.getuid !== undefined && status.uid !== process.getuid()) {
    throw new Error(`the folder '${path}' belongs to another user: name one of your own for the certificate`);
  }
  if ((status.mode & 0o022) !== 0) chmodSync(path, status.mode & 0o755);
  // What lies here is of this machine alone; no repository should take it in.
  put(join(path, '.gitignore'), '*\n', 0o644);
  return path;
}

/** Writes a file as a whole or not at all, with its rights from the first byte on. */
function put(path: string, text: string, mode: number): void {
  const aside = `${path}.${process.pid}.new`;
  rmSync(aside, { force: true });
  writeFileSync(aside, text, { mode, flag: 'wx' });
  renameSync(aside, path);
}

function isUsable(
  files: { readonly caCertFile: string; readonly certFile: string; readonly privateKeyFile: string },
  { names, ips }: CertificateNames,
): boolean {
  try {
    const authority = new X509Certificate(readFileSync(files.caCertFile));
    const certificate = new X509Certificate(readFileSync(files.certFile));
    const key = createPrivateKey(readFileSync(files.privateKeyFile));
    if ((lstatSync(files.privateKeyFile).mode & 0o077) !== 0) return false;
    return (
      certificate.checkIssued(authority) &&
      certificate.verify(authority.publicKey) &&
      certificate.checkPrivateKey(key) &&
      Date.parse(certificate.validTo) > Date.now() + REMAINING_MS_MIN &&
      names.every((name) => (certificate.subjectAltName ?? '').split(', ').includes(`DNS:${name}`)) &&
      ips.every((ip) => certificate.checkIP(ip) !== undefined)
    );
  } catch {
    return false;
  }
}
