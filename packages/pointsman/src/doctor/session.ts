// SPDX-License-Identifier: Apache-2.0
import { explain, withoutSecrets } from '@pointsman/azure';
import { sharedDriver } from '@pointsman/transport';
import type { ByteStream } from '@pointsman/transport';
import { Client } from '../client/client.js';
import { within } from '../client/deferred.js';
import { isBeforeOpen, meaningOf } from '../run/connection-end.js';
import type { EndPlace } from '../run/connection-end.js';
import type { Finding } from './finding.js';
import type { Way } from './network.js';
import type { Patient } from './patient.js';
import { capitalized } from './words.js';

export interface SessionExamination {
  readonly findings: readonly Finding[];
  readonly client: Client | undefined;
  /** It is Service Bus, as its mechanisms tell where the name does not. */
  readonly isServiceBus: boolean;
  /** Somebody took the connection, and never spoke AMQP. */
  readonly cameToNothing?: boolean;
}

/** A mechanism that nobody else has. */
const OF_SERVICE_BUS = 'MSSBCBS';

/** SASL and open, on a stream that is there. */
export async function openConnection(
  patient: Patient,
  stream: ByteStream,
  way: Way,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<SessionExamination> {
  const { to, connector } = patient;
  const { username, password, mechanisms, hostname } = to;
  const client = new Client(
    {
      host: to.host,
      port: way.port,
      hostname,
      maxFrameSize: connector.maxFrameSize,
      idleTimeoutMs: connector.idleTimeOut.enforcedMs ?? 0,
      timeoutMs,
      sasl: {
        mechanisms,
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password: () => password.reveal() }),
      },
    },
    stream.info,
  );
  const started = performance.now();
  client.driven = sharedDriver.drive(client.connection, stream, () => client.socketGone());
  const { connection } = client;
  try {
    await within(client.opened, timeoutMs, () => new Error(`no open came within ${timeoutMs} ms`));
    // Some answer with an open, and close at once with the reason.
    await client.begin();
  } catch (error) {
    const end = connection.ended;
    const isServiceBus = isServiceBusAt(patient, client);
    const place = {
      connector: connector.name,
      to: { ...to, host: hostname, port: way.port },
      byConnectionString: connector.connectionString !== undefined,
      isServiceBus,
      encrypted: stream.info.encrypted,
      cureOf: ({ hint }: { readonly hint: string }) => hint,
    };
    const text = withoutSecrets(
      end === undefined ? silence(place, way, error as Error) : meaningOf(connection, end, place),
      patient.secrets,
    );
    client.driven.destroy();
    const step = end?.by === 'sasl' ? 'authentication' : 'open';
    const findings = step === 'open' && connection.saslMechanism !== undefined ? [saslFinding(patient, client)] : [];
    const isHttpPort = way.port === to.webSocketPort && !way.mode.startsWith('websocket') && isServiceBus;
    const cure = isHttpPort ? ` Port ${way.port} takes AMQP in a WebSocket alone: write transport: websocket.` : '';
    const cameToNothing = end === undefined || isBeforeOpen(end);
    const mayBeInspected =
      cameToNothing && isServiceBus && way.mode.startsWith('tls') && to.transport === 'tcp' && cure === '';
    const wayOut = mayBeInspected
      ? ` Something on the way may look into TLS and let HTTP alone pass: transport: auto, or websocket, goes by port ${to.webSocketPort}.`
      : '';
    const isEmulator = connector.connectionString !== undefined && to.tls === 'none' && end?.by === 'lost';
    const emulatorCure = isEmulator
      ? ' UseDevelopmentEmulator=true in the connectionString turns TLS off: take it out, unless it is an emulator.'
      : '';
    const check = step === 'open' ? 'open' : 'sasl';
    const bad: Finding = {
      step,
      check,
      verdict: 'bad',
      subject: hostname,
      text: `${capitalized(isEmulator ? text.replace(/ Check the port.*$/u, '') : text)}${cure}${wayOut}${emulatorCure}`,
      ms: performance.now() - started,
    };
    return { findings: [...findings, bad], client: undefined, isServiceBus, cameToNothing };
  }
  return {
    findings: [saslFinding(patient, client), { ...openFinding(patient, client), ms: performance.now() - started }],
    client,
    isServiceBus: isServiceBusAt(patient, client),
  };
}

function isServiceBusAt({ isServiceBus }: Patient, { connection }: Client): boolean {
  return isServiceBus || connection.offeredMechanisms.includes(OF_SERVICE_BUS);
}

/** The connection is there, and nothing comes. */
function silence(place: EndPlace, way: Way, { message }: Error): string {
  const { connector, encrypted, isServiceBus, to, byConnectionString } = place;
  // Service Bus lets a connection without TLS come as far as SASL, and then falls silent.
  if (isServiceBus && !encrypted)
    return explain({
      step: 'connection',
      problem: 'tls-missing',
      connector,
      host: to.host,
      port: way.port,
      byConnectionString,
      secrets: [],
    }).message;
  const advice = encrypted ? '' : ', and whether the peer wants TLS there: then give the connector an sslProfile';
  return `${message.replace(/^pointsman:[a-z-]+: /u, '')}: the peer accepted the connection and then fell silent. Check the port of connector ${connector}${advice}.`;
}

function saslFinding({ to, isServiceBus }: Patient, { connection }: Client): Finding {
  const mechanism = connection.saslMechanism ?? 'none';
  const offered = connection.offeredMechanisms;
  const asWho = mechanism === 'PLAIN' && to.username !== undefined ? ` as ${to.username}` : '';
  const note =
    isServiceBus && mechanism === 'PLAIN' ? '. Service Bus looks at the key when the first link is attached' : '';
  return {
    step: 'authentication',
    check: 'sasl',
    verdict: 'good',
    subject: to.hostname,
    text: `${mechanism}${asWho}, of ${offered.join(' ')}${note}`,
    details: { mechanism, offered },
  };
}

function openFinding({ to }: Patient, { connection, remoteOpen }: Client): Finding {
  const { containerId, idleTimeOut, maxFrameSize, channelMax } = remoteOpen;
  const ours = connection.advertisedIdleTimeOut;
  const text =
    `The peer is ${containerId}. Frames up to ${maxFrameSize ?? 4_294_967_295} bytes, ${(channelMax ?? 65_535) + 1} sessions; ` +
    `idle time-out ${idleTimeOut === undefined ? 'none' : `${idleTimeOut} ms`}, ours ${ours === undefined ? 'none' : `${ours} ms`}`;
  return {
    step: 'open',
    check: 'open',
    verdict: 'good',
    subject: to.hostname,
    text,
    details: {
      containerId,
      maxFrameSize: maxFrameSize ?? 4_294_967_295,
      ...(idleTimeOut === undefined ? {} : { idleTimeOutMs: idleTimeOut }),
      ...(ours === undefined ? {} : { advertisedIdleTimeOutMs: ours }),
    },
  };
}
