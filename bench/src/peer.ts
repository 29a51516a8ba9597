// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process that forwards messages, ready for load. */
export interface Peer {
  readonly name: string;
  /** The process whose CPU time is charged to the messages. */
  readonly pid: number;
  /** `host:port`, host a dotted IPv4 address. */
  readonly endpoint: string;
  /** From the start of the process to its saying that it listens, ms; undefined where somebody else started it. */
  readonly startMillis: number | undefined;
  stop(): Promise<void>;
}

/** How to start a peer. It says on stdout or stderr where it listens, in a line with `Listening on HOST:PORT`. */
export interface PeerCommand {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
}

/** A peer that does not listen by then is taken for broken, ms. Starting Node.js takes a tenth of it on a busy machine. */
const START_TIMEOUT_MS = 20_000;

/** A peer that does not end by then is killed, ms. */
const STOP_TIMEOUT_MS = 5_000;

/** Of what a peer printed, this much is kept for the error message, characters. */
const OUTPUT_MAX = 4_000;

const LISTENING = /\blistening on (\d+\.\d+\.\d+\.\d+):(\d+)(?=\D)/i;

/**
 * Starts a peer and waits until it listens.
 *
 * @throws Error with the end of what it printed, where it ends first or takes over 20 s
 */
export async function startPeer({ name, program, args }: PeerCommand): Promise<Peer> {
  const startedAt = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (status, signal) => resolve(`it ended with ${signal ?? `status ${status}`}`));
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  };

  let output = '';
  let startMillis = 0;
  const endpoint = new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => fail(`it did not listen within ${START_TIMEOUT_MS / 1000} s`), START_TIMEOUT_MS);
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new Error(`${name} did not start: ${why}\n${output}`));
    };
    const onOutput = (text: string): void => {
      output = (output + text).slice(-OUTPUT_MAX);
      const match = LISTENING.exec(output);
      if (match === null) return;
      startMillis ||= performance.now() - startedAt;
      clearTimeout(timer);
      resolve(`${match[1]}:${match[2]}`);
    };
    // Read to the end, or a talkative peer would block on a full pipe.
    child.stdout.setEncoding('utf8').on('data', onOutput);
    child.stderr.setEncoding('utf8').on('data', onOutput);
    void ended.then(fail);
  });

  try {
    return { name, pid: child.pid ?? 0, endpoint: await endpoint, startMillis, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Memory of a process that is in RAM, kB.
 *
 * @throws Error where there is no such process, or no /proc
 */
export function residentKilobytes(pid: number): number {
  const match = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (match === null) throw new Error(`/proc/${pid}/status has no VmRSS`);
  return Number(match[1]);
}
