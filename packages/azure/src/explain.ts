// SPDX-License-Identifier: Apache-2.0
import { classify, conditionEntry, type ConditionClass } from './conditions.js';
import { entityAddressOf } from './entity-address.js';
import { hubCause } from './explain-hub.js';
import type {
  AuthenticationFailure,
  AutolinkFailure,
  ConnectionFailure,
  Failure,
  IdleFailure,
  Step,
  TlsFailure,
} from './failure.js';
import { isServiceBusHost } from './host.js';
import { withoutSecrets, type Secret } from './secret.js';

/** A failure in words: what is wrong, where, and what to write instead. */
export interface Explanation {
  readonly step: Step;
  readonly class: ConditionClass;
  /** One paragraph, for the log and for management. Contains no secret. */
  readonly message: string;
}

/** Below this Service Bus refuses an `open`. */
export const IDLE_MINIMUM_MS = 10_000;

/** What to write: as safe with namespaces that still refuse what is below 60 000 ms. */
const IDLE_SETTING_SECONDS = 120;

/** A description of a peer is repeated up to this length. */
const QUOTE_MAX = 400;

/** Says what is wrong and what to write instead. */
export function explain(failure: Failure): Explanation {
  const { step } = failure;
  switch (step) {
    case 'connection':
      return { step, class: classify(failure.condition, failure.description), message: ofConnection(failure) };
    case 'tls':
      return { step, class: 'misuse', message: ofTls(failure) };
    case 'idle':
      return { step, class: 'misuse', message: ofIdle(failure) };
    case 'authentication':
      return { step, class: 'unauthorized', message: ofAuthentication(failure) };
    case 'autolink':
      return { step, class: classify(failure.condition, failure.description), message: ofAutolink(failure) };
  }
}

/**
 * What is wrong with an idle time-out that is about to be sent to Service Bus, or undefined where it may go.
 *
 * @param advertisedMs - `idle-time-out` of our `open`; undefined or 0 is none
 */
export function checkIdleTimeOut(advertisedMs: number | undefined): 'too-short' | undefined {
  return advertisedMs !== undefined && advertisedMs > 0 && advertisedMs < IDLE_MINIMUM_MS ? 'too-short' : undefined;
}

/**
 * What does not fit between the direction of an autolink and the spelling of its external address, in words, or
 * undefined. To be said when the configuration is read; what only the namespace knows comes at the attach.
 */
export function checkAutolink(direction: 'in' | 'out', externalAddress: string): string | undefined {
  const { kind, path, owner } = entityAddressOf(externalAddress);
  if (kind === 'cbs') return `'${shown(path)}' is for tokens: the router sees to those; an autolink cannot use it.`;
  if (direction === 'in') return undefined;
  if (kind === 'subscription') {
    const topic = owner.slice(0, owner.toLowerCase().lastIndexOf('/subscriptions/'));
    return `A subscription is not sent to. For direction out name the topic ('${shown(topic)}'), or write direction: in.`;
  }
  if (kind === 'dead-letter-queue')
    return `A dead-letter queue is not sent to. Write direction: in, or name '${shown(owner)}'.`;
  return undefined;
}

function ofConnection(failure: ConnectionFailure): string {
  const where = `connector '${shown(failure.connector)}'`;
  const at = `${shown(failure.host)}:${failure.port}`;
  const cloud = isServiceBusHost(failure.host);
  const source = failure.byConnectionString === true ? 'Endpoint in the connectionString' : 'host';
  switch (failure.problem) {
    case 'name-not-found':
      return (
        `The name '${shown(failure.host)}' was not found. Check the ${source} of ${where}` +
        (cloud
          ? '; the namespace may have another name or have been deleted.'
          : ', and the name service of this machine.')
      );
    case 'refused':
      return (
        `${at} refused the connection. Check host and port of ${where}` +
        (cloud
          ? ': Service Bus listens on 5671 (TLS).'
          : ': AMQP is usually on 5672, with TLS on 5671. Is the peer running?')
      );
    case 'timed-out':
      return `${at} did not answer in time. Check host and port of ${where}, and whether a firewall lets port ${failure.port} out.`;
    case 'unreachable':
      return `${at} cannot be reached from here. Check the network, and host of ${where}.`;
    case 'plain-peer':
      return (
        `${at} answered without TLS, where ${where} expects TLS. ` +
        (failure.port === 5671
          ? 'Something that is not the AMQP service listens there: check host and port.'
          : "Write port: 5671, where TLS begins with the first byte; for a peer without TLS leave out 'sslProfile'.")
      );
    case 'tls-peer':
      return `${at} expects TLS, where ${where} speaks without. Give ${where} an 'sslProfile'.`;
    case 'tls-missing':
      return `Service Bus takes no connection without TLS. Give ${where} an 'sslProfile' and port: 5671, or a connectionString alone.`;
    case 'other-protocol':
      return `${at} does not speak AMQP 1.0${said(failure)}. Check host and port of ${where}; RabbitMQ needs its AMQP 1.0 plugin.`;
    case 'closed':
      return ofClose(failure, where, at);
    case 'unknown':
      return `The connection to ${at} failed${said(failure)}. Check host and port of ${where}.`;
  }
}

function ofClose(failure: ConnectionFailure, where: string, at: string): string {
  const conditionClass = classify(failure.condition, failure.description);
  if (conditionClass === 'quota') {
    return `${at} has no room for another connection${said(failure)}. Close others, or wait: ${where} tries again.`;
  }
  if (conditionClass === 'misuse') return `${at} closed the connection of ${where}${said(failure)}.`;
  return `${at} ended the connection${said(failure)}. ${where[0]?.toUpperCase()}${where.slice(1)} connects again.`;
}

function ofTls(failure: TlsFailure): string {
  const at = `${shown(failure.host)}:${failure.port}`;
  const where =
    failure.sslProfile === undefined
      ? `connector '${shown(failure.connector)}'`
      : `sslProfile '${shown(failure.sslProfile)}'`;
  switch (failure.problem) {
    case 'unknown-issuer': {
      const issuer = failure.issuer === undefined ? 'an unknown issuer' : `'${shown(failure.issuer)}'`;
      return (
        `The certificate of ${at} was issued by ${issuer}, which is not trusted. ` +
        (isServiceBusHost(failure.host)
          ? `Service Bus is trusted by the system's certificates: leave 'caCertFile' out of ${where}. If a proxy inspects TLS here, ` +
            "write its CA certificate as 'caCertFile'."
          : `Write the file with that issuer's CA certificate (PEM) as 'caCertFile' of ${where}.`)
      );
    }
    case 'name-mismatch': {
      const names = (failure.names ?? [])
        .slice(0, 8)
        .map((name) => `'${shown(name)}'`)
        .join(', ');
      return (
        `The certificate of ${at} is for ${names === '' ? 'other names' : names}, not for '${shown(failure.host)}'. ` +
        `Write one of its names as host of connector '${shown(failure.connector)}', ` +
        "or 'verifyHostname: no' where the name cannot match."
      );
    }
    case 'expired':
      return `The certificate of ${at} has expired${until(failure)}. It must be renewed there; if it was, check this machine's clock.`;
    case 'not-yet-valid':
      return `The certificate of ${at} is not yet valid${until(failure)}. Check this machine's clock.`;
    case 'revoked':
      return `The certificate of ${at} has been revoked. It must be replaced there.`;
    case 'key-mismatch':
      return `privateKeyFile does not fit certFile of ${where}. Write the key that the certificate was made for.`;
    case 'key-password':
      return (
        `The private key of ${where} is encrypted and its password is missing or wrong. ` +
        "Write 'password: env:NAME', 'password: file:PATH' or 'password: pass:TEXT'."
      );
    case 'file': {
      const file = failure.file === undefined ? 'A file' : `File '${shown(failure.file)}'`;
      return `${file} of ${where} cannot be read as PEM${said(failure)}. Check caCertFile, certFile and privateKeyFile.`;
    }
    case 'protocol-version':
      return `${at} and ${where} have no TLS version in common. Service Bus takes TLS 1.2 and 1.3: check 'protocols' of ${where}.`;
    case 'client-certificate':
      return (
        `${at} did not accept our certificate, or wants one${said(failure)}. Write certFile and privateKeyFile of ${where}. ` +
        'Service Bus needs none.'
      );
    case 'unknown':
      return `TLS with ${at} failed${said(failure)}. Check ${where}.`;
  }
}

function until(failure: TlsFailure): string {
  return failure.validUntil === undefined ? '' : ` (${shown(failure.validUntil)})`;
}

function ofIdle(failure: IdleFailure): string {
  const { idleTimeoutSeconds, advertisedMs } = failure;
  // The smallest setting that would do, by the ratio between what is configured and what goes out.
  const ratio = advertisedMs > 0 ? (idleTimeoutSeconds * 1000) / advertisedMs : 1;
  const least = Math.ceil((IDLE_MINIMUM_MS * ratio) / 1000);
  return (
    `Service Bus refuses an idle time-out below ${IDLE_MINIMUM_MS} ms; connector '${shown(failure.connector)}' has ` +
    `idleTimeoutSeconds: ${idleTimeoutSeconds}, which is advertised as ${advertisedMs} ms. ` +
    `Write idleTimeoutSeconds: ${IDLE_SETTING_SECONDS} (at least ${least})` +
    `${failure.byConnectionString === true ? ', or leave it out: the connectionString implies a fitting one' : ''}.` +
    `${failure.description === undefined ? '' : ` Service Bus said: ${quoted(failure.description, failure.secrets)}`}`
  );
}

function ofAuthentication(failure: AuthenticationFailure): string {
  const where = `connector '${shown(failure.connector)}'`;
  switch (failure.problem) {
    case 'no-mechanism': {
      const configured = (failure.configured ?? []).map(shown).join(' ') || 'none';
      const offered = (failure.offered ?? []).slice(0, 16).map(shown).join(' ') || 'none';
      const service = (failure.offered ?? []).includes('MSSBCBS') || isServiceBusHost(failure.host);
      return (
        `${where} is configured for SASL ${configured}, and ${shown(failure.host)} offers ${offered}. Write ` +
        (service
          ? "saslMechanisms: PLAIN, with the policy's name as saslUsername and its key as saslPassword."
          : 'one of the offered ones as saslMechanisms.')
      );
    }
    case 'refused':
      return (
        `${shown(failure.host)} refused SASL authentication${failure.username === undefined ? '' : ` of '${shown(failure.username)}'`}` +
        `${said(failure)}. ${credentials(failure)}`
      );
    case 'token-refused': {
      const status = failure.statusCode === undefined ? '' : ` with status ${failure.statusCode}`;
      const cure =
        failure.statusCode === 404
          ? 'The entity that the token names does not exist: check externalAddress of the autolinks.'
          : failure.statusCode === 401
            ? `${failure.tokenSource === undefined || / of policy '/.test(failure.tokenSource) ? 'The key or signature' : 'The identity'} is wrong, or the token has expired. ${credentials(failure)} Check this machine's clock too.`
            : credentials(failure);
      return `Service Bus refused the token of ${where}${status}${said(failure)}. ${cure}`;
    }
    case 'no-token':
      return `There is no token for ${where}${said(failure)}. ${credentials(failure)}`;
  }
}

function ofAutolink(failure: AutolinkFailure): string {
  const entity = `'${shown(failure.externalAddress)}'`;
  const tail =
    failure.description === undefined ? '' : ` Service Bus said: ${quoted(failure.description, failure.secrets)}`;
  const misfit = checkAutolink(failure.direction, failure.externalAddress);
  if (misfit !== undefined)
    return `The autolink to ${entity} (direction ${failure.direction}) cannot work. ${misfit}${tail}`;
  return `${hubCause(failure, entity) ?? autolinkCause(failure, entity)}${tail}`;
}

function autolinkCause(failure: AutolinkFailure, entity: string): string {
  const conditionClass = classify(failure.condition, failure.description);
  switch (conditionClass) {
    case 'unauthorized': {
      const right = failure.direction === 'out' ? 'Send' : 'Listen';
      if (failure.tokenSource !== undefined && / of policy '/.test(failure.tokenSource)) {
        return (
          `Service Bus refused ${entity}: the ${shown(failure.tokenSource)}, which connector '${shown(failure.connector)}' goes by, lacks the right '${right}' on it, ` +
          `or its token has run out. Give the policy that right, or take a policy that has it.`
        );
      }
      if (failure.tokenSource !== undefined) {
        return (
          `Service Bus refused ${entity}: the identity that connector '${shown(failure.connector)}' has (${shown(failure.tokenSource)}) lacks ` +
          `the right '${right}' on it. Give it the role Azure Service Bus Data ${right === 'Send' ? 'Sender' : 'Receiver'} on ${entity}; ` +
          'a new role takes some minutes to count.'
        );
      }
      if (failure.policy === undefined && failure.byConnectionString !== true) {
        return (
          `Service Bus refused ${entity}: connector '${shown(failure.connector)}' does not authenticate. Give it saslMechanisms: PLAIN, ` +
          `the name of a policy with the right '${right}' on ${entity} as saslUsername, and its key as saslPassword.`
        );
      }
      const policy = failure.policy === undefined ? 'the policy' : `policy '${shown(failure.policy)}'`;
      return (
        `Service Bus refused ${entity}: the key of ${policy} is wrong, or the policy lacks the right '${right}' on ${entity} ` +
        `(direction ${failure.direction} needs ${right}). ${credentials(failure)} Or give the policy that right.`
      );
    }
    case 'missing':
      return missing(failure, entity);
    case 'disabled':
      return (
        `${entity} is disabled${failure.direction === 'in' ? ' for receiving' : ' for sending'}. Enable it in the namespace ` +
        '(status Active); the autolink tries again from time to time.'
      );
    case 'misuse':
      return misuse(failure, entity);
    case 'too-large':
      return (
        `A message to ${entity} was larger than it takes (256 KB in the Standard tier, 1 MB in Premium unless configured). ` +
        'Its producer is told; the autolink is attached again for the rest.'
      );
    case 'quota':
      return `${entity} has used up a quota: it is full, or has too many links. Receive from it, or raise its limit.`;
    case 'busy':
      return `Service Bus is throttling ${entity}; the autolink waits and tries again.`;
    case 'idle':
      return `The link to ${entity} was idle for ten minutes and was detached, as Service Bus does; it is attached again.`;
    case 'token':
      return `The token for ${entity} ran out; a new one is put and the link attached again.`;
    case 'forced':
      return `Service Bus detached the link to ${entity}, as it does when it moves an entity; it is attached again.`;
    case 'stolen':
      return `Another link took the name of the one to ${entity}. If this repeats, two routers have the same id: give each its own.`;
    default:
      return (
        `The autolink to ${entity} (direction ${failure.direction}) failed: ${conditionEntry(failure.condition).meaning}` +
        `${failure.condition === undefined ? '' : ` (${shown(failure.condition)})`}. It is tried again.`
      );
  }
}

function missing(failure: AutolinkFailure, entity: string): string {
  const { kind, path } = entityAddressOf(failure.externalAddress);
  const address = `externalAddress of the autolink for '${shown(failure.address)}'`;
  if (failure.direction === 'out' || kind !== 'queue-or-topic') {
    const spelling =
      kind === 'subscription' || kind === 'dead-letter-queue'
        ? 'TOPIC/Subscriptions/NAME, with /$DeadLetterQueue behind it for the dead-letter queue'
        : 'the name of a queue or a topic';
    return `${entity} does not exist in the namespace ${shown(failure.host)}. Check ${address}; it is written as ${spelling}.`;
  }
  return (
    `${entity} does not exist in the namespace ${shown(failure.host)}, or it is a topic: a topic is only sent to. ` +
    `Check ${address}; to receive from a topic name one of its subscriptions: ${shown(path)}/Subscriptions/NAME.`
  );
}

/** Not-allowed has several causes that only the text tells apart. Where it does not, all are named. */
function misuse(failure: AutolinkFailure, entity: string): string {
  const description = failure.description ?? '';
  if (/does not require sessions/i.test(description))
    return `${entity} has no message sessions. Take sessionId and nextSession out of the autolink, or use an entity with sessions.`;
  if (failure.direction === 'in' && /forward/i.test(description)) {
    return (
      `${entity} forwards its messages to another entity, and lets nobody receive from itself. Write that one as externalAddress, ` +
      'or take the forwarding off.'
    );
  }
  if (/session/i.test(description) || failure.condition === 'com.microsoft:session-cannot-be-locked') {
    return (
      `${entity} requires message sessions. Give the autolink a sessionId, or nextSession: yes; or use an entity without sessions, ` +
      'or let the receivers attach themselves through a linkRoute.'
    );
  }
  if (failure.direction === 'in' && entityAddressOf(failure.externalAddress).kind === 'queue-or-topic') {
    return (
      `Service Bus does not allow receiving from ${entity}. If it is a topic, name one of its subscriptions: ` +
      `${shown(entityAddressOf(failure.externalAddress).path)}/Subscriptions/NAME. If it requires sessions, give the autolink a sessionId, or nextSession: yes.`
    );
  }
  return `Service Bus does not allow this link to ${entity} (${shown(failure.condition ?? 'no condition')}).`;
}

function credentials(failure: {
  readonly connector: string;
  readonly byConnectionString?: boolean;
  readonly tokenSource?: string;
}): string {
  if (failure.tokenSource !== undefined && failure.byConnectionString !== true)
    return `Check azureAuthentication of connector '${shown(failure.connector)}' and what goes with it (tokens: ${shown(failure.tokenSource)}).`;
  return failure.byConnectionString === true
    ? `Check SharedAccessKeyName and SharedAccessKey in the connectionString of connector '${shown(failure.connector)}'.`
    : `Check saslUsername (the policy's name) and saslPassword (its key, as the portal shows it) of connector '${shown(failure.connector)}'.`;
}

function said(failure: {
  readonly condition?: string;
  readonly description?: string;
  readonly secrets?: readonly Secret[];
}): string {
  const parts = [failure.condition, failure.description].filter((part) => part !== undefined && part !== '');
  return parts.length === 0 ? '' : ` (${parts.map((part) => quoted(part ?? '', failure.secrets)).join(': ')})`;
}

/** A text of the peer: bounded, on one line, without what is secret. */
function quoted(text: string, secrets: readonly Secret[] = []): string {
  // Masked before it is cut: half a key at the cut would not be found.
  const clean = shown(withoutSecrets(text, secrets));
  return clean.length > QUOTE_MAX ? `${clean.slice(0, QUOTE_MAX)}…` : clean;
}

/** No control characters: a peer must not write lines into our log. */
function shown(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.slice(0, 4096).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');
}
