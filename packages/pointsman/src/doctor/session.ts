// SPDX-License-Identifier: Apache-2.0
import { withoutSecrets } from '@pointsman/azure';
import { sharedDriver } from '@pointsman/transport';
import type { ByteStream } from '@pointsman/transport';
import { Client } from '../client/client.js';
import { within } from '../client/deferred.js';
import { meaningOf } from '../run/connection-end.js';
import type { Finding } from './finding.js';
import type { Way } from './network.js';
import type { Patient } from './patient.js';

/** SASL and open, on a stream that is there. */
export async function openConnection(
  patient: Patient,
  stream: ByteStream,
  way: Way,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<{ readonly findings: readonly Finding[]; readonly client: Client | undefined }> {
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
  } catch (error) {
    const end = connection.ended;
    const text =
      end === undefined
        ? `${(error as Error).message}: the peer accepted the connection and then fell silent.`
        : withoutSecrets(
            meaningOf(connection, end, {
              connector: connector.name,
              to: { ...to, host: hostname, port: way.port },
              byConnectionString: connector.connectionString !== undefined,
              isServiceBus: patient.isServiceBus,
              encrypted: stream.info.encrypted,
              cureOf: ({ hint }) => hint,
            }),
            patient.secrets,
          );
    client.driven.destroy();
    const step = end?.by === 'sasl' ? 'authentication' : 'open';
    const findings = step === 'open' && connection.saslMechanism !== undefined ? [saslFinding(patient, client)] : [];
    const check = step === 'open' ? 'open' : 'sasl';
    const bad: Finding = { step, check, verdict: 'bad', subject: hostname, text, ms: performance.now() - started };
    return { findings: [...findings, bad], client: undefined };
  }
  return {
    findings: [saslFinding(patient, client), { ...openFinding(patient, client), ms: performance.now() - started }],
    client,
  };
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
