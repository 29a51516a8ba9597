// SPDX-License-Identifier: Apache-2.0
export { ProtonPeer, runBlocking } from './proton.js';
export { RemoteError, RheaClient, RheaReceiver, RheaSender, RheaServer } from './rhea-client.js';
export type { Arrival, Outcome, ServerSecurity } from './rhea-client.js';
export { SmallBroker } from './small-broker.js';
