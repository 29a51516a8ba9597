// SPDX-License-Identifier: Apache-2.0
export * from './address-text.js';
export { Address } from './address.js';
export { AutoLink } from './auto-link.js';
export type { AutoLinkStatus } from './auto-link.js';
export { IncomingLink } from './incoming-link.js';
export { LinkRoute } from './link-route.js';
export type { LinkRouteStatus } from './link-route.js';
export { MESSAGE_COMPONENTS, messageText } from './message-text.js';
export type { MessageComponent } from './message-text.js';
export { OutgoingLink } from './outgoing-link.js';
export * from './pattern-tree.js';
export { Router } from './router.js';
export type { Bound, RouterObserver } from './router.js';
export { RouterCounters } from './router-counters.js';
export type { CounterName, CounterSums } from './router-counters.js';
export { RouterConnection } from './router-connection.js';
export * from './settings.js';
