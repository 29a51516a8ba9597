// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  checkAutolink,
  checkIdleTimeOut,
  entityAddressOf,
  explain,
  isServiceBusHost,
  problemOf,
  Secret,
  withoutSecrets,
  type AutolinkFailure,
  type ConnectionProblem,
  type Failure,
  type TlsProblem,
} from '../src/index.js';

const HOST = 'example.servicebus.windows.net';
const PASSWORD = new Secret('THE/key+text=');
const place = { connector: 'azure', host: HOST, port: 5671, secrets: [PASSWORD] };
const autolink = (more: Partial<AutolinkFailure>): AutolinkFailure => ({
  step: 'autolink',
  ...place,
  direction: 'out',
  address: 'orders',
  externalAddress: 'orders',
  policy: 'router',
  ...more,
});
const messageOf = (failure: Failure): string => explain(failure).message;

describe('explanation of step 1, connection', () => {
  it('names the setting for each problem', () => {
    const expected: [ConnectionProblem, number, RegExp][] = [
      ['name-not-found', 5671, /name 'example\S+' was not found\. Check the host of connector 'azure'/],
      ['refused', 5670, /:5670 refused .* 5671 \(TLS\)/],
      ['timed-out', 5671, /firewall lets port 5671 out/],
      ['plain-peer', 5672, /answered without TLS.* port: 5671/],
      ['plain-peer', 5671, /not the AMQP service/],
      ['tls-peer', 5671, /sslProfile/],
      ['tls-missing', 5672, /no connection without TLS.*sslProfile/],
      ['other-protocol', 5672, /does not speak AMQP 1\.0/],
      ['closed', 5671, /connects again/],
    ];
    for (const [problem, port, text] of expected) {
      assert.match(messageOf({ step: 'connection', ...place, port, problem }), text, problem);
    }
  });

  it('speaks of the connection string where the connector was given one', () => {
    assert.match(
      messageOf({ step: 'connection', ...place, byConnectionString: true, problem: 'name-not-found' }),
      /Check the Endpoint in the connectionString of connector 'azure'/,
    );
  });

  it('tells problems apart by the codes of the system', () => {
    const expected: [string, string, string][] = [
      ['ENOTFOUND', '', 'name-not-found'],
      ['ECONNREFUSED', '', 'refused'],
      ['ERR_SSL_WRONG_VERSION_NUMBER', '', 'plain-peer'],
      ['EPROTO', 'ssl3_get_record:wrong version number', 'plain-peer'],
      ['CERT_HAS_EXPIRED', '', 'expired'],
      ['SELF_SIGNED_CERT_IN_CHAIN', '', 'unknown-issuer'],
      ['ERR_TLS_CERT_ALTNAME_INVALID', '', 'name-mismatch'],
      ['ERR_OSSL_X509_KEY_VALUES_MISMATCH', '', 'key-mismatch'],
      ['ERR_OSSL_BAD_DECRYPT', '', 'key-password'],
      ['ERR_SSL_NEW_THING', '', 'unknown'],
      ['constructor', '', 'unknown'],
    ];
    for (const [code, message, problem] of expected) assert.equal(problemOf({ code, message }).problem, problem, code);
    assert.equal(problemOf({}).problem, 'unknown');
  });
});

describe('explanation of step 2, TLS', () => {
  it('names the issuer, the names, the file and the setting', () => {
    const tls = (problem: TlsProblem, more: object = {}): string =>
      messageOf({ step: 'tls', ...place, host: 'broker.example', sslProfile: 'tls', problem, ...more });
    assert.match(
      tls('unknown-issuer', { issuer: 'CN=Our CA' }),
      /issued by 'CN=Our CA'.*'caCertFile' of sslProfile 'tls'/,
    );
    assert.match(messageOf({ step: 'tls', ...place, problem: 'unknown-issuer' }), /leave 'caCertFile' out/);
    assert.match(
      tls('name-mismatch', { names: ['a.example', 'b.example'] }),
      /for 'a\.example', 'b\.example', not for 'broker\.example'/,
    );
    assert.match(tls('expired', { validUntil: '1 May 2026' }), /expired \(1 May 2026\)/);
    assert.match(tls('key-mismatch'), /privateKeyFile does not fit certFile of sslProfile 'tls'/);
    assert.match(tls('key-password'), /env:NAME/);
    assert.match(tls('file', { file: 'ca.pem' }), /'ca\.pem'/);
    assert.match(tls('protocol-version'), /TLS 1\.2 and 1\.3/);
  });
});

describe('explanation of step 3, idle time-out', () => {
  it('names the setting, both numbers, and what to write for the ratio in use', () => {
    const message = messageOf({ step: 'idle', ...place, idleTimeoutSeconds: 16, advertisedMs: 8000 });
    assert.match(message, /idleTimeoutSeconds: 16, which is advertised as 8000 ms/);
    assert.match(message, /Write idleTimeoutSeconds: 120 \(at least 20\)/);
    assert.match(messageOf({ step: 'idle', ...place, idleTimeoutSeconds: 5, advertisedMs: 5000 }), /at least 10\)/);
  });

  it('is asked for before anything is sent', () => {
    assert.equal(checkIdleTimeOut(9_999), 'too-short');
    for (const fine of [undefined, 0, 10_000, 120_000]) assert.equal(checkIdleTimeOut(fine), undefined);
  });
});

describe('explanation of step 4, authentication', () => {
  it('names the mechanisms and what to write', () => {
    const message = messageOf({
      step: 'authentication',
      ...place,
      problem: 'no-mechanism',
      configured: ['GSSAPI'],
      offered: ['MSSBCBS', 'PLAIN'],
    });
    assert.match(message, /SASL GSSAPI.*offers MSSBCBS PLAIN.*saslMechanisms: PLAIN/);
    assert.match(
      messageOf({ step: 'authentication', ...place, problem: 'refused', username: 'router' }),
      /'router'.*saslUsername/,
    );
    assert.match(
      messageOf({ step: 'authentication', ...place, problem: 'token-refused', statusCode: 401 }),
      /status 401.*clock/,
    );
    assert.match(
      messageOf({ step: 'authentication', ...place, problem: 'token-refused', statusCode: 404 }),
      /does not exist/,
    );
  });
});

describe('explanation of step 5, autolink', () => {
  it('says key or right, which right and which entity', () => {
    const out = explain(autolink({ condition: 'amqp:unauthorized-access' }));
    assert.equal(out.class, 'unauthorized');
    assert.match(
      out.message,
      /refused 'orders': the key of policy 'router' is wrong, or the policy lacks the right 'Send' on 'orders'/,
    );
    assert.match(out.message, /saslUsername .* saslPassword .* connector 'azure'/);
    assert.match(
      messageOf(autolink({ direction: 'in', condition: 'amqp:unauthorized-access' })),
      /direction in needs Listen/,
    );
  });

  it('says how a missing entity is spelt, and that a topic is not received from', () => {
    assert.match(messageOf(autolink({ condition: 'amqp:not-found' })), /does not exist in the namespace example/);
    const fromTopic = messageOf(autolink({ direction: 'in', externalAddress: 'news', condition: 'amqp:not-found' }));
    assert.match(fromTopic, /a topic is only sent to.*news\/Subscriptions\/NAME/);
    const fromSubscription = messageOf(
      autolink({ direction: 'in', externalAddress: 'news/Subscriptions/x', condition: 'amqp:not-found' }),
    );
    assert.match(fromSubscription, /TOPIC\/Subscriptions\/NAME/);
  });

  it('says wrong direction, session entity, disabled, too large', () => {
    assert.match(
      messageOf(autolink({ externalAddress: 'news/Subscriptions/x', condition: 'amqp:not-allowed' })),
      /name the topic \('news'\), or write direction: in/,
    );
    assert.match(
      messageOf(
        autolink({
          direction: 'in',
          condition: 'amqp:not-allowed',
          description:
            'It is not possible for an entity that requires sessions to create a non-sessionful message receiver.',
        }),
      ),
      /requires message sessions/,
    );
    const description =
      'A sessionful message receiver cannot be created on an entity that does not require sessions. Ensure RequiresSession is set.';
    assert.match(
      messageOf(autolink({ direction: 'in', condition: 'amqp:not-allowed', description })),
      /has no message sessions\. Take sessionId and nextSession out/,
    );
    assert.match(
      messageOf(autolink({ direction: 'in', condition: 'amqp:not-allowed', description: 'it forwards its messages.' })),
      /forwards its messages to another entity/,
    );
    assert.match(
      messageOf(autolink({ condition: 'com.microsoft:entity-disabled' })),
      /disabled for sending.*status Active/,
    );
    assert.match(messageOf(autolink({ condition: 'amqp:link:message-size-exceeded' })), /larger than it takes/);
    assert.match(messageOf(autolink({ condition: 'made:up' })), /made:up/);
  });

  it('checks the direction before anything is attached', () => {
    assert.equal(checkAutolink('out', 'orders'), undefined);
    assert.equal(checkAutolink('in', 'news/subscriptions/x'), undefined);
    assert.equal(checkAutolink('in', 'orders/$DeadLetterQueue'), undefined);
    assert.match(checkAutolink('out', 'orders/$deadletterqueue') ?? '', /name 'orders'/);
    assert.equal(checkAutolink('out', 'orders/$management'), undefined);
    assert.match(checkAutolink('in', '$cbs') ?? '', /for tokens/);
    assert.match(checkAutolink('out', 'a/Subscriptions/b/Subscriptions/x') ?? '', /topic \('a\/Subscriptions\/b'\)/);
  });

  it('reads addresses as Service Bus does', () => {
    assert.deepEqual(entityAddressOf('amqps://h.example/orders'), {
      kind: 'queue-or-topic',
      path: 'orders',
      owner: 'orders',
    });
    assert.equal(entityAddressOf('/a/b').path, 'a/b');
    assert.equal(entityAddressOf('t/SUBSCRIPTIONS/s/$deadLetterQueue').owner, 't/SUBSCRIPTIONS/s');
    assert.equal(entityAddressOf('subscriptions/x').kind, 'queue-or-topic');
  });
});

describe('explanations in general', () => {
  it('never contain a secret, even where the peer repeats it, and stay on one line', () => {
    const description = `bad key ${PASSWORD.reveal()} or ${encodeURIComponent(PASSWORD.reveal())}\nforged: log line ${'x'.repeat(9000)}`;
    const failures: Failure[] = [
      autolink({ condition: 'amqp:unauthorized-access', description }),
      { step: 'connection', ...place, problem: 'closed', condition: 'amqp:connection:forced', description },
      { step: 'authentication', ...place, problem: 'refused', description },
      { step: 'idle', ...place, idleTimeoutSeconds: 16, advertisedMs: 8000, description },
      { step: 'tls', ...place, problem: 'unknown', description },
    ];
    for (const failure of failures) {
      const message = messageOf(failure);
      assert.match(message, /\[secret\]/);
      assert.ok(
        !message.includes(PASSWORD.reveal()) && !message.includes(encodeURIComponent(PASSWORD.reveal())),
        message,
      );
      assert.ok(!message.includes('\n') && message.length < 1500, message);
    }
  });

  it('mask a secret in the form given and encoded', () => {
    assert.equal(withoutSecrets('a THE/key+text= b', [PASSWORD]), 'a [secret] b');
  });
});

describe('host of a namespace', () => {
  it('is known by its domain, in any case', () => {
    for (const host of [
      HOST,
      'X.ServiceBus.Windows.NET.',
      'x.servicebus.chinacloudapi.cn',
      'x.privatelink.servicebus.windows.net',
    ]) {
      assert.equal(isServiceBusHost(host), true, host);
    }
    for (const host of [
      'localhost',
      'servicebus.windows.net',
      'evilservicebus.windows.net',
      'x.servicebus.windows.net.evil.example',
    ]) {
      assert.equal(isServiceBusHost(host), false, host);
    }
  });
});
