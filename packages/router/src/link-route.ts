// SPDX-License-Identifier: Apache-2.0
import type { RouterConnection } from './router-connection.js';
import type { LinkRouteSettings } from './settings.js';

/** `operStatus` of management. */
export type LinkRouteStatus = 'inactive' | 'active';

/** Addresses whose links go, as they are, to a container. */
export class LinkRoute {
  readonly settings: LinkRouteSettings;
  /** Undefined where it was given none. */
  readonly name: string | undefined;
  readonly id: number;
  /** Those of its container. */
  readonly connections: RouterConnection[] = [];
  /** The connection that it was created over and leads to; undefined for what the router was configured with. */
  readonly owner: RouterConnection | undefined;

  constructor(settings: LinkRouteSettings, name: string | undefined, id: number, owner?: RouterConnection) {
    this.id = id;
    this.settings = settings;
    this.name = name;
    this.owner = owner;
  }

  get status(): LinkRouteStatus {
    return this.connections.length > 0 ? 'active' : 'inactive';
  }

  matches(connection: RouterConnection): boolean {
    return this.owner === undefined ? connection.isContainerOf(this.settings) : connection === this.owner;
  }

  /** Name of a node at the container, where `address` is the one that clients know. */
  toExternal(address: string): string {
    const { addExternalPrefix = '', delExternalPrefix = '' } = this.settings;
    return addExternalPrefix + without(delExternalPrefix, address);
  }

  /** The name by which clients know a node of the container. */
  toInternal(address: string): string {
    const { addExternalPrefix = '', delExternalPrefix = '' } = this.settings;
    return delExternalPrefix + without(addExternalPrefix, address);
  }
}

/** `address` without its beginning `prefix`; something always stays. */
function without(prefix: string, address: string): string {
  return address.length > prefix.length && address.startsWith(prefix) ? address.slice(prefix.length) : address;
}
