// SPDX-License-Identifier: Apache-2.0
import { promises as dns } from 'node:dns';
import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import { TransportError, dialSocket, placeText } from '@pointsman/transport';
import type { DialMode, HttpProxy } from '@pointsman/transport';
import { within } from '../client/deferred.js';
import { httpProxy } from '../run/connector.js';
import type { Finding } from './finding.js';
import type { Patient } from './patient.js';
import { listed } from './words.js';

/** How the peer can be reached. */
export interface Way {
  readonly mode: DialMode;
  readonly port: number;
}

const PORT_TLS = 5671;
const PORT_IN_BAND = 5672;
const PORT_HTTPS = 443;

/** Looks the name up that TCP goes to. */
export async function examineName(patient: Patient, { timeoutMs }: { readonly timeoutMs: number }): Promise<Finding> {
  const { to, lookup } = patient;
  const subject = to.proxy?.host ?? to.host;
  const origin = patient.hasProxyOfEnvironment ? ' (of HTTPS_PROXY in the environment)' : '';
  const whose = to.proxy === undefined ? subject : `The proxy ${subject}${origin}`;
  const common = { step: 'name', check: 'name', subject } as const;
  if (isIP(subject) !== 0) return { ...common, verdict: 'skipped', text: `${whose} is an address` };
  const started = performance.now();
  try {
    const late = (): Error => Object.assign(new Error('late'), { code: `no answer within ${timeoutMs} ms` });
    const addresses = await within(addressesOf(subject, lookup), timeoutMs, late);
    const note = to.proxy === undefined ? '' : `; it looks ${to.host} up`;
    return {
      ...common,
      verdict: 'good',
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
      ...common,
      verdict: 'bad',
      text: `The name ${subject} was not found (${code}). ${cure}`,
      ms: performance.now() - started,
      details: { code },
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

/** What came of the ports. */
export interface NetworkExamination {
  readonly findings: readonly Finding[];
  /** The way to go on; undefined where there is none. */
  readonly way: Way | undefined;
  /** The port of HTTP was reached; undefined where it was not tried. */
  readonly reachesHttp: boolean | undefined;
}

/** Connects to each port that may lead there, through the proxy where there is one. */
export async function examineNetwork(
  patient: Patient,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<NetworkExamination> {
  const { to } = patient;
  const { wanted, others } = waysOf(patient);
  const tried = await Promise.all([...wanted, ...others].map((way) => reach(patient, way, timeoutMs)));
  const isWanted = ({ way }: Reached): boolean => wanted.includes(way);
  const reached = tried.find((one) => one.error === undefined && isWanted(one));
  const detour = reached === undefined ? tried.find(({ error }) => error === undefined) : undefined;
  const findings = tried.map((one): Finding => {
    const subject = placeText({ host: to.host, port: one.way.port });
    const kind = kindOf(one.way);
    const through = to.proxy === undefined ? '' : ` through the proxy ${placeText(to.proxy)}`;
    const details = {
      port: one.way.port,
      transport: isWebSocket(one.way) ? 'websocket' : 'tcp',
      wanted: isWanted(one),
      reached: one.error === undefined,
    };
    const common = { step: 'network', check: 'port', subject, ms: one.ms, details } as const;
    if (one.error === undefined) {
      const hint = one === detour ? `. ${cureBy(one.way)} takes this way; what follows was tried over it` : '';
      const note = isWanted(one) || one === detour ? '' : '; not needed';
      const text = `Port ${one.way.port} can be reached${through} (${kind}${note})${hint}`;
      return { ...common, verdict: 'good', text };
    }
    const { message, hint } = one.error;
    if (!isWanted(one))
      return { ...common, verdict: 'skipped', text: `${message} This connector does not need it (${kind}).` };
    const cure = `${refusal(patient, one) ?? hint}${firewall(patient, one, detour !== undefined)}`;
    return {
      ...common,
      verdict: reached === undefined ? 'bad' : 'warning',
      text: `${message} ${cure}`,
    };
  });
  const http = tried.find(({ way }) => way.port === to.webSocketPort);
  return {
    findings,
    way: (reached ?? detour)?.way,
    reachesHttp: http === undefined ? undefined : http.error === undefined,
  };
}

export function webSocketWay({ tls, webSocketPort }: Patient['to']): Way {
  return { mode: tls === 'none' ? 'websocket' : 'websocket-tls', port: webSocketPort };
}

/** The ways that the connector may take, and those that are worth knowing where its own are closed. */
function waysOf({ to, isServiceBus }: Patient): { readonly wanted: readonly Way[]; readonly others: readonly Way[] } {
  const webSocket = webSocketWay(to);
  const tcp: Way = { mode: to.tls === 'none' ? 'tcp' : to.tls === 'first' ? 'tls' : 'tls-in-band', port: to.port };
  const wanted = to.transport === 'auto' ? [tcp, webSocket] : [to.transport === 'tcp' ? tcp : webSocket];
  if (!isServiceBus || to.tls === 'none') return { wanted, others: [] };
  const first: Way = { mode: 'tls', port: PORT_TLS };
  const inBand: Way = { mode: 'tls-in-band', port: PORT_IN_BAND };
  // At ports of somebody's choice nobody knows where the rest would be.
  const isUsual =
    to.transport === 'websocket' ? to.port === PORT_HTTPS : to.port === PORT_TLS || to.port === PORT_IN_BAND;
  const candidates = isUsual ? [first, webSocket, inBand] : [webSocket];
  return { wanted, others: candidates.filter(({ port }) => wanted.every((way) => way.port !== port)) };
}

function isWebSocket({ mode }: Way): boolean {
  return mode === 'websocket' || mode === 'websocket-tls';
}

function kindOf(way: Way): string {
  return isWebSocket(way) ? 'WebSocket' : way.mode === 'tls-in-band' ? 'TCP, TLS by the AMQP header' : 'TCP';
}

/** What a connector is told to go that way. */
function cureBy(way: Way): string {
  if (isWebSocket(way)) return 'transport: auto, or websocket,';
  return way.port === PORT_TLS || way.port === PORT_IN_BAND
    ? `transport: tcp, with port: ${way.port},`
    : 'transport: tcp';
}

/** Service Bus listens at its ports: where it does not, it is not Service Bus that answers. */
function refusal({ to, isServiceBus }: Patient, { way, error }: Reached): string | undefined {
  const isUsual = way.port === PORT_TLS || way.port === PORT_IN_BAND || way.port === PORT_HTTPS;
  if (!isServiceBus || to.tls === 'none' || !isUsual || error?.kind !== 'refused') return undefined;
  return 'Service Bus itself listens there: a firewall on the way refuses in its place, or the host is not that of the namespace.';
}

/** Where nobody answers, somebody has to open something: says what. */
function firewall({ to, isServiceBus }: Patient, { way, error }: Reached, hasDetour: boolean): string {
  if (!isServiceBus || to.tls === 'none' || hasDetour || error?.kind !== 'timed-out') return '';
  const ports = [...new Set([way.port, to.webSocketPort])].map(String);
  return ` Ask whoever runs the firewall to let TCP out to ${to.host}, port ${listed(ports).replace(' and ', ' or ')}; or name the proxy of this network (proxy: http://HOST:PORT).`;
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
    const socket = await dialSocket({
      host: to.host,
      port: way.port,
      mode: 'tcp',
      timeoutMs,
      lookup,
      proxy: proxyOf(patient),
    });
    socket.destroy();
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
