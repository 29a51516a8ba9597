// SPDX-License-Identifier: Apache-2.0
import { int, type AmqpValue, type Message } from '@pointsman/wire';
import type { TokenAnswer } from './access.js';
import { textOf } from './message-content.js';

/**
 * Answers a request to `$cbs`: `put-token` with the properties `type` and `name` and the token as the body. The status
 * of the answer has hyphenated names, other than on `$management`.
 */
export function answerCbs(
  request: Message,
  putToken: (type: string, audience: string, token: string) => TokenAnswer,
): Message {
  const { status, description } = judge(request, putToken);
  return {
    applicationProperties: new Map<string, AmqpValue>([
      ['status-code', int(status)],
      ['status-description', description],
    ]),
    body: { kind: 'value', value: null },
  };
}

function judge(
  request: Message,
  putToken: (type: string, audience: string, token: string) => TokenAnswer,
): TokenAnswer {
  const properties = request.applicationProperties;
  const operation = textOf(properties?.get('operation'));
  if (operation !== 'put-token')
    return { status: 400, description: "The operation of a request to $cbs is 'put-token'." };
  const type = textOf(properties?.get('type'));
  const name = textOf(properties?.get('name'));
  const token = request.body?.kind === 'value' ? textOf(request.body.value) : undefined;
  if (type === undefined || name === undefined || token === undefined) {
    return { status: 400, description: "A put-token needs the properties 'type' and 'name' and a token as its body." };
  }
  return putToken(type, name, token);
}
