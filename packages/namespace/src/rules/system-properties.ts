// SPDX-License-Identifier: Apache-2.0
import type { PropertiesFields } from '@pointsman/wire';
import { keyTextOf, numberOf, textOf, type MessageContent } from '../message-content.js';
import type { SqlValue } from './sql-syntax.js';

/** A field of the properties section that filters and actions know. */
export type SystemField =
  | 'messageId'
  | 'correlationId'
  | 'contentType'
  | 'subject'
  | 'to'
  | 'replyTo'
  | 'groupId'
  | 'replyToGroupId';

/** Of the properties section, by the name that Service Bus has for it, in lower case. */
const FIELDS: Readonly<Record<string, SystemField>> = {
  messageid: 'messageId',
  correlationid: 'correlationId',
  contenttype: 'contentType',
  label: 'subject',
  subject: 'subject',
  to: 'to',
  replyto: 'replyTo',
  sessionid: 'groupId',
  replytosessionid: 'replyToGroupId',
};

/** Those that are not in the properties section. */
const OTHERS: Readonly<Record<string, (content: MessageContent, now: number) => SqlValue>> = {
  timetolive: ({ ttlMs }) => (ttlMs === undefined ? undefined : BigInt(ttlMs)),
  partitionkey: ({ partitionKey }) => partitionKey,
  viapartitionkey: ({ annotations }) => textOf(annotations?.get('x-opt-via-partition-key')),
  scheduledenqueuetimeutc: ({ scheduledAtUtc }) => (scheduledAtUtc === undefined ? undefined : BigInt(scheduledAtUtc)),
  enqueuedtimeutc: (_content, now) => BigInt(Math.round(now)),
  size: ({ sizeBytes }) => BigInt(sizeBytes),
};

export function isSystemProperty(name: string): boolean {
  const lower = name.toLowerCase();
  return Object.hasOwn(FIELDS, lower) || Object.hasOwn(OTHERS, lower);
}

/** Whether an action may change it. */
export function isSettable(name: string): boolean {
  return Object.hasOwn(FIELDS, name.toLowerCase());
}

/** The field of the properties section that a name of Service Bus stands for. */
export function fieldOf(name: string): SystemField | undefined {
  const lower = name.toLowerCase();
  return Object.hasOwn(FIELDS, lower) ? FIELDS[lower] : undefined;
}

/** @param now - ms since 1970 */
export function systemValue(
  name: string,
  content: MessageContent,
  properties: PropertiesFields,
  now: number,
): SqlValue {
  const field = fieldOf(name);
  if (field === undefined) return OTHERS[name.toLowerCase()]?.(content, now);
  const value = properties[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  const number = numberOf(value);
  return number === undefined ? keyTextOf(value) : BigInt(number);
}
