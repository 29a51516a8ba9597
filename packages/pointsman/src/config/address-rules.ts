// SPDX-License-Identifier: Apache-2.0
import { checkAutolink } from '@pointsman/azure';
import { addressParts, comparePatterns, matchesPattern, normalPattern } from './address-patterns.js';
import { isServiceBus } from './connection-rules.js';
import type { ConfigEntity } from './entity.js';
import { safeText } from './problems.js';
import { all } from './rules.js';
import type { RuleContext } from './rules.js';

/** What address, linkRoute and autoLink sections say. Needs the references checked. */
export function checkAddresses(context: RuleContext): void {
  for (const entity of [...all(context, 'address'), ...all(context, 'linkRoute')])
    checkPrefixOrPattern(context, entity);
  for (const entity of all(context, 'address')) checkFallback(context, entity);
  checkDuplicates(context);
  for (const entity of [...all(context, 'linkRoute'), ...all(context, 'autoLink')]) checkContainer(context, entity);
  for (const entity of all(context, 'autoLink')) {
    checkNode(context, entity);
    checkPhase(context, entity);
    checkInbound(context, entity);
    if (entity.flag('fallback') && phaseOf(entity) !== 0 && !entity.isUnsound('fallback')) {
      context.problems.error(entity.lineOf('phase'), 'a fallback autoLink has no phase', {
        found: `phase: ${phaseOf(entity)}`,
      });
    }
  }
}

const INBOUND = ['renewLocks', 'receiveMode', 'prefetch', 'filter', 'sessionId', 'nextSession'];

/** What says how messages are fetched. */
function checkInbound({ problems }: RuleContext, autoLink: ConfigEntity): void {
  if (autoLink.text('direction') === 'out') {
    for (const name of INBOUND.filter((one) => autoLink.given.has(one)))
      problems.error(autoLink.lineOf(name), `'${name}' of ${autoLink.label} is for direction in`, {
        hint: 'take it out',
      });
  }
  if (autoLink.given.has('sessionId') && autoLink.flag('nextSession'))
    problems.error(autoLink.lineOf('nextSession'), `${autoLink.label} has both 'sessionId' and 'nextSession'`, {
      hint: 'take one of them out',
    });
}

/** Phase of an autolink: messages come back from a broker at 1, and go to it at 0. */
export function phaseOf(autoLink: ConfigEntity): number {
  return autoLink.number('phase') ?? (autoLink.text('direction') === 'in' && !autoLink.flag('fallback') ? 1 : 0);
}

/** Phases that senders and receivers attach to, for an address section. */
export function phasesOf(address: ConfigEntity): { readonly ingress: number; readonly egress: number } {
  const ingress = address.number('ingressPhase');
  const egress = address.number('egressPhase');
  const waypoint = address.flag('waypoint') && ingress === undefined && egress === undefined;
  return { ingress: ingress ?? 0, egress: egress ?? (waypoint ? 1 : 0) };
}

function checkPrefixOrPattern({ problems }: RuleContext, entity: ConfigEntity): void {
  if (entity.isUnsound('prefix') || entity.isUnsound('pattern')) return;
  const given = ['prefix', 'pattern'].filter((name) => entity.given.has(name));
  if (given.length === 0) {
    problems.error(entity.line, `${entity.label} says of no address what it is for`, {
      allowed: "one of 'prefix' and 'pattern'",
    });
  } else if (given.length === 2) {
    problems.error(entity.lineOf('pattern'), `${entity.label} has both 'prefix' and 'pattern'`, {
      hint: 'take one of them out',
    });
  } else if (addressParts(entity.text(given[0]!) ?? '').join('') === '') {
    problems.error(entity.lineOf(given[0]!), `'${given[0]}' of ${entity.label} is empty`);
  }
}

function patternOf(entity: ConfigEntity): readonly string[] {
  const prefix = entity.text('prefix');
  return normalPattern(prefix ?? entity.text('pattern') ?? '', prefix !== undefined);
}

function checkDuplicates(context: RuleContext): void {
  const seen = new Map<string, ConfigEntity>();
  for (const entity of [...all(context, 'address'), ...all(context, 'linkRoute')]) {
    if (!entity.given.has('prefix') && !entity.given.has('pattern')) continue;
    const where = ['direction', 'connection', 'containerId'].map((name) => entity.text(name) ?? '');
    const key = JSON.stringify([entity.section, ...where, ...patternOf(entity)]);
    const earlier = seen.get(key);
    seen.set(key, earlier ?? entity);
    if (earlier === undefined) continue;
    const line = entity.lineOf(entity.given.has('prefix') ? 'prefix' : 'pattern');
    // Old files have them, and ran: the router takes the first, and says so in its log.
    context.problems.warn(line, `${entity.label} covers the same addresses as the one ${earlier.place}, which counts`, {
      found: safeText(entity.text('prefix') ?? entity.text('pattern') ?? ''),
      hint: 'take one of them out',
    });
  }
}

function checkFallback({ problems }: RuleContext, entity: ConfigEntity): void {
  if (!entity.flag('enableFallback') || entity.isUnsound('enableFallback')) return;
  const { ingress, egress } = phasesOf(entity);
  if (ingress === 0 && egress === 0 && !entity.flag('waypoint')) return;
  problems.error(
    entity.lineOf('enableFallback'),
    `${entity.label} has enableFallback together with waypoint or phases`,
    {
      hint: 'a waypoint has no fallback destination; take one of them out',
    },
  );
}

function checkContainer(context: RuleContext, entity: ConfigEntity): void {
  const { problems } = context;
  const connection = entity.text('connection');
  if (entity.given.has('connection') && entity.given.has('containerId')) {
    problems.error(entity.lineOf('containerId'), `${entity.label} has both 'connection' and 'containerId'`, {
      hint: 'take one of them out',
    });
  } else if (!entity.given.has('connection') && !entity.given.has('containerId') && !entity.isUnsound('connection')) {
    problems.warn(entity.line, `${entity.label} does not say which connection it uses: it would never be active`, {
      allowed: "'connection' with the name of a connector or listener, or 'containerId'",
    });
  }
  const target = connectionOf(context, entity);
  if (target === undefined || target.isUnsound('role') || target.text('role') === 'route-container') return;
  problems.error(
    entity.lineOf('connection'),
    `${entity.label} uses '${safeText(connection ?? '')}', which is no route container`,
    {
      found: `role: ${target.text('role')}`,
      allowed: 'role: route-container',
      hint: `set it in the ${target.section} ${target.place}`,
    },
  );
}

/** The listener or connector that an autolink or link route names, or undefined where there is none such. */
function connectionOf(context: RuleContext, entity: ConfigEntity): ConfigEntity | undefined {
  const name = entity.text('connection');
  if (name === undefined || entity.isUnsound('connection')) return undefined;
  return [...all(context, 'connector'), ...all(context, 'listener')].find((other) => other.text('name') === name);
}

/** Whether what the autolink attaches to is something that can be sent to, or received from, at Service Bus. */
function checkNode(context: RuleContext, entity: ConfigEntity): void {
  const direction = entity.text('direction');
  const attribute = entity.given.has('externalAddress') ? 'externalAddress' : 'address';
  const node = entity.text(attribute);
  if ((direction !== 'in' && direction !== 'out') || node === undefined) return;
  const misfit = checkAutolink(direction, node);
  if (misfit === undefined) return;
  const target = connectionOf(context, entity);
  const details = { found: `direction: ${direction}, ${attribute}: ${safeText(node)}`, hint: misfit };
  const line = entity.lineOf(entity.given.has(attribute) ? attribute : 'direction');
  if (target !== undefined && isServiceBus(target)) {
    context.problems.error(line, `${entity.label} cannot work with Service Bus in this direction`, details);
  } else {
    context.problems.warn(line, `${entity.label} looks like Service Bus, which refuses this direction`, details);
  }
}

/** Whether anybody is at the phase that an autolink works at. */
function checkPhase(context: RuleContext, autoLink: ConfigEntity): void {
  const address = autoLink.text('address');
  const direction = autoLink.text('direction');
  if (address === undefined || direction === undefined || autoLink.isUnsound('phase') || autoLink.flag('fallback'))
    return;
  const phase = phaseOf(autoLink);
  const { ingress, egress } = phasesAt(context, address);
  const peers = direction === 'in' ? egress : ingress;
  if (phase === peers) return;
  // Several waypoints in a row: what one autolink brings in, another takes out again at the same phase.
  const other = all(context, 'autoLink').some(
    (link) => link.text('address') === address && link.text('direction') !== direction && phaseOf(link) === phase,
  );
  if (other) return;
  const shown = safeText(address);
  const effect =
    direction === 'in'
      ? `brings messages in at phase ${phase} of '${shown}', but receivers attach at phase ${peers} and get none of them`
      : `takes messages out at phase ${phase} of '${shown}', but senders send at phase ${peers} and none of theirs arrive`;
  context.problems.warn(autoLink.lineOf('direction'), `${autoLink.label} ${effect}`, {
    hint: `write address { prefix: ${shown}  waypoint: yes }, or phase: ${peers} in the autoLink`,
  });
}

function phasesAt(context: RuleContext, address: string): { readonly ingress: number; readonly egress: number } {
  const parts = addressParts(address);
  let best: { readonly pattern: readonly string[]; readonly entity: ConfigEntity } | undefined;
  for (const entity of all(context, 'address')) {
    const pattern = patternOf(entity);
    if (!matchesPattern(pattern, parts)) continue;
    if (best === undefined || comparePatterns(pattern, best.pattern) < 0) best = { pattern, entity };
  }
  return best === undefined ? { ingress: 0, egress: 0 } : phasesOf(best.entity);
}
