// SPDX-License-Identifier: Apache-2.0

/** Suffixes that name something beside an entity, from the longest. */
const SUFFIXES = [
  ['/$transfer/$deadletterqueue', 'transfer-dead-letter-queue'],
  ['/$deadletterqueue', 'dead-letter-queue'],
] as const;

/** An address, taken apart. `path` is in lower case: names are compared so. */
export interface NodeAddress {
  readonly kind: 'entity' | 'dead-letter-queue' | 'transfer-dead-letter-queue' | 'cbs';
  /** `<queue>`, `<topic>` or `<topic>/subscriptions/<name>`. */
  readonly path: string;
  /** Its `$management` node is meant. */
  readonly isManagement: boolean;
  /** Relative address as written, for texts. */
  readonly written: string;
  /** Host of a full URI, in lower case. */
  readonly host: string | undefined;
}

/**
 * Reads an address in any of the spellings that clients use: relative, with a slash in front, or a full URI with
 * scheme `sb`, `amqps` or another. A backslash is a slash. Names may contain slashes, so suffixes are taken from the right.
 */
export function readAddress(address: string): NodeAddress {
  const slashed = address.replaceAll('\\', '/');
  const uri = /^[a-z][a-z0-9+.-]*:\/\/([^/]*)(.*)$/i.exec(slashed);
  const written = (uri?.[2] ?? slashed).replace(/^\//, '').replace(/\/$/, '');
  const host = uri?.[1]?.replace(/^.*@/, '').replace(/:\d+$/, '').toLowerCase();
  let path = written.toLowerCase();
  if (path === '$cbs') return { kind: 'cbs', path, isManagement: false, written, host };
  const isManagement = path.endsWith('/$management');
  if (isManagement) path = path.slice(0, -'/$management'.length);
  for (const [suffix, kind] of SUFFIXES) {
    if (path.endsWith(suffix)) return { kind, path: path.slice(0, -suffix.length), isManagement, written, host };
  }
  return { kind: 'entity', path, isManagement, written, host };
}

/** Path of an entity in an audience or resource URI, lower case: '' for the namespace itself. */
export function audiencePath(audience: string): string {
  return readAddress(audience).written.toLowerCase();
}

/** What names are made of, in the words of the service. */
export const NAME_RULE =
  'Entity segments can contain only letters, numbers, periods (.), hyphens (-), and underscores (_).';

/**
 * Checks the name of an entity that is to be created.
 *
 * @throws TypeError naming what is wrong with it
 */
export function checkName(name: string, what: string, lengthMax: number): void {
  if (name === '' || name.length > lengthMax) {
    throw new TypeError(`The name of ${what} '${name.slice(0, 60)}' must have 1 to ${lengthMax} characters.`);
  }
  if (/^\/|\/$/.test(name)) throw new TypeError(`The name of ${what} '${name}' begins or ends with a slash.`);
  if (!isName(name))
    throw new TypeError(`The name of ${what} '${name}' has characters that are not allowed. ${NAME_RULE}`);
}

/** Whether each part of a path has characters of names alone. The portal lets tildes in, too. */
export function isName(path: string): boolean {
  return /^[\w.~-]+(?:\/[\w.~-]+)*$/.test(path);
}
