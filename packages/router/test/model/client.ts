// SPDX-License-Identifier: Apache-2.0
import { CHUNK_BYTES, Connection, SenderLink, isHeldOnce, letGo, scratch, takeChunk } from '@pointsman/engine';
import type { ConnectionEnd, ConnectionHandler, ReceiverLink, Session } from '@pointsman/engine';
import type { AmqpErrorFields, Attach, Open } from '@pointsman/wire';
import { Router } from '../../src/index.js';
import type { RouterConnection } from '../../src/index.js';
import { Consumer } from './consumer.js';
import { dialectOf } from './dialect.js';
import type { Field } from './field.js';
import { AUTO_NODES, BROKER, LINK_CAPACITY, TENANT } from './plan.js';
import { Producer } from './producer.js';

const REFUSED: AmqpErrorFields = { condition: 'amqp:internal-error', description: 'not now' };
/** What a chunk is overwritten with once nobody holds it any more. */
const RUBBISH = 0xdd;

export interface ClientSettings {
  readonly isBroker: boolean;
  /** It is spoken to in a dialect. */
  readonly isStrict: boolean;
  readonly isTenant: boolean;
  readonly maxFrameSize: number;
  readonly keepsAnnotations: boolean;
}

/** One connection of the router, both its ends, and the wire between them. */
export class Client implements ConnectionHandler {
  readonly id: number;
  readonly field: Field;
  readonly settings: ClientSettings;
  readonly at: RouterConnection;
  readonly inside: Connection;
  readonly connection: Connection;
  end: ConnectionEnd | undefined;
  /** The container refuses what the router attaches. */
  refuses = false;
  #isCut = false;
  #isClosed = false;
  readonly #sessions = new Map<number, Session>();

  constructor(id: number, field: Field, settings: ClientSettings) {
    this.id = id;
    this.field = field;
    this.settings = settings;
    const { isBroker, isStrict, isTenant, maxFrameSize, keepsAnnotations } = settings;
    const { router, clock } = field;
    const containerId = isBroker ? BROKER : `client${id}`;
    this.at = router.connection({
      role: isBroker ? 'route-container' : 'normal',
      direction: 'in',
      peer: containerId,
      linkCapacity: LINK_CAPACITY,
      multiTenant: isTenant,
      stripAnnotations: keepsAnnotations ? 'no' : 'both',
    });
    if (isStrict) this.at.dialect = dialectOf(field.ledger);
    // Where frames are very small, a session takes half a megabyte: large messages get in each other's way.
    const ownFrameSize = maxFrameSize === 512 ? 512 : 16_384;
    const now = clock.time;
    this.inside = new Connection({ role: 'server', containerId: router.id, now, maxFrameSize: ownFrameSize }, this.at);
    Router.join(this.at, this.inside);
    this.connection = new Connection(
      { role: 'client', containerId, now, maxFrameSize, ...(isTenant ? { hostname: TENANT } : {}) },
      this,
    );
    // Nothing can be asked for before both have opened.
    while (this.carry(true) || this.carry(false));
  }

  /** What the router knows `address` by. */
  fullAddress(address: string): string {
    return this.settings.isTenant && !address.startsWith('amqp:/_topo/') ? `${TENANT}/${address}` : address;
  }

  get isUp(): boolean {
    return this.end === undefined && !this.#isCut && !this.#isClosed;
  }

  session(number: number): Session {
    const known = this.#sessions.get(number);
    if (known !== undefined && known.state !== 'ended' && known.state !== 'ending') return known;
    const session = this.connection.session();
    session.begin();
    this.#sessions.set(number, session);
    return session;
  }

  endSession(number: number): void {
    this.#sessions.get(number)?.end();
    this.#sessions.delete(number);
  }

  /** Carries what waits on one side to the other. @returns whether anything did */
  carry(toRouter: boolean): boolean {
    if (this.#isCut) return false;
    const now = this.field.clock.time;
    const [from, to] = toRouter ? [this.connection, this.inside] : [this.inside, this.connection];
    const buffers = from.takeOutput(now);
    if (buffers === undefined) return false;
    const bytes = Buffer.concat(buffers);
    if (toRouter) this.#feed(bytes);
    else to.receive(bytes, now);
    from.releaseOutput(buffers, now);
    return true;
  }

  /** Bytes come to the router as from a socket: in chunks that are used again at once where nobody keeps them. */
  #feed(buffer: Uint8Array): void {
    const now = this.field.clock.time;
    for (let at = 0; at < buffer.length; at += CHUNK_BYTES) {
      const part = buffer.subarray(at, at + CHUNK_BYTES);
      const small = part.length < 2_048;
      const chunk = small ? scratch : takeChunk();
      chunk.set(part);
      this.inside.receive(chunk.subarray(0, part.length), now);
      if (small) chunk.fill(RUBBISH, 0, part.length);
      else if (isHeldOnce(chunk)) {
        chunk.fill(RUBBISH, 0, part.length);
        letGo(chunk);
      } else this.field.held.add(chunk);
    }
  }

  cut(): void {
    this.#isCut = true;
    const now = this.field.clock.time;
    this.inside.receiveEnd(now, new Error('cut'));
    this.connection.receiveEnd(now, new Error('cut'));
    // What was written and not carried is left to the garbage collector elsewhere; here it is given back, to be counted.
    this.inside.output.take();
    this.inside.output.release();
  }

  close(): void {
    this.#isClosed = true;
    this.connection.close();
  }

  // ---- ConnectionHandler ----

  onOpen(connection: Connection, _open: Open): void {
    connection.open();
  }
  onBegin(session: Session): void {
    session.begin();
  }
  onEnd(): void {
    /* its links were told */
  }

  /** The router attaches: an autolink, or a link of a client that it routes. */
  onAttach(link: SenderLink | ReceiverLink, attach: Attach): void {
    if (this.refuses) return link.refuse(REFUSED);
    const terminus = attach.role ? attach.source : attach.target;
    const address = terminus !== undefined && 'address' in terminus ? (terminus.address ?? '') : '';
    const auto = AUTO_NODES.find((node) => node.external === address && node.receives === attach.role);
    const near = /^L(\d+)@/.exec(attach.name)?.[1];
    const node = auto?.key ?? `routed ${near}`;
    const id = auto === undefined ? 1_000_000 + Number(near) : this.field.nextAutoId(this.id, AUTO_NODES.indexOf(auto));
    if (link instanceof SenderLink) {
      const producer = new Producer(id, this, address, node, attach.rcvSettleMode === 1);
      producer.link = link;
      producer.attach = attach;
      link.accept(producer);
      this.field.add(producer);
    } else {
      const consumer = new Consumer(id, this, node, attach.sndSettleMode === 1);
      consumer.link = link;
      consumer.attach = attach;
      link.accept(consumer);
      this.field.add(consumer);
    }
  }

  onClosed(_connection: Connection, end: ConnectionEnd): void {
    this.end = end;
  }
}
