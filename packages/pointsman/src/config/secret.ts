// SPDX-License-Identifier: Apache-2.0
import { Secret } from '@pointsman/azure';
import { readSmallFile } from '@pointsman/transport';
import { fileFailure } from '../file-failure.js';

// More than any key or token has; a password file is not a log file named by mistake.
const FILE_BYTES_MAX = 65_536;

/** Where secrets outside the configuration file come from. */
export interface SecretSources {
  /** Value of an environment variable, or undefined where it is not set. */
  env(name: string): string | undefined;
  /** Contents of a file. @throws any error where it cannot be read */
  readFile(path: string): string;
}

/** The process's own environment and file system. */
export const processSecretSources: SecretSources = {
  env: (name) => process.env[name],
  readFile: (path) => readSmallFile(path, FILE_BYTES_MAX).toString('utf8'),
};

export type ResolvedSecret =
  /** `plain`: the secret itself stands in the configuration file. */
  { readonly secret: Secret; readonly plain: boolean } | { readonly reason: string; readonly hint: string };

/**
 * Finds the secret that a value of the configuration file stands for.
 *
 * `env:NAME` is the value of an environment variable, `file:PATH` the first line of a file, `pass:TEXT` and
 * `literal:TEXT` are the text, and so is anything else as a whole.
 */
export function resolveSecret(value: string, sources: SecretSources): ResolvedSecret {
  const [, form, rest = ''] = /^(env|file|pass|literal):(.*)$/su.exec(value) ?? [];
  switch (form) {
    case 'env':
      return fromEnvironment(rest.trim(), sources);
    case 'file':
      return fromFile(rest.trim(), sources);
    case undefined:
      return plainSecret(value);
    default:
      return plainSecret(rest);
  }
}

function plainSecret(text: string): ResolvedSecret {
  if (text === '') return { reason: 'is empty', hint: 'write env:NAME or file:PATH' };
  return { secret: new Secret(text), plain: true };
}

function fromEnvironment(name: string, sources: SecretSources): ResolvedSecret {
  if (!/^[^\s=\0]+$/u.test(name)) {
    return { reason: 'names no environment variable after env:', hint: 'write env:NAME' };
  }
  const text = sources.env(name);
  if (text === undefined) {
    return {
      reason: `refers to the environment variable ${name}, which is not set`,
      hint: `set ${name} and start again`,
    };
  }
  if (text === '') {
    return {
      reason: `refers to the environment variable ${name}, which is empty`,
      hint: `set ${name} and start again`,
    };
  }
  return { secret: new Secret(text), plain: false };
}

function fromFile(path: string, sources: SecretSources): ResolvedSecret {
  if (path === '') return { reason: 'names no file after file:', hint: 'write file:PATH' };
  let text: string;
  try {
    text = sources.readFile(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    if (code === 'EFBIG') return tooLarge(path);
    const why = code === 'ENOENT' ? 'which does not exist' : `which cannot be read: ${fileFailure(error)}`;
    return {
      reason: `refers to the file ${path}, ${why}`,
      hint: 'a relative name starts at the working directory',
    };
  }
  if (text.length > FILE_BYTES_MAX) return tooLarge(path);
  const [first = ''] = text.replace(/^\ufeff/u, '').split(/\r?\n/u, 1);
  if (first === '') {
    return {
      reason: `refers to the file ${path}, whose first line is empty`,
      hint: 'write the secret into its first line',
    };
  }
  return { secret: new Secret(first), plain: false };
}

function tooLarge(path: string): ResolvedSecret {
  return {
    reason: `refers to the file ${path}, which is too large`,
    hint: 'its first line is the secret, and all it needs',
  };
}
