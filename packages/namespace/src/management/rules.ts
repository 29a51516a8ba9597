// SPDX-License-Identifier: Apache-2.0
import { Described, timestamp, ulong, type AmqpValue } from '@pointsman/wire';
import { numberOf, textOf } from '../message-content.js';
import type { CorrelationFilter, Rule, RuleFilter } from '../rules/rule.js';
import { SqlError } from '../rules/sql-tokens.js';
import { rulesByName, type Subscription } from '../subscription.js';
import { invalid, NOTHING, refused, type Answer, type Arguments, type ManagementRequest } from './request.js';

/** Descriptors of what a listing is made of. Filters have one zero less than rules and actions. */
const CODES = {
  ruleDescription: 0x137_0000_0004n,
  emptyAction: 0x137_0000_0005n,
  sqlAction: 0x137_0000_0006n,
  sqlFilter: 0x13_7000_0006n,
  trueFilter: 0x13_7000_0007n,
  falseFilter: 0x13_7000_0008n,
  correlationFilter: 0x13_7000_0009n,
} as const;

/** Rules that one listing returns at most. */
const RULES_MAX = 100;

/** Members of a correlation filter, by their names in a request, in the order of a listing. */
const CORRELATION: readonly (readonly [string, Exclude<keyof CorrelationFilter, 'kind' | 'properties'>])[] = [
  ['correlation-id', 'correlationId'],
  ['message-id', 'messageId'],
  ['to', 'to'],
  ['reply-to', 'replyTo'],
  ['label', 'subject'],
  ['session-id', 'sessionId'],
  ['reply-to-session-id', 'replyToSessionId'],
  ['content-type', 'contentType'],
];

export function addRule({ node, body }: ManagementRequest): Answer {
  const subscription = node.entity as Subscription;
  const name = textOf(body.get('rule-name'));
  const description = body.get('rule-description');
  if (name === undefined || !(description instanceof Map))
    return invalid("'rule-name' is a string and 'rule-description' a map.");
  const filter = filterOf(description);
  if (filter === undefined)
    return invalid(
      "'rule-description' has a 'sql-filter' with an 'expression', or a 'correlation-filter' with something in it.",
    );
  if (subscription.rule(name) !== undefined)
    return refused(
      409,
      'com.microsoft:entity-already-exists',
      `The messaging entity '${subscription.path}/Rules/${name.slice(0, 50)}' already exists.`,
    );
  try {
    subscription.addRule({ name, filter, action: actionOf(description) });
    return { status: 200 };
  } catch (error) {
    if (error instanceof SqlError || error instanceof TypeError) return invalid(error.message);
    throw error;
  }
}

export function removeRule({ node, body }: ManagementRequest): Answer {
  const subscription = node.entity as Subscription;
  const name = textOf(body.get('rule-name')) ?? '';
  if (subscription.removeRule(name)) return { status: 200 };
  return refused(
    404,
    'amqp:not-found',
    `The messaging entity '${subscription.path}/Rules/${name.slice(0, 50)}' could not be found.`,
  );
}

export function enumerateRules({ node, body }: ManagementRequest): Answer {
  const skip = numberOf(body.get('skip')) ?? 0;
  const top = numberOf(body.get('top')) ?? RULES_MAX;
  if (skip < 0 || top < 1) return invalid("'skip' is an int from 0 on, 'top' an int above 0.");
  const inOrder = rulesByName(node.entity as Subscription);
  const rules = inOrder.slice(skip, skip + Math.min(top, RULES_MAX));
  if (rules.length === 0) return NOTHING;
  const list = rules.map((rule) => new Map<AmqpValue, AmqpValue>([['rule-description', described(rule)]]));
  return { status: 200, body: new Map<AmqpValue, AmqpValue>([['rules', list]]) };
}

function filterOf(description: Arguments): RuleFilter | undefined {
  const sql = description.get('sql-filter');
  if (sql instanceof Map) {
    const expression = textOf(sql.get('expression'));
    return expression === undefined ? undefined : sqlFilterOf(expression);
  }
  const correlation = description.get('correlation-filter');
  if (!(correlation instanceof Map)) return undefined;
  const fields: Record<string, string> = {};
  for (const [name, field] of CORRELATION) {
    const text = textOf(correlation.get(name));
    if (text !== undefined) fields[field] = text;
  }
  const given = correlation.get('properties');
  const properties = new Map<string, AmqpValue>();
  if (given instanceof Map) for (const [key, value] of given) if (typeof key === 'string') properties.set(key, value);
  if (Object.keys(fields).length === 0 && properties.size === 0) return undefined;
  return { kind: 'correlation', ...fields, ...(properties.size === 0 ? {} : { properties }) };
}

/** Clients write a true filter as `1=1`; listings tell it apart. */
function sqlFilterOf(expression: string): RuleFilter {
  const bare = expression.replaceAll(/\s/g, '');
  if (bare === '1=1') return { kind: 'true' };
  return bare === '1=0' ? { kind: 'false' } : { kind: 'sql', expression };
}

function actionOf(description: Arguments): string | undefined {
  const action = description.get('sql-rule-action');
  const expression = action instanceof Map ? textOf(action.get('expression')) : undefined;
  return expression === undefined || expression.trim() === '' ? undefined : expression;
}

function described({ name, filter, action, createdAt }: Rule): Described {
  return new Described(ulong(CODES.ruleDescription), [
    describedFilter(filter),
    action === undefined
      ? new Described(ulong(CODES.emptyAction), [])
      : new Described(ulong(CODES.sqlAction), [action]),
    name,
    timestamp(Math.round(createdAt)),
  ]);
}

function describedFilter(filter: RuleFilter): Described {
  switch (filter.kind) {
    case 'true':
      return new Described(ulong(CODES.trueFilter), []);
    case 'false':
      return new Described(ulong(CODES.falseFilter), []);
    case 'sql':
      return new Described(ulong(CODES.sqlFilter), [filter.expression]);
    case 'correlation':
      return new Described(ulong(CODES.correlationFilter), [
        ...CORRELATION.map(([, field]) => filter[field] ?? null),
        new Map<AmqpValue, AmqpValue>(filter.properties ?? []),
      ]);
  }
}
