// SPDX-License-Identifier: Apache-2.0
import type { AttributeValue } from '@pointsman/management';
import type { SaslMechanism } from './model.js';

/** One thing that Qpid Dispatch does and this version does not. */
export interface NotSupported {
  readonly section: string;
  /** Without one the whole section is meant. */
  readonly attribute?: string;
  /** Values that are meant. Without it, any value but the default. */
  readonly values?: readonly AttributeValue[];
  /** What it would have done. */
  readonly what: string;
  readonly hint?: string;
}

const ROUTER_NETWORKS = 'networks of several routers';

/**
 * Everything that is understood in a configuration file and not there yet. What gets built loses its line here, and
 * nothing else has to change in the reading of configurations.
 */
// prettier-ignore
export const NOT_SUPPORTED: readonly NotSupported[] = [
  { section: 'router', attribute: 'mode', values: ['interior', 'edge'], what: ROUTER_NETWORKS, hint: 'mode: standalone' },
  { section: 'listener', attribute: 'role', values: ['inter-router', 'edge'], what: ROUTER_NETWORKS, hint: 'role: normal, or role: route-container' },
  { section: 'connector', attribute: 'role', values: ['inter-router', 'edge'], what: ROUTER_NETWORKS, hint: 'role: normal, or role: route-container' },
  { section: 'listener', attribute: 'saslPlugin', what: 'authentication by another service' },
  { section: 'authServicePlugin', what: 'authentication by another service' },
];

/** SASL mechanisms that exist; the word of the standard is `ANONYMOUS` for none. */
export const SASL_MECHANISMS: readonly string[] = [
  'ANONYMOUS',
  'PLAIN',
  'EXTERNAL',
  'SCRAM-SHA-1',
  'SCRAM-SHA-256',
  'SCRAM-SHA-512',
  'GSSAPI',
  'DIGEST-MD5',
  'CRAM-MD5',
  'LOGIN',
  'XOAUTH2',
  'OAUTHBEARER',
  'MSSBCBS',
];

/** Those of them that are there. */
export const SASL_SUPPORTED: Readonly<Record<'listener' | 'connector', readonly SaslMechanism[]>> = {
  listener: ['ANONYMOUS', 'PLAIN', 'EXTERNAL'],
  connector: ['ANONYMOUS', 'PLAIN', 'EXTERNAL'],
};
