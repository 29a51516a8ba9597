// SPDX-License-Identifier: Apache-2.0
import * as wire from '../src/index.js';
import type { Composite, Reader, Writer } from '../src/index.js';

type Functions = Readonly<Record<string, (...args: unknown[]) => unknown>>;
const all = wire as unknown as Functions;

function nameOf(definition: Composite): string {
  if (definition.name === 'error') return 'AmqpError';
  return definition.name.replace(/(^|-)(\w)/g, (_, __, letter: string) => letter.toUpperCase());
}

/** The generated reader of a composite, behind its descriptor. */
export function readBody(definition: Composite, r: Reader): Record<string, unknown> {
  return all[`read${nameOf(definition)}Body`]!(r) as Record<string, unknown>;
}

/** The generated writer of a composite, descriptor included. */
export function writeComposite(definition: Composite, w: Writer, value: Record<string, unknown>, padded = false): void {
  all[`write${nameOf(definition)}`]!(w, value, padded);
}
