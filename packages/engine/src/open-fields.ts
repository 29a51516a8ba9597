// SPDX-License-Identifier: Apache-2.0
import { MIN_MAX_FRAME_SIZE } from '@pointsman/wire';
import type { OpenFields } from '@pointsman/wire';
import type { ConnectionOptions } from './connection-options.js';

const MAX_FRAME_SIZE = 65_536;
const CHANNEL_MAX = 32_767;

/** What is advertised as idle-time-out: half of what is enforced, or undefined for none. 2.4.5 */
export function advertisedIdleTimeOutOf(enforced: number): number | undefined {
  return enforced > 0 ? Math.min(0xffffffff, Math.max(1, Math.floor(enforced / 2))) : undefined;
}

/** What our open says by itself. */
export function openFieldsOf(options: ConnectionOptions): OpenFields & { maxFrameSize: number; channelMax: number } {
  return {
    containerId: options.containerId,
    hostname: options.hostname,
    maxFrameSize: Math.max(MIN_MAX_FRAME_SIZE, options.maxFrameSize ?? MAX_FRAME_SIZE),
    channelMax: options.channelMax ?? CHANNEL_MAX,
    idleTimeOut: advertisedIdleTimeOutOf(options.idleTimeoutMs ?? 0),
    offeredCapabilities: options.offeredCapabilities,
    desiredCapabilities: options.desiredCapabilities,
    properties: options.properties,
  };
}
