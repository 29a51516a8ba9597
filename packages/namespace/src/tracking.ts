// SPDX-License-Identifier: Apache-2.0
import { guidText, randomGuid } from './guid.js';
import type { NamespaceHost } from './host.js';

/** `text` with what the service appends to its texts, so that its support can find the moment in its own logs. */
export function tracked(text: string, host: NamespaceHost): string {
  const instant = new Date(host.timeOrigin + host.clock.now()).toISOString().slice(0, 19);
  return `${text} TrackingId:${guidText(randomGuid(host.random))}_G0, SystemTracker:gateway0, Timestamp:${instant}`;
}
