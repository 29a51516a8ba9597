// SPDX-License-Identifier: Apache-2.0
import { promises as dns } from 'node:dns';
import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import { TransportError, dial } from '@pointsman/transport';
import type { DialMode, HttpProxy } from '@pointsman/transport';
import { within } from '../client/deferred.js';
import { httpProxy } from '../run/connector.js';
import type { Finding } from './finding.js';
import type { Patient } from './patient.js';

/** How the peer can be reached. */
export interface Way {
  readonly mode: DialMode;
  readonly port: number;
}

/** Looks the name up that TCP goes to. */
export async function examineName(patient: Patient, { timeoutMs }: { readonly timeoutMs: number }): Promise<Finding> {
  const { to, lookup } = patient;
  const subject = to.proxy?.host ?? to.host;
  const whose = to.proxy === undefined ? subject : `The proxy ${subject}`;
  if (isIP(subject) !== 0) return { step: 'name', verdict: 'skipped', subject, text: `${whose} is an address` };
  const started = performance.now();
  try {
    const late = (): Error => Object.assign(new Error('late'), { code: `no answer within ${timeoutMs} ms` });
    const addresses = await within(addressesOf(subject, lookup), timeoutMs, late);
    const note = to.proxy === undefined ? '' : `; it looks ${to.host} up`;
    return {
      step: 'name',
      verdict: 'good',
      subject,
      text: `${whose} is ${addresses.join(', ')}${note}`,
      ms: performance.now() - started,
      details: { addresses },
    };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    const cure =
      code === 'ENOTFOUND'
        ? `Check ${to.proxy === undefined ? 'the host' : 'the proxy'} of the connector${patient.isServiceBus && to.proxy === undefined ? '; the namespace may have another name, or have been deleted' : ''}.`
        : "Check this machine's network and name server.";
    return {
      step: 'name',
      verdict: 'bad',
      subject,
      text: `The name ${subject} was not found (${code}). ${cure}`,
      ms: performance.now() - started,
    };
  }
}

async function addressesOf(host: string, lookup: LookupFunction | undefined): Promise<readonly string[]> {
  if (lookup === undefined) return (await dns.lookup(host, { all: true })).map(({ address }) => address);
  return new Promise((resolve, reject) => {
    lookup(host, { all: true }, (error, addresses) => {
      if (error !== null) reject(error);
      else resolve(typeof addresses === 'string' ? [addresses] : addresses.map(({ address }) => address));
    });
  });
}

/** Connects to each port that may lead there, through the proxy where there is one. */
export async function examineNetwork(
  patient: Patient,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<{ readonly findings: readonly Finding[]; readonly way: Way | undefined }> {
  const { to } = patient;
  const webSocket: Way = { mode: to.tls === 'none' ? 'websocket' : 'websocket-tls', port: to.webSocketPort };
  const tcp: Way = { mode: to.tls === 'none' ? 'tcp' : to.tls === 'first' ? 'tls' : 'tls-in-band', port: to.port };
  const wanted = to.transport === 'auto' ? [tcp, webSocket] : [to.transport === 'tcp' ? tcp : webSocket];
  // The other way is worth knowing where the wanted one is closed.
  const others = to.transport === 'tcp' && patient.isServiceBus && to.tls !== 'none' ? [webSocket] : [];
  const tried = await Promise.all([...wanted, ...others].map((way) => reach(patient, way, timeoutMs)));
  const way = tried.find(({ error }) => error === undefined && wanted.length > 0)?.way;
  const isReached = way !== undefined && wanted.includes(way);
  const findings = tried.map((one): Finding => {
    const isWanted = wanted.includes(one.way);
    const subject = `${to.host}:${one.way.port}`;
    const kind = one.way.mode.startsWith('websocket') ? 'WebSocket' : 'TCP';
    const through = to.proxy === undefined ? '' : ` through the proxy ${to.proxy.host}:${to.proxy.port}`;
    const details = { port: one.way.port, transport: kind === 'TCP' ? 'tcp' : 'websocket', reached: !one.error };
    if (one.error === undefined) {
      const hint = isWanted || isReached ? '' : '. transport: auto, or websocket, takes this way';
      const text = `Port ${one.way.port} can be reached${through} (${kind})${hint}`;
      return { step: 'network', verdict: 'good', subject, text, ms: one.ms, details };
    }
    const { message, hint } = one.error;
    const verdict = isWanted ? (isReached ? 'warning' : 'bad') : 'skipped';
    const note = isWanted ? hint : 'It would be the way of transport: websocket; this connector does not need it.';
    return { step: 'network', verdict, subject, text: `${message} ${note}`, ms: one.ms, details };
  });
  // What decides comes last where nothing does, first where something does: bad ones are told before what might help.
  return { findings, way: isReached ? way : undefined };
}

interface Reached {
  readonly way: Way;
  readonly ms: number;
  readonly error: TransportError | undefined;
}

async function reach(patient: Patient, way: Way, timeoutMs: number): Promise<Reached> {
  const { to, lookup } = patient;
  const started = performance.now();
  try {
    const stream = await dial({
      host: to.host,
      port: way.port,
      mode: 'tcp',
      timeoutMs,
      lookup,
      proxy: proxyOf(patient),
    });
    stream.destroy();
    return { way, ms: performance.now() - started, error: undefined };
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    return { way, ms: performance.now() - started, error };
  }
}

/** The proxy of the connector, as the transport takes it. */
export function proxyOf({ to }: Patient): HttpProxy | undefined {
  return to.proxy === undefined ? undefined : httpProxy(to.proxy);
}
