// SPDX-License-Identifier: Apache-2.0
export { startGuarded } from './guarded-process.js';
export type { GuardedProcess } from './guarded-process.js';
export { JsonProcess } from './json-process.js';
export type { ProcessEvent } from './json-process.js';
export { bytesHeld } from './memory.js';
export { fileOwner, temporaryFolder, whenOver } from './owner.js';
export type { Owner } from './owner.js';
export { PYTHON, skipWithout } from './peers.js';
export type { PeerName } from './peers.js';
export { freePort, freePorts, speaksAmqp } from './ports.js';
export { RabbitMq } from './rabbitmq.js';
export { RouterFixture, configOf, startRouter } from './router-fixture.js';
export type { LogLine, StartOptions } from './router-fixture.js';
export { PATIENCE_MS, until, within } from './wait.js';
export type { UntilOptions } from './wait.js';
