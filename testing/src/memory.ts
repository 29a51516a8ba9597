// SPDX-License-Identifier: Apache-2.0
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { until } from './wait.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** A heartbeat or a line of log here and there does not count, bytes. */
const STEADY_BYTES = 10_000;

/** Looks that have to agree: what is freed late (sockets that close, a program that ends) shows in the next one. */
const LOOKS_ALIKE = 5;

/** Bytes of buffers that this process still refers to after a full garbage collection, once that does not change any more. */
export async function bytesHeld(): Promise<number> {
  let [bytes, alike] = [-1, 0];
  await until('the memory in use to be steady', () => {
    collect();
    const now = process.memoryUsage().arrayBuffers;
    alike = Math.abs(now - bytes) < STEADY_BYTES ? alike + 1 : 0;
    bytes = now;
    return alike >= LOOKS_ALIKE;
  });
  return bytes;
}
