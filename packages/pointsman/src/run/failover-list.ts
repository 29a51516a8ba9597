// SPDX-License-Identifier: Apache-2.0
import { AmqpSymbol, Typed } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';

/** A place to connect to. */
export interface Place {
  readonly host: string;
  readonly port: number;
  /** As the peer wrote it; it decides nothing. Whether there is TLS is the connector's affair. */
  readonly scheme?: string | undefined;
}

/** Property of an open in which a peer names other places to find the same. */
export const FAILOVER_PROPERTY = 'failover-server-list';

/** A name or an address as a resolver takes it: what a peer wrote ends in the log, in management and on the wire. */
const HOST = /^[A-Za-z0-9._:%-]{1,255}$/u;

/** A place that does not answer is tried so often before the next one has its turn. */
const TRIES = 2;
/** Of the places that a peer names no more count: it must not make a connector wander for hours. */
const LEARNED_MAX = 16;
const PORT_NAMES: Readonly<Record<string, number>> = { amqp: 5672, amqps: 5671 };

/**
 * The places that a connector tries in turn: its own, and those that peers have named in their opens. What a peer names
 * replaces what was known, but for the connector's own place and the one that is connected.
 */
export class FailoverList {
  readonly #own: Place;
  #places: readonly Place[];
  #at = 0;
  #tries = 0;

  constructor(own: Place) {
    this.#own = own;
    this.#places = [own];
  }

  /** The place that was tried last, or is connected. */
  get current(): Place {
    return this.#places[this.#at]!;
  }

  /** There is more than one. */
  get hasOthers(): boolean {
    return this.#places.length > 1;
  }

  /** In the order of trial, the current one first: `amqp://a:5672, amqp://b:5672`. */
  get text(): string {
    const inTurn = [...this.#places.slice(this.#at), ...this.#places.slice(0, this.#at)];
    return inTurn.map(({ scheme, host, port }) => `${scheme ?? 'amqp'}://${placeText({ host, port })}`).join(', ');
  }

  /** The place of the next attempt. */
  next(): Place {
    if (this.#tries >= TRIES) {
      this.#at = (this.#at + 1) % this.#places.length;
      this.#tries = 0;
    }
    this.#tries++;
    return this.current;
  }

  /**
   * The current place has opened.
   *
   * @param named - what its open says; without a list of places nothing changes
   */
  opened(named: AmqpValue | undefined): void {
    this.#tries = 0;
    if (!Array.isArray(named)) return;
    const { current } = this;
    const places = [this.#own, current, ...named.slice(0, LEARNED_MAX).flatMap((entry) => placeIn(entry) ?? [])];
    this.#places = places.filter((place, i) => places.findIndex((other) => isSame(place, other)) === i);
    this.#at = this.#places.findIndex((place) => isSame(place, current));
  }
}

/** `host:port`, an IPv6 address in brackets. */
export function placeText({ host, port }: Place): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function isSame(a: Place, b: Place): boolean {
  return a.host === b.host && a.port === b.port;
}

/** A place out of an entry of the list; undefined where the entry is not what it should be. */
function placeIn(entry: AmqpValue): Place | undefined {
  if (!(entry instanceof Map)) return undefined;
  const fields = new Map<string, AmqpValue>();
  for (const [key, value] of entry) fields.set(key instanceof AmqpSymbol ? key.value : String(key), value);
  const host = textOf(fields.get('network-host') ?? fields.get('hostname'));
  const port = portOf(textOf(fields.get('port')) ?? 'amqp');
  if (host === undefined || port === undefined || !HOST.test(host)) return undefined;
  const scheme = textOf(fields.get('scheme'));
  return { host, port, scheme: scheme === 'amqps' ? scheme : undefined };
}

function textOf(value: AmqpValue | undefined): string | undefined {
  const isText =
    typeof value === 'string' || typeof value === 'number' || value instanceof AmqpSymbol || value instanceof Typed;
  return isText ? String(value) : undefined;
}

function portOf(text: string): number | undefined {
  const port = PORT_NAMES[text] ?? (/^\d{1,5}$/u.test(text) ? Number(text) : 0);
  return port >= 1 && port <= 65_535 ? port : undefined;
}
