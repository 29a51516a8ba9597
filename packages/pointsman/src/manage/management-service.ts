// SPDX-License-Identifier: Apache-2.0
import { ManagementAgent, decodeManagementRequest } from '@pointsman/management';
import type { EntityTable } from '@pointsman/management';
import type { Router, RouterConnection } from '@pointsman/router';
import { entryOf, plainOf } from '@pointsman/wire';
import type { Logger } from '../log.js';

/** Under which the router is managed: by whoever is connected to it, and by whoever reaches it through others. */
const ADDRESSES: readonly string[] = ['$management', '_local/$management', '_local/$_management_internal'];
const SHOWN_LENGTH_MAX = 200;

export interface ManagementServiceOptions {
  readonly router: Router;
  readonly log: Logger;
  readonly tables: readonly EntityTable[];
  /** Addresses of the management nodes of the network. */
  readonly managementNodes: () => readonly string[];
}

/** The management node of a router: requests come in as messages, and so do the answers go out. */
export class ManagementService {
  readonly #router: Router;
  readonly #log: Logger;
  readonly #agent: ManagementAgent;
  readonly #ends: readonly (() => void)[];

  constructor({ router, log, tables, managementNodes }: ManagementServiceOptions) {
    this.#router = router;
    this.#log = log;
    this.#agent = new ManagementAgent({
      tables,
      managementNodes,
      recentLog: (limit) => log.recent(limit),
      onFailure: (operation, typeName, description) => {
        const what = typeName === undefined ? operation : `${operation} of ${typeName}`;
        log.log('AGENT', 'error', `Error performing ${what}: ${description}`);
      },
      onWarning: (text) => log.log('AGENT', 'warning', text),
    });
    this.#ends = ADDRESSES.map((address) => router.serve(address, ({ bytes, from }) => void this.#answer(bytes, from)));
  }

  /** Answers nothing any more. */
  close(): void {
    for (const end of this.#ends) end();
  }

  async #answer(bytes: Uint8Array, from: RouterConnection | undefined): Promise<void> {
    this.#logRequest(bytes, from);
    try {
      const answer = await this.#agent.answer(bytes, { connection: from === undefined ? undefined : String(from.id) });
      if (answer === undefined) {
        this.#log.log('AGENT', 'warning', `${sourceOf(from)}Management request without a reply-to: nobody is answered`);
      } else if (!this.#router.send(answer.to, answer.message)) {
        const to = answer.to.slice(0, SHOWN_LENGTH_MAX);
        this.#log.log('AGENT', 'debug', `${sourceOf(from)}Nobody receives the answer to a management request at ${to}`);
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#log.log('AGENT', 'error', `${sourceOf(from)}A management request was left without an answer: ${why}`);
    }
  }

  /** Of the request only what it is about: values may be secret. */
  #logRequest(bytes: Uint8Array, from: RouterConnection | undefined): void {
    if (!this.#log.isEnabled('AGENT', 'debug')) return;
    const properties = decodeManagementRequest(bytes)?.properties;
    const parts = ['operation', 'type', 'entityType', 'name', 'identity'].flatMap((name) => {
      const value = plainOf(entryOf(properties, name));
      return value === undefined ? [] : `${name}=${String(value).slice(0, SHOWN_LENGTH_MAX)}`;
    });
    this.#log.log('AGENT', 'debug', `${sourceOf(from)}Agent request ${parts.join(' ')}`);
  }
}

function sourceOf(from: RouterConnection | undefined): string {
  return from === undefined ? '' : `[C${from.id}] `;
}
