// SPDX-License-Identifier: Apache-2.0
import { classify, explain, retryDelay } from '@pointsman/azure';
import type { Connection, ConnectionEnd } from '@pointsman/engine';
import { TransportError } from '@pointsman/transport';
import type { Destination } from './destination.js';

/** Where a connection ended, for the words about it. */
export interface EndPlace {
  /** Name of the connector. */
  readonly connector: string;
  readonly to: Destination;
  readonly byConnectionString: boolean;
  readonly isServiceBus: boolean;
  /** TLS lay between the peers. */
  readonly encrypted: boolean;
  /** What to do about an error of the transport. */
  readonly cureOf: (error: TransportError) => string;
}

/** Idle time-outs below this are refused by Service Bus, in ms as advertised. */
const SERVICE_BUS_IDLE_MIN_MS = 10_000;

const WAITED_FOR = { header: 'its protocol header', sasl: 'its part of SASL', open: 'its open' } as const;

/** Service Bus closed the connection because of the idle time-out in our open. */
export function isIdleRefusal(connection: Connection, end: ConnectionEnd, isServiceBus: boolean): boolean {
  const advertised = connection.advertisedIdleTimeOut;
  if (!isServiceBus || end.by !== 'remote' || end.error === undefined || advertised === undefined) return false;
  return advertised < SERVICE_BUS_IDLE_MIN_MS && !isNormalClose(end);
}

/** A close that Service Bus issues in normal life. */
export function isNormalClose({ by, error }: ConnectionEnd): boolean {
  return (
    by === 'remote' &&
    (error?.condition === 'amqp:connection:forced' || error?.condition === 'com.microsoft:container-close')
  );
}

/**
 * Ms that have to pass at the least before the next attempt, after Service Bus has closed a connection: where it has too much to do, or
 * a quota is used up, to come again soon makes it worse.
 *
 * @param failures - in a row, before this one
 * @param random - 0 to 1, exclusive
 */
export function delayAfter({ by, error }: ConnectionEnd, failures: number, random: () => number): number {
  if (by !== 'remote' || error === undefined) return 0;
  const kind = classify(error.condition, error.description);
  return kind === 'busy' || kind === 'quota' ? retryDelay(kind, failures, random) : 0;
}

/** Service Bus closed the connection since there was no link on it. */
export function isForWantOfLinks(end: ConnectionEnd): boolean {
  return isNormalClose(end) && classify(end.error?.condition, end.error?.description) === 'idle';
}

/** It ended before AMQP was open, and not since the peer had something against it. */
export function isBeforeOpen({ by, phase }: ConnectionEnd): boolean {
  return phase !== 'opened' && (by === 'lost' || by === 'idle' || by === 'protocol');
}

/** Says what the end of a connection that we did not close means, and what to change. */
export function meaningOf(connection: Connection, end: ConnectionEnd, place: EndPlace): string {
  const { error } = end;
  const description = error?.description;
  if (end.by === 'sasl') return meaningOfSasl(connection, description, place);
  if (isIdleRefusal(connection, end, place.isServiceBus)) {
    return explain({
      ...common(place, description),
      step: 'idle',
      idleTimeoutSeconds: connection.idleTimeoutMs / 1000,
      advertisedMs: connection.advertisedIdleTimeOut ?? 0,
    }).message;
  }
  const early = end.phase === 'opened' ? undefined : meaningBeforeOpen(end, end.phase, place);
  if (early !== undefined) return early;
  if (end.by === 'idle') {
    return `Nothing came for ${connection.idleTimeoutMs} ms, the idle time-out of connector ${place.connector}: the connection was given up.`;
  }
  if (end.by === 'lost') {
    return `The connection was lost${end.cause === undefined ? '' : `: ${end.cause.message}`}`.replace(/\.?$/, '.');
  }
  const who = end.by === 'remote' ? 'The peer closed the connection' : 'The connection was ended';
  return `${who}: ${error?.condition ?? 'no reason given'}${description === undefined ? '' : `: ${description}`}`;
}

function meaningOfSasl(connection: Connection, description: string | undefined, place: EndPlace): string {
  const { username, mechanisms } = place.to;
  if (!place.isServiceBus) {
    const settings = username === undefined ? 'saslMechanisms' : 'saslMechanisms, saslUsername and saslPassword';
    return `${description ?? 'SASL failed'}. Check ${settings} of connector ${place.connector}.`;
  }
  return explain({
    ...common(place, description),
    step: 'authentication',
    problem: connection.saslMechanism === undefined ? 'no-mechanism' : 'refused',
    offered: connection.offeredMechanisms,
    configured: mechanisms,
    ...(username === undefined ? {} : { username }),
  }).message;
}

function meaningBeforeOpen(
  { by, cause, error }: ConnectionEnd,
  phase: keyof typeof WAITED_FOR,
  place: EndPlace,
): string | undefined {
  const { to, connector, encrypted, isServiceBus } = place;
  const target = `${to.host}:${to.port}`;
  const advice = encrypted
    ? `Check the port of connector ${connector}.`
    : `Check the port of connector ${connector}, and whether the peer wants TLS there: then give the connector an sslProfile.`;
  switch (by) {
    case 'idle':
      // Service Bus lets a connection without TLS come as far as SASL, and then falls silent.
      if (isServiceBus && !encrypted) {
        return explain({ ...common(place), step: 'connection', problem: 'tls-missing' }).message;
      }
      return `${target} accepted the connection and then fell silent, with ${WAITED_FOR[phase]} still to come. ${advice}`;
    case 'lost':
      if (cause instanceof TransportError && cause.kind !== 'closed-early') {
        return `${cause.message} ${place.cureOf(cause)}`;
      }
      return `${target} closed the connection before AMQP was open, with ${WAITED_FOR[phase]} still to come. ${advice}`;
    case 'protocol':
      if (phase !== 'header') return undefined;
      if (/TLS first/.test(error?.description ?? '')) {
        return `${target} insists on TLS, and connector ${connector} has none. Give it an sslProfile.`;
      }
      return explain({ ...common(place, error?.description), step: 'connection', problem: 'other-protocol' }).message;
    default:
      return undefined;
  }
}

/** What every explanation is given. */
function common({ connector, to, byConnectionString }: EndPlace, description?: string): CommonPlace {
  return {
    connector,
    host: to.host,
    port: to.port,
    byConnectionString,
    secrets: to.password === undefined ? [] : [to.password],
    ...(description === undefined ? {} : { description }),
  };
}

interface CommonPlace {
  readonly connector: string;
  readonly host: string;
  readonly port: number;
  readonly byConnectionString: boolean;
  readonly secrets: readonly NonNullable<Destination['password']>[];
  readonly description?: string;
}
