// SPDX-License-Identifier: Apache-2.0
import type { Connection, ConnectionEnd, ReceiverLink, SenderLink } from '@pointsman/engine';
import type {
  ConnectionHooks,
  ConnectionSecurity,
  Direction,
  MessageLogging,
  RouterConnection,
  RouterConnectionSettings,
} from '@pointsman/router';
import type { StreamInfo } from '@pointsman/transport';
import type { Attach } from '@pointsman/wire';
import type { ListenerConfig } from '../config/model.js';
import { securityOf } from './endpoints.js';
import type { ListenerDoor } from './front-door.js';

/** What connections to a listener have in common. */
export interface ListenerShare {
  readonly config: ListenerConfig;
  readonly messageLogging: MessageLogging;
  /** A connection that was let in is over. */
  closed(accepted: AcceptedConnection, end: ConnectionEnd): void;
}

/** Numeric address of a peer: one of IPv4 as such, also where the listener is open for both. */
export function peerHostOf({ remoteAddress }: StreamInfo): string {
  return remoteAddress.replace(/^::ffff:(?=\d+\.)/iu, '');
}

/**
 * What the router has to know of a connection to a listener. There may be many, and most do nothing: whatever they share is the
 * listener's, and what is seldom asked for is made when it is.
 */
export class AcceptedConnection implements RouterConnectionSettings, ConnectionHooks {
  readonly #share: ListenerShare;
  readonly #info: StreamInfo;
  readonly #door: ListenerDoor;
  /** Set once the router has taken it. */
  routed!: RouterConnection;

  constructor(share: ListenerShare, info: StreamInfo, door: ListenerDoor) {
    this.#share = share;
    this.#info = info;
    this.#door = door;
  }

  get direction(): Direction {
    return 'in';
  }

  get role(): ListenerConfig['role'] {
    return this.#share.config.role;
  }

  get name(): string {
    return this.#share.config.name;
  }

  get peer(): string {
    return `${this.#info.remoteAddress}:${this.#info.remotePort}`;
  }

  get peerHost(): string {
    return peerHostOf(this.#info);
  }

  get linkCapacity(): number | undefined {
    return this.#share.config.linkCapacity;
  }

  get messageLogging(): MessageLogging {
    return this.#share.messageLogging;
  }

  get stripAnnotations(): ListenerConfig['stripAnnotations'] {
    return this.#share.config.stripAnnotations;
  }

  get maxSessionFrames(): number | undefined {
    return this.#share.config.maxSessionFrames;
  }

  get multiTenant(): boolean {
    return this.#share.config.multiTenant;
  }

  get policyVhost(): string | undefined {
    return this.#share.config.policyVhost;
  }

  get hooks(): ConnectionHooks {
    return this;
  }

  get readAddress(): RouterConnectionSettings['readAddress'] {
    return this.#door.readAddress;
  }

  security(): ConnectionSecurity | undefined {
    return securityOf(this.#info);
  }

  takeLink(link: SenderLink | ReceiverLink, attach: Attach): boolean {
    return this.#door.takeLink(link, attach);
  }

  onClosed(_connection: Connection, end: ConnectionEnd): void {
    this.#door.close();
    this.#share.closed(this, end);
  }
}
