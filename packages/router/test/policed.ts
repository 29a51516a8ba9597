// SPDX-License-Identifier: Apache-2.0
import type { ConnectionOptions } from '@pointsman/engine';
import type { EntityValue } from '@pointsman/management';
import type { AmqpErrorFields } from '@pointsman/wire';
import { Policy, readVhost } from '../src/index.js';
import type { PolicySettings, RouterConnectionSettings, RouterOptions } from '../src/index.js';
import { OPEN_POLICY } from '../src/policy/policy.js';
import { World } from './world.js';
import type { Inlet, Outlet, Peer } from './world.js';

export const EVERYTHING: EntityValue = { users: '*', remoteHosts: '*', sources: '*', targets: '*' };

/** A router with a policy, and clients of it. */
export class Policed {
  readonly logs: string[] = [];
  readonly policy: Policy;
  readonly world: World;

  constructor(
    vhosts: readonly EntityValue[],
    settings: Partial<PolicySettings> = {},
    options: Partial<RouterOptions> = {},
  ) {
    this.policy = new Policy({ ...OPEN_POLICY, enableVhostPolicy: true, ...settings }, (module, level, text) =>
      this.logs.push(`${module} (${level}) ${text}`),
    );
    for (const vhost of vhosts) this.policy.set(readVhost(vhost, () => undefined));
    this.world = new World({ policy: this.policy, ...options });
    this.logs.length = 0;
  }

  /** With one vhost, `h`, and one group for everybody. */
  static group(
    group: EntityValue,
    settings: Partial<PolicySettings> = {},
    options: Partial<RouterOptions> = {},
  ): Policed {
    return new Policed([{ hostname: 'h', groups: { all: { ...EVERYTHING, ...group } } }], settings, options);
  }

  /** A client, whose host is 10.0.0.1 and whose user is anonymous unless said otherwise. */
  client(
    hostname: string | undefined = 'h',
    settings: Partial<RouterConnectionSettings> = {},
    user = 'anonymous',
    engine: Partial<ConnectionOptions> = {},
  ): Peer {
    const sasl: Partial<ConnectionOptions> =
      user === 'anonymous' ? {} : { saslClient: { mechanisms: ['PLAIN'], username: user, password: () => 'x' } };
    return this.world.peer(
      { peerHost: '10.0.0.1', ...settings },
      { hostname, ...sasl, ...engine },
      user === 'anonymous'
        ? {}
        : { saslServer: { mechanisms: ['PLAIN'], optional: false, authenticate: () => ({ ok: true, user }) } },
    );
  }

  counts(hostname: string): Readonly<Record<string, number>> {
    const counts = [...this.policy.counts].find((entry) => entry.hostname === hostname)!;
    const { approved, denied, current, sessionDenied, senderDenied, receiverDenied, maxMessageSizeDenied } = counts;
    return { approved, denied, current, sessionDenied, senderDenied, receiverDenied, maxMessageSizeDenied };
  }
}

export function isIn(peer: Peer): boolean {
  return peer.connection.isOpen;
}

export function errorText(error: AmqpErrorFields | undefined): string {
  return `${error?.condition}: ${error?.description}`;
}

/** Why a link was refused, undefined where it was not. */
export function refusal({ detached }: Inlet | Outlet): string | undefined {
  return detached === undefined ? undefined : errorText(detached.error);
}

/** Why the last message was rejected. */
export function rejection({ outcomes }: Outlet): string | undefined {
  const state = outcomes.at(-1)?.state;
  return state !== undefined && 'type' in state && state.type === 'rejected' ? errorText(state.error) : undefined;
}

export const UNAUTHORIZED: string = 'amqp:unauthorized-access: link disallowed by local policy';
export const EXHAUSTED: string = 'amqp:resource-limit-exceeded: link disallowed by local policy';
