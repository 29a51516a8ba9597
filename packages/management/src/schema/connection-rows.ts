// SPDX-License-Identifier: Apache-2.0

// What listeners and connectors have in common.

/** Roles of a connection. `interior`, found in many articles, is the router's mode written in place of the role. */
export const ROLES: readonly string[] = ['normal', 'inter-router', 'route-container', 'edge'];
export const ROLE_ALIASES: Readonly<Record<string, string>> = { interior: 'inter-router' };

export const STRIP_ANNOTATIONS: readonly string[] = ['in', 'out', 'both', 'no'];
export const ADDRESS_FAMILIES: readonly string[] = ['IPv4', 'IPv6'];

/** A time in seconds whose milliseconds fit 31 bits, as timers want it. 0 switches it off. */
export const TIMER_SECONDS: { readonly min: number; readonly max: number } = { min: 0, max: 2_147_483 };
/** A count that fits 31 bits. */
export const COUNT: { readonly min: number; readonly max: number } = { min: 0, max: 2_147_483_647 };
/** Phase of an address: one digit on the wire between routers. */
export const PHASE: { readonly min: number; readonly max: number } = { min: 0, max: 9 };
