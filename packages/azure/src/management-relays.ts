// SPDX-License-Identifier: Apache-2.0
import type { ReceiverLink, SenderLink, Session } from '@pointsman/engine';
import type { AmqpErrorFields, Attach } from '@pointsman/wire';
import { entityAddressOf } from './entity-address.js';
import { Loopback } from './loopback.js';
import { ManagementRelay } from './management-relay.js';
import type { ManagementRelayOptions, OwnRequests } from './management-relay.js';
import { OF_AUTOLINKS } from './session-holders.js';
import { NodeTally } from './shared-node.js';
import type { SharedNode } from './shared-node.js';

/** Nodes at a time: each takes a session of the connection. */
const NODES_MAX = 1_000;
/** Characters of an address that is remembered. */
const ADDRESS_MAX = 512;

const TOO_MANY_NODES: AmqpErrorFields = {
  condition: 'amqp:resource-limit-exceeded',
  description: `${NODES_MAX} nodes for management are in use on the connection to the namespace already`,
};

/**
 * The nodes `$management` of a namespace for many clients. The service allows one pair of links to each on a connection: the
 * router has that pair, and carries the requests of all its clients over it. Ids and reply-to are its own there; everything else
 * of requests and answers goes through as it is.
 */
export class ManagementRelays {
  readonly #options: ManagementRelayOptions;
  readonly #relays = new Map<string, ManagementRelay>();
  /** Of all nodes that there were, those that rest too; as many as there may be nodes. */
  readonly #tallies = new Map<string, { readonly address: string; readonly tally: NodeTally }>();
  #count = 0;
  #loopback: Loopback | undefined;

  constructor(options: ManagementRelayOptions) {
    this.#options = options;
  }

  /** Takes a link that a client attaches, where it is to such a node. @param address - the node's name at the namespace */
  take(link: SenderLink | ReceiverLink, attach: Attach, address: string): boolean {
    if (entityAddressOf(address).kind !== 'management') return false;
    const relay = this.#relayOf(address);
    if (relay === undefined) {
      link.refuse(TOO_MANY_NODES);
      return true;
    }
    relay.take(link, attach);
    relay.start();
    return true;
  }

  /**
   * A place for requests of the router's own, over the same pair of links.
   *
   * @param address - of the node, `$management` at its end
   * @returns why there is none, or the place; it is to be given back
   */
  own(address: string): OwnRequests | { readonly error: AmqpErrorFields } {
    const relay = this.#relayOf(address);
    if (relay === undefined) return { error: TOO_MANY_NODES };
    const requests = relay.own();
    relay.start();
    return requests;
  }

  /**
   * A session for links of the router's own to such a node: they are taken as those of clients are, and all of them together are one
   * client.
   *
   * @returns undefined where the address is of another kind
   * @throws LocalProtocolError where there is no room
   */
  sessionTo(address: string): Session | undefined {
    if (entityAddressOf(address).kind !== 'management') return undefined;
    const { clock, name } = this.#options;
    this.#loopback ??= new Loopback(clock, name, (link, attach) => {
      const terminus = attach.role ? attach.source : attach.target;
      const wanted = terminus !== undefined && 'address' in terminus ? terminus.address : undefined;
      if (wanted === undefined || !this.take(link, attach, wanted))
        link.refuse({ condition: 'amqp:not-found', description: 'only nodes for management are here' });
    });
    return this.#loopback.session();
  }

  /** The connection has ended. */
  close(): void {
    this.#loopback?.close();
    this.#loopback = undefined;
  }

  /** The nodes that were used since the connection was opened. */
  get nodes(): SharedNode[] {
    return [...this.#tallies].map(
      ([key, { address, tally }]) =>
        this.#relays.get(key)?.state ?? {
          address,
          state: 'resting' as const,
          clients: 0,
          waiting: 0,
          underWay: 0,
          ...tally.counts,
        },
    );
  }

  #tallyOf(key: string, address: string): NodeTally {
    const known = this.#tallies.get(key);
    if (known !== undefined) return known.tally;
    if (this.#tallies.size >= NODES_MAX)
      for (const other of this.#tallies.keys()) {
        if (this.#relays.has(other)) continue;
        this.#tallies.delete(other);
        break;
      }
    const tally = new NodeTally();
    // No node of the service has such a name: there is nothing to be told of it.
    if (key.length > ADDRESS_MAX) return tally;
    this.#tallies.set(key, { address, tally });
    return tally;
  }

  #relayOf(address: string): ManagementRelay | undefined {
    const key = entityAddressOf(address).path.toLowerCase();
    const known = this.#relays.get(key);
    if (known !== undefined || this.#relays.size >= NODES_MAX) return known;
    const name = `${this.#options.name}-${++this.#count}`;
    const relay = new ManagementRelay(
      { ...this.#options, name },
      address,
      this.#tallyOf(key, address),
      (client) => (client === this.#loopback?.far ? OF_AUTOLINKS : client),
      () => {
        if (this.#relays.get(key) === relay) this.#relays.delete(key);
      },
    );
    this.#relays.set(key, relay);
    return relay;
  }
}
