// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ConnectionStringError, impliedConnector, parseConnectionString } from '../src/index.js';

const KEY = 'q7Zp+Xw/secretKEYtext0123456789abcdefghijk=';
const CLOUD = `Endpoint=sb://Example.servicebus.windows.net/;SharedAccessKeyName=router;SharedAccessKey=${KEY}`;

const messageOf = (text: string): string => {
  try {
    parseConnectionString(text);
  } catch (error) {
    assert.ok(error instanceof ConnectionStringError, String(error));
    return error.message;
  }
  return assert.fail(`was accepted: ${text}`);
};

describe('connection string', () => {
  it('gives host, port, TLS and the key with its padding', () => {
    const parsed = parseConnectionString(CLOUD);
    assert.equal(parsed.host, 'example.servicebus.windows.net');
    assert.equal(parsed.port, 5671);
    assert.equal(parsed.tls, 'first');
    assert.equal(parsed.keyName, 'router');
    assert.equal(parsed.key?.reveal(), KEY);
    assert.equal(parsed.emulator, false);
  });

  it('takes names in any case, blanks around them, empty pairs and legacy settings', () => {
    const parsed = parseConnectionString(
      ` endpoint = sb://x.servicebus.windows.net ;; SHAREDACCESSKEYNAME= p ;sharedaccesskey=a=b==;TransportType=Amqp;EntityPath=/orders/ `,
    );
    assert.equal(parsed.keyName, 'p');
    assert.equal(parsed.key?.reveal(), 'a=b==');
    assert.equal(parsed.entityPath, 'orders');
  });

  it('means plain TCP on 5672, or on the port of the endpoint, for the development emulator', () => {
    const keys = 'SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE';
    const standard = parseConnectionString(`Endpoint=sb://localhost;${keys};UseDevelopmentEmulator=true;`);
    assert.deepEqual([standard.port, standard.tls], [5672, 'none']);
    const other = parseConnectionString(`Endpoint=sb://127.0.0.1:15999;${keys};UseDevelopmentEmulator=true`);
    assert.deepEqual([other.host, other.port, other.tls], ['127.0.0.1', 15_999, 'none']);
    const v6 = parseConnectionString(`Endpoint=sb://[::1]:15999/;${keys};UseDevelopmentEmulator=true`);
    assert.equal(v6.host, '::1');
  });

  it('takes 443 of a portal for 5671, and 5672 without the emulator for the in-band upgrade', () => {
    const at = (port: number): [number, string] => {
      const parsed = parseConnectionString(CLOUD.replace('.net/', `.net:${port}/`));
      return [parsed.port, parsed.tls];
    };
    assert.deepEqual(at(443), [5671, 'first']);
    assert.deepEqual(at(5672), [5672, 'in-band']);
    assert.deepEqual(at(5671), [5671, 'first']);
  });

  it('never sends a key to the cloud in clear', () => {
    assert.match(messageOf(`${CLOUD};UseDevelopmentEmulator=true`), /in clear/);
  });

  it('implies everything that a connector needs', () => {
    const implied = impliedConnector(parseConnectionString(CLOUD));
    assert.equal(implied.hostname, 'example.servicebus.windows.net');
    assert.equal(implied.verifyHostname, true);
    assert.equal(implied.idleTimeOutMs, 120_000);
    assert.ok(implied.authentication.mechanism === 'PLAIN');
    assert.equal(implied.authentication.username, 'router');
    assert.equal(implied.authentication.password.reveal(), KEY);
  });

  it('implies ANONYMOUS and a token for a ready-made signature', () => {
    const implied = impliedConnector(
      parseConnectionString(
        'Endpoint=sb://x.servicebus.windows.net;SharedAccessSignature=SharedAccessSignature sr=a&sig=b%3D&se=1&skn=p',
      ),
    );
    assert.ok(implied.authentication.mechanism === 'ANONYMOUS');
    assert.equal(implied.authentication.token.reveal(), 'SharedAccessSignature sr=a&sig=b%3D&se=1&skn=p');
  });

  it('prints without its key, however it is printed', () => {
    const parsed = parseConnectionString(CLOUD);
    for (const text of [inspect(parsed, { depth: 9, showHidden: true }), JSON.stringify(parsed), `${parsed.key}`]) {
      assert.ok(!text.includes(KEY), text);
      assert.match(text, /\[secret\]/);
    }
  });

  const faults: [string, string, RegExp][] = [
    ['nothing', '  ', /empty/],
    ['quotation marks', `"${CLOUD}"`, /quotation mark/],
    [
      'quotation marks around a key',
      CLOUD.replace('SharedAccessKey=', 'SharedAccessKey="'),
      /SharedAccessKey \(part \d\) begins/,
    ],
    ['a transport that is misspelt', `${CLOUD};TransportType=AmqpWebSocket`, /Write AmqpWebSockets/],
    ['a line break', CLOUD.replace('secretKEY', 'secret\nKEY'), /line break/],
    ['no endpoint', `SharedAccessKeyName=router;SharedAccessKey=${KEY}`, /Endpoint is missing/],
    ['a forgotten semicolon', CLOUD.replace('.net/;', '.net/'), /; missing/],
    ['a scheme that is none of ours', CLOUD.replace('sb:', 'http:'), /sb:\/\/HOST/],
    ['user information in the endpoint', CLOUD.replace('sb://', `sb://u:${KEY.replaceAll('/', '')}@`), /sb:\/\/HOST/],
    ['a port out of range', CLOUD.replace('.net/', '.net:70000/'), /70000/],
    ['a key without a policy', CLOUD.replace('SharedAccessKeyName=router;', ''), /SharedAccessKeyName is missing/],
    ['a policy without a key', CLOUD.replace(/;SharedAccessKey=.*/, ''), /SharedAccessKey is missing/],
    ['neither key nor signature', 'Endpoint=sb://x.servicebus.windows.net', /names no key/],
    ['both key and signature', `${CLOUD};SharedAccessSignature=SharedAccessSignature sr=x`, /Keep the one/],
    ['a setting twice', `${CLOUD};SharedAccessKey=${KEY}`, /given twice/],
    ['an empty value', CLOUD.replace('=router', '='), /SharedAccessKeyName \(part 2\) has no value/],
    [
      'a misspelt name',
      CLOUD.replace('SharedAccessKey=', 'SharedAcessKey='),
      /part 3 .* Did you mean SharedAccessKey\?/,
    ],
    ['a key where a name belongs', `${CLOUD.replace(/;SharedAccessKey=.*/, '')};${KEY}`, /part 3 has an unknown name/],
    ['a part without =', `${CLOUD};garbage`, /part 4 has no '='/],
    ['an emulator flag that is none', `${CLOUD};UseDevelopmentEmulator=maybe`, /neither true nor false/],
    ['too much', `${CLOUD};EntityPath=${'x'.repeat(20_000)}`, /more than 16384/],
  ];
  for (const [what, text, expected] of faults) {
    it(`refuses ${what}, and says so without the key`, () => {
      const message = messageOf(text);
      assert.match(message, expected);
      assert.ok(!message.includes('secretKEY') && !message.includes(KEY.slice(0, 8)), message);
    });
  }

  it('meets any text with a value or a ConnectionStringError that repeats none of it', () => {
    const part = fc.constantFrom(
      'Endpoint',
      'SharedAccessKey',
      'SharedAccessKeyName',
      '=',
      ';',
      'sb://h',
      KEY,
      ' ',
      ':',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part, { maxLength: 14 }).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            parseConnectionString(text);
          } catch (error) {
            assert.ok(error instanceof ConnectionStringError, String(error));
            assert.ok(!error.message.includes(KEY), error.message);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
