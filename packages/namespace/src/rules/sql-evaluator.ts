// SPDX-License-Identifier: Apache-2.0
import { AmqpSymbol, Described, Typed, type AmqpValue } from '@pointsman/wire';
import { guidText } from '../guid.js';
import { sqlValueOfDescribed } from './dotnet-values.js';
import { SqlError } from './sql-tokens.js';
import type { Arithmetic, Comparison, SqlNode, SqlProperty, SqlValue } from './sql-syntax.js';
import { systemValue } from './system-properties.js';
import type { MessageContent } from '../message-content.js';
import type { PropertiesFields } from '@pointsman/wire';

const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;
/** Characters that an expression may yield. */
const TEXT_MAX = 32_768;

export interface SqlScope {
  /** Ms since 1970. */
  readonly now: number;
  /** Bytes of a new GUID. */
  readonly newGuid: () => Uint8Array;
  /** Values of `@names`, in lower case. */
  readonly parameters?: ReadonlyMap<string, SqlValue> | undefined;
}

/** A message as expressions see it. Decoded once, whatever the number of rules. */
export class SqlMessage {
  readonly content: MessageContent;
  readonly properties: PropertiesFields;
  readonly applicationProperties: Map<string, AmqpValue>;
  readonly #byLowerName = new Map<string, AmqpValue>();

  constructor(content: MessageContent, changes?: ReadonlyMap<string, AmqpValue>) {
    this.content = content;
    this.properties = content.properties();
    this.applicationProperties = content.applicationProperties();
    for (const [name, value] of changes ?? []) this.applicationProperties.set(name, value);
    for (const [name, value] of this.applicationProperties) this.#byLowerName.set(name.toLowerCase(), value);
  }

  user(name: string): SqlValue {
    return sqlValueOf(this.applicationProperty(name));
  }

  /** As it came, whatever the case of its name. */
  applicationProperty(name: string): AmqpValue | undefined {
    return this.#byLowerName.get(name.toLowerCase());
  }

  /** A property that is there with the value null exists. */
  hasUser(name: string): boolean {
    return this.#byLowerName.has(name.toLowerCase());
  }
}

/** An application property as a value of an expression; undefined for what has no form there. */
export function sqlValueOf(value: AmqpValue | undefined): SqlValue {
  if (value instanceof Described) return sqlValueOfDescribed(value);
  const plain = value instanceof Typed ? value.value : value;
  if (typeof plain === 'string' || typeof plain === 'boolean' || typeof plain === 'bigint') return plain;
  if (typeof plain === 'number') {
    const isFraction = value instanceof Typed ? ['float', 'double'].includes(value.type) : !Number.isInteger(plain);
    return isFraction ? plain : BigInt(plain);
  }
  if (plain instanceof AmqpSymbol) return plain.value;
  return value instanceof Typed && value.type === 'uuid' && plain instanceof Uint8Array ? guidText(plain) : undefined;
}

/** Evaluates with three truth values: undefined is unknown. @throws SqlError where an operation cannot be carried out */
export function evaluate(node: SqlNode, message: SqlMessage, scope: SqlScope): SqlValue {
  const value = (inner: SqlNode): SqlValue => evaluate(inner, message, scope);
  switch (node.kind) {
    case 'constant':
      return node.value;
    case 'parameter': {
      const name = node.name.toLowerCase();
      if (scope.parameters?.has(name) !== true) throw new SqlError(`The parameter '@${node.name}' has no value.`);
      return scope.parameters.get(name);
    }
    case 'property':
      return propertyValue(node, message, scope);
    case 'named-property': {
      const name = value(node.name);
      return typeof name === 'string' ? message.user(name) : undefined;
    }
    case 'newid':
      return guidText(scope.newGuid());
    case 'sign':
      return signed(value(node.operand), node.negative);
    case 'arithmetic':
      return calculated(node.operator, value(node.left), value(node.right));
    case 'comparison':
      return compared(node.operator, value(node.left), value(node.right));
    case 'is-null':
      return value(node.operand) === undefined;
    case 'exists':
      return node.property.scope === 'user'
        ? message.hasUser(node.property.name)
        : propertyValue(node.property, message, scope) !== undefined;
    case 'in':
      return isIn(value(node.operand), node.list.map(value));
    case 'like':
      return isLike(value(node.operand), value(node.pattern), node.escape === undefined ? '' : value(node.escape));
    case 'not': {
      const truth = truthOf(value(node.operand));
      return truth === undefined ? undefined : !truth;
    }
    case 'and': {
      const left = truthOf(value(node.left));
      if (left === false) return false;
      const right = truthOf(value(node.right));
      return right === false ? false : left === undefined || right === undefined ? undefined : true;
    }
    case 'or': {
      const left = truthOf(value(node.left));
      if (left === true) return true;
      const right = truthOf(value(node.right));
      return right === true ? true : left === undefined || right === undefined ? undefined : false;
    }
  }
}

function propertyValue(property: SqlProperty, message: SqlMessage, scope: SqlScope): SqlValue {
  return property.scope === 'user'
    ? message.user(property.name)
    : systemValue(property.name, message.content, message.properties, scope.now);
}

function truthOf(value: SqlValue): boolean | undefined {
  if (typeof value === 'boolean' || value === undefined) return value;
  throw new SqlError('A predicate is true, false or unknown, and not a number or a text.');
}

function signed(value: SqlValue, negative: boolean): SqlValue {
  if (value === undefined) return undefined;
  if (typeof value === 'bigint') return negative ? long(-value) : value;
  if (typeof value === 'number') return negative ? -value : value;
  throw new SqlError('Only a number has a sign.');
}

function calculated(operator: Arithmetic, left: SqlValue, right: SqlValue): SqlValue {
  if (left === undefined || right === undefined) return undefined;
  if (operator === '+' && typeof left === 'string' && typeof right === 'string') {
    if (left.length + right.length > TEXT_MAX) throw new SqlError(`A text has at most ${TEXT_MAX} characters.`);
    return left + right;
  }
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    if (right === 0n && (operator === '/' || operator === '%')) throw new SqlError('A division by zero.');
    switch (operator) {
      case '+':
        return long(left + right);
      case '-':
        return long(left - right);
      case '*':
        return long(left * right);
      case '/':
        return long(left / right);
      case '%':
        return left % right;
    }
  }
  if (!isNumber(left) || !isNumber(right))
    throw new SqlError(`'${operator}' is for numbers${operator === '+' ? ', or for two texts' : ''}.`);
  const [a, b] = [Number(left), Number(right)];
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
  }
}

function long(value: bigint): bigint {
  if (value < LONG_MIN || value > LONG_MAX) throw new SqlError('A number beyond 64 bits.');
  return value;
}

function isNumber(value: SqlValue): value is bigint | number {
  return typeof value === 'bigint' || typeof value === 'number';
}

/** Values of different kinds cannot be compared: that is unknown. Texts are compared with regard to case. */
function compared(operator: Comparison, left: SqlValue, right: SqlValue): boolean | undefined {
  if (left === undefined || right === undefined) return undefined;
  const comparable = (isNumber(left) && isNumber(right)) || typeof left === typeof right;
  if (!comparable) return undefined;
  switch (operator) {
    case '=':
      // A long and a double may be equal.
      return !(left < right) && !(left > right) && !Number.isNaN(left) && !Number.isNaN(right);
    case '<>':
      return compared('=', left, right) === false;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
  }
}

function isIn(operand: SqlValue, list: readonly SqlValue[]): boolean | undefined {
  if (operand === undefined) return undefined;
  let unknown = false;
  for (const member of list) {
    const same = compared('=', operand, member);
    if (same === true) return true;
    if (member === undefined) unknown = true;
  }
  return unknown ? undefined : false;
}

function isLike(operand: SqlValue, pattern: SqlValue, escape: SqlValue): boolean | undefined {
  if (operand === undefined || pattern === undefined || escape === undefined) return undefined;
  if (typeof operand !== 'string') return undefined;
  if (typeof pattern !== 'string' || typeof escape !== 'string') throw new SqlError('LIKE takes a pattern as a text.');
  if ([...escape].length > 1) throw new SqlError('ESCAPE takes one character.');
  return matchesPattern([...operand], patternOf(pattern, escape));
}

/** A character, any one character, or any number of them. */
interface PatternPart {
  readonly literal?: string;
  readonly wild?: 'one' | 'many';
}

function patternOf(pattern: string, escape: string): PatternPart[] {
  const parts: PatternPart[] = [];
  let escaped = false;
  for (const character of pattern) {
    if (!escaped && escape !== '' && character === escape) escaped = true;
    else {
      if (escaped || (character !== '%' && character !== '_')) parts.push({ literal: character });
      else parts.push({ wild: character === '%' ? 'many' : 'one' });
      escaped = false;
    }
  }
  if (escaped) throw new SqlError('A pattern does not end with its escape character.');
  return parts;
}

/** Without recursion and in at most text times pattern steps, whatever the pattern. */
function matchesPattern(text: readonly string[], pattern: readonly PatternPart[]): boolean {
  let at = 0;
  let part = 0;
  let star = -1;
  let mark = 0;
  while (at < text.length) {
    const current = pattern[part];
    if (current?.wild === 'many') {
      star = part++;
      mark = at;
    } else if (current !== undefined && (current.wild === 'one' || current.literal === text[at])) {
      at += 1;
      part += 1;
    } else if (star >= 0) {
      part = star + 1;
      at = ++mark;
    } else return false;
  }
  while (pattern[part]?.wild === 'many') part += 1;
  return part === pattern.length;
}
