// SPDX-License-Identifier: Apache-2.0

const LENGTH_MAX = 400;

/** A text of somebody else's for a message of ours: on one line, without control characters, not too long. */
export function onOneLine(text: string): string {
  // eslint-disable-next-line no-control-regex
  const line = text
    .slice(0, 8192)
    .replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029]+/gu, ' ')
    .trim();
  return line.length > LENGTH_MAX ? `${line.slice(0, LENGTH_MAX)}…` : line;
}
