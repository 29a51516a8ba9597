// SPDX-License-Identifier: Apache-2.0
export { ProtonPeer, runBlocking } from './proton.js';
export { RemoteError, RheaClient, RheaReceiver, RheaSender, RheaServer } from './rhea-client.js';
export type { Arrival, Outcome } from './rhea-client.js';
