// SPDX-License-Identifier: Apache-2.0
import { attributeOf, entityTypeOf } from '@pointsman/management';
import type { AmqpValue } from '@pointsman/wire';
import { optionHelp, parseArguments, usageText } from './arguments.js';
import type { OptionSpec, ParsedArguments } from './arguments.js';
import { parseBusAddress } from './bus-address.js';
import { commonOptions, connectionOptions, managementAddress, targetOptions } from './common-options.js';
import type { ManagementClient } from './management-client.js';
import { amqpOf, jsonText, parseJson, plainOf } from './plain-value.js';
import type { Plain, Row } from './plain-value.js';
import { ToolError, UsageError } from './tool-error.js';
import { runTool } from './tool-io.js';
import type { ToolIo } from './tool-io.js';

const PROGRAM = 'qdmanage <operation>';
const INDENT_DEFAULT = 2;
const PREFIX = 'org.apache.qpid.dispatch.';

export const requestOptions: readonly OptionSpec[] = [
  { flags: ['--type'], key: 'type', kind: 'text', help: 'type of the entity' },
  { flags: ['--name'], key: 'name', kind: 'text', help: 'name of the entity' },
  { flags: ['--identity'], key: 'identity', kind: 'text', metavar: 'ID', help: 'identity of the entity' },
  { flags: ['--indent'], key: 'indent', kind: 'int', help: 'blanks per level of JSON; -1 for one line (default 2)' },
  {
    flags: ['--stdin'],
    key: 'stdin',
    kind: 'flag',
    help: 'read attributes from stdin: a JSON map, or a list of maps for several entities',
  },
  { flags: ['--body'], key: 'body', kind: 'text', help: 'body of the request, as JSON (other operations)' },
  {
    flags: ['--properties'],
    key: 'properties',
    kind: 'text',
    help: 'application properties of the request, as a JSON map (other operations)',
  },
];

const options: readonly OptionSpec[] = [...commonOptions, ...targetOptions(), ...requestOptions, ...connectionOptions];

const STANDARD =
  'QUERY, CREATE, READ, UPDATE, DELETE, GET-TYPES, GET-OPERATIONS, GET-ATTRIBUTES, GET-ANNOTATIONS, GET-MGMT-NODES, GET-SCHEMA, GET-JSON-SCHEMA, GET-LOG';

function helpText(): string {
  return `${usageText(PROGRAM, options)}
Asks a management node. Operations: ${STANDARD}.
GET-OPERATIONS tells which there are besides.

Optional Arguments:
${optionHelp([...commonOptions, ...targetOptions(), ...requestOptions])}
Connection:
${optionHelp(connectionOptions)}`;
}

/** The command `qdmanage`, as scripts know it. @returns the exit status */
export function runQdmanage(argv: readonly string[], io: ToolIo): Promise<number> {
  return runTool(PROGRAM, options, helpText, io, async () => {
    const args = parseArguments(argv, options, true);
    const isInfo = args.has('help') || args.has('version');
    if (args.positionals.length === 0 && !isInfo) throw new UsageError('No operation specified');
    return { args, run: (write) => manage(args, io, write) };
  });
}

async function manage(args: ParsedArguments, io: ToolIo, write: (text: string) => void): Promise<void> {
  const answer = await carryOut(args, io);
  if (answer === undefined) return;
  write(`${answer.text ?? jsonText(answer.value, indentOf(args))}\n`);
}

/** A result as text to be printed as it is, or as a value. */
export interface Answer {
  readonly value: Plain;
  readonly text?: string;
}

/**
 * Connects, asks, and waits for the answer.
 *
 * @returns undefined where there is nothing to show
 * @throws ToolError
 */
export async function carryOut(args: ParsedArguments, io: ToolIo): Promise<Answer | undefined> {
  const [operation = '', ...words] = args.positionals;
  const stdin = args.has('stdin') ? await textOf(io.stdin) : undefined;
  const bus = parseBusAddress(args.text('bus') ?? '');
  const { ManagementClient: Opened } = await import('./management-client.js');
  const client = await Opened.open(bus, args);
  try {
    const task = new Task(client, managementAddress(args, bus.path), args, words, stdin);
    return await task.run(operation);
  } finally {
    await client.close();
  }
}

/** `--indent`, where -1 means one line. */
function indentOf(args: ParsedArguments): number | undefined {
  const indent = args.number('indent') ?? INDENT_DEFAULT;
  return indent < 0 ? undefined : indent;
}

class Task {
  readonly #client: ManagementClient;
  readonly #address: string;
  readonly #args: ParsedArguments;
  readonly #words: readonly string[];
  readonly #stdin: string | undefined;

  constructor(
    client: ManagementClient,
    address: string,
    args: ParsedArguments,
    words: readonly string[],
    stdin: string | undefined,
  ) {
    this.#client = client;
    this.#address = address;
    this.#args = args;
    this.#words = words;
    this.#stdin = stdin;
  }

  /** @param verb - in any case; one that is not known here is the router's to understand, and sent as it is */
  run(verb: string): Promise<Answer | undefined> {
    const operation = verb.toUpperCase();
    switch (operation) {
      case 'QUERY':
        return this.#query();
      case 'CREATE':
      case 'UPDATE':
        return this.#write(operation);
      case 'READ':
        return this.#read();
      case 'DELETE':
        return this.#delete();
      case 'GET-TYPES':
      case 'GET-ATTRIBUTES':
      case 'GET-OPERATIONS':
      case 'GET-ANNOTATIONS':
        return this.#describe(operation);
      case 'GET-MGMT-NODES':
        return this.#ask(operation, {});
      default:
        return this.#other(verb);
    }
  }

  async #query(): Promise<Answer> {
    const type = this.#args.text('type');
    const long = type === undefined ? undefined : longTypeName(type);
    const rows = await this.#client.query(this.#address, long, 0, this.#words);
    return { value: rows.map((row) => new Map([...row].filter(([, value]) => value !== null))) };
  }

  async #write(operation: 'CREATE' | 'UPDATE'): Promise<Answer> {
    if (this.#stdin === undefined) return { value: await this.#writeOne(operation, this.#attributes()) };
    const input = json(this.#stdin, 'stdin');
    if (!Array.isArray(input)) return { value: await this.#writeOne(operation, mapOf(input)) };
    const made: Plain[] = [];
    for (const one of input) {
      // oxlint-disable-next-line no-await-in-loop
      made.push(await this.#writeOne(operation, mapOf(one)));
    }
    return { value: made };
  }

  async #writeOne(operation: 'CREATE' | 'UPDATE', given: Row): Promise<Plain> {
    const attributes = new Map(given);
    if (attributes.size === 0)
      throw new ToolError('AttributeError', `${operation} needs attributes: name=value, or --stdin with a JSON map`);
    const type = textAt(attributes, 'type') ?? this.#args.text('type');
    const long = type === undefined ? undefined : longTypeName(type);
    if (attributes.has('type') && long !== undefined) attributes.set('type', long);
    const name = this.#args.text('name') ?? textAt(attributes, 'name');
    const identity = this.#args.text('identity') ?? textAt(attributes, 'identity');
    const body =
      operation === 'UPDATE' ? new Map([...attributes].map(([key, value]) => [key, asBoolean(value)])) : attributes;
    const answer = await this.#client.request(this.#address, {
      operation,
      properties: { type: long, ...whichOf(name, operation === 'UPDATE' ? identity : undefined) },
      body: amqpOf(body),
      expected: operation === 'CREATE' ? 201 : 200,
    });
    return plainOf(answer);
  }

  async #read(): Promise<Answer> {
    return {
      value: plainOf(await this.#client.request(this.#address, { operation: 'READ', properties: this.#which() })),
    };
  }

  async #delete(): Promise<undefined> {
    await this.#client.request(this.#address, { operation: 'DELETE', properties: this.#which(), expected: 204 });
  }

  #describe(operation: string): Promise<Answer> {
    const type = this.#args.text('type') ?? this.#words[0];
    return this.#ask(operation, { entityType: type === undefined ? undefined : longTypeName(type) });
  }

  async #ask(operation: string, properties: Record<string, AmqpValue | undefined>): Promise<Answer> {
    return { value: plainOf(await this.#client.request(this.#address, { operation, properties })) };
  }

  async #other(operation: string): Promise<Answer | undefined> {
    const properties: Record<string, AmqpValue | undefined> = { ...this.#which() };
    for (const [name, value] of this.#arguments()) properties[name] = amqpOf(value);
    const more = this.#args.text('properties');
    if (more !== undefined) {
      for (const [name, value] of mapOf(json(more, '--properties'))) properties[name] = amqpOf(value);
    }
    const text = this.#args.text('body');
    const body = text === undefined ? {} : { body: amqpOf(json(text, '--body')) };
    const value = plainOf(await this.#client.request(this.#address, { operation, properties, ...body }));
    if (typeof value === 'string') return value === '' ? undefined : { value, text: value };
    return isEmpty(value) ? undefined : { value };
  }

  /** Properties that name the entity. */
  #which(): Record<string, string | undefined> {
    const type = this.#args.text('type');
    const long = type === undefined ? undefined : longTypeName(type);
    return { type: long, ...whichOf(this.#args.text('name'), this.#args.text('identity')) };
  }

  /** `name=value` of operations that have arguments of their own. */
  #arguments(): Row {
    return new Map(
      this.#words.map((word) => {
        const equals = word.indexOf('=');
        return equals < 0 ? [word, null] : [word.slice(0, equals), argumentValue(word.slice(equals + 1), false)];
      }),
    );
  }

  #attributes(): Row {
    const type = this.#args.text('type');
    const schema = type === undefined ? undefined : entityTypeOf(longTypeName(type));
    const attributes = new Map<string, Plain>();
    for (const word of this.#words) {
      // Scripts that put their arguments together leave empty ones.
      if (word === '') continue;
      const equals = word.indexOf('=');
      const name = equals < 0 ? word : word.slice(0, equals);
      const attribute = schema === undefined ? undefined : attributeOf(schema, name);
      if (schema !== undefined && attribute === undefined)
        throw new ToolError('ValidationError', `Unknown attribute '${name}' for '${schema.fullName}'`);
      attributes.set(name, equals < 0 ? null : argumentValue(word.slice(equals + 1), attribute?.type === 'integer'));
    }
    return attributes;
  }
}

/** Of two ways to name an entity the surer one is sent. */
function whichOf(name: string | undefined, identity: string | undefined): Record<string, string | undefined> {
  return identity === undefined ? { name } : { identity };
}

function argumentValue(text: string, isInteger: boolean): Plain {
  if (text === 'true') return true;
  if (text === 'false') return false;
  return isInteger && /^[+-]?\d+$/.test(text) ? BigInt(text) : text;
}

const TRUE = new Set(['yes', 'true', 'on']);
const FALSE = new Set(['no', 'false', 'off']);

function asBoolean(value: Plain): Plain {
  if (typeof value !== 'string') return value;
  const word = value.toLowerCase();
  return TRUE.has(word) ? true : FALSE.has(word) ? false : value;
}

const ROUTER_TYPES = new Set(['link', 'node']);
const CONFIG_TYPES = new Set(['address', 'linkRoute', 'autoLink']);

/** The full name of a type: `listener`, `link`, `autoLink` are understood. */
export function longTypeName(name: string): string {
  if (name.includes('.')) return name.startsWith('router.') ? PREFIX + name : name;
  if (ROUTER_TYPES.has(name)) return `${PREFIX}router.${name}`;
  return CONFIG_TYPES.has(name) ? `${PREFIX}router.config.${name}` : PREFIX + name;
}

function textAt(row: Row, name: string): string | undefined {
  const value = row.get(name);
  return typeof value === 'string' ? value : undefined;
}

function mapOf(value: Plain): Row {
  if (value instanceof Map) return value;
  throw new ToolError('ValueError', `expected a JSON map of attributes, found ${jsonText(value).slice(0, 100)}`);
}

function json(text: string, where: string): Plain {
  try {
    return parseJson(text);
  } catch (error) {
    throw new ToolError('ValueError', `${where}: not JSON: ${(error as Error).message}`);
  }
}

function isEmpty(value: Plain): boolean {
  if (value === null) return true;
  if (value instanceof Map) return value.size === 0;
  return Array.isArray(value) && value.length === 0;
}

const STDIN_BYTES_MAX = 16_777_216;

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > STDIN_BYTES_MAX) throw new ToolError('ValueError', `stdin: more than ${STDIN_BYTES_MAX} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}
