// SPDX-License-Identifier: Apache-2.0

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of the path is no folder',
  EISDIR: 'it is a folder',
  EEXIST: 'a file of that name is there',
  EACCES: 'this user has no right to it',
  EPERM: 'this user has no right to it',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EFBIG: 'it is too large',
  EAGAIN: 'it is a pipe, and nobody writes to it',
  EXDEV: 'it would leave its file system',
};

/** Why a file could not be used, as the second half of a sentence: from an error of node:fs, or of `readSmallFile`. */
export function fileFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return WORDS[code] ?? (error instanceof Error ? error.message : String(error));
}
