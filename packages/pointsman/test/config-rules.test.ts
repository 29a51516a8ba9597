// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RouterConfig } from '../src/config/model.js';
import type { ConfigProblem } from '../src/config/problems.js';
import { readConfig } from '../src/config/read-config.js';
import type { ReadOptions } from '../src/config/read-config.js';

const secrets = { env: (name: string) => (name === 'KEY' ? 'k' : undefined), readFile: () => 'from file\n' };
/** What is not there yet is left to one test: the rules must hold once it is. */
const everything: Partial<ReadOptions> = { notSupported: [] };

interface Reading {
  readonly config: RouterConfig | undefined;
  readonly problems: readonly ConfigProblem[];
}

function read(text: string, options: Partial<ReadOptions> = {}): Reading {
  const result = readConfig(text, { path: 'a.conf', secrets, generateId: (mode) => `${mode}-1`, ...options });
  return result.ok
    ? { config: result.config, problems: result.warnings }
    : { config: undefined, problems: result.problems };
}

/** A configuration in which nothing is wrong. */
function accepted(text: string, options: Partial<ReadOptions> = {}): RouterConfig {
  const { config, problems } = read(text, options);
  assert.deepEqual(problems, []);
  assert.ok(config);
  return config;
}

/** The only problem of a text. */
function only(text: string, options: Partial<ReadOptions> = {}): ConfigProblem {
  const { problems } = read(text, options);
  assert.equal(problems.length, 1, JSON.stringify(problems.map(({ line, message }) => [line, message])));
  return problems[0]!;
}

const AZURE = `connector {
  name: azure
  role: route-container
  connectionString: env:KEY
}
`;
const BROKER = `connector {
  name: broker
  role: route-container
  host: broker
}
`;
const cloud = (lines: string): string => `connector {
  name: azure
  role: route-container
  host: ns.servicebus.windows.net
  ${lines.split(';').join('\n  ')}
}
`;
const CREDENTIALS = 'saslMechanisms: PLAIN;saslUsername: Root;saslPassword: env:KEY';

describe('the model', () => {
  it('has a standalone router with defaults where the file says nothing of it', () => {
    const config = accepted('# nothing');
    assert.equal(config.router.id, 'standalone-1');
    assert.equal(config.router.idGenerated, true);
    assert.equal(config.router.mode, 'standalone');
    assert.equal(config.router.defaultDistribution, 'balanced');
    assert.deepEqual(config.listeners, []);
  });

  it('fills in defaults, and what numbers out of the ordinary stand for', () => {
    const {
      listeners: [plain, odd],
    } = accepted(
      'listener { port: amqps }\nlistener { host: "[::1]" port: 0 maxSessions: 0 linkCapacity: 0 maxSessionFrames: 0 idleTimeoutSeconds: 0 }',
    );
    assert.equal(plain?.host, '');
    assert.equal(plain.port, 5671);
    assert.deepEqual(plain.idleTimeOut, { advertisedMs: 8_000, enforcedMs: 16_000 });
    assert.deepEqual(
      [plain.linkCapacity, plain.maxSessions, plain.maxFrameSize, plain.maxSessionFrames],
      [250, 32_768, 16_384, undefined],
    );
    assert.equal(odd?.host, '::1');
    assert.equal(odd.port, 0);
    assert.deepEqual(odd.idleTimeOut, { advertisedMs: undefined, enforcedMs: undefined });
    assert.deepEqual([odd.linkCapacity, odd.maxSessions, odd.maxSessionFrames], [250, 32_768, undefined]);
  });

  it('names what has no name as the old router does', () => {
    const config = accepted(`listener { host: h port: amqp }\n${BROKER}
      autoLink { address: a direction: out connection: broker }
      autoLink { address: b direction: out connection: broker }
      log { module: AGENT enable: info }
      connector { host: x port: 1 }`);
    assert.equal(config.listeners[0]?.name, 'listener/h:amqp');
    assert.deepEqual(
      config.connectors.map(({ name }) => name),
      ['broker', 'connector/x:1'],
    );
    assert.deepEqual(
      config.autoLinks.map(({ name }) => name),
      ['autoLink/0', 'autoLink/1'],
    );
    assert.equal(config.logs[0]?.name, 'log/AGENT');
  });

  it('gives phases: those of a waypoint to its address, 1 to what comes in and 0 to what goes out', () => {
    const config = accepted(`${BROKER}address { prefix: q waypoint: yes }
      address { prefix: r ingressPhase: 2 egressPhase: 3 }
      autoLink { address: q direction: in connection: broker externalAddress: x }
      autoLink { address: q direction: out connection: broker }`);
    assert.deepEqual(
      config.addresses.map(({ ingressPhase, egressPhase }) => [ingressPhase, egressPhase]),
      [
        [0, 1],
        [2, 3],
      ],
    );
    assert.deepEqual(
      config.autoLinks.map(({ phase, externalAddress }) => [phase, externalAddress]),
      [
        [1, 'x'],
        [0, 'q'],
      ],
    );
  });

  it('reads the levels of a log section', () => {
    const levels = (enable: string): unknown => {
      const set = accepted(`log {\n module: DEFAULT\n enable: ${enable}\n}`).logs[0]?.levels;
      return set === undefined ? undefined : [...set];
    };
    assert.deepEqual(levels('warning+'), ['warning', 'error', 'critical']);
    assert.deepEqual(levels('TRACE, err'), ['trace', 'error']);
    assert.deepEqual(levels('none'), []);
    assert.equal(levels('default'), undefined);
    assert.equal(levels('d'), undefined);
  });
});

describe('rules: names', () => {
  it('refuse a name that two entities have, of whatever type', () => {
    const problem = only('listener { name: a }\nsslProfile { name: a }');
    assert.equal(problem.line, 2);
    assert.match(problem.message, /'a' belongs to two entities/u);
  });

  it('refuse two listeners without names on one port, but not on port 0', () => {
    assert.match(only('listener { port: 5672 }\nlistener { port: 5672 }').message, /the same as the one at line 1/u);
    assert.match(
      only('listener { port: amqp }\nlistener { name: x port: 5672 }').message,
      /listens where the one at line 1 does/u,
    );
    const { listeners } = accepted('listener { port: 0 }\nlistener { port: 0 }\nlistener { port: 0 }');
    assert.equal(new Set(listeners.map(({ name }) => name)).size, 3);
  });

  it('refuse a second router or policy section, and a second one for a log module', () => {
    assert.match(only('router { id: a }\nrouter { id: b }').message, /a second router section/u);
    assert.match(only('policy { }\npolicy { }').message, /a second policy section/u);
    assert.match(
      only('log { module: AGENT }\nlog { module: AGENT }').message,
      /a second log section for module AGENT/u,
    );
    accepted('log { module: AGENT }\nlog { module: SERVER }');
  });

  it('suggest the section that was meant', () => {
    const problem = only('listner { port: 1 }');
    assert.equal(problem.nearest, 'listener');
    assert.match(problem.allowed ?? '', /autoLink.*listener/u);
    assert.equal(only('router.config.address { prefix: a }').nearest, 'address');
    assert.match(only('waypoint { prefix: a }').hint ?? '', /waypoint: yes/u);
    accepted('ssl-profile { name: x }\nauto_link { address: a direction: out containerId: c }');
  });

  it('warn of the console section', () => {
    assert.equal(only('console { }').severity, 'warning');
  });
});

describe('rules: router', () => {
  it('refuse an id that is empty, too long, or has a blank in it', () => {
    assert.match(only(`router { id: ${'a'.repeat(128)} }`).message, /longer than 127/u);
    accepted(`router { id: ${'a'.repeat(127)} }`);
    assert.match(only('router { id: "a b" }').message, /U\+0020/u);
    assert.match(only('router { id: "" }').message, /empty/u);
  });

  it('refuse roles that do not go with the mode', () => {
    const message = (mode: string, connection: string): string =>
      only(`router { mode: ${mode} }\n${connection}`, everything).message;
    assert.match(
      message('standalone', 'listener { role: inter-router }'),
      /has role inter-router, but the router is a standalone one/u,
    );
    assert.match(message('standalone', 'connector { role: edge }'), /standalone/u);
    assert.match(message('edge', 'connector { role: inter-router }'), /needs mode: interior/u);
    assert.match(message('edge', 'listener { role: edge }'), /needs mode: interior/u);
    accepted('router { mode: edge }\nconnector { role: edge }', everything);
  });

  it('take interior for inter-router as a role', () => {
    assert.equal(
      accepted('router { mode: interior }\nlistener { role: interior }', everything).listeners[0]?.role,
      'inter-router',
    );
  });
});

describe('rules: references', () => {
  it('refuse an sslProfile that does not exist, and name those that do', () => {
    const problem = only(
      'sslProfile { name: azure-tls }\nsslProfile { name: other }\nconnector { sslProfile: azure_tls }',
    );
    assert.equal(problem.line, 3);
    assert.equal(problem.found, 'azure_tls');
    assert.equal(problem.allowed, 'azure-tls, other');
    assert.equal(problem.nearest, 'azure-tls');
  });

  it('refuse a connection that is neither a connector nor a listener', () => {
    for (const link of ['autoLink { address: a direction: out', 'linkRoute { prefix: a direction: in']) {
      const problem = only(`${BROKER}${link} connection: brokr }`);
      assert.equal(problem.line, 6);
      assert.equal(problem.nearest, 'broker');
      assert.match(problem.hint ?? '', /containerId/u);
    }
  });

  it('do not let a made-up name be referred to', () => {
    const problem = only(
      'connector { role: route-container host: x port: 1 }\nautoLink { address: a direction: out connection: "connector/x:1" }',
    );
    assert.match(problem.allowed ?? '', /no connector or listener with a name/u);
  });

  it('refuse a connection that is no route container', () => {
    const problem = only('connector { name: x }\nautoLink { address: a direction: out connection: x }');
    assert.equal(problem.found, 'role: normal');
    assert.equal(problem.allowed, 'role: route-container');
  });

  it('refuse a saslPlugin and an exchange that do not exist', () => {
    assert.match(only('listener { saslPlugin: x }', everything).message, /names no authServicePlugin/u);
    assert.match(only('binding { exchangeName: x nextHopAddress: y }', everything).message, /names no exchange/u);
  });
});

describe('rules: openProperties', () => {
  it('refuse reserved keys and roles between routers', () => {
    for (const key of ['product', 'version', 'failover-server-list', 'network-host', 'port', 'qd.x', 'x-opt-qd.y']) {
      assert.match(only(`listener {\n openProperties: { "${key}": 1 }\n}`).message, /is reserved/u, key);
    }
    assert.match(
      only('router { mode: interior }\nlistener { role: inter-router openProperties: { a: 1 } }', everything).message,
      /cannot be given for role inter-router/u,
    );
    assert.deepEqual(accepted('listener { openProperties: { a: 1, hostname: x } }').listeners[0]?.openProperties, {
      a: 1,
      hostname: 'x',
    });
  });
});

describe('rules: addresses and links', () => {
  it('want exactly one of prefix and pattern', () => {
    assert.match(only('address { distribution: closest }').message, /says of no address/u);
    assert.match(only('address { prefix: a pattern: b }').message, /both 'prefix' and 'pattern'/u);
    assert.match(only(`${BROKER}linkRoute { direction: in connection: broker }`).message, /says of no address/u);
    assert.match(only('address { prefix: / }').message, /'prefix' of address is empty/u);
  });

  it('warn of two address sections for the same addresses, however they are spelt', () => {
    for (const [a, b] of [
      ['prefix: a/b', 'prefix: a.b'],
      ['prefix: a', 'pattern: a/#'],
      ['pattern: a/#/*', 'pattern: a.*.#'],
      ['pattern: #/#', 'pattern: #'],
    ]) {
      const problem = only(`address { ${a} }\naddress { ${b} }`);
      assert.equal(problem.line, 2);
      assert.equal(problem.severity, 'warning');
      assert.match(problem.message, /covers the same addresses as the one at line 1, which counts/u);
    }
    accepted('address { prefix: a }\naddress { pattern: a }');
  });

  it('allow link routes for the same addresses in both directions', () => {
    accepted(
      `${BROKER}linkRoute { prefix: a direction: in connection: broker }\nlinkRoute { prefix: a direction: out connection: broker }`,
    );
  });

  it('want one of connection and containerId, and no more than one', () => {
    for (const link of ['autoLink { address: a direction: out', 'linkRoute { prefix: a direction: in']) {
      const idle = only(`${BROKER}${link} }`);
      assert.match(idle.message, /does not say which connection it uses/u);
      assert.equal(idle.severity, 'warning');
      assert.match(
        only(`${BROKER}${link} connection: broker containerId: c }`).message,
        /both 'connection' and 'containerId'/u,
      );
      accepted(`${link} containerId: c }`);
    }
  });

  it('want phases of 0 to 9, and a direction', () => {
    assert.match(only('autoLink { address: a direction: out containerId: c phase: 10 }').allowed ?? '', /from 0 to 9/u);
    assert.equal(only('autoLink { address: a direction: ot containerId: c }').nearest, 'out');
    assert.match(only('autoLink { address: a containerId: c }').message, /lacks 'direction'/u);
  });

  it('warn of an autolink at a phase where nobody is', () => {
    const problem = only(`${BROKER}autoLink { address: orders direction: in connection: broker }`);
    assert.equal(problem.severity, 'warning');
    assert.match(problem.message, /receivers attach at phase 0 and get none/u);
    assert.match(problem.hint ?? '', /waypoint: yes/u);
    assert.match(
      only(
        `${BROKER}address { prefix: q ingressPhase: 1 }\nautoLink { address: q.x direction: out connection: broker }`,
      ).message,
      /senders send at phase 1/u,
    );
  });

  it('do not warn of one that brings in what another takes out, nor of one with the right phase', () => {
    accepted(`${BROKER}address { prefix: a waypoint: yes }\naddress { pattern: a/*/# waypoint: no }\naddress { pattern: a/x/y waypoint: yes }
      autoLink { address: a.x.y direction: in connection: broker }
      autoLink { address: b direction: in connection: broker phase: 0 }
      autoLink { address: c direction: in connection: broker phase: 2 }
      autoLink { address: c direction: out connection: broker phase: 2 externalAddress: d }`);
  });

  it('refuse fallback together with phases', () => {
    assert.match(
      only('address { prefix: a enableFallback: yes waypoint: yes }', everything).message,
      /enableFallback together with waypoint/u,
    );
    assert.match(
      only('autoLink { address: a direction: out containerId: c fallback: yes phase: 1 }', everything).message,
      /has no phase/u,
    );
    accepted(
      'address { prefix: a enableFallback: yes }\nautoLink { address: a direction: in containerId: c fallback: yes }',
      everything,
    );
  });
});

describe('rules: exchanges', () => {
  const EXCHANGE = 'exchange { name: e address: a matchMethod: mqtt }\n';

  it('want a name, and an address that no other exchange has', () => {
    assert.match(only('exchange { address: a }').message, /has no name/u);
    assert.match(
      only(`${EXCHANGE}exchange { name: f address: amqp:/a }`).message,
      /takes the same messages as the one at line 1/u,
    );
    assert.match(only(`${EXCHANGE}exchange { name: e address: b }`).message, /belongs to two entities/u);
    assert.match(only(`${EXCHANGE}exchange { name: f address: a phase: 1 }`).message, /takes the same messages/u);
  });

  it('want keys in their notation, and no binding twice', () => {
    const binding = 'binding { exchangeName: e nextHopAddress: x bindingKey:';
    assert.match(only(`${EXCHANGE}${binding} a/#/b }`).message, /# before its end/u);
    assert.match(only(`${EXCHANGE}${binding} a }\n${binding} a }`).message, /says the same as the one at line 2/u);
    const config = accepted(
      `${EXCHANGE}${binding} a/# }\nbinding { exchangeName: e nextHopAddress: x nextHopPhase: 2 }`,
    );
    assert.deepEqual(
      config.bindings.map(({ bindingKey, nextHopPhase }) => [bindingKey, nextHopPhase]),
      [
        ['a/#', 0],
        [undefined, 2],
      ],
    );
  });

  it('are warned of where they lead back to themselves', () => {
    const problem = only(`${EXCHANGE}exchange { name: f address: b alternateAddress: a }
      binding { exchangeName: e nextHopAddress: b }
      binding { exchangeName: f nextHopAddress: c }`);
    assert.equal(problem.severity, 'warning');
    assert.match(problem.message, /lead back to themselves: e -> f -> e/u);
  });
});

describe('rules: connections', () => {
  it('refuse hosts that are none, and say what the host is', () => {
    for (const [host, nearest] of [
      ['"amqps://x.example:5671"', 'x.example'],
      ['x.example:5671', 'x.example'],
      ['x.example/q', undefined],
      ['x name: y', undefined],
    ]) {
      const problem = only(`connector {\n host: ${host}\n}`);
      assert.equal(problem.line, 2);
      assert.equal(problem.nearest, nearest);
    }
    accepted('connector { host: ::1 port: 1 }\nconnector { host: fe80::1%eth0 }');
  });

  it('show no password that stands on the line of a host', () => {
    assert.equal(only('connector {\n host: x saslPassword: hunter2\n}').found, 'x saslPassword [hidden]');
  });

  it('take ports by number and by name, and suggest the name that was meant', () => {
    for (const [port, number] of [
      ['amqp', 5672],
      ['amqps', 5671],
      ['65535', 65_535],
    ] as const) {
      assert.equal(accepted(`connector { port: ${port} }`).connectors[0]?.port, number);
    }
    assert.equal(only('listener { port: ampqs }').nearest, 'amqps');
    for (const port of ['65536', '-1', '1.5', '5672}x', 'constructor'])
      assert.match(only(`listener {\n port: ${port}\n}`).message, /is no port/u);
    assert.match(only('connector { port: 0 }').allowed ?? '', /from 1 to 65535/u);
  });

  it('raise a small frame size, with a warning', () => {
    const { config, problems } = read('listener { maxFrameSize: 100 }');
    assert.equal(config?.listeners[0]?.maxFrameSize, 512);
    assert.deepEqual(
      problems.map(({ severity }) => severity),
      ['warning'],
    );
  });

  it('want a certificate for a listener with TLS, and an sslProfile for one that insists on it', () => {
    assert.match(only('sslProfile { name: p }\nlistener { sslProfile: p }').message, /has no certificate to show/u);
    assert.match(only('listener { requireSsl: yes }').message, /needs an sslProfile/u);
    assert.match(only('listener { saslMechanisms: EXTERNAL ANONYMOUS }').message, /EXTERNAL .* needs an sslProfile/u);
    assert.equal(
      accepted('sslProfile { name: p certFile: c }\nlistener { sslProfile: p requireSsl: yes }').listeners[0]
        ?.requireEncryption,
      true,
    );
  });

  it('refuse an sslProfile that does not fit together', () => {
    assert.match(only('sslProfile { name: p privateKeyFile: k }').message, /a private key without a certificate/u);
    assert.equal(only('sslProfile { name: p protocols: TLSv1.2 TLS1.3 }').nearest, 'TLSv1.3');
    for (const word of ['SSLv2', 'SSLv3', 'SSLv23']) {
      const { config, problems } = read(`sslProfile { name: p protocols: ${word} }`);
      assert.deepEqual(
        problems.map(({ severity }) => severity),
        ['warning'],
      );
      assert.equal(config?.sslProfiles[0]?.protocols, undefined);
    }
    assert.match(only('sslProfile { name: p uidFormat: cx }').message, /a letter that stands for nothing/u);
    assert.equal(only('sslProfile { certFile: c }').severity, 'warning');
    const both = read('sslProfile { name: p certFile: c password: env:KEY passwordFile: /pw }').problems;
    assert.deepEqual(
      both.map(({ severity }) => severity),
      ['warning', 'warning'],
    );
  });

  it('take trustedCertsFile with a warning', () => {
    assert.equal(only('listener { trustedCertsFile: x }').severity, 'warning');
  });

  it('refuse mechanisms that do not exist, and warn of those that are not there yet', () => {
    assert.equal(only('connector { saslMechanisms: ANONYMUS }').nearest, 'ANONYMOUS');
    assert.equal(only('connector { saslMechanisms: SCRAM-SHA-1 }').severity, 'error');
    const { config, problems } = read('connector { saslMechanisms: scram-sha-256 anonymous }');
    assert.deepEqual(
      problems.map(({ severity }) => severity),
      ['warning'],
    );
    assert.deepEqual(config?.connectors[0]?.saslMechanisms, ['ANONYMOUS']);
    assert.match(only('listener { saslMechanisms: GSSAPI }').message, /GSSAPI .* not supported yet/u);
  });

  it('warn of passwords in the clear, but for this machine alone', () => {
    const problem = only('listener { saslMechanisms: PLAIN }');
    assert.deepEqual(
      [problem.severity, problem.message],
      ['warning', 'PLAIN on listener sends passwords in the clear'],
    );
    for (const host of ['127.0.0.1', 'localhost', '::1']) accepted(`listener { host: ${host} saslMechanisms: PLAIN }`);
  });

  it('want a user name and a password for PLAIN', () => {
    assert.match(only('connector { saslMechanisms: PLAIN }').message, /no saslUsername and no saslPassword/u);
    assert.equal(only('connector { saslUsername: u }').severity, 'warning');
    assert.match(
      only('connector { saslMechanisms: ANONYMOUS saslUsername: u saslPassword: env:KEY }').message,
      /do not include PLAIN/u,
    );
  });

  it('check the parts of messages to log', () => {
    const problem = only('listener { messageLoggingComponents: message-id,subjct }', everything);
    assert.equal(problem.nearest, 'subject');
    accepted('listener { messageLoggingComponents: message-id,to }', everything);
  });

  it('check the levels to log', () => {
    const problem = only('log { module: DEFAULT enable: wraning+ }');
    assert.equal(problem.found, 'wraning+');
    assert.equal(problem.nearest, 'warning');
  });
});

describe('rules: Service Bus', () => {
  it('take a connection string in place of everything else', () => {
    const [azure] = accepted(AZURE).connectors;
    assert.equal(azure?.connectionString?.reveal(), 'k');
    assert.equal(azure.serviceBus, true);
    assert.deepEqual([azure.host, azure.port, azure.tls], [undefined, undefined, undefined]);
    assert.deepEqual(azure.idleTimeOut, { advertisedMs: 120_000, enforcedMs: 240_000 });
    assert.equal(azure.linkCapacity, 50);
  });

  it('refuse a connection string together with what it says itself', () => {
    for (const line of ['host: x', 'port: 5671', 'saslUsername: u', 'saslPassword: env:KEY']) {
      const problem = only(AZURE.replace('}', `  ${line}\n}`));
      assert.equal(problem.line, 5);
      assert.match(problem.message, /both 'connectionString' and/u);
    }
  });

  it('recognise the hosts of all clouds', () => {
    for (const host of [
      'ns.servicebus.windows.net',
      'NS.ServiceBus.Windows.net',
      'ns.servicebus.usgovcloudapi.net',
      'ns.servicebus.chinacloudapi.cn',
      'ns.servicebus.cloudapi.de',
    ]) {
      assert.equal(
        accepted(cloud(CREDENTIALS).replace('ns.servicebus.windows.net', host)).connectors[0]?.serviceBus,
        true,
        host,
      );
    }
    assert.equal(
      accepted(cloud(CREDENTIALS).replace('ns.servicebus.windows.net', 'servicebus.windows.net.example')).connectors[0]
        ?.serviceBus,
      false,
    );
  });

  it('imply TLS: in-band on 5672, from the first byte elsewhere', () => {
    const tls = (lines: string): unknown[] => {
      const [connector] = accepted(`sslProfile { name: p }\n${cloud(`${CREDENTIALS};${lines}`)}`).connectors;
      return [connector?.port, connector?.tls];
    };
    assert.deepEqual(tls(''), [5671, 'first']);
    assert.deepEqual(tls('port: 5671'), [5671, 'first']);
    assert.deepEqual(tls('port: amqps;sslProfile: p'), [5671, 'first']);
    assert.deepEqual(tls('port: amqp'), [5672, 'in-band']);
    assert.deepEqual(tls('port: 5672;sslProfile: p'), [5672, 'in-band']);
    assert.deepEqual(
      accepted('sslProfile { name: p }\nconnector { sslProfile: p }\nconnector { host: x }').connectors.map(
        (c) => c.tls,
      ),
      ['first', 'none'],
    );
  });

  it('advertise two minutes where nothing is set, and refuse what Service Bus would refuse', () => {
    const idle = (lines: string): unknown => accepted(cloud(`${CREDENTIALS};${lines}`)).connectors[0]?.idleTimeOut;
    assert.deepEqual(idle(''), { advertisedMs: 120_000, enforcedMs: 240_000 });
    assert.deepEqual(idle('idleTimeoutSeconds: 120'), { advertisedMs: 60_000, enforcedMs: 120_000 });
    assert.deepEqual(idle('idleTimeoutSeconds: 20'), { advertisedMs: 10_000, enforcedMs: 20_000 });
    assert.deepEqual(idle('idleTimeoutSeconds: 0'), { advertisedMs: undefined, enforcedMs: undefined });
    for (const text of [
      cloud(`${CREDENTIALS};idleTimeoutSeconds: 16`),
      AZURE.replace('}', '  idleTimeoutSeconds: 16\n}'),
    ]) {
      const problem = only(text);
      assert.equal(
        problem.message,
        'idleTimeoutSeconds: 16 would advertise 8000 ms; Service Bus refuses anything under 10000 ms',
      );
      assert.equal(problem.hint, 'write 120 (advertises 60000 ms), or leave it out');
    }
  });

  it('warn of a connector that does not authenticate', () => {
    const problem = only(cloud('port: 5671'));
    assert.equal(problem.severity, 'warning');
    assert.match(problem.message, /refuse every link/u);
  });

  it('say that WebSocket connectors are not there yet', () => {
    assert.match(only(cloud(`${CREDENTIALS};port: 443`)).message, /WebSocket/u);
  });

  it('refuse to send to a subscription or a dead-letter queue', () => {
    const link = (direction: string, node: string): string =>
      `${AZURE}address { prefix: a waypoint: yes }\nautoLink {\n address: a\n direction: ${direction}\n connection: azure\n externalAddress: ${node}\n}`;
    for (const node of [
      't/Subscriptions/s',
      't/subscriptions/s',
      'q/$DeadLetterQueue',
      't/Subscriptions/s/$deadletterqueue',
    ]) {
      const problem = only(link('out', node));
      assert.equal(problem.severity, 'error');
      assert.equal(problem.line, 11);
      assert.match(problem.message, /cannot work with Service Bus/u);
      accepted(link('in', node));
    }
    accepted(link('out', 't'));
  });

  it('warn of the same towards a host that only might be a namespace', () => {
    const problem = only(
      `${BROKER}autoLink { address: a direction: out connection: broker externalAddress: t/Subscriptions/s }`,
    );
    assert.equal(problem.severity, 'warning');
  });
});

describe('what is not there yet', () => {
  const refused: readonly string[] = [
    'router { mode: interior }',
    'router { mode: edge }',
    'listener { role: inter-router }',
    'connector { role: edge }',
    'authServicePlugin { name: a host: x }',
  ];
  for (const text of refused) {
    it(`is refused for just that reason: ${text}`, () => {
      const problem = only(text);
      assert.equal(problem.severity, 'error');
      assert.match(problem.message, /not supported yet in this version/u);
    });
  }

  it('is accepted where it is switched off', () => {
    accepted('listener { http: no healthz: yes }\nlistener { port: 5673 multiTenant: yes }');
  });

  it('is refused once for each place where it stands', () => {
    const { problems } = read(
      'router { mode: interior }\nlistener { role: inter-router port: 1 }\nlistener { role: edge port: 2 }',
    );
    assert.deepEqual(
      problems.map(({ line }) => line),
      [1, 2, 3],
    );
  });
});

describe('all mistakes of a file', () => {
  it('are reported at once, in the order of their lines', () => {
    const { config, problems } = read(`router {
  mode: standalon
}
listner {
}
listener {
  prot: 5672
  port: ampq
}
${BROKER}autoLink {
  address: a
  direction: out
  connection: brokr
}
`);
    assert.equal(config, undefined);
    assert.deepEqual(
      problems.map(({ line, nearest }) => [line, nearest]),
      [
        [2, 'standalone'],
        [4, 'listener'],
        [7, 'port'],
        [8, 'amqp'],
        [18, 'broker'],
      ],
    );
  });

  it('are counted, not listed, beyond a hundred', () => {
    const { problems } = read('listener {\n' + Array.from({ length: 250 }, (_, i) => ` bogus${i}: 1\n`).join('') + '}');
    assert.equal(problems.length, 101);
    assert.match(problems.at(-1)!.message, /^150 further problems/u);
  });
});
