// SPDX-License-Identifier: Apache-2.0
import { SqlError, tokensOf, type SqlToken } from './sql-tokens.js';
import type { Arithmetic, Comparison, SqlNode, SqlProperty, SqlStatement } from './sql-syntax.js';
import { isSettable, isSystemProperty } from './system-properties.js';

/** How deep expressions may be nested. */
const DEPTH_MAX = 100;
/** Statements of an action. */
const STATEMENTS_MAX = 32;

/** Words that are no names of properties unless delimited. */
const KEY_WORDS: ReadonlySet<string> = new Set([
  'AND',
  'OR',
  'NOT',
  'IS',
  'NULL',
  'IN',
  'LIKE',
  'ESCAPE',
  'EXISTS',
  'TRUE',
  'FALSE',
  'SET',
  'REMOVE',
]);

/** Reads the text of a SQL filter. @throws SqlError naming what is wrong, and where */
export function parseFilter(text: string): SqlNode {
  const parser = new Parser(text);
  const predicate = parser.predicate();
  parser.end();
  return predicate;
}

/** Reads the text of a SQL action: `SET property = expression` and `REMOVE property`. @throws SqlError as {@link parseFilter} */
export function parseAction(text: string): SqlStatement[] {
  const parser = new Parser(text);
  const statements = parser.statements();
  parser.end();
  return statements;
}

class Parser {
  readonly #tokens: readonly SqlToken[];
  #next = 0;
  #depth = 0;

  constructor(text: string) {
    this.#tokens = tokensOf(text);
  }

  end(): void {
    if (this.#token.kind !== 'end') throw this.#unexpected('the end');
  }

  statements(): SqlStatement[] {
    const statements: SqlStatement[] = [];
    while (this.#token.kind !== 'end') {
      if (statements.length === STATEMENTS_MAX)
        throw new SqlError(`An action has at most ${STATEMENTS_MAX} statements.`);
      const isSet = this.#takeWord('SET');
      if (!isSet && !this.#takeWord('REMOVE')) throw this.#unexpected('SET or REMOVE');
      const property = this.#property();
      if (property.scope === 'sys' && !isSettable(property.name))
        throw new SqlError(`The system property '${property.name}' cannot be changed by an action.`);
      if (isSet) {
        this.#expectSign('=');
        statements.push({ kind: 'set', property, value: this.#sum() });
      } else {
        statements.push({ kind: 'remove', property });
      }
      // The grammar of the service lists statements with commas, its examples separate them with semicolons, or nothing.
      if (!this.#takeSign(';')) this.#takeSign(',');
    }
    if (statements.length === 0) throw this.#unexpected('SET or REMOVE');
    return statements;
  }

  predicate(): SqlNode {
    if (++this.#depth > DEPTH_MAX) throw new SqlError(`An expression is nested at most ${DEPTH_MAX} deep.`);
    let left = this.#conjunction();
    while (this.#takeWord('OR')) left = { kind: 'or', left, right: this.#conjunction() };
    this.#depth -= 1;
    return left;
  }

  #conjunction(): SqlNode {
    let left = this.#negation();
    while (this.#takeWord('AND')) left = { kind: 'and', left, right: this.#negation() };
    return left;
  }

  #negation(): SqlNode {
    let negated = false;
    while (this.#takeWord('NOT')) negated = !negated;
    const operand = this.#comparison();
    return negated ? { kind: 'not', operand } : operand;
  }

  #comparison(): SqlNode {
    const operand = this.#sum();
    if (this.#takeWord('IS')) {
      const negated = this.#takeWord('NOT');
      if (!this.#takeWord('NULL')) throw this.#unexpected('NULL');
      if (operand.kind !== 'property') throw new SqlError('IS NULL is for a property.');
      return notIf(negated, { kind: 'is-null', operand });
    }
    const token = this.#token;
    if (token.kind === 'sign' && ['=', '<>', '!=', '>', '>=', '<', '<='].includes(token.text)) {
      this.#next += 1;
      const operator = token.text === '!=' ? '<>' : (token.text as Comparison);
      return { kind: 'comparison', operator, left: operand, right: this.#sum() };
    }
    const negated = this.#takeWord('NOT');
    if (this.#takeWord('IN')) return notIf(negated, { kind: 'in', operand, list: this.#list() });
    if (this.#takeWord('LIKE')) {
      const pattern = this.#sum();
      const escape = this.#takeWord('ESCAPE') ? this.#sum() : undefined;
      // What is known now would fail for each message.
      if (escape?.kind === 'constant' && (typeof escape.value !== 'string' || escape.value.length !== 1))
        throw new SqlError('What follows ESCAPE is a text of one character.');
      return notIf(negated, { kind: 'like', operand, pattern, escape });
    }
    if (negated) throw this.#unexpected('IN or LIKE');
    return operand;
  }

  #list(): SqlNode[] {
    this.#expectSign('(');
    const list = [this.#sum()];
    while (this.#takeSign(',')) list.push(this.#sum());
    this.#expectSign(')');
    return list;
  }

  #sum(): SqlNode {
    let left = this.#product();
    for (;;) {
      const operator = this.#takeOneOf('+', '-');
      if (operator === undefined) return left;
      left = { kind: 'arithmetic', operator, left, right: this.#product() };
    }
  }

  #product(): SqlNode {
    let left = this.#signed();
    for (;;) {
      const operator = this.#takeOneOf('*', '/', '%');
      if (operator === undefined) return left;
      left = { kind: 'arithmetic', operator, left, right: this.#signed() };
    }
  }

  #signed(): SqlNode {
    let negative = false;
    let isSigned = false;
    for (let sign = this.#takeOneOf('+', '-'); sign !== undefined; sign = this.#takeOneOf('+', '-')) {
      isSigned = true;
      negative = negative !== (sign === '-');
    }
    const operand = this.#primary();
    return isSigned ? { kind: 'sign', negative, operand } : operand;
  }

  #primary(): SqlNode {
    const token = this.#token;
    if (this.#takeSign('(')) {
      const inner = this.predicate();
      this.#expectSign(')');
      return inner;
    }
    switch (token.kind) {
      case 'text':
      case 'number':
        this.#next += 1;
        return { kind: 'constant', value: token.value };
      case 'parameter':
        this.#next += 1;
        return { kind: 'parameter', name: token.text };
      case 'word':
        return this.#word(token);
      case 'name':
        return this.#property();
      default:
        throw this.#unexpected('a value');
    }
  }

  #word(token: SqlToken & { kind: 'word' }): SqlNode {
    if (this.#takeWord('NULL')) return { kind: 'constant', value: undefined };
    if (this.#takeWord('TRUE')) return { kind: 'constant', value: true };
    if (this.#takeWord('FALSE')) return { kind: 'constant', value: false };
    const following = this.#tokens[this.#next + 1];
    if (following?.kind !== 'sign' || following.text !== '(') return this.#property();
    this.#next += 2;
    switch (token.upper) {
      case 'NEWID':
        this.#expectSign(')');
        return { kind: 'newid' };
      case 'EXISTS': {
        const property = this.#property();
        this.#expectSign(')');
        return { kind: 'exists', property };
      }
      case 'PROPERTY':
      case 'P': {
        const name = this.#sum();
        this.#expectSign(')');
        return { kind: 'named-property', name };
      }
      default:
        throw new SqlError(`There is no function '${token.text}' (character ${token.at + 1}).`);
    }
  }

  #property(): SqlProperty {
    const first = this.#name();
    if (!this.#takeSign('.')) return { kind: 'property', scope: 'user', name: first };
    const scope = first.toLowerCase();
    if (scope !== 'sys' && scope !== 'user') throw new SqlError(`A scope is sys or user, not '${first}'.`);
    const name = this.#name();
    if (scope === 'sys' && !isSystemProperty(name)) throw new SqlError(`There is no system property '${name}'.`);
    return { kind: 'property', scope, name };
  }

  #name(): string {
    const token = this.#token;
    if (token.kind === 'name' || (token.kind === 'word' && !KEY_WORDS.has(token.upper))) {
      this.#next += 1;
      return token.text;
    }
    throw this.#unexpected('the name of a property');
  }

  // ---- tokens ----

  get #token(): SqlToken {
    return this.#tokens[this.#next]!;
  }

  #takeWord(upper: string): boolean {
    const token = this.#token;
    if (token.kind !== 'word' || token.upper !== upper) return false;
    this.#next += 1;
    return true;
  }

  #takeSign(text: string): boolean {
    const token = this.#token;
    if (token.kind !== 'sign' || token.text !== text) return false;
    this.#next += 1;
    return true;
  }

  #takeOneOf<T extends Arithmetic>(...texts: T[]): T | undefined {
    return texts.find((text) => this.#takeSign(text));
  }

  #expectSign(text: string): void {
    if (!this.#takeSign(text)) throw this.#unexpected(`'${text}'`);
  }

  #unexpected(expected: string): SqlError {
    const token = this.#token;
    const found = token.kind === 'end' ? 'the end' : `'${shownToken(token)}'`;
    return new SqlError(`Expected ${expected} at character ${token.at + 1}, found ${found}.`);
  }
}

function notIf(negated: boolean, operand: SqlNode): SqlNode {
  return negated ? { kind: 'not', operand } : operand;
}

function shownToken(token: Exclude<SqlToken, { kind: 'end' }>): string {
  return String('text' in token ? token.text : token.value).slice(0, 40);
}
