// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { JsonProcess, PYTHON, until } from '@pointsman/testing';
import type { Namespace, QueueOptions, SubscriptionOptions } from '@pointsman/namespace';

const PROGRAMS = fileURLToPath(new URL('../../python/', import.meta.url));

/** Many of them wait for time to pass. */
const ROWS_MS = 300_000;

/** What a program of rows asks for; see `python/rows.py`. */
class Asked {
  readonly #namespace: Namespace;
  #names = 0;
  /** Event hubs are made with the namespace alone. */
  readonly #hubs: string[];

  constructor(namespace: Namespace) {
    this.#namespace = namespace;
    this.#hubs = [...namespace.broker.eventHubs.all].map(({ name }) => name);
  }

  answer(what: string, [first, second]: readonly unknown[]): unknown {
    const { broker, faults } = this.#namespace;
    const name = `${what}-${++this.#names}`;
    switch (what) {
      case 'queue':
        broker.createQueue({ ...(first as Partial<QueueOptions>), name });
        return name;
      case 'topic':
        broker.createTopic({ name, subscriptions: [{ ...(first as Partial<SubscriptionOptions>), name: 'all' }] });
        return name;
      case 'hub': {
        const hub = this.#hubs.shift();
        if (hub === undefined) throw new RangeError('There are not as many event hubs.');
        return hub;
      }
      case 'counts': {
        const { active, locked, deferred, scheduled, deadLetter } = this.#namespace.counts(String(first));
        return [active, locked, deferred, scheduled, deadLetter].join(' ');
      }
      case 'status':
        this.#namespace.setStatus(String(first), second as 'Disabled');
        return undefined;
      case 'fault':
        return (faults as unknown as Record<string, (...args: unknown[]) => unknown>)[String(first)]!(
          ...(second as unknown[]),
        );
      default:
        throw new TypeError(`rows.py asks for '${what}', and nobody knows what that is.`);
    }
  }
}

function isOver(pid: number): boolean {
  try {
    return !process.kill(pid, 0);
  } catch {
    return true;
  }
}

/**
 * Runs a program of `python/` that is made of rows: each is a test within `t`.
 *
 * @param way - what the program's client is given to connect with
 */
export async function runRows(t: TestContext, namespace: Namespace, file: string, way: object): Promise<void> {
  const asked = new Asked(namespace);
  const child = new JsonProcess(t, file, PYTHON, [`${PROGRAMS}${file}`], { ROWS_WAY: JSON.stringify(way) });
  let read = 0;
  const rows: { readonly name: string; readonly error: string | undefined }[] = [];
  await until(
    `${file} to end`,
    () => {
      for (; read < child.events.length; read++) {
        const { event, ...fields } = child.events[read]!;
        if (event === 'end') return true;
        if (event === 'row') rows.push({ name: String(fields['name']), error: fields['error'] as string | undefined });
        if (event !== 'ask') continue;
        const { id } = fields;
        try {
          child.tell({ id, value: asked.answer(String(fields['what']), fields['arguments'] as unknown[]) });
        } catch (error) {
          child.tell({ id, error: String(error) });
        }
      }
      return isOver(child.pid);
    },
    { timeoutMs: ROWS_MS },
  );
  await child.done();
  assert.ok(rows.length > 0, child.stderr);
  for (const { name, error } of rows) await t.test(name, () => assert.equal(error, undefined, `${error}`));
}
