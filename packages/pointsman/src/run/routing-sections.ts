// SPDX-License-Identifier: Apache-2.0
import type { Router } from '@pointsman/router';
import type { RouterConfig } from '../config/model.js';

/** Sections that the router's core runs. */
const SECTIONS = ['address', 'linkRoute', 'autoLink'] as const;

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
  }
}
