// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';
import type * as WebSocketLibrary from 'ws';

type WebSockets = typeof WebSocketLibrary;

let library: WebSockets | undefined;

/** The WebSocket library, loaded by the first port or connection that needs it: most routers start without, and sooner. */
export function webSockets(): WebSockets {
  return (library ??= createRequire(import.meta.url)('ws') as WebSockets);
}
