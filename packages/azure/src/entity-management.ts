// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import { RemoteProtocolError, decodeMessage, encodeMessage, plainOf } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, Message } from '@pointsman/wire';
import { classify } from './conditions.js';
import type { ConditionClass } from './conditions.js';
import type { NoAnswer, OwnRequests } from './management-relay.js';
import type { ManagementRelays } from './management-relays.js';

/** What a node of the service answered. */
export interface ServiceAnswer {
  /** As of HTTP: 200 and 202 are a yes. */
  readonly status: number;
  readonly description: string;
  /** Symbol of what is wrong, where the answer has one. */
  readonly condition: string | undefined;
  /** Value of the body. */
  readonly body: AmqpValue | undefined;
}

/** What became of a request: an answer, or why there is none. */
export type ServiceResult = ServiceAnswer | NoAnswer;

/** The class of what was wrong; an answer that is a yes has none that counts. */
export function classOf(result: ServiceResult): ConditionClass {
  const { condition, description } = 'error' in result ? result.error : result;
  return classify(condition, description);
}

export interface EntityManagementOptions {
  readonly clock: Clock;
  /** Time for an answer. Default: 20,000 ms. */
  readonly timeoutMs?: number;
}

interface Node {
  readonly requests: OwnRequests;
  /** Requests without an answer. */
  asked: number;
  cancelRest: (() => void) | undefined;
}

const TIMEOUT_MS = 20_000;
/** The pair of links to a node that has not been needed for so long is given back. */
const REST_MS = 10_000;
/** What an answer says is repeated up to this length. */
const DESCRIPTION_MAX = 400;

const NOT_CONNECTED: AmqpErrorFields = {
  condition: 'amqp:connection:forced',
  description: 'there is no connection at the moment',
};

/**
 * Asks the `$management` nodes of entities, over whatever connection there is: what concerns a lock may be asked on another
 * connection than the one that its message came on.
 */
export class EntityManagement {
  readonly #options: EntityManagementOptions;
  readonly #nodes = new Map<string, Node>();
  #relays: ManagementRelays | undefined;
  readonly #onOpen = new Set<() => void>();

  constructor(options: EntityManagementOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#relays !== undefined;
  }

  /** A connection is open. */
  open(relays: ManagementRelays): void {
    this.closed();
    this.#relays = relays;
    for (const act of this.#onOpen) act();
  }

  /** The connection has ended; its links ended with it. */
  closed(): void {
    this.#relays = undefined;
    for (const { cancelRest } of this.#nodes.values()) cancelRest?.();
    this.#nodes.clear();
  }

  /** `act` is called when there is a connection again. */
  whenOpen(act: () => void): void {
    this.#onOpen.add(act);
  }

  /**
   * Asks `<entity>/$management`.
   *
   * @param entity - its address, without `$management`
   * @param operation - without `com.microsoft:`
   * @param done - called once, and not at once
   * @param patienceMs - time for an answer, where there is less than otherwise
   */
  ask(
    entity: string,
    operation: string,
    body: Map<AmqpValue, AmqpValue>,
    done: (result: ServiceResult) => void,
    patienceMs: number = Infinity,
  ): void {
    const { clock } = this.#options;
    const timeoutMs = Math.min(patienceMs, this.#options.timeoutMs ?? TIMEOUT_MS);
    const node = this.#nodeOf(entity);
    if ('error' in node) {
      clock.after(0, () => done({ error: node.error, isUntaken: true }));
      return;
    }
    node.cancelRest?.();
    node.cancelRest = undefined;
    node.asked++;
    let isOver = false;
    const finish = (result: ServiceResult): void => {
      if (isOver) return;
      isOver = true;
      cancel();
      if (--node.asked === 0) this.#restLater(entity, node);
      done(result);
    };
    const cancel = clock.after(timeoutMs, () =>
      finish({
        error: {
          condition: 'com.microsoft:timeout',
          description: `${entity}/$management did not answer within ${timeoutMs} ms`,
        },
        isUntaken: false,
      }),
    );
    const request = encodeMessage({
      applicationProperties: new Map([['operation', `com.microsoft:${operation}`]]),
      body: { kind: 'value', value: body },
    });
    node.requests.ask(request, (answer) => finish(answer instanceof Uint8Array ? resultOf(answer) : answer));
  }

  #nodeOf(entity: string): Node | { readonly error: AmqpErrorFields } {
    const relays = this.#relays;
    if (relays === undefined) return { error: NOT_CONNECTED };
    const key = entity.toLowerCase();
    const known = this.#nodes.get(key);
    if (known !== undefined && !known.requests.isOver) return known;
    known?.cancelRest?.();
    const requests = relays.own(`${entity}/$management`);
    if ('error' in requests) return requests;
    if (requests.isOver) return { error: NOT_CONNECTED };
    const node: Node = { requests, asked: 0, cancelRest: undefined };
    this.#nodes.set(key, node);
    return node;
  }

  #restLater(entity: string, node: Node): void {
    const key = entity.toLowerCase();
    if (this.#nodes.get(key) !== node) return;
    node.cancelRest = this.#options.clock.after(REST_MS, () => {
      if (this.#nodes.get(key) !== node) return;
      this.#nodes.delete(key);
      node.requests.leave();
    });
  }
}

/** The service writes `statusCode`; doubles of it also `status-code`. */
function resultOf(bytes: Uint8Array): ServiceResult {
  let message: Message;
  try {
    message = decodeMessage(bytes);
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
    return { error: { condition: error.condition, description: error.message }, isUntaken: false };
  }
  const { applicationProperties, body } = message;
  const property = (...names: string[]): unknown =>
    plainOf(names.map((name) => applicationProperties?.get(name)).find((value) => value !== undefined));
  const status = Number(property('statusCode', 'status-code'));
  const description = property('statusDescription', 'status-description');
  const condition = property('errorCondition', 'error-condition');
  if (!Number.isInteger(status) || status < 100 || status > 999)
    return {
      error: { condition: 'amqp:decode-error', description: 'the answer to a request has no status' },
      isUntaken: false,
    };
  return {
    status,
    description: typeof description === 'string' ? description.slice(0, DESCRIPTION_MAX) : '',
    condition: typeof condition === 'string' ? condition.slice(0, DESCRIPTION_MAX) : undefined,
    body: body?.kind === 'value' ? body.value : undefined,
  };
}
