// SPDX-License-Identifier: Apache-2.0
import type { EntityValue } from '@pointsman/management';
import { hostNamesOf, PolicyError, readVhost } from '@pointsman/router';
import type { Policy, VhostRules } from '@pointsman/router';
import type { ConfigSource } from '../config/config-source.js';
import type { VhostConfig } from '../config/model.js';
import type { Logger } from '../log.js';
import { lookUpHosts } from './host-addresses.js';

/** The vhosts of a configuration at work: as its file has them, and as management makes and changes them. */
export class VhostRuntime {
  readonly #policy: Policy;
  readonly #source: ConfigSource;
  readonly #log: Logger;

  constructor(policy: Policy, source: ConfigSource, log: Logger) {
    this.#policy = policy;
    this.#source = source;
    this.#log = log;
  }

  /** The rules of vhosts, with the hosts in them looked up. @throws PolicyError */
  async read(vhosts: readonly VhostConfig[]): Promise<VhostRules[]> {
    const names = vhosts.flatMap(({ attributes }) => [...hostNamesOf(attributes)]);
    const addressesOf = await lookUpHosts(new Set(names));
    return vhosts.map(({ attributes }) => readVhost(attributes, addressesOf));
  }

  /** Puts vhosts of the file to work. @throws PolicyError */
  async load(vhosts: readonly VhostConfig[]): Promise<void> {
    for (const rules of await this.read(vhosts)) this.#policy.set(rules);
  }

  /**
   * Puts what has changed in the file to work. What management has made meanwhile may stand in the way: that is said, and the
   * rest goes on.
   */
  change(removed: readonly string[], changed: readonly VhostRules[]): void {
    for (const hostname of removed) this.#policy.remove(hostname);
    for (const rules of changed) {
      try {
        this.#policy.set(rules);
      } catch (error) {
        if (!(error instanceof PolicyError)) throw error;
        this.#log.log('AGENT', 'error', `Error performing CREATE of org.apache.qpid.dispatch.vhost: ${error.message}`);
      }
    }
  }

  /** @returns its name @throws PolicyError, EntityRefused; then nothing has changed */
  async create(attributes: EntityValue): Promise<string> {
    const rules = await this.#read(attributes);
    this.#policy.check(rules);
    const { name } = this.#source.add('vhost', attributes);
    this.#policy.set(rules);
    return name;
  }

  /** Gives a vhost other values for some attributes. @throws PolicyError, EntityRefused; then nothing has changed */
  async update(name: string, attributes: EntityValue): Promise<void> {
    for (;;) {
      const before = this.#source.find('vhost', name);
      // oxlint-disable-next-line no-await-in-loop
      const rules = await this.#read({ ...before?.value, ...attributes });
      // While hosts were looked up somebody else may have changed it: then what was read is not what it is any more.
      if (this.#source.find('vhost', name) !== before) continue;
      this.#policy.check(rules);
      this.#source.change('vhost', name, attributes);
      this.#policy.set(rules);
      return;
    }
  }

  /** @returns whether there was one of that name */
  remove(name: string): boolean {
    const vhost = this.#source.find('vhost', name);
    if (vhost === undefined) return false;
    this.#source.remove('vhost', name);
    this.#policy.remove(String(vhost.value['hostname']));
    return true;
  }

  async #read(attributes: EntityValue): Promise<VhostRules> {
    const addressesOf = await lookUpHosts(hostNamesOf(attributes));
    return readVhost(attributes, addressesOf, (text) => this.#log.log('POLICY', 'warning', text));
  }
}
