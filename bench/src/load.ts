// SPDX-License-Identifier: Apache-2.0

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Peer } from './peer.js';
import { ROOT } from './peers.js';

const run = promisify(execFile);

/** What one run of the load generator sends. */
export interface Load {
  /** Body of a message, bytes. */
  readonly sizeBytes: number;
  readonly settled: boolean;
  /** Sending and receiving connections, each pair with an address of its own. */
  readonly pairs: number;
  /** Credit that each receiver gives, messages; 1000 by default. */
  readonly credit?: number;
  /** Messages a second over all pairs, whose latency is taken; flat out by default. */
  readonly ratePerSecond?: number;
  /** Size of the messages of one pair more, that runs flat out and is not counted; none by default. */
  readonly besideBytes?: number;
}

/** How long, s. The warm-up is not measured: it is there for the peer's just-in-time compiler. */
export interface Duration {
  readonly warmup: number;
  readonly seconds: number;
}

export interface LoadResult {
  readonly messagesPerSecond: number;
  /** Accepted towards the sender. Zero where messages were sent settled. */
  readonly acceptedPerSecond: number;
  /** User and system time of the peer, µs a message. */
  readonly cpuMicrosPerMessage: number;
  readonly residentKilobytes: number;
  readonly refused: number;
  /** Connections that ended early. */
  readonly closed: number;
  /** From the sender's write to the receiver's read, µs; with {@link Load.ratePerSecond} only. */
  readonly latencyMicros: { readonly p50: number; readonly p99: number } | undefined;
  /** Messages of the pair beside. */
  readonly besidePerSecond: number | undefined;
}

export interface IdleResult {
  readonly residentKilobytes: number;
  readonly kilobytesPerConnection: number;
}

/**
 * Compiles bench/load/amqpload.c with `cc`, once for each version of it.
 *
 * @returns path of the program
 * @throws Error where this is not Linux, or there is no C compiler
 */
export async function compileLoad(): Promise<string> {
  if (process.platform !== 'linux')
    throw new Error(`the load generator needs Linux (epoll, /proc), this is ${process.platform}`);
  const source = join(ROOT, 'bench', 'load', 'amqpload.c');
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const program = join(ROOT, '.cache', `amqpload-${process.arch}-${hash}`);
  if (existsSync(program)) return program;
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  // Two processes may compile at once; each renames a whole file.
  const unfinished = `${program}.${process.pid}`;
  try {
    await run('cc', ['-O2', '-o', unfinished, source]);
  } catch (error) {
    throw new Error(`cannot compile ${source} with cc: ${messageOf(error)}`, { cause: error });
  }
  renameSync(unfinished, program);
  return program;
}

/**
 * Puts load on a peer.
 *
 * @throws Error where nothing was delivered, or messages were lost or refused
 */
export async function runLoad(program: string, peer: Peer, load: Load, duration: Duration): Promise<LoadResult> {
  const args = ['--to', peer.endpoint, '--from', peer.endpoint, '--pid', String(peer.pid)];
  args.push('--size', String(load.sizeBytes), '--pairs', String(load.pairs));
  args.push('--warmup', String(duration.warmup), '--seconds', String(duration.seconds));
  if (load.settled) args.push('--settled');
  if (load.credit !== undefined) args.push('--credit', String(load.credit));
  if (load.ratePerSecond !== undefined) args.push('--rate', String(load.ratePerSecond));
  if (load.besideBytes !== undefined) args.push('--beside', String(load.besideBytes));
  return parseResult(await runProgram(program, peer, args, duration.warmup + duration.seconds + 30));
}

/**
 * Opens idle connections with one receiver each, on an address of its own, and looks at the memory that they take.
 *
 * @throws Error where one of them was refused
 */
export async function runIdle(program: string, peer: Peer, connections: number): Promise<IdleResult> {
  const args = ['--from', peer.endpoint, '--pid', String(peer.pid), '--pairs', '0', '--idle', String(connections)];
  const number = numbersOf(await runProgram(program, peer, args, 60));
  if (number('idle') !== connections)
    throw new Error(`amqpload opened ${number('idle')} of ${connections} connections`);
  return { residentKilobytes: number('peer_rss_kb'), kilobytesPerConnection: number('kb_per_connection') };
}

async function runProgram(program: string, peer: Peer, args: readonly string[], seconds: number): Promise<string> {
  try {
    return (await run(program, args, { timeout: Math.ceil(seconds * 1000) })).stdout;
  } catch (error) {
    throw new Error(`amqpload against ${peer.name}: ${messageOf(error)}`, { cause: error });
  }
}

/** Reads the one line of JSON that the load generator prints. */
export function parseResult(line: string): LoadResult {
  const number = numbersOf(line);
  const json = JSON.parse(line) as { latency_us?: { p50: number; p99: number }; beside_per_s?: number };
  return {
    messagesPerSecond: number('msgs_per_s'),
    acceptedPerSecond: number('accepted_per_s'),
    cpuMicrosPerMessage: number('peer_cpu_us_per_msg'),
    residentKilobytes: number('peer_rss_kb'),
    refused: number('refused'),
    closed: number('closed'),
    latencyMicros: json.latency_us,
    besidePerSecond: json.beside_per_s,
  };
}

function numbersOf(line: string): (name: string) => number {
  const json = JSON.parse(line) as Record<string, unknown>;
  return (name) => {
    const value = json[name];
    if (typeof value !== 'number') throw new Error(`amqpload printed no number '${name}': ${line}`);
    return value;
  };
}

/** What a failed program printed, or why it did not start. */
function messageOf(error: unknown): string {
  const { stderr, stdout, message } = error as { stderr?: string; stdout?: string; message: string };
  return [stderr?.trim(), stdout?.trim()].filter(Boolean).join('\n') || message;
}
