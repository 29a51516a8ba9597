// SPDX-License-Identifier: Apache-2.0
import { MESSAGE_COMPONENTS } from '@pointsman/router';
import { checkIdleTimeOut, IDLE_MINIMUM_MS, IDLE_TIME_OUT_MS, isServiceBusHost } from '@pointsman/azure';
import type { TlsMode } from '@pointsman/azure';
import { nearestName } from '@pointsman/management';
import { checkAzureClients } from './azure-client-rules.js';
import { azureKindOf, checkAzureAuthentication } from './azure-rules.js';
import { UID_LETTERS } from '../auth/certificate-user.js';
import type { ConfigEntity } from './entity.js';
import { parseFailoverUrls } from './failover-urls.js';
import type { IdleTimeOut, SaslMechanism, TlsProtocol } from './model.js';
import { SASL_MECHANISMS, SASL_SUPPORTED } from './not-supported.js';
import type { ProblemList } from './problems.js';
import { safeText } from './problems.js';
import { parseProxy } from './proxy-address.js';
import { all } from './rules.js';
import type { RuleContext } from './rules.js';

const PORT_NAMES: Readonly<Record<string, number>> = { amqp: 5672, amqps: 5671 };
const HTTPS_PORT = 443;
const FRAME_SIZE_MIN = 512;
// Half of it is a minute: what every official client of Service Bus advertises.
const IDLE_SECONDS_ADVISED = 120;
/** Nobody should name them any more, and old files do. */
const FORMER_PROTOCOLS: readonly string[] = ['SSLv2', 'SSLv3', 'SSLv23'];
const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|::1|localhost)$/u;
const TLS_PROTOCOLS: readonly TlsProtocol[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
const COMPONENTS: readonly string[] = MESSAGE_COMPONENTS;

/** What listener, connector and sslProfile sections say. Needs the references checked. */
export function checkConnections(context: RuleContext): void {
  const { problems } = context;
  for (const entity of [...all(context, 'listener'), ...all(context, 'connector')]) {
    checkHost(entity, problems);
    checkPort(entity, problems);
    checkSizes(entity, problems);
    checkMechanisms(entity, problems);
    checkMessageLogging(entity, problems);
  }
  checkSamePorts(context);
  for (const listener of all(context, 'listener')) {
    checkListenerTls(context, listener);
    checkFailover(listener, problems);
    checkAzureClients(listener, problems);
  }
  for (const connector of all(context, 'connector')) {
    checkConnectionString(connector, problems);
    checkAzureAuthentication(connector, problems);
    checkCredentials(connector, problems);
    checkTransport(connector, problems);
    checkProxy(connector, problems);
    checkServiceBus(connector, problems);
  }
  for (const profile of all(context, 'sslProfile')) checkProfile(profile, problems);
}

/** The connector leads to Azure Service Bus, as far as its section can tell. */
export function isServiceBus(entity: ConfigEntity): boolean {
  if (entity.section !== 'connector') return false;
  return (
    entity.given.has('connectionString') || azureKindOf(entity) !== undefined || isServiceBusHost(peerNameOf(entity))
  );
}

/** Name that the peer goes by: a private endpoint is reached at another host. */
function peerNameOf(connector: ConfigEntity): string {
  return connector.text('hostname')?.trim() ?? hostOf(connector);
}

/** Host without the brackets of an IPv6 address. */
export function hostOf(entity: ConfigEntity): string {
  return (entity.text('host') ?? '').trim().replace(/^\[(.*)\]$/u, '$1');
}

/** Number of the port, or undefined where the text is none. Towards Service Bus 5671 where none is given. */
export function portOf(entity: ConfigEntity): number | undefined {
  if (!entity.given.has('port') && isServiceBus(entity)) return PORT_NAMES['amqps'];
  const text = (entity.text('port') ?? '').trim();
  if (Object.hasOwn(PORT_NAMES, text)) return PORT_NAMES[text];
  const port = /^\d{1,5}$/u.test(text) ? Number(text) : -1;
  return port >= (entity.section === 'listener' ? 0 : 1) && port <= 65_535 ? port : undefined;
}

/**
 * How a connector's TLS begins. An sslProfile means from the first byte. Service Bus wants TLS in any case: on port
 * 5672 it begins in-band, with the AMQP protocol header for it.
 */
export function tlsModeOf(connector: ConfigEntity): TlsMode {
  if (isServiceBusHost(peerNameOf(connector)) && portOf(connector) === PORT_NAMES['amqp']) return 'in-band';
  return connector.given.has('sslProfile') || isServiceBus(connector) ? 'first' : 'none';
}

/** What `idleTimeoutSeconds` means on the wire: half of it is advertised, all of it enforced. */
export function idleTimeOutOf(entity: ConfigEntity): IdleTimeOut {
  if (isServiceBus(entity) && !entity.given.has('idleTimeoutSeconds')) {
    return { advertisedMs: IDLE_TIME_OUT_MS, enforcedMs: 2 * IDLE_TIME_OUT_MS };
  }
  const seconds = entity.number('idleTimeoutSeconds') ?? 0;
  if (seconds === 0) return { advertisedMs: undefined, enforcedMs: undefined };
  return { advertisedMs: seconds * 500, enforcedMs: seconds * 1000 };
}

/** The mechanisms that are named and there. Undefined where none is named. */
export function mechanismsOf(entity: ConfigEntity): SaslMechanism[] | undefined {
  if (!entity.given.has('saslMechanisms')) return undefined;
  const supported = SASL_SUPPORTED[entity.section === 'listener' ? 'listener' : 'connector'];
  const words = wordsOf(entity.text('saslMechanisms')).map((word) => word.toUpperCase());
  return words.filter((word): word is SaslMechanism => supported.includes(word as SaslMechanism));
}

export function tlsProtocolsOf(profile: ConfigEntity): TlsProtocol[] | undefined {
  const words = wordsOf(profile.text('protocols')).filter((word): word is TlsProtocol =>
    TLS_PROTOCOLS.includes(word as TlsProtocol),
  );
  return words.length === 0 ? undefined : words;
}

/** Frame size as it is used. */
export function frameSizeOf(entity: ConfigEntity): number {
  return Math.max(entity.number('maxFrameSize') ?? 0, FRAME_SIZE_MIN);
}

function wordsOf(text: string | undefined): string[] {
  return (text ?? '').split(/[\s,]+/u).filter((word) => word !== '');
}

function checkHost(entity: ConfigEntity, problems: ProblemList): void {
  if (!entity.given.has('host')) return;
  const line = entity.lineOf('host');
  const host = hostOf(entity);
  const refuse = (what: string, nearest?: string, hint?: string): void => {
    entity.markUnsound('host');
    const found = safeText(entity.text('host') ?? '');
    problems.error(line, `'host' of ${entity.label} ${what}`, {
      found,
      allowed: 'a host name or IP address',
      nearest,
      hint,
    });
  };
  const [, bare = ''] = /^[a-z][a-z0-9+.-]*:\/\/([^/:@\s]*)/iu.exec(host) ?? [];
  const [, name, port] = /^([^:/\s]+):(\w+)$/u.exec(host) ?? [];
  if (host === '' && entity.section === 'connector') refuse('is empty');
  else if (bare !== '')
    refuse('is an address with a scheme', bare, "write the host alone; the port goes to 'port', TLS to 'sslProfile'");
  else if (name !== undefined)
    refuse('has the port with it', name, `write port: ${safeText(port ?? '')} on a line of its own`);
  else if (/\s/u.test(host)) refuse('has blanks in it', undefined, 'each attribute goes on a line of its own');
  else if (/[/@?#[\]]/u.test(host)) refuse('has a character that no host has');
  else if (host.length > 255) refuse('is longer than any host name');
}

function checkPort(entity: ConfigEntity, problems: ProblemList): void {
  if (portOf(entity) !== undefined) return;
  const text = entity.text('port') ?? '';
  entity.markUnsound('port');
  problems.error(entity.lineOf('port'), `'port' of ${entity.label} is no port`, {
    found: safeText(text),
    allowed: `a number from ${entity.section === 'listener' ? 0 : 1} to 65535, amqp (5672) or amqps (5671)`,
    nearest: nearestName(text.trim(), Object.keys(PORT_NAMES)),
  });
}

function checkSamePorts(context: RuleContext): void {
  const seen = new Map<string, ConfigEntity>();
  for (const listener of all(context, 'listener')) {
    const port = portOf(listener);
    if (port === undefined || port === 0) continue;
    const place = `${hostOf(listener)}:${port}`;
    const earlier = seen.get(place);
    if (earlier === undefined) seen.set(place, listener);
    // Two without names have been reported as the same listener.
    else if (listener.text('name') !== undefined || earlier.text('name') !== undefined) {
      context.problems.error(listener.lineOf('port'), `${listener.label} listens where the one ${earlier.place} does`, {
        found: safeText(place),
        hint: 'give one of them another port',
      });
    }
  }
}

function checkSizes(entity: ConfigEntity, problems: ProblemList): void {
  const size = entity.number('maxFrameSize') ?? FRAME_SIZE_MIN;
  if (size < FRAME_SIZE_MIN) {
    problems.warn(entity.lineOf('maxFrameSize'), `'maxFrameSize' of ${entity.label} is raised to ${FRAME_SIZE_MIN}`, {
      found: String(size),
      hint: 'AMQP allows no less',
    });
  }
  if (!entity.given.has('trustedCertsFile')) return;
  problems.warn(entity.lineOf('trustedCertsFile'), `'trustedCertsFile' of ${entity.label} has no effect`, {
    hint: 'name the file as caCertFile in the sslProfile',
  });
}

function checkMechanisms(entity: ConfigEntity, problems: ProblemList): void {
  if (!entity.given.has('saslMechanisms')) return;
  const supported = SASL_SUPPORTED[entity.section === 'listener' ? 'listener' : 'connector'];
  const line = entity.lineOf('saslMechanisms');
  const words = wordsOf(entity.text('saslMechanisms'));
  const missing: string[] = [];
  for (const word of words) {
    const mechanism = word.toUpperCase();
    if (!SASL_MECHANISMS.includes(mechanism)) {
      entity.markUnsound('saslMechanisms');
      problems.error(line, `'saslMechanisms' of ${entity.label} names a mechanism that does not exist`, {
        found: safeText(word),
        allowed: supported.join(', '),
        nearest: nearestName(word, SASL_MECHANISMS),
      });
    } else if (!supported.includes(mechanism as SaslMechanism)) missing.push(mechanism);
  }
  if (missing.length === 0 || entity.isUnsound('saslMechanisms')) return;
  const message = `${missing.join(', ')} in 'saslMechanisms' of ${entity.label} is not supported yet in this version`;
  if (missing.length < words.length) {
    problems.warn(line, message, { allowed: supported.join(', '), hint: 'the others are used' });
    return;
  }
  entity.markUnsound('saslMechanisms');
  problems.error(line, message, { allowed: supported.join(', ') });
}

function checkMessageLogging(entity: ConfigEntity, problems: ProblemList): void {
  const text = entity.text('messageLoggingComponents') ?? 'none';
  const names = text.trim() === 'none' || text.trim() === 'all' ? [] : text.split(',').map((name) => name.trim());
  for (const name of names) {
    if (COMPONENTS.includes(name)) continue;
    problems.error(
      entity.lineOf('messageLoggingComponents'),
      `'messageLoggingComponents' of ${entity.label} is not understood`,
      {
        found: safeText(name),
        allowed: `none, all, or some of ${COMPONENTS.join(', ')}`,
        nearest: nearestName(name, COMPONENTS),
      },
    );
  }
}

function checkListenerTls(context: RuleContext, listener: ConfigEntity): void {
  const { problems } = context;
  const name = listener.text('sslProfile');
  if (name === undefined) {
    if (listener.isUnsound('sslProfile')) return;
    for (const attribute of ['requireSsl', 'requireEncryption']) {
      if (!listener.flag(attribute)) continue;
      const hint = 'name an sslProfile, or nobody can connect';
      problems.error(listener.lineOf(attribute), `'${attribute}' of ${listener.label} needs an sslProfile`, { hint });
    }
    if (mechanismsOf(listener)?.includes('PLAIN') === true && !LOOPBACK.test(hostOf(listener))) {
      problems.warn(listener.lineOf('saslMechanisms'), `PLAIN on ${listener.label} sends passwords in the clear`, {
        hint: 'name an sslProfile, with requireSsl: yes',
      });
    }
    if (mechanismsOf(listener)?.includes('EXTERNAL') === true) {
      problems.warn(listener.lineOf('saslMechanisms'), `EXTERNAL on ${listener.label} needs an sslProfile`, {
        hint: 'it goes by the certificate of the client',
      });
    }
    return;
  }
  const profile = all(context, 'sslProfile').find((other) => other.text('name') === name);
  if (profile === undefined || profile.given.has('certFile') || profile.isUnsound('certFile')) return;
  problems.error(listener.lineOf('sslProfile'), `the sslProfile of ${listener.label} has no certificate to show`, {
    found: safeText(name),
    hint: `give certFile and privateKeyFile in the sslProfile ${profile.place}`,
  });
}

function checkFailover(listener: ConfigEntity, problems: ProblemList): void {
  if (!listener.given.has('failoverUrls')) return;
  const parsed = parseFailoverUrls(listener.text('failoverUrls') ?? '');
  if (!('wrong' in parsed)) return;
  problems.error(listener.lineOf('failoverUrls'), `'failoverUrls' of ${listener.label} names what is no address`, {
    found: safeText(parsed.wrong),
    allowed: 'host, host:port or amqps://host:port, separated by commas',
    former: `Unable to create listener, bad failover list: ${safeText(parsed.wrong)}`,
  });
}

function checkConnectionString(connector: ConfigEntity, problems: ProblemList): void {
  if (!connector.given.has('connectionString')) return;
  for (const attribute of ['host', 'port', 'saslUsername', 'saslPassword']) {
    if (!connector.given.has(attribute)) continue;
    connector.markUnsound(attribute);
    problems.error(connector.lineOf(attribute), `${connector.label} has both 'connectionString' and '${attribute}'`, {
      hint: `the connection string says it already: take '${attribute}' out`,
    });
  }
}

function checkCredentials(connector: ConfigEntity, problems: ProblemList): void {
  if (connector.given.has('connectionString') || connector.isUnsound('saslMechanisms')) return;
  if (azureKindOf(connector) !== undefined) return;
  const mechanisms = mechanismsOf(connector);
  const missing = ['saslUsername', 'saslPassword'].filter(
    (name) => !connector.given.has(name) && !connector.isUnsound(name),
  );
  const line = connector.lineOf('saslMechanisms');
  if (mechanisms?.length === 1 && mechanisms[0] === 'PLAIN' && missing.length > 0) {
    problems.error(line, `${connector.label} has saslMechanisms: PLAIN, but no ${missing.join(' and no ')}`, {
      hint: 'saslUsername: NAME and saslPassword: env:VARIABLE',
    });
  } else if (missing.length === 1) {
    const present = missing[0] === 'saslPassword' ? 'saslUsername' : 'saslPassword';
    problems.warn(connector.lineOf(present), `${connector.label} has '${present}', but no '${missing[0]}'`, {
      hint: 'PLAIN needs both',
    });
  }
  if (mechanisms !== undefined && !mechanisms.includes('PLAIN') && connector.given.has('saslPassword')) {
    problems.warn(line, `${connector.label} has a saslPassword, but its saslMechanisms do not include PLAIN`, {
      found: safeText(mechanisms.join(' ')),
      hint: 'saslMechanisms: PLAIN',
    });
  }
}

function checkTransport(connector: ConfigEntity, problems: ProblemList): void {
  const transport = connector.text('transport') ?? 'tcp';
  const inCloud = !connector.given.has('connectionString') && isServiceBus(connector);
  if (inCloud && transport === 'tcp' && portOf(connector) === HTTPS_PORT) {
    problems.error(connector.lineOf('port'), `on port ${HTTPS_PORT} Service Bus takes AMQP in a WebSocket alone`, {
      hint: "write transport: websocket and take 'port' out",
    });
  } else if (transport === 'websocket' && connector.given.has('port')) {
    problems.warn(connector.lineOf('port'), `'port' of ${connector.label} has no effect with transport: websocket`, {
      hint: 'webSocketPort, where it is not 443',
    });
  }
}

function checkProxy(connector: ConfigEntity, problems: ProblemList): void {
  const text = connector.text('proxy')?.trim();
  const needs = (attribute: string, other: string): void => {
    if (!connector.given.has(attribute) || connector.given.has(other)) return;
    problems.error(connector.lineOf(attribute), `${connector.label} has '${attribute}', but no '${other}'`, {
      hint: other === 'proxy' ? 'proxy: http://HOST:PORT' : 'a proxy wants to know both',
    });
  };
  needs('proxyUsername', 'proxy');
  needs('proxyUsername', 'proxyPassword');
  needs('proxyPassword', 'proxyUsername');
  if (text === undefined || text === 'none') return;
  const parsed = parseProxy(text);
  const hasCredentials = !('wrong' in parsed) && (parsed.username !== undefined || parsed.password !== undefined);
  if (!('wrong' in parsed) && !hasCredentials) return;
  connector.markUnsound('proxy');
  // What was written is not quoted: it may hold a password.
  problems.error(
    connector.lineOf('proxy'),
    `'proxy' of ${connector.label} ${'wrong' in parsed ? parsed.wrong : 'has a user or password in it'}`,
    {
      allowed: 'http://HOST:PORT, or none',
      hint: hasCredentials ? 'write them as proxyUsername: NAME and proxyPassword: env:VARIABLE' : undefined,
    },
  );
}

function checkServiceBus(connector: ConfigEntity, problems: ProblemList): void {
  if (!isServiceBus(connector)) return;
  const { advertisedMs } = idleTimeOutOf(connector);
  if (checkIdleTimeOut(advertisedMs) !== undefined && !connector.isUnsound('idleTimeoutSeconds')) {
    problems.error(
      connector.lineOf('idleTimeoutSeconds'),
      `idleTimeoutSeconds: ${connector.number('idleTimeoutSeconds')} would advertise ${advertisedMs} ms; ` +
        `Service Bus refuses anything under ${IDLE_MINIMUM_MS} ms`,
      { hint: `write ${IDLE_SECONDS_ADVISED} (advertises ${IDLE_SECONDS_ADVISED * 500} ms), or leave it out` },
    );
  }
  if (connector.given.has('connectionString')) return;
  const external = mechanismsOf(connector)?.includes('EXTERNAL') === true;
  if (connector.given.has('saslUsername') || connector.given.has('saslPassword') || external) return;
  if (azureKindOf(connector) !== undefined || connector.isUnsound('azureAuthentication')) return;
  if (connector.isUnsound('saslUsername') || connector.isUnsound('saslPassword')) return;
  // PLAIN alone without credentials has been refused already.
  if (connector.given.has('saslMechanisms') && mechanismsOf(connector)?.join(' ') === 'PLAIN') return;
  problems.warn(
    connector.line,
    `${connector.label} does not authenticate: Service Bus will open the connection and refuse every link`,
    {
      hint: 'give saslUsername (the name of the access policy) and saslPassword (its key), or a connectionString in place of host',
    },
  );
}

function checkProfile(profile: ConfigEntity, problems: ProblemList): void {
  const fileHint = 'give certFile as well, or take it out';
  if (!profile.given.has('name') && !profile.isUnsound('name')) {
    problems.warn(profile.line, 'an sslProfile without a name cannot be used', { hint: 'name: …' });
  }
  if (profile.given.has('privateKeyFile') && !profile.given.has('certFile') && !profile.isUnsound('certFile')) {
    problems.error(profile.lineOf('privateKeyFile'), `${profile.label} has a private key without a certificate`, {
      hint: fileHint,
    });
  }
  if (profile.given.has('password') && profile.given.has('passwordFile')) {
    problems.warn(profile.lineOf('passwordFile'), `${profile.label} has both 'password' and 'passwordFile'`, {
      hint: "'password' counts: take the other one out",
    });
  }
  for (const word of wordsOf(profile.text('protocols'))) {
    if (TLS_PROTOCOLS.includes(word as TlsProtocol)) continue;
    if (FORMER_PROTOCOLS.includes(word)) {
      problems.warn(
        profile.lineOf('protocols'),
        `${word} in 'protocols' of ${profile.label} is broken, and not spoken`,
        {
          hint: 'protocols: TLSv1.2 TLSv1.3',
        },
      );
      continue;
    }
    problems.error(profile.lineOf('protocols'), `'protocols' of ${profile.label} names no version of TLS`, {
      found: safeText(word),
      allowed: TLS_PROTOCOLS.join(', '),
      nearest: nearestName(word, TLS_PROTOCOLS),
    });
  }
  const letters = [...(profile.text('uidFormat') ?? '')].filter((letter) => !UID_LETTERS.includes(letter));
  if (letters.length > 0) {
    // As the old router has it: the whole subject is the user then.
    problems.warn(profile.lineOf('uidFormat'), `'uidFormat' of ${profile.label} has a letter that stands for nothing`, {
      found: safeText(letters.join(' ')),
      allowed: UID_LETTERS.join(' '),
      hint: 'the whole subject of the certificate is taken for the user',
    });
  }
}
