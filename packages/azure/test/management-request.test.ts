// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeMessage, encodeMessage } from '@pointsman/wire';
import { hubWithToken, withSecurityToken } from '../src/management-request.js';

describe('a request about an event hub', () => {
  const properties = { messageId: 'a', replyTo: 'b' };
  const asked = { operation: 'READ', name: 'telemetry' };
  const body = { kind: 'data', sections: [Uint8Array.of(1)] } as const;
  const message = (more: object): Uint8Array =>
    encodeMessage({ properties, applicationProperties: new Map(Object.entries({ ...asked, ...more })), body });

  it('gets another token in place of that of its client, or none, and is otherwise as it was', () => {
    const given = message({ security_token: 'of the client' });
    assert.equal(hubWithToken(given), 'telemetry');
    assert.deepEqual(
      decodeMessage(withSecurityToken(given, 'ours')),
      decodeMessage(message({ security_token: 'ours' })),
    );
    assert.deepEqual(decodeMessage(withSecurityToken(given, undefined)), decodeMessage(message({})));
  });

  it('without a token is left alone', () => {
    assert.equal(hubWithToken(message({})), undefined);
    assert.equal(hubWithToken(encodeMessage({ properties, body })), undefined);
  });
});
