// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

/** As much of JSON Schema as docs/doctor.schema.json makes use of. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly minimum?: number;
  readonly $defs?: Readonly<Record<string, Schema>>;
}

const KEYWORDS = new Set([
  '$schema',
  '$ref',
  '$defs',
  'title',
  'description',
  'type',
  'const',
  'enum',
  'required',
  'properties',
  'additionalProperties',
  'items',
  'minimum',
]);

export const DOCTOR_SCHEMA: Schema = JSON.parse(
  readFileSync(new URL('../../../../docs/doctor.schema.json', import.meta.url), 'utf8'),
) as Schema;

/** Holds what the doctor says to programs against docs/doctor.schema.json. */
export function assertShape(value: unknown): void {
  check(value, DOCTOR_SCHEMA, 'report');
}

function check(value: unknown, schema: Schema, at: string): void {
  for (const keyword of Object.keys(schema)) assert.ok(KEYWORDS.has(keyword), `${at}: nobody looks at ${keyword}`);
  if (schema.$ref !== undefined) {
    const named = DOCTOR_SCHEMA.$defs?.[schema.$ref.replace('#/$defs/', '')];
    assert.ok(named, `${at}: there is no ${schema.$ref}`);
    check(value, named, at);
    return;
  }
  if (schema.const !== undefined) assert.deepEqual(value, schema.const, at);
  if (schema.enum !== undefined) assert.ok(schema.enum.includes(value), `${at}: ${String(value)} is not in the list`);
  if (schema.type !== undefined) {
    const types = typeof schema.type === 'string' ? [schema.type] : schema.type;
    assert.ok(types.includes(typeOf(value)), `${at} is ${typeOf(value)}, not ${types.join(' or ')}`);
  }
  if (schema.minimum !== undefined) assert.ok((value as number) >= schema.minimum, `${at} is below ${schema.minimum}`);
  if (Array.isArray(value)) {
    if (schema.items !== undefined)
      for (const [index, item] of value.entries()) check(item, schema.items, `${at}[${index}]`);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const name of schema.required ?? []) assert.ok(Object.hasOwn(value, name), `${at} has no ${name}`);
  for (const [name, member] of Object.entries(value)) {
    const known = schema.properties?.[name] ?? schema.additionalProperties;
    assert.ok(known !== false, `${at} has ${name}, which the schema does not know`);
    if (typeof known === 'object') check(member, known, `${at}.${name}`);
  }
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}
