// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeMessage, encodeMessage } from '@pointsman/wire';
import { hubQuestion, withSecurityToken } from '../src/management-request.js';

describe('a request about an event hub', () => {
  const properties = { messageId: 'a', replyTo: 'b' };
  const asked = { operation: 'READ', name: 'telemetry' };
  const body = { kind: 'data', sections: [Uint8Array.of(1)] } as const;
  const message = (more: object): Uint8Array =>
    encodeMessage({ properties, applicationProperties: new Map(Object.entries({ ...asked, ...more })), body });

  it('gets another token in place of that of its client, or none, and is otherwise as it was', () => {
    const given = message({ security_token: 'of the client' });
    assert.deepEqual(hubQuestion(given), { hub: 'telemetry', token: 'of the client' });
    assert.deepEqual(
      decodeMessage(withSecurityToken(given, 'ours')),
      decodeMessage(message({ security_token: 'ours' })),
    );
    assert.deepEqual(decodeMessage(withSecurityToken(given, undefined)), decodeMessage(message({})));
  });

  it('is known by its token or its type, and all else is left alone', () => {
    assert.equal(hubQuestion(message({})), undefined);
    assert.deepEqual(hubQuestion(message({ type: 'com.microsoft:partition' })), { hub: 'telemetry', token: undefined });
    assert.equal(hubQuestion(encodeMessage({ properties, body })), undefined);
  });
});
