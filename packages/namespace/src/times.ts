// SPDX-License-Identifier: Apache-2.0

/** The clocks of Service Bus, in milliseconds. */
export interface Times {
  /** An `open` that advertises less is refused. */
  readonly minimumIdleTimeOutMs: number;
  /** What we advertise, and the silence after which we close. */
  readonly idleTimeOutMs: number;
  /** Without PLAIN, a token must have been accepted this long after the `open`. */
  readonly tokenDeadlineMs: number;
  /** A new connection must have a link after this. */
  readonly firstLinkMs: number;
  /** A connection that had links must have one again after this. */
  readonly noLinkMs: number;
  /** A link without messages is detached after this. Flows and heartbeats do not count. */
  readonly linkIdleMs: number;
  /** How often a session is asked for its flow state. */
  readonly sessionEchoMs: number;
}

/** As in the cloud. */
export const CLOUD_TIMES: Times = {
  minimumIdleTimeOutMs: 10_000,
  idleTimeOutMs: 120_000,
  tokenDeadlineMs: 20_000,
  firstLinkMs: 60_000,
  noLinkMs: 300_000,
  linkIdleMs: 600_000,
  sessionEchoMs: 180_000,
};

/** A duration as .NET writes it: `00:10:00`. */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}
