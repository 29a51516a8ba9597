// SPDX-License-Identifier: Apache-2.0
import { Readable, Writable } from 'node:stream';
import type { ToolIo } from '../src/tools/tool-io.js';

class Collector extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString('utf8');
    done();
  }
}

/** A process of which a test reads what was written. */
export interface TestToolIo extends ToolIo {
  stdoutText(): string;
  stderrText(): string;
}

export function toolIo(input = ''): TestToolIo {
  const stdout = new Collector();
  const stderr = new Collector();
  return {
    stdout,
    stderr,
    stdin: Readable.from([Buffer.from(input)]),
    env: {},
    stdoutText: () => stdout.text,
    stderrText: () => stderr.text,
  };
}
