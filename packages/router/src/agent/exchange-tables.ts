// SPDX-License-Identifier: Apache-2.0
import { ManagementError } from '@pointsman/management';
import type { EntityTable } from '@pointsman/management';
import { ExchangeRefused } from '../exchange.js';
import type { Binding, Exchange } from '../exchange.js';
import type { Router } from '../router.js';
import { phase, requireFree, text } from './config-tables.js';
import { View, subjectOf, typeNamed } from './view.js';
import type { Attributes } from './view.js';

const PHASE_RANGE = 'phase must be in the range 0-9';

const EXCHANGE: Attributes<Exchange> = {
  address: ({ settings }) => settings.address,
  phase: ({ settings }) => settings.phase ?? 0,
  alternateAddress: ({ settings }) => settings.alternateAddress ?? null,
  alternatePhase: ({ settings }) => settings.alternatePhase ?? 0,
  matchMethod: ({ matchMethod }) => matchMethod,
  bindingCount: ({ bindings }) => bindings.size,
  receivedCount: ({ received }) => received,
  droppedCount: ({ dropped }) => dropped,
  forwardedCount: ({ forwarded }) => forwarded,
  divertedCount: ({ diverted }) => diverted,
};

export function exchangeTable(router: Router): EntityTable {
  const { exchanges } = router;
  const view = (exchange: Exchange): View<Exchange> => new View(exchange.id, exchange.name, exchange, EXCHANGE);
  return {
    type: typeNamed('router.config.exchange'),
    entities: () => [...exchanges.exchanges].map(view),
    create(attributes) {
      const name = text(attributes, 'name');
      if (name === undefined) throw new ManagementError(400, 'exchange requires a unique name');
      const address = text(attributes, 'address');
      if (address === undefined) throw new ManagementError(400, 'exchange address is mandatory');
      const matchMethod = attributes['matchMethod'] ?? 'amqp';
      if (matchMethod !== 'amqp' && matchMethod !== 'mqtt')
        throw new ManagementError(400, "Exchange matchMethod must be either 'amqp' or 'mqtt'");
      return refusing(() =>
        view(
          exchanges.add({
            name,
            address,
            phase: phase(attributes, 'phase', PHASE_RANGE),
            alternateAddress: text(attributes, 'alternateAddress'),
            alternatePhase: phase(attributes, 'alternatePhase', PHASE_RANGE),
            matchMethod,
          }),
        ),
      );
    },
    delete: (entity) => exchanges.remove(subjectOf(entity) as Exchange),
  };
}

const BINDING: Attributes<Binding> = {
  exchangeName: ({ exchange }) => exchange.name,
  bindingKey: ({ settings }) => settings.bindingKey ?? null,
  nextHopAddress: ({ settings }) => settings.nextHopAddress,
  nextHopPhase: ({ settings }) => settings.nextHopPhase ?? 0,
  matchedCount: ({ matched }) => matched,
};

export function bindingTable(router: Router): EntityTable {
  const { exchanges } = router;
  const view = (binding: Binding): View<Binding> =>
    new View(binding.id, binding.settings.name ?? null, binding, BINDING);
  return {
    type: typeNamed('router.config.binding'),
    entities: () => [...exchanges.bindings()].map(view),
    create(attributes) {
      const name = text(attributes, 'name');
      requireFree(
        name,
        [...exchanges.bindings()].map(({ settings }) => settings),
      );
      const exchangeName = text(attributes, 'exchangeName');
      if (exchangeName === undefined) throw new ManagementError(400, 'Binding configuration requires an exchange');
      const nextHopAddress = text(attributes, 'nextHopAddress');
      if (nextHopAddress === undefined) throw new ManagementError(400, 'No next hop specified');
      return refusing(() =>
        view(
          exchanges.addBinding({
            name,
            exchangeName,
            bindingKey: text(attributes, 'bindingKey'),
            nextHopAddress,
            nextHopPhase: phase(attributes, 'nextHopPhase', PHASE_RANGE),
          }),
        ),
      );
    },
    delete: (entity) => exchanges.removeBinding(subjectOf(entity) as Binding),
  };
}

/** What the core refuses is the request's fault. */
function refusing<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof ExchangeRefused) throw new ManagementError(400, error.message);
    throw error;
  }
}
