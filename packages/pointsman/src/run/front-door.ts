// SPDX-License-Identifier: Apache-2.0
import { FrontDoor, entityAddressOf } from '@pointsman/azure';
import { ReceiverLink } from '@pointsman/engine';
import type { SenderLink } from '@pointsman/engine';
import type { Router, RouterConnectionSettings } from '@pointsman/router';
import { processClock } from '@pointsman/transport';
import type { Attach } from '@pointsman/wire';
import type { ListenerConfig } from '../config/model.js';
import type { Logger } from '../log.js';

export interface ListenerDoor {
  readonly takeLink: NonNullable<RouterConnectionSettings['takeLink']>;
  readonly readAddress?: RouterConnectionSettings['readAddress'];
  /** The connection is gone. */
  close(): void;
}

/** What becomes of links to `$cbs` on one connection to a listener. @param id - number of the connection, for the log */
export function listenerDoor(config: ListenerConfig, router: Router, log: Logger, id: () => number): ListenerDoor {
  const { azureClients, azureKeys, name } = config;
  if (azureClients === 'none')
    return { takeLink: (link, attach) => refuse(link, attach, router, name), close: () => undefined };
  const door = new FrontDoor({
    keysOf: azureClients === 'sas' ? (policy) => azureKeys.get(policy) ?? [] : undefined,
    routesManagement: () =>
      (['in', 'out'] as const).every((direction) => router.linkRouteTable.find('$management', direction) !== undefined),
    clock: processClock,
    nowMs: Date.now,
    onToken: (audience, { status, description }, isLast) => {
      const isTaken = status === 202;
      log.log(
        'SERVER',
        isTaken ? 'info' : 'warning',
        `[C${id()}] Token of a client for ${audience} ${isTaken ? 'accepted' : `refused: ${status} ${description}`} (listener ${name})${isLast ? '; further refusals on this connection are not told' : ''}`,
      );
    },
  });
  return {
    takeLink: (link, attach) => door.take(link, attach),
    // Clients for Python and C write the host that they were configured with, which need not be that of the namespace.
    readAddress: (address) => entityAddressOf(address).path,
    close: () => door.close(),
  };
}

/** Tokens must not become messages of an address that anybody may receive from. */
function refuse(link: SenderLink | ReceiverLink, attach: Attach, router: Router, listener: string): boolean {
  const isIncoming = link instanceof ReceiverLink;
  const terminus = isIncoming ? attach.target : attach.source;
  const address = terminus !== undefined && 'address' in terminus ? terminus.address : undefined;
  // Cheap for all other addresses.
  if (address === undefined || !address.toLowerCase().endsWith('$cbs')) return false;
  if (entityAddressOf(address).kind !== 'cbs') return false;
  if (router.linkRouteTable.find(address, isIncoming ? 'in' : 'out') !== undefined) return false;
  link.refuse({
    condition: 'amqp:not-allowed',
    description: `Listener '${listener}' of this router takes no tokens at $cbs. Its configuration lets clients of Azure Service Bus in with azureClients: sas (and azureKeys), or azureClients: admitted.`,
  });
  return true;
}
