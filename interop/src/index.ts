// SPDX-License-Identifier: Apache-2.0
export { RemoteError, RheaClient, RheaReceiver, RheaSender, RheaServer } from './rhea-client.js';
export type { Arrival, Outcome } from './rhea-client.js';
