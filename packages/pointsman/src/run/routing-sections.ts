// SPDX-License-Identifier: Apache-2.0
import { ExchangeRefused } from '@pointsman/router';
import type { Binding, Router } from '@pointsman/router';
import type { RouterConfig } from '../config/model.js';

/** Sections that the router's core runs. */
const SECTIONS = ['address', 'linkRoute', 'autoLink', 'exchange', 'binding'] as const;

type RoutingSection = (typeof SECTIONS)[number];

export function isRoutingSection(section: string): section is RoutingSection {
  return (SECTIONS as readonly string[]).includes(section);
}

/** Brings an entity of a configuration to life, under a name that may differ from the one it has there. */
export function addRouting(
  router: Router,
  config: RouterConfig,
  section: RoutingSection,
  from: string,
  name: string,
): void {
  const named = <T extends { readonly name: string }>(list: readonly T[]): T[] =>
    list.filter((entity) => entity.name === from).map((entity) => ({ ...entity, name }));
  switch (section) {
    case 'address':
      for (const settings of named(config.addresses)) router.addAddress(settings);
      break;
    case 'linkRoute':
      for (const settings of named(config.linkRoutes)) router.addLinkRoute(settings);
      break;
    case 'autoLink':
      for (const settings of named(config.autoLinks)) router.addAutoLink(settings);
      break;
    case 'exchange':
      for (const settings of named(config.exchanges)) creating(router, section, () => router.exchanges.add(settings));
      break;
    case 'binding':
      for (const settings of named(config.bindings))
        creating(router, section, () => router.exchanges.addBinding(settings));
      break;
  }
}

/** What management has made meanwhile may stand in the way: that is said, and the rest goes on. */
function creating(router: Router, section: string, create: () => void): void {
  try {
    create();
  } catch (error) {
    if (!(error instanceof ExchangeRefused)) throw error;
    const type = `org.apache.qpid.dispatch.router.config.${section}`;
    router.log('AGENT', 'error', `Error performing CREATE of ${type}: ${error.message}`);
  }
}

/** @returns false where nothing runs under that name */
export function removeRouting(router: Router, section: RoutingSection, name: string): boolean {
  switch (section) {
    case 'address': {
      const found = [...router.addressSettings].find(([, settings]) => settings.name === name);
      return found !== undefined && router.removeAddress(found[0]);
    }
    case 'linkRoute': {
      const found = router.linkRoutes.find((route) => route.name === name);
      if (found !== undefined) router.removeLinkRoute(found);
      return found !== undefined;
    }
    case 'autoLink': {
      const found = router.autoLinks.find((autoLink) => autoLink.name === name);
      if (found !== undefined) router.removeAutoLink(found);
      return found !== undefined;
    }
    case 'exchange': {
      const found = router.exchanges.exchange(name);
      if (found !== undefined) router.exchanges.remove(found);
      return found !== undefined;
    }
    case 'binding': {
      const found = bindingOf(router, name);
      if (found !== undefined) router.exchanges.removeBinding(found);
      return found !== undefined;
    }
  }
}

/** Something runs under that name, whoever made it. */
export function runsRouting(router: Router, section: RoutingSection, name: string): boolean {
  switch (section) {
    case 'address':
      return [...router.addressSettings.values()].some((settings) => settings.name === name);
    case 'linkRoute':
      return router.linkRoutes.some((route) => route.name === name);
    case 'autoLink':
      return router.autoLinks.some((autoLink) => autoLink.name === name);
    case 'exchange':
      return router.exchanges.exchange(name) !== undefined;
    case 'binding':
      return bindingOf(router, name) !== undefined;
  }
}

function bindingOf(router: Router, name: string): Binding | undefined {
  return [...router.exchanges.bindings()].find(({ settings }) => settings.name === name);
}
