// SPDX-License-Identifier: Apache-2.0
import { isServiceBusHost } from '@pointsman/azure';
import type { TlsMode } from '@pointsman/azure';
import type { DialMode, TransportError, TransportErrorKind } from '@pointsman/transport';
import type { Destination } from './destination.js';

/** How a port answers to TLS from the first byte that it does not take. */
export const NO_TLS_THERE: readonly TransportErrorKind[] = ['not-tls', 'closed-early'];

const AMQPS_PORT = 5671;

/** What is the same whichever way one takes. */
const NO_MATTER_OF_WAYS: readonly TransportErrorKind[] = [
  'name-not-found',
  'cancelled',
  'proxy-authentication',
  'tls-expired',
  'tls-not-yet-valid',
  'tls-client-certificate',
];

const DIAL_MODES: Readonly<Record<TlsMode, DialMode>> = { first: 'tls', 'in-band': 'tls-in-band', none: 'tcp' };

/** The ways to a destination: goes on with the one that does, and tries another where one does not. */
export class WayFinder {
  /** The way to take next. */
  mode: DialMode;
  readonly #to: Destination;
  readonly #tcp: DialMode;
  readonly #webSocket: DialMode;

  constructor(to: Destination) {
    this.#to = to;
    this.#tcp = DIAL_MODES[to.tls];
    this.#webSocket = to.tls === 'none' ? 'websocket' : 'websocket-tls';
    this.mode = to.transport === 'websocket' ? this.#webSocket : this.#tcp;
  }

  /** @param port - the one that TCP goes to at the place that is tried */
  portOf(port: number): number {
    return this.mode === this.#webSocket ? this.#to.webSocketPort : port;
  }

  /** Another place is tried: how TLS begins there has to be found out anew. */
  startAnew(): void {
    if (this.mode !== this.#webSocket) this.mode = this.#tcp;
  }

  /**
   * An attempt failed.
   *
   * @param host - the place that was tried
   * @param port - its port for TCP
   * @returns what to add to the report: which way is tried next, where it is another
   */
  failed(error: TransportError, host: string, port: number): string {
    const isNoMatter = NO_MATTER_OF_WAYS.includes(error.kind);
    return this.#otherWayOfTls(error, host, port) ?? (isNoMatter ? '' : this.#otherTransport(port));
  }

  /**
   * Somebody took the connection, TLS with it, and never spoke AMQP: what looks into TLS on the way may let HTTP alone pass.
   *
   * @param port - of the place that was tried, for TCP
   * @returns as {@link failed}
   */
  cameToNothing(port: number): string {
    return this.#otherTransport(port);
  }

  /**
   * TLS begins with the first byte or by the AMQP header, and no port number but those of Service Bus says which: where one
   * does not do, the next attempt tries the other. Either way there is TLS or no connection. A connection string leaves
   * nothing open.
   */
  #otherWayOfTls(error: TransportError, host: string, port: number): string | undefined {
    const { tls, tlsIsCertain } = this.#to;
    if (this.mode === 'tls-in-band' && tls === 'first') {
      this.mode = this.#tcp;
      return error.kind === 'not-tls'
        ? ' TLS from the first byte did not do either: if the peer has no TLS at all, leave out the sslProfile.'
        : '';
    }
    const isOpenQuestion = this.mode === 'tls' && !tlsIsCertain && port !== AMQPS_PORT && !isServiceBusHost(host);
    if (!isOpenQuestion || !NO_TLS_THERE.includes(error.kind)) return undefined;
    this.mode = 'tls-in-band';
    return ' The in-band upgrade is tried next.';
  }

  #otherTransport(port: number): string {
    if (this.#to.transport !== 'auto') return '';
    this.mode = this.mode === this.#webSocket ? this.#tcp : this.#webSocket;
    const how = this.mode === this.#webSocket ? 'A WebSocket' : 'TCP';
    return ` ${how} on port ${this.portOf(port)} is tried next (transport: auto).`;
  }
}
