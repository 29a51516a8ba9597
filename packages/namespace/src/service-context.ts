// SPDX-License-Identifier: Apache-2.0
import type { Broker } from './broker.js';
import type { FaultPlan } from './fault-plan.js';
import type { NamespaceHost } from './host.js';
import type { MemoryBudget } from './memory-budget.js';
import type { LinkOwner, NamespaceLink } from './namespace-link.js';
import type { ServiceConnection } from './service-connection.js';
import type { Throttle } from './throttle.js';
import type { Times } from './times.js';

/** What the connections of a namespace share. */
export interface ServiceContext {
  readonly broker: Broker;
  readonly host: NamespaceHost;
  /** That messages take. */
  readonly memory: MemoryBudget;
  readonly times: Times;
  /** As it stands in texts and resource names. */
  readonly hostname: string;
  /** Connections without TLS get no further than the list of mechanisms. */
  readonly requireTls: boolean;
  readonly connectionsMax: number;
  /** Link credit that publishers are given. */
  readonly publisherCredit: number;
  readonly connections: Set<ServiceConnection>;
  /** Accepted links by container, direction and name: a second one takes the name from the first. */
  readonly linksByName: Map<string, { readonly owner: LinkOwner; readonly link: NamespaceLink }>;
  readonly throttle: Throttle;
  readonly sendFaults: FaultPlan;
  readonly settlementFaults: FaultPlan;
  readonly requestFaults: FaultPlan;
  readonly attachFaults: FaultPlan;
}
