// SPDX-License-Identifier: Apache-2.0

/** A place in the source. */
export interface SourcePlace {
  /** Package and file, as `router/router.js`. */
  readonly file: string;
  readonly line: number;
}

/** Frames of the logger itself, and of those that only pass on to it. */
const PASSED_ON = /[\\/]pointsman[\\/](dist[\\/])?src[\\/](log\.|log[\\/])/;

/** Where the line that is being written was asked for: the nearest caller outside the logger. */
export function callerPlace(): SourcePlace | undefined {
  const stack = new Error().stack ?? '';
  for (const frame of stack.split('\n').slice(2)) {
    const found = /\(?((?:file:\/\/)?[^()\s]+):(\d+):\d+\)?$/.exec(frame);
    if (found === null || PASSED_ON.test(found[1]!)) continue;
    return { file: shortOf(found[1]!), line: Number(found[2]) };
  }
  return undefined;
}

function shortOf(path: string): string {
  const inPackage = /([^\\/]+)[\\/](?:dist[\\/])?(?:src|test)[\\/](.+)$/.exec(path);
  if (inPackage !== null) return `${inPackage[1]}/${inPackage[2]}`.replaceAll('\\', '/');
  return path.split(/[\\/]/).at(-1)!;
}
