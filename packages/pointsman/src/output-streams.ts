// SPDX-License-Identifier: Apache-2.0

/** What matters here of a process and its output. */
export interface OutputProcess {
  readonly stdout: NodeJS.EventEmitter;
  readonly stderr: NodeJS.WritableStream;
  exit(status: number): never;
}

/**
 * What happens where nobody reads the output any more (`| head`), or there is no room for it.
 *
 * - `server`: nothing. A router forwards all the same.
 * - `command`: it goes on without readers, and ends with its own status; without room it ends with 1, and says so.
 * - `viewer`: the same, and without readers it ends with 0, since it would go on for long and nobody looks.
 */
export type OutputManner = 'server' | 'command' | 'viewer';

/** Keeps lost output from ending the process in any other way than `manner` says. */
export function mindOutput(process: OutputProcess, manner: OutputManner): void {
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (manner === 'server') return;
    if (code !== 'EPIPE') {
      process.stderr.write(`The output cannot be written: ${message}\n`);
      process.exit(1);
    }
    if (manner === 'viewer') process.exit(0);
  });
}
