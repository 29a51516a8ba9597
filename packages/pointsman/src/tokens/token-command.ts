// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { Secret, TokenError, jwtExpiryMs, parseSasToken, sharedTokenProvider } from '@pointsman/azure';
import type { AzureToken, TokenProvider } from '@pointsman/azure';
import { onOneLine } from './one-line.js';

/** Time for the command, and bytes of what it may print. */
const TIMEOUT_MS = 30_000;
const OUTPUT_MAX = 65_536;
/** Time for output that comes after the end. */
const LATE_OUTPUT_MS = 1_000;
const HAS_GROUPS = process.platform !== 'win32';
/**
 * What a command that traces itself may say of tokens: JSON web tokens, signatures, what stands behind Bearer, and behind a name of
 * a secret.
 */
const TOKENS =
  /\beyJ[\w-]{8,}[\w.-]*|\bsig=[^&\s'"]+|(?<=\bBearer\s+)[^\s'"]+|(?<=(?:password|passwd|pwd|secret|accesskey|access_?token|refresh_?token)["']?\s?[=:]\s?["']?)[^\s'"&,;}]+|(?<=--(?:password|client-?secret)\s)[^\s]+/giu;

/** None of them outlives this process. */
const RUNNING = new Set<{ kill(): void }>();
process.on('exit', () => {
  for (const run of RUNNING) run.kill();
});

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
  const running = new Set<CommandRun>();
  const fetch = async (): Promise<AzureToken> => {
    const run = new CommandRun(command, timeoutMs);
    running.add(run);
    try {
      return tokenIn(await run.output, program);
    } finally {
      running.delete(run);
    }
  };
  return {
    ...sharedTokenProvider(`the command ${onOneLine(program)}`, fetch, nowMs),
    close: () => {
      for (const run of running) run.giveUp(new TokenError('passing', 'it was stopped with the connector'));
    },
  };
}

/** A command at work. It leads a group of its own: a script that is given up takes along what it has started. */
class CommandRun {
  readonly output: Promise<string>;
  readonly #program: string;
  #child: ChildProcess | undefined;
  #fail!: (error: TokenError) => void;
  #isOver = false;

  constructor([program = '', ...args]: readonly string[], timeoutMs: number) {
    this.#program = program;
    let timer: NodeJS.Timeout | undefined;
    let lateTimer: NodeJS.Timeout | undefined;
    this.output = new Promise<string>((resolve, reject) => {
      this.#fail = reject;
      const streams = { out: '', err: '' };
      let child: ChildProcess;
      try {
        child = spawn(program, args, { stdio: 'pipe', detached: HAS_GROUPS, windowsHide: true });
      } catch (error) {
        // Its message would repeat the arguments.
        reject(this.#notStarted(error as Error));
        return;
      }
      this.#child = child;
      timer = setTimeout(
        () => this.giveUp(new TokenError('passing', `it did not end within ${timeoutMs} ms and was killed`)),
        timeoutMs,
      );
      for (const [name, stream] of [['out', child.stdout] as const, ['err', child.stderr] as const]) {
        stream?.setEncoding('utf8').on('error', () => undefined);
        stream?.on('data', (text: string) => {
          streams[name] += text;
          if (streams[name].length > OUTPUT_MAX)
            this.giveUp(new TokenError('setup', `it printed more than ${OUTPUT_MAX} bytes, which is no token`));
        });
      }
      // A command that asks for something gets no answer, instead of waiting for one.
      child.stdin?.on('error', () => undefined).end();
      child.once('error', (error) => this.giveUp(this.#notStarted(error)));
      const ended = (code: number | null, signal: string | null): void => {
        if (code === 0) resolve(streams.out);
        else reject(this.#failed(code ?? signal ?? 'nothing', streams.err));
      };
      child.once('close', ended);
      // Something that it has started may hold on to its output, for ever.
      child.once('exit', (code, signal) => {
        lateTimer = setTimeout(() => ended(code, signal), LATE_OUTPUT_MS);
      });
    }).finally(() => {
      this.#isOver = true;
      clearTimeout(timer);
      clearTimeout(lateTimer);
      RUNNING.delete(this);
      this.#child?.stdout?.destroy();
      this.#child?.stderr?.destroy();
    });
    RUNNING.add(this);
  }

  /** Ends it, and what it has started. */
  giveUp(error: TokenError): void {
    if (this.#isOver) return;
    this.#fail(error);
    this.kill();
  }

  kill(): void {
    const { pid } = this.#child ?? {};
    if (pid === undefined) return;
    try {
      if (HAS_GROUPS) process.kill(-pid, 'SIGKILL');
      else this.#child?.kill('SIGKILL');
    } catch {
      // It is gone already.
    }
  }

  #notStarted(error: Error & { readonly code?: string }): TokenError {
    const { code = 'unknown reason' } = error;
    if (code === 'ENOENT' || code === 'EACCES') {
      const what = code === 'ENOENT' ? 'there is no such program' : 'it may not be run';
      return new TokenError('setup', `${what}: check azureTokenCommand, and PATH of this process`);
    }
    return new TokenError('passing', `${onOneLine(this.#program)} could not be started (${code})`);
  }

  #failed(how: number | string, stderr: string): TokenError {
    const said = onOneLine(stderr.replaceAll(TOKENS, '[secret]'));
    return new TokenError('passing', `${onOneLine(this.#program)} ended with ${how}${said === '' ? '' : `: ${said}`}`);
  }
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
  if (!/^[\w.~+/=-]+$/u.test(text)) {
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
