// SPDX-License-Identifier: Apache-2.0
import type { AmqpErrorFields } from '@pointsman/wire';

/** A node of the service that takes one link, or one pair, on a connection: what the router does there for all who want it. */
export interface SharedNode {
  /** Its address at the namespace; `$coordinator` for that of transactions. */
  readonly address: string;
  /** `attaching`: a token, or the answer of the service is awaited. `resting`: nobody wants it at the moment. */
  readonly state: 'attached' | 'attaching' | 'resting';
  /** Whoever uses it now: connections of clients, the router itself one of them. */
  readonly clients: number;
  /** Requests that wait for room at the service, and those that are there and not answered. */
  readonly waiting: number;
  readonly underWay: number;
  /** Since the connection was opened: requests, those that the router refused, and times that the service refused or detached it. */
  readonly requests: number;
  readonly refused: number;
  readonly failures: number;
  /** What the service said the last time. */
  readonly lastError: string | undefined;
}

/** What is counted of a node, whether there is a link to it or not. */
export class NodeTally {
  requests = 0;
  refused = 0;
  failures = 0;
  lastError: string | undefined = undefined;

  failed(error: AmqpErrorFields): void {
    this.failures += 1;
    this.lastError = error.description ?? error.condition;
  }

  get counts(): Pick<SharedNode, 'requests' | 'refused' | 'failures' | 'lastError'> {
    const { requests, refused, failures, lastError } = this;
    return { requests, refused, failures, lastError };
  }
}
