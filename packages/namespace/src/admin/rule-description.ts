// SPDX-License-Identifier: Apache-2.0
import { AmqpSymbol, Typed, double, int, long, timestamp } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import type { CorrelationFilter, Rule, RuleFilter, RuleOptions } from '../rules/rule.js';
import { msOfTimespan, timespan } from '../rules/dotnet-values.js';
import { invalid } from './admin-error.js';
import { durationOf, msOfDuration } from './duration.js';
import { childOf, escapeXml } from './xml.js';
import type { XmlElement } from './xml.js';

const XML_SCHEMA = 'http://www.w3.org/2001/XMLSchema';
const SERIALIZATION = 'http://schemas.microsoft.com/2003/10/Serialization/';

/** Names of a correlation filter here, and in a description. */
const CORRELATION = [
  ['correlationId', 'CorrelationId'],
  ['messageId', 'MessageId'],
  ['to', 'To'],
  ['replyTo', 'ReplyTo'],
  ['subject', 'Label'],
  ['sessionId', 'SessionId'],
  ['replyToSessionId', 'ReplyToSessionId'],
  ['contentType', 'ContentType'],
] as const satisfies readonly (readonly [keyof CorrelationFilter, string])[];

/** @throws AdminError where the description is none of a rule */
export function ruleOptionsOf(name: string, element: XmlElement): RuleOptions {
  const filter = childOf(element, 'Filter');
  const action = childOf(element, 'Action');
  const expression = action === undefined ? undefined : childOf(action, 'SqlExpression')?.text;
  const actionParameters = action === undefined ? undefined : pairsOf(childOf(action, 'Parameters'));
  return { name, filter: filter === undefined ? undefined : filterOf(filter), action: expression, actionParameters };
}

function filterOf(element: XmlElement): RuleFilter {
  const type = local(element.attributes.get('type') ?? 'SqlFilter');
  switch (type) {
    case 'TrueFilter':
      return { kind: 'true' };
    case 'FalseFilter':
      return { kind: 'false' };
    case 'SqlFilter':
      return {
        kind: 'sql',
        expression: childOf(element, 'SqlExpression')?.text ?? '1=1',
        parameters: pairsOf(childOf(element, 'Parameters')),
      };
    case 'CorrelationFilter': {
      const filter: { -readonly [K in keyof CorrelationFilter]: CorrelationFilter[K] } = { kind: 'correlation' };
      for (const [own, theirs] of CORRELATION) {
        const text = childOf(element, theirs)?.text;
        if (text !== undefined && text !== '') filter[own] = text;
      }
      filter.properties = pairsOf(childOf(element, 'Properties'));
      return filter;
    }
    default:
      throw invalid('The type of the filter is not known.');
  }
}

function pairsOf(element: XmlElement | undefined): ReadonlyMap<string, AmqpValue> | undefined {
  const pairs = element?.children.filter(({ name }) => name === 'KeyValueOfstringanyType') ?? [];
  if (pairs.length === 0) return undefined;
  return new Map(
    pairs.map((pair) => {
      const value = childOf(pair, 'Value');
      return [childOf(pair, 'Key')?.text ?? '', value === undefined ? null : valueOf(value)] as const;
    }),
  );
}

function valueOf({ text, attributes }: XmlElement): AmqpValue {
  switch (local(attributes.get('type') ?? 'string')) {
    case 'int':
    case 'short':
      return int(wholeOf(text));
    case 'long':
      return long(BigInt(wholeOf(text)));
    case 'double':
    case 'float':
    case 'decimal': {
      const number = Number(text);
      if (!Number.isFinite(number)) throw invalid('A value is no number.');
      return double(number);
    }
    case 'boolean':
      return text.trim().toLowerCase() === 'true' || text.trim() === '1';
    case 'dateTime': {
      // Without a zone it is universal time.
      const date = new Date(/(?:z|[+-]\d\d:?\d\d)\s*$/iu.test(text) ? text : `${text.trim()}Z`);
      if (Number.isNaN(date.getTime())) throw invalid('A value is no date.');
      return timestamp(date.getTime());
    }
    case 'duration': {
      const ms = msOfDuration(text);
      if (ms === undefined || ms === Infinity) throw invalid('A value is no duration such as P1DT2H.');
      return timespan(ms);
    }
    default:
      return text;
  }
}

function wholeOf(text: string): number {
  const number = /^\s*-?\d{1,16}\s*$/u.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw invalid('A value is no whole number.');
  return number;
}

function local(type: string): string {
  return type.slice(type.indexOf(':') + 1);
}

/** Content of a RuleDescription. */
export function ruleXml({ name, filter, action, actionParameters, createdAt }: Rule): string {
  const act =
    action === undefined
      ? '<Action i:type="EmptyRuleAction"/>'
      : `<Action i:type="SqlRuleAction"><SqlExpression>${escapeXml(action)}</SqlExpression><CompatibilityLevel>20</CompatibilityLevel>${pairsXml('Parameters', actionParameters)}</Action>`;
  return `${filterXml(filter)}${act}<CreatedAt>${new Date(createdAt).toISOString()}</CreatedAt><Name>${escapeXml(name)}</Name>`;
}

function filterXml(filter: RuleFilter): string {
  switch (filter.kind) {
    case 'true':
    case 'false': {
      const [type, text] = filter.kind === 'true' ? ['TrueFilter', '1=1'] : ['FalseFilter', '1=0'];
      return `<Filter i:type="${type}"><SqlExpression>${text}</SqlExpression><CompatibilityLevel>20</CompatibilityLevel></Filter>`;
    }
    case 'sql':
      return `<Filter i:type="SqlFilter"><SqlExpression>${escapeXml(filter.expression)}</SqlExpression><CompatibilityLevel>20</CompatibilityLevel>${pairsXml('Parameters', filter.parameters)}</Filter>`;
    case 'correlation': {
      const parts = CORRELATION.map(([own, theirs]) => {
        const text = filter[own];
        return text === undefined ? '' : `<${theirs}>${escapeXml(text)}</${theirs}>`;
      });
      return `<Filter i:type="CorrelationFilter">${parts.join('')}${pairsXml('Properties', filter.properties)}</Filter>`;
    }
  }
}

function pairsXml(name: string, pairs: ReadonlyMap<string, AmqpValue> | undefined): string {
  if (pairs === undefined || pairs.size === 0) return '';
  const inner = [...pairs].map(([key, value]) => {
    const [type, text] = typedText(value);
    const schema = type === 'duration' ? SERIALIZATION : XML_SCHEMA;
    return `<KeyValueOfstringanyType><Key>${escapeXml(key)}</Key><Value i:type="d6p1:${type}" xmlns:d6p1="${schema}">${escapeXml(text)}</Value></KeyValueOfstringanyType>`;
  });
  return `<${name}>${inner.join('')}</${name}>`;
}

/** Type of XML Schema and text of a value. */
function typedText(value: AmqpValue): readonly [string, string] {
  if (typeof value === 'boolean') return ['boolean', String(value)];
  const span = msOfTimespan(value);
  if (span !== undefined) return ['duration', durationOf(span)];
  if (value instanceof Typed && value.type === 'timestamp')
    return ['dateTime', new Date(Number(value.value)).toISOString()];
  if (typeof value === 'number') return [Number.isInteger(value) ? 'int' : 'double', String(value)];
  if (typeof value === 'bigint') return ['long', String(value)];
  if (value instanceof Typed) {
    const isFraction = /^(?:double|float|decimal)/u.test(value.type);
    return [isFraction ? 'double' : value.type === 'long' ? 'long' : 'int', String(value)];
  }
  return ['string', value instanceof AmqpSymbol ? value.value : String(value)];
}
