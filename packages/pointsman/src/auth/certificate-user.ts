// SPDX-License-Identifier: Apache-2.0
import { readSmallFile } from '@pointsman/transport';
import type { PeerCertificate } from '@pointsman/transport';

const MAPPING_BYTES_MAX = 16_777_216;

/** Parts of a certificate that a letter of `uidFormat` stands for. */
const PARTS: Readonly<Record<string, (certificate: PeerCertificate) => string | undefined>> = {
  c: ({ subject }) => subject['C'],
  s: ({ subject }) => subject['ST'],
  l: ({ subject }) => subject['L'],
  o: ({ subject }) => subject['O'],
  u: ({ subject }) => subject['OU'],
  n: ({ subject }) => subject['CN'],
  '1': ({ sha1 }) => sha1,
  '2': ({ sha256 }) => sha256,
  '5': ({ sha512 }) => sha512,
};

export const UID_LETTERS: readonly string[] = Object.keys(PARTS);

/** How the user of a certificate is called. */
export interface CertificateNaming {
  /** Letters, as `sslProfile.uidFormat` has them. Absent: the whole subject. */
  readonly format?: string | undefined;
  /** Names to show in place of what the letters give. */
  readonly names?: ReadonlyMap<string, string> | undefined;
}

/** The user of a verified certificate. */
export function userOf(certificate: PeerCertificate, { format, names }: CertificateNaming = {}): string {
  if (format === undefined || format === '' || [...format].some((letter) => PARTS[letter] === undefined))
    return subjectOf(certificate);
  const parts = [...format].map((letter) => PARTS[letter]!(certificate)).filter((part) => part !== undefined);
  const uid = parts.join(';');
  return uid === '' ? subjectOf(certificate) : (names?.get(uid) ?? uid);
}

/** The subject as RFC 4514 writes it: the most specific part comes last in the certificate's name, and so it stands here. */
function subjectOf({ subject }: PeerCertificate): string {
  return Object.entries(subject)
    .toReversed()
    .map(([name, value]) => `${name}=${value.replace(/[,+"\\<>;]|^[# ]| $/gu, (character) => `\\${character}`)}`)
    .join(',');
}

/**
 * Reads an `uidNameMappingFile`: a JSON object of uids and names.
 *
 * @throws Error that says what is wrong with it
 */
export function readNameMapping(file: string): ReadonlyMap<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(readSmallFile(file, MAPPING_BYTES_MAX).toString('utf8'));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
    const why =
      error instanceof SyntaxError
        ? 'it is no JSON'
        : code === 'EFBIG'
          ? 'it is too large'
          : error instanceof Error
            ? error.message
            : String(error);
    throw new Error(`uidNameMappingFile ${file} cannot be used: ${code === 'ENOENT' ? 'there is no such file' : why}`, {
      cause: error,
    });
  }
  const entries =
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  if (entries === undefined || entries.some(([, name]) => typeof name !== 'string'))
    throw new Error(`uidNameMappingFile ${file} cannot be used: it has to be an object whose values are names`);
  return new Map(entries as [string, string][]);
}
