// SPDX-License-Identifier: Apache-2.0
import type { Secret } from './secret.js';

/** The five steps from a configuration to messages. */
export type Step = 'connection' | 'tls' | 'idle' | 'authentication' | 'autolink';

interface Place {
  /** Name of the connector, as configured. */
  readonly connector: string;
  readonly host: string;
  readonly port: number;
  /** The connector was given by `connectionString`: cures then speak of that. */
  readonly byConnectionString?: boolean;
  /** Masked wherever a text of the peer repeats them. */
  readonly secrets?: readonly Secret[];
}

export type ConnectionProblem =
  | 'name-not-found'
  | 'refused'
  | 'timed-out'
  | 'unreachable'
  /** The connection ended before both sides had opened. */
  | 'closed'
  /** TLS was expected, the peer speaks plain. */
  | 'plain-peer'
  /** Plain was expected, the peer speaks TLS. */
  | 'tls-peer'
  /** The peer answered with something that is not AMQP 1.0. */
  | 'other-protocol'
  /** Service Bus in the cloud, and no TLS configured. */
  | 'tls-missing'
  | 'unknown';

export interface ConnectionFailure extends Place {
  readonly step: 'connection';
  readonly problem: ConnectionProblem;
  /** Condition and description of a `close`, or the system's own word for the fault. */
  readonly condition?: string;
  readonly description?: string;
}

export type TlsProblem =
  | 'unknown-issuer'
  | 'name-mismatch'
  | 'expired'
  | 'not-yet-valid'
  | 'revoked'
  | 'key-mismatch'
  | 'key-password'
  | 'file'
  | 'protocol-version'
  | 'client-certificate'
  | 'unknown';

export interface TlsFailure extends Place {
  readonly step: 'tls';
  readonly problem: TlsProblem;
  /** Name of the `sslProfile`, where the connector has one. */
  readonly sslProfile?: string;
  /** Issuer of the certificate that could not be traced. */
  readonly issuer?: string;
  /** Names that the certificate is for. */
  readonly names?: readonly string[];
  /** End (or beginning) of its validity, as text. */
  readonly validUntil?: string;
  /** File that could not be read or understood. */
  readonly file?: string;
  readonly description?: string;
}

export interface IdleFailure extends Place {
  readonly step: 'idle';
  /** What is configured, in seconds. */
  readonly idleTimeoutSeconds: number;
  /** What stood, or would stand, in our `open`, in milliseconds. */
  readonly advertisedMs: number;
  /** Absent where our own check stopped it before it was sent. */
  readonly description?: string;
}

export interface AuthenticationFailure extends Place {
  readonly step: 'authentication';
  readonly problem:
    /** None of the configured mechanisms is offered. */
    | 'no-mechanism'
    /** sasl-outcome other than ok. */
    | 'refused'
    /** The answer to put-token was a failure. */
    | 'token-refused'
    /** There was no token to put. */
    | 'no-token';
  readonly offered?: readonly string[];
  readonly configured?: readonly string[];
  readonly username?: string;
  readonly statusCode?: number;
  readonly description?: string;
  /** Where tokens come from, where it is not the key of the policy. */
  readonly tokenSource?: string;
}

export interface AutolinkFailure extends Place {
  readonly step: 'autolink';
  readonly direction: 'in' | 'out';
  /** The router's own address. */
  readonly address: string;
  /** The node in the namespace. */
  readonly externalAddress: string;
  readonly condition?: string;
  readonly description?: string;
  /** Name of the shared access policy (saslUsername). */
  readonly policy?: string;
  /** Where tokens come from, where it is not the key of the policy. */
  readonly tokenSource?: string;
}

export type Failure = ConnectionFailure | TlsFailure | IdleFailure | AuthenticationFailure | AutolinkFailure;

/** What {@link problemOf} looks at in an error of the system, of TLS or of OpenSSL. */
export interface SystemError {
  readonly code?: string | undefined;
  readonly message?: string | undefined;
}

export type SystemProblem =
  | { readonly step: 'connection'; readonly problem: ConnectionProblem }
  | { readonly step: 'tls'; readonly problem: TlsProblem };

const connection = (problem: ConnectionProblem): SystemProblem => ({ step: 'connection', problem });
const tls = (problem: TlsProblem): SystemProblem => ({ step: 'tls', problem });

/** Codes of Node.js, of its TLS layer and of OpenSSL. */
// prettier-ignore
const SYSTEM_CODES: Readonly<Record<string, SystemProblem>> = {
  ENOTFOUND: connection('name-not-found'), EAI_AGAIN: connection('name-not-found'), EAI_NODATA: connection('name-not-found'),
  EAI_NONAME: connection('name-not-found'), ECONNREFUSED: connection('refused'), ETIMEDOUT: connection('timed-out'),
  ERR_SOCKET_CONNECTION_TIMEOUT: connection('timed-out'), EHOSTUNREACH: connection('unreachable'),
  ENETUNREACH: connection('unreachable'), EADDRNOTAVAIL: connection('unreachable'),
  ECONNRESET: connection('closed'), EPIPE: connection('closed'),
  ERR_SSL_WRONG_VERSION_NUMBER: connection('plain-peer'), ERR_SSL_PACKET_LENGTH_TOO_LONG: connection('plain-peer'),
  ERR_SSL_UNKNOWN_PROTOCOL: connection('plain-peer'), ERR_SSL_HTTP_REQUEST: connection('plain-peer'),

  UNABLE_TO_GET_ISSUER_CERT: tls('unknown-issuer'), UNABLE_TO_GET_ISSUER_CERT_LOCALLY: tls('unknown-issuer'),
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: tls('unknown-issuer'), SELF_SIGNED_CERT_IN_CHAIN: tls('unknown-issuer'),
  DEPTH_ZERO_SELF_SIGNED_CERT: tls('unknown-issuer'), CERT_UNTRUSTED: tls('unknown-issuer'),
  CERT_HAS_EXPIRED: tls('expired'), CERT_NOT_YET_VALID: tls('not-yet-valid'), CERT_REVOKED: tls('revoked'),
  ERR_TLS_CERT_ALTNAME_INVALID: tls('name-mismatch'), HOSTNAME_MISMATCH: tls('name-mismatch'),
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: tls('key-mismatch'), ERR_OSSL_X509_KEY_TYPE_MISMATCH: tls('key-mismatch'),
  ERR_OSSL_BAD_DECRYPT: tls('key-password'), ERR_OSSL_EVP_BAD_DECRYPT: tls('key-password'),
  ERR_OSSL_PEM_BAD_DECRYPT: tls('key-password'), ERR_OSSL_PEM_BAD_PASSWORD_READ: tls('key-password'),
  ERR_OSSL_CRYPTO_INTERRUPTED_OR_CANCELLED: tls('key-password'), ERR_OSSL_UI_INTERRUPTED_OR_CANCELLED: tls('key-password'),
  ERR_OSSL_PEM_NO_START_LINE: tls('file'), ERR_OSSL_UNSUPPORTED: tls('file'), ENOENT: tls('file'), EACCES: tls('file'),
  EISDIR: tls('file'),
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: tls('protocol-version'), ERR_SSL_UNSUPPORTED_PROTOCOL: tls('protocol-version'),
  ERR_SSL_NO_PROTOCOLS_AVAILABLE: tls('protocol-version'), ERR_SSL_VERSION_TOO_LOW: tls('protocol-version'),
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: tls('client-certificate'),
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: tls('client-certificate'), ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: tls('client-certificate'),
};

/** What an error of a socket or of TLS means. Unknown ones are `{ step: 'connection', problem: 'unknown' }`. */
export function problemOf(error: SystemError): SystemProblem {
  const code = error.code ?? '';
  if (Object.hasOwn(SYSTEM_CODES, code)) return SYSTEM_CODES[code] ?? connection('unknown');
  // Node.js reports some faults of OpenSSL as EPROTO, with OpenSSL's words in the message alone.
  const message = error.message ?? '';
  if (/wrong version number|packet length too long|http request|unknown protocol/i.test(message))
    return connection('plain-peer');
  if (/alert protocol version|unsupported protocol/i.test(message)) return tls('protocol-version');
  if (/key values mismatch/i.test(message)) return tls('key-mismatch');
  if (/bad decrypt|bad password read/i.test(message)) return tls('key-password');
  return code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') ? tls('unknown') : connection('unknown');
}
