// SPDX-License-Identifier: Apache-2.0
import { LocalProtocolError, MIN_MAX_FRAME_SIZE } from '@pointsman/wire';
import type { OpenFields } from '@pointsman/wire';
import type { ConnectionOptions } from './connection-options.js';

const MAX_FRAME_SIZE = 65_536;
const CHANNEL_MAX = 32_767;

/** What is advertised as idle-time-out: half of what is enforced, or undefined for none. 2.4.5 */
export function advertisedIdleTimeOutOf(options: ConnectionOptions): number | undefined {
  const enforced = options.idleTimeoutMs ?? 0;
  return enforced > 0 ? Math.min(0xffffffff, Math.max(1, Math.floor(enforced / 2))) : undefined;
}

/** What our open says by itself. */
export function openFieldsOf(options: ConnectionOptions): OpenFields & { maxFrameSize: number; channelMax: number } {
  return {
    containerId: options.containerId,
    hostname: options.hostname,
    maxFrameSize: Math.max(MIN_MAX_FRAME_SIZE, options.maxFrameSize ?? MAX_FRAME_SIZE),
    channelMax: options.channelMax ?? CHANNEL_MAX,
    idleTimeOut: advertisedIdleTimeOutOf(options),
    offeredCapabilities: options.offeredCapabilities,
    desiredCapabilities: options.desiredCapabilities,
    properties: options.properties,
  };
}

export function noFreeChannel(channelMax: number): LocalProtocolError {
  return new LocalProtocolError('amqp:resource-limit-exceeded', `all ${channelMax + 1} channels are in use`, {
    scope: 'connection',
    section: '2.7.1',
  });
}
