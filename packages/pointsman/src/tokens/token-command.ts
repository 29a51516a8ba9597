// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { Secret, TokenError, jwtExpiryMs, parseSasToken, sharedTokenProvider } from '@pointsman/azure';
import type { AzureToken, TokenProvider } from '@pointsman/azure';
import { onOneLine } from './one-line.js';

/** Time for the command, and bytes of what it may print. */
const TIMEOUT_MS = 30_000;
const OUTPUT_MAX = 65_536;

/**
 * Tokens that a command prints: alone, or as JSON in the manner of `az account get-access-token`.
 *
 * @param command - the program and its arguments; no shell is between
 */
export function commandTokenProvider(
  command: readonly string[],
  nowMs: () => number,
  timeoutMs: number = TIMEOUT_MS,
): TokenProvider {
  const [program = ''] = command;
  const name = `the command ${onOneLine(program)}`;
  return sharedTokenProvider(name, async () => tokenIn(await outputOf(command, timeoutMs), program), nowMs);
}

function outputOf([program = '', ...args]: readonly string[], timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, maxBuffer: OUTPUT_MAX, killSignal: 'SIGKILL', windowsHide: true } as const;
    const child = execFile(program, args, { ...options, encoding: 'utf8', shell: false }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(failureOf(program, error, stderr, timeoutMs));
    });
    // A command that asks for something gets no answer, instead of waiting for one.
    child.stdin?.on('error', () => undefined).end();
  });
}

function failureOf(
  program: string,
  error: Error & { readonly code?: number | string | null; readonly killed?: boolean },
  stderr: string,
  timeoutMs: number,
): TokenError {
  const { code } = error;
  if (code === 'ENOENT' || code === 'EACCES') {
    const what = code === 'ENOENT' ? 'there is no such program' : 'it may not be run';
    return new TokenError('setup', `${what}: check azureTokenCommand, and PATH of this process`);
  }
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER')
    return new TokenError('setup', `it printed more than ${OUTPUT_MAX} bytes, which is no token`);
  if (error.killed === true) return new TokenError('passing', `it did not end within ${timeoutMs} ms and was killed`);
  const said = onOneLine(stderr);
  return new TokenError('passing', `${onOneLine(program)} ended with ${code}${said === '' ? '' : `: ${said}`}`);
}

/** @throws TokenError where it is not understood; what was printed is not repeated */
function tokenIn(output: string, program: string): AzureToken {
  const text = output.trim();
  if (text.startsWith('{')) return tokenInJson(text, program);
  return tokenOf(text, undefined, program);
}

function tokenInJson(text: string, program: string): AzureToken {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new TokenError('setup', `${onOneLine(program)} printed what is not quite JSON`);
  }
  const fields = parsed as Readonly<Record<string, unknown>>;
  const token = fields['accessToken'] ?? fields['token'];
  if (typeof token !== 'string') {
    throw new TokenError('setup', `${onOneLine(program)} printed JSON without a text 'accessToken'`);
  }
  const seconds = Number(fields['expires_on']);
  const date = typeof fields['expiresOn'] === 'string' ? Date.parse(fields['expiresOn']) : Number.NaN;
  const expiresAtMs = seconds > 0 ? seconds * 1000 : date > 0 ? date : undefined;
  return tokenOf(token.trim(), expiresAtMs, program);
}

function tokenOf(text: string, expiresAtMs: number | undefined, program: string): AzureToken {
  const secret = new Secret(text);
  const sas = parseSasToken(secret);
  if (sas !== undefined) return { kind: 'sas', text: secret, expiresAtMs: sas.expiresAtSeconds * 1000 };
  if (text === '' || /\s/u.test(text)) {
    throw new TokenError(
      'setup',
      `${onOneLine(program)} printed ${text === '' ? 'nothing' : 'something else beside a token'}`,
    );
  }
  const ends = expiresAtMs ?? jwtExpiryMs(text);
  if (ends === undefined) {
    throw new TokenError(
      'setup',
      `${onOneLine(program)} printed a token that does not say when it ends. Print JSON with accessToken and expires_on (seconds since 1970)`,
    );
  }
  return { kind: 'jwt', text: secret, expiresAtMs: ends };
}
