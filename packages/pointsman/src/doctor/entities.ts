// SPDX-License-Identifier: Apache-2.0
import { explain, withoutSecrets } from '@pointsman/azure';
import type { Direction } from '../config/model.js';
import type { Client } from '../client/client.js';
import { ClientError } from '../client/client-error.js';
import type { Finding, StepName } from './finding.js';
import type { Way } from './network.js';
import type { EntityNeed, Patient } from './patient.js';

/** Attaches each link that the connector is to have, and detaches it again. Nothing is sent and nothing taken. */
export async function* examineEntities(
  patient: Patient,
  client: Client,
  way: Way,
  onWait: (step: StepName, what: string) => void,
): AsyncGenerator<Finding> {
  const { entities, connector } = patient;
  if (entities.length === 0) {
    const text = `No autolink names connector ${connector.name}, and no --entity was given: rights on entities were not looked at`;
    yield { step: 'entity', verdict: 'skipped', subject: '', text };
    return;
  }
  for (const need of entities) {
    onWait('entity', need.path);
    if (need.direction !== undefined) {
      yield await examineEntity(patient, client, way, need, need.direction);
      continue;
    }
    // Whichever it takes will do: a topic is only sent to, a subscription only received from.
    const both = [
      await examineEntity(patient, client, way, need, 'out'),
      await examineEntity(patient, client, way, need, 'in'),
    ];
    const isGood = both.some(({ verdict }) => verdict === 'good');
    for (const finding of both)
      yield isGood && finding.verdict === 'bad' ? { ...finding, verdict: 'warning' } : finding;
  }
}

async function examineEntity(
  patient: Patient,
  client: Client,
  way: Way,
  { path, address }: EntityNeed,
  direction: Direction,
): Promise<Finding> {
  const started = performance.now();
  const what = direction === 'out' ? `send to ${path}` : `receive from ${path}`;
  const details = { entity: path, direction };
  try {
    const size = await (direction === 'out' ? trySender(client, path) : tryReceiver(client, path));
    const limit = size === undefined || size === 0 ? '' : `, messages up to ${size} bytes`;
    const ms = performance.now() - started;
    return { step: 'entity', verdict: 'good', subject: path, text: `May ${what}${limit}`, ms, details };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const { condition, description } = error;
    const text = patient.isServiceBus
      ? explain({
          step: 'autolink',
          connector: patient.connector.name,
          host: patient.to.hostname,
          port: way.port,
          byConnectionString: patient.connector.connectionString !== undefined,
          secrets: patient.secrets,
          direction,
          address,
          externalAddress: path,
          condition,
          description,
          ...(patient.to.username === undefined ? {} : { policy: patient.to.username }),
          ...(patient.to.username === undefined && patient.to.tokens !== undefined
            ? { tokenSource: patient.to.tokens.name }
            : {}),
        }).message
      : `The peer refused to let us ${what}: ${condition}: ${withoutSecrets(description, patient.secrets)}`;
    return {
      step: 'entity',
      verdict: 'bad',
      subject: path,
      text,
      ms: performance.now() - started,
      details: { ...details, condition },
    };
  }
}

async function trySender(client: Client, path: string): Promise<number | undefined> {
  const sender = await client.sender(path);
  const { maxMessageSize } = sender.link.remoteAttach ?? {};
  await sender.close();
  return maxMessageSize === undefined ? undefined : Number(maxMessageSize);
}

async function tryReceiver(client: Client, path: string): Promise<undefined> {
  // Without credit nothing is taken, and nothing locked.
  const receiver = await client.receiver(path, { credit: 0, mode: 'second' });
  await receiver.close();
}
