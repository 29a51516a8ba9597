// SPDX-License-Identifier: Apache-2.0
import { double, encodeValue, LocalProtocolError, long, type AmqpValue, type PropertiesFields } from '@pointsman/wire';
import { keyTextOf, type MessageContent } from '../message-content.js';
import { evaluate, SqlMessage, sqlValueOf, type SqlScope } from './sql-evaluator.js';
import { parseAction, parseFilter } from './sql-parser.js';
import type { SqlNode, SqlStatement, SqlValue } from './sql-syntax.js';
import { SQL_LENGTH_MAX, SqlError } from './sql-tokens.js';
import { fieldOf } from './system-properties.js';

/** Equality of all that is given. Texts are compared with regard to case, names of properties without. */
export interface CorrelationFilter {
  readonly kind: 'correlation';
  readonly correlationId?: string | undefined;
  readonly messageId?: string | undefined;
  readonly to?: string | undefined;
  readonly replyTo?: string | undefined;
  readonly subject?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly replyToSessionId?: string | undefined;
  readonly contentType?: string | undefined;
  readonly properties?: ReadonlyMap<string, AmqpValue> | undefined;
}

export interface SqlFilter {
  readonly kind: 'sql';
  readonly expression: string;
  /** Values of `@names`. */
  readonly parameters?: ReadonlyMap<string, AmqpValue> | undefined;
}

export type RuleFilter = SqlFilter | CorrelationFilter | { readonly kind: 'true' } | { readonly kind: 'false' };

export interface RuleOptions {
  readonly name: string;
  /** Everything matches unless given. */
  readonly filter?: RuleFilter | undefined;
  /** What is changed in the copy, as a SQL rule action. */
  readonly action?: string | undefined;
  /** Values of `@names` in the action; those of the filter count there, too. */
  readonly actionParameters?: ReadonlyMap<string, AmqpValue> | undefined;
}

/** Bytes of the properties of a correlation filter. */
const CORRELATION_MAX = 32_768;

/** Name of the rule that a subscription is made with. */
export const DEFAULT_RULE_NAME = '$Default';

const CORRELATION_FIELDS = {
  correlationId: 'correlationId',
  messageId: 'messageId',
  to: 'to',
  replyTo: 'replyTo',
  subject: 'subject',
  sessionId: 'groupId',
  replyToSessionId: 'replyToGroupId',
  contentType: 'contentType',
} as const satisfies Partial<Record<keyof CorrelationFilter, keyof PropertiesFields>>;

/** Decides whether a subscription gets a copy of a message, and what is changed in it. */
export class Rule {
  readonly name: string;
  readonly filter: RuleFilter;
  readonly action: string | undefined;
  /** Ms since 1970. */
  readonly createdAt: number;
  readonly #predicate: SqlNode | undefined;
  readonly actionParameters: ReadonlyMap<string, AmqpValue> | undefined;
  readonly #parameters: ReadonlyMap<string, SqlValue> | undefined;
  readonly #statements: readonly SqlStatement[] | undefined;

  /** @throws SqlError where filter or action are not valid */
  constructor(options: RuleOptions, createdAt: number) {
    const { name, filter = { kind: 'true' }, action, actionParameters } = options;
    this.name = name;
    this.filter = filter;
    this.action = action;
    this.actionParameters = actionParameters;
    this.createdAt = createdAt;
    if (filter.kind === 'sql') {
      this.#predicate = parseFilter(filter.expression);
      this.#parameters = parametersOf(filter.parameters);
    }
    if (filter.kind === 'correlation') checkSize(filter);
    if (action !== undefined) this.#statements = parseAction(action);
  }

  /** @throws SqlError where the filter cannot be evaluated for this message */
  matches(message: SqlMessage, scope: Omit<SqlScope, 'parameters'>): boolean {
    const { filter } = this;
    switch (filter.kind) {
      case 'true':
        return true;
      case 'false':
        return false;
      case 'correlation':
        return correlates(filter, message);
      case 'sql': {
        const value = evaluate(this.#predicate!, message, { ...scope, parameters: this.#parameters });
        if (value !== undefined && typeof value !== 'boolean')
          throw new SqlError('The filter yields neither true nor false.');
        return value === true;
      }
    }
  }

  /**
   * The copy that the action makes. Each statement sees what those before it have done.
   *
   * @throws SqlError where the action cannot be carried out for this message
   */
  apply(message: SqlMessage, scope: Omit<SqlScope, 'parameters'>): MessageContent {
    let current = message;
    const parameters = new Map([...(this.#parameters ?? []), ...parametersOf(this.actionParameters)]);
    for (const statement of this.#statements ?? []) {
      const properties = { ...current.properties };
      const own = new Map(current.applicationProperties);
      const { property } = statement;
      const value = statement.kind === 'set' ? evaluate(statement.value, current, { ...scope, parameters }) : undefined;
      if (property.scope === 'sys') {
        const field = fieldOf(property.name)!;
        if (value === undefined) delete properties[field];
        else properties[field] = String(value);
      } else {
        const name = [...own.keys()].find((key) => key.toLowerCase() === property.name.toLowerCase()) ?? property.name;
        if (statement.kind === 'remove') own.delete(name);
        else own.set(name, amqpValueOf(convertedAs(sqlValueOf(own.get(name)), value)));
      }
      current = new SqlMessage(changedBy(current.content, properties, own));
    }
    const own = new Map(current.applicationProperties);
    own.set('RuleName', this.name);
    return changedBy(current.content, current.properties, own);
  }
}

function parametersOf(given: ReadonlyMap<string, AmqpValue> | undefined): Map<string, SqlValue> {
  return new Map([...(given ?? [])].map(([key, value]) => [key.replace(/^@/, '').toLowerCase(), sqlValueOf(value)]));
}

/** @throws SqlError where a property cannot have that value: a content type is ASCII */
function changedBy(
  content: MessageContent,
  properties: PropertiesFields,
  own: ReadonlyMap<string, AmqpValue>,
): MessageContent {
  try {
    return content.with(properties, own);
  } catch (error) {
    if (!(error instanceof LocalProtocolError)) throw error;
    throw new SqlError(`A property cannot be set so: ${error.description}`, { cause: error });
  }
}

/** A value that takes the place of another, in the kind of that one where it can be. */
function convertedAs(former: SqlValue, value: SqlValue): SqlValue {
  if (former === undefined || value === undefined || typeof former === typeof value) return value;
  if (typeof former === 'string') return typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value);
  if (typeof former === 'number' && typeof value === 'bigint') return Number(value);
  if (typeof value !== 'string') return value;
  const text = value.trim();
  if (typeof former === 'boolean') return /^(true|false)$/i.test(text) ? text.toLowerCase() === 'true' : value;
  if (typeof former === 'bigint') return /^[+-]?\d{1,18}$/.test(text) ? BigInt(text.replace('+', '')) : value;
  return text !== '' && Number.isFinite(Number(text)) ? Number(text) : value;
}

/** @throws SqlError where a filter is of a size that no filter needs */
function checkSize({ kind: _, properties, ...fields }: CorrelationFilter): void {
  const texts = [...Object.values(fields), ...(properties?.keys() ?? [])].filter((text) => text !== undefined);
  const bytes = encodeValue(new Map<AmqpValue, AmqpValue>(properties ?? [])).length;
  if (bytes > CORRELATION_MAX || texts.some((text) => text.length > SQL_LENGTH_MAX))
    throw new SqlError(
      `A correlation filter has texts of at most ${SQL_LENGTH_MAX} characters, and properties of ${CORRELATION_MAX} bytes.`,
    );
}

function amqpValueOf(value: SqlValue): AmqpValue {
  if (value === undefined) return null;
  if (typeof value === 'bigint') return long(value);
  return typeof value === 'number' ? double(value) : value;
}

function correlates(filter: CorrelationFilter, message: SqlMessage): boolean {
  const { properties } = message;
  for (const name of Object.keys(CORRELATION_FIELDS) as (keyof typeof CORRELATION_FIELDS)[]) {
    const wanted = filter[name];
    if (wanted === undefined) continue;
    if (wanted !== keyTextOf(properties[CORRELATION_FIELDS[name]] ?? null)) return false;
  }
  for (const [name, wanted] of filter.properties ?? []) {
    const found = message.applicationProperty(name);
    if (found === undefined || !isSame(found, wanted)) return false;
  }
  return true;
}

function isSame(a: AmqpValue, b: AmqpValue): boolean {
  if (a === null || b === null) return a === b;
  const [x, y] = [sqlValueOf(a), sqlValueOf(b)];
  if (x === undefined || y === undefined) return false;
  // A long and a double of the same amount are the same.
  const areNumbers = [x, y].every((value) => typeof value === 'bigint' || typeof value === 'number');
  return areNumbers ? Number(x) === Number(y) : x === y;
}
