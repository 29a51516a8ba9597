// SPDX-License-Identifier: Apache-2.0
import type { DetailedPeerCertificate } from 'node:tls';

/** What kept two peers from each other. One kind, one cure. */
export type TransportErrorKind =
  | 'name-not-found'
  | 'refused'
  | 'unreachable'
  | 'timed-out'
  | 'closed-early'
  | 'cancelled'
  /** The peer speaks AMQP, but no TLS where TLS was expected. */
  | 'not-tls'
  /** The peer wants TLS and got none. */
  | 'tls-required'
  /** The peer speaks something else, HTTP for example. */
  | 'not-amqp'
  | 'tls-unknown-issuer'
  | 'tls-name-mismatch'
  | 'tls-expired'
  | 'tls-not-yet-valid'
  | 'tls-protocol-version'
  | 'tls-client-certificate'
  | 'tls-other'
  | 'websocket-refused'
  | 'websocket-subprotocol'
  /** Of a WebSocket that stood: closed with a reason, or not used as WebSockets are. */
  | 'websocket-ended'
  /** A proxy on the way wants to know who asks, or does not take what it was told. */
  | 'proxy-authentication'
  /** A proxy on the way makes no tunnel. */
  | 'proxy-refused'
  | 'address-in-use'
  | 'address-not-available'
  | 'not-permitted'
  | 'other';

/**
 * A connection that did not come about, or broke, or a port that could not be opened.
 *
 * `message` says what was wrong and where, `hint` in one sentence what to change, in the words of the configuration.
 */
export class TransportError extends Error {
  readonly kind: TransportErrorKind;
  readonly hint: string;

  constructor(kind: TransportErrorKind, message: string, hint: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'TransportError';
    this.kind = kind;
    this.hint = hint;
  }
}

/** How a peer is reached, for the texts of errors. */
export interface ErrorPlace {
  readonly host: string;
  readonly port: number;
  /** What was going on. */
  readonly stage: 'connect' | 'proxy' | 'in-band' | 'tls' | 'websocket' | 'established';
  /** It is the proxy that was to be reached, and `host` and `port` are the proxy's. */
  readonly byProxy?: boolean;
  /** Place of the proxy whose tunnel it is behind. */
  readonly tunnel?: string | undefined;
  /** A WebSocket is to be had there. */
  readonly webSocket?: boolean;
  /** A client certificate was at hand. */
  readonly hasCertificate?: boolean;
}

/** `HOST:PORT`, an IPv6 address in brackets. */
export function placeText({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Where it was, for a message: a proxy on the way may be what ended a connection. */
function whereOf(place: ErrorPlace): string {
  return place.tunnel === undefined ? placeText(place) : `${placeText(place)} (through the proxy ${place.tunnel})`;
}

/** A text of somebody else's as the end of a sentence. */
export function sentence(text: string): string {
  return /[.!?]$/u.test(text) ? text : `${text}.`;
}

/** What to look at where a proxy is in the way. */
export const PROXY_HINT: string =
  "Check the connector's proxy; where it has none, HTTPS_PROXY of the environment counts.";
const HOST_HINT = "Check the connector's host.";
const PORT_HINT =
  "Check the connector's port: AMQP over TLS is usually on 5671, AMQP without or with in-band TLS on 5672.";
const WEBSOCKET_PORT_HINT =
  "Check the connector's host and webSocketPort: AMQP over WebSocket is usually on 443, with TLS from the first byte.";
const portHintOf = ({ webSocket }: ErrorPlace): string => (webSocket === true ? WEBSOCKET_PORT_HINT : PORT_HINT);
const portMixHintOf = ({ webSocket }: ErrorPlace): string => (webSocket === true ? WEBSOCKET_PORT_HINT : PORT_MIX_HINT);
const ALERT_HINT = 'Give the sslProfile a certFile and a privateKeyFile that the peer trusts.';
const PORT_MIX_HINT =
  'Port 5671 usually takes TLS from the first byte, port 5672 the in-band upgrade or no TLS; ' +
  "check the connector's port, and whether it needs its sslProfile.";

/** Makes of an error of the runtime one that says what to do. Errors that already do are passed through. */
export function describeTransportError(error: Error, place: ErrorPlace): TransportError {
  if (error instanceof TransportError) return error;
  if (place.byProxy === true) {
    const { kind, message } = describeTransportError(error, { ...place, byProxy: false });
    return new TransportError(kind, `The proxy is out of reach. ${message}`, PROXY_HINT, error);
  }
  const where = whereOf(place);
  const code = codeOf(error);
  const make = (kind: TransportErrorKind, message: string, hint: string): TransportError =>
    new TransportError(kind, message, hint, error);
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_NONAME':
    case 'EAI_NODATA':
      return make('name-not-found', `The name ${place.host} was not found.`, HOST_HINT);
    case 'EAI_AGAIN':
      return make(
        'name-not-found',
        `The name ${place.host} could not be looked up: the name server gave no answer.`,
        "Check this machine's network and name server, and the connector's host.",
      );
    case 'ECONNREFUSED':
      return make('refused', `${where} refused the connection: nothing listens there.`, portHintOf(place));
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
    case 'EHOSTDOWN':
    case 'ENETDOWN':
      return make('unreachable', `${where} cannot be reached from here (${code}).`, `Check the network. ${HOST_HINT}`);
    case 'ETIMEDOUT':
      return timedOut(place, undefined, error);
    case 'ECONNRESET':
    case 'EPIPE':
    case 'ERR_STREAM_PREMATURE_CLOSE':
      return closedEarly(place, error);
    case 'EACCES':
    case 'EPERM':
      return make(
        'not-permitted',
        `This process may not connect to ${where} (${code}).`,
        'Check the firewall of this machine.',
      );
  }
  if (code.startsWith('HPE_')) return notHttp(where, error);
  if (isTlsCode(code)) return describeTlsError(error, code, place);
  return make('other', `The connection to ${where} failed: ${sentence(readable(error.message))}`, portHintOf(place));
}

/** The peer ended the connection before it was established, or cut it afterwards. */
export function closedEarly(place: ErrorPlace, cause?: Error): TransportError {
  const where = whereOf(place);
  switch (place.stage) {
    case 'established':
      return new TransportError(
        'closed-early',
        `${where} cut the connection.`,
        'Look into the log of the peer.',
        cause,
      );
    case 'in-band':
      return new TransportError(
        'closed-early',
        `${where} closed the connection instead of answering the AMQP TLS header.`,
        portMixHintOf(place),
        cause,
      );
    case 'tls':
      return new TransportError(
        'closed-early',
        `${where} closed the connection during the TLS handshake.`,
        portMixHintOf(place),
        cause,
      );
    case 'connect':
    case 'proxy':
    case 'websocket':
      return new TransportError('closed-early', `${where} closed the connection at once.`, portHintOf(place), cause);
  }
}

const WAITED_FOR = {
  connect: 'no answer from the host at all: a firewall may drop the packets',
  'in-band': 'the peer did not answer the AMQP TLS header',
  tls: 'the peer did not go on with the TLS handshake: it may not speak TLS on this port, or a firewall lets nothing but the connection itself through',
  proxy: 'the proxy did not answer',
  websocket: 'the peer did not answer the WebSocket request',
  established: 'the connection broke',
} as const;

/** @param timeoutMs - the limit that ran out, undefined where it was the operating system's */
export function timedOut(place: ErrorPlace, timeoutMs: number | undefined, cause?: Error): TransportError {
  const after = timeoutMs === undefined ? '' : ` within ${timeoutMs} ms`;
  return new TransportError(
    'timed-out',
    `${whereOf(place)} could not be connected${after}: ${WAITED_FOR[place.stage]}.`,
    place.byProxy === true
      ? PROXY_HINT
      : place.stage === 'connect'
        ? `${HOST_HINT} ${portHintOf(place)}`
        : portMixHintOf(place),
    cause,
  );
}

/** The peer answered a WebSocket request with something that is not HTTP. */
export function notHttp(where: string, cause: Error): TransportError {
  return new TransportError(
    'websocket-refused',
    `${where} did not answer the WebSocket request in HTTP.`,
    "Check the connector's port: AMQP over WebSocket is usually on 443.",
    cause,
  );
}

/** A text of a peer or the runtime, on one line and of a bounded length. */
export function readable(text: string, length = 300): string {
  // oxlint-disable-next-line no-control-regex
  const line = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
  return line.length > length ? `${line.slice(0, length)}...` : line;
}

/** `error.code`, or '' */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

function isTlsCode(code: string): boolean {
  return (
    code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') || code.startsWith('ERR_OSSL_') || code === 'EPROTO'
  );
}

const NOT_TLS =
  /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|HTTPS_PROXY_REQUEST|RECORD_LAYER_FAILURE|UNEXPECTED_MESSAGE|BAD_RECORD_TYPE/;
const VERSION = /ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|VERSION_TOO_LOW/;
const CERTIFICATE_REFUSED =
  /ALERT_(BAD_CERTIFICATE|NO_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|ACCESS_DENIED)/;

function describeTlsError(error: Error, code: string, place: ErrorPlace): TransportError {
  const where = whereOf(place);
  const make = (kind: TransportErrorKind, message: string, hint: string): TransportError =>
    new TransportError(kind, message, hint, error);
  if (VERSION.test(code)) {
    return make(
      'tls-protocol-version',
      `${where} and this side have no TLS version in common.`,
      "Allow TLSv1.2 and TLSv1.3 in the sslProfile's protocols, or leave protocols out.",
    );
  }
  if (CERTIFICATE_REFUSED.test(code)) {
    return place.hasCertificate === true
      ? make('tls-client-certificate', `${where} refused our client certificate (${alertOf(code)}).`, ALERT_HINT)
      : make('tls-client-certificate', `${where} wants a client certificate (${alertOf(code)}).`, ALERT_HINT);
  }
  if (NOT_TLS.test(code)) {
    return make('not-tls', `${where} does not speak TLS on this port.`, portMixHintOf(place));
  }
  if (code.includes('HANDSHAKE_FAILURE')) {
    return make(
      'tls-other',
      `${where} refused the TLS handshake without saying why.`,
      "Check the sslProfile's ciphers and protocols, and whether the peer wants a client certificate (certFile).",
    );
  }
  return make(
    'tls-other',
    `TLS with ${where} failed: ${code} ${readable(error.message)}`,
    "Check the connector's sslProfile, and the log of the peer.",
  );
}

function alertOf(code: string): string {
  return code
    .slice(code.indexOf('ALERT_') + 'ALERT_'.length)
    .toLowerCase()
    .replaceAll('_', ' ');
}

/** Certificates of a chain that are looked at; real chains have two to four. */
const CHAIN_MAX = 10;

/** A peer's chain as Node.js hands it out, leaf first. */
export function chainOf(leaf: DetailedPeerCertificate): DetailedPeerCertificate[] {
  const chain: DetailedPeerCertificate[] = [];
  const seen = new Set<string>();
  let next: DetailedPeerCertificate | undefined = leaf;
  while (next?.fingerprint256 !== undefined && !seen.has(next.fingerprint256) && chain.length < CHAIN_MAX) {
    seen.add(next.fingerprint256);
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}

/**
 * Says why a peer's certificate is not accepted.
 *
 * @param code - OpenSSL's name of the verification error, or `ERR_TLS_CERT_ALTNAME_INVALID`
 * @param expectedName - the name that the certificate had to carry
 */
export function describeCertificateError(
  code: string,
  leaf: DetailedPeerCertificate,
  expectedName: string,
  place: ErrorPlace,
  cause?: Error,
): TransportError {
  const where = whereOf(place);
  const chain = chainOf(leaf);
  const now = Date.now();
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return new TransportError(
        'tls-name-mismatch',
        `The certificate of ${where} is for ${namesOf(leaf)}, not for ${expectedName}.`,
        "Set the connector's host to a name that the certificate carries, or verifyHostname: false where the peer is known to be right.",
        cause,
      );
    case 'CERT_HAS_EXPIRED': {
      const expired = chain.find((one) => Date.parse(one.valid_to) < now) ?? leaf;
      return new TransportError(
        'tls-expired',
        `${whose(expired, leaf, where)} expired on ${dateOf(expired.valid_to)}.`,
        'The peer has to renew its certificate; if it has not expired, set the clock of this machine.',
        cause,
      );
    }
    case 'CERT_NOT_YET_VALID': {
      const early = chain.find((one) => Date.parse(one.valid_from) > now) ?? leaf;
      return new TransportError(
        'tls-not-yet-valid',
        `${whose(early, leaf, where)} is not valid before ${dateOf(early.valid_from)}.`,
        'Set the clock of this machine, or wait.',
        cause,
      );
    }
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'CERT_UNTRUSTED': {
      const top = chain.at(-1) ?? leaf;
      const own = chain.length === 1 && nameText(leaf.subject) === nameText(leaf.issuer);
      return new TransportError(
        'tls-unknown-issuer',
        own
          ? `The certificate of ${where} is signed by itself (${nameText(leaf.subject)}), and not trusted.`
          : `The certificate of ${where} was issued by ${nameText(top.issuer)}, which is not trusted.`,
        `Put the certificate of ${own ? 'the peer' : 'this issuer'} (PEM) into a file and name the file as caCertFile of the sslProfile.`,
        cause,
      );
    }
    default:
      return new TransportError(
        'tls-other',
        `The certificate of ${where} (${nameText(leaf.subject)}) is not accepted: ${code}.`,
        'The peer has to use another certificate, or its issuer has to be named as caCertFile of the sslProfile.',
        cause,
      );
  }
}

function whose(one: DetailedPeerCertificate, leaf: DetailedPeerCertificate, where: string): string {
  return one === leaf
    ? `The certificate of ${where}`
    : `The authority ${nameText(one.subject)} behind the certificate of ${where}`;
}

function dateOf(text: string): string {
  const time = Date.parse(text);
  return Number.isNaN(time) ? readable(text, 40) : new Date(time).toISOString().slice(0, 19).replace('T', ' ') + ' UTC';
}

/** Names that are listed in a message before it says how many more there are. */
const NAMES_MAX = 8;

/** Names and addresses out of the alternative names of a certificate, as Node.js writes them. */
export function certificateNames(text: string | undefined): string[] {
  return (text ?? '')
    .split(', ')
    .map((entry) => /^(?:DNS|IP Address):"?([^"]*)"?$/.exec(entry)?.[1])
    .filter((name) => name !== undefined);
}

/** The names that a certificate is for, in words. */
function namesOf(certificate: DetailedPeerCertificate): string {
  const list = certificateNames(certificate.subjectaltname);
  if (list.length === 0) return `no host name (its subject is ${nameText(certificate.subject)})`;
  const shown = list
    .slice(0, NAMES_MAX)
    .map((name) => readable(name, 80))
    .join(', ');
  return list.length > NAMES_MAX ? `${shown} and ${list.length - NAMES_MAX} more` : shown;
}

/** A distinguished name by the parts that people know it by: `"Contoso Root" (Contoso Ltd)`. */
function nameText(name: object): string {
  const part = (key: string): string | undefined => {
    const value: unknown = Reflect.get(name, key);
    if (Array.isArray(value)) return readable(value.join(', '), 80);
    return typeof value === 'string' ? readable(value, 80) : undefined;
  };
  const [common, organisation, unit] = [part('CN'), part('O'), part('OU')];
  if (common === undefined) return `"${organisation ?? unit ?? 'without a name'}"`;
  return organisation === undefined ? `"${common}"` : `"${common}" (${organisation})`;
}
