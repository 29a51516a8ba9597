// SPDX-License-Identifier: Apache-2.0
import { nearestName } from '@pointsman/management';
import type { ConfigEntity } from './entity.js';
import type { NotSupported } from './not-supported.js';
import type { ProblemList } from './problems.js';
import { safeText } from './problems.js';

/** What every rule looks at. */
export interface RuleContext {
  readonly entities: readonly ConfigEntity[];
  readonly problems: ProblemList;
}

/** All entities of a section, in the order of the file. */
export function all({ entities }: RuleContext, section: string): readonly ConfigEntity[] {
  return entities.filter((entity) => entity.section === section);
}

const ID_LENGTH_MAX = 127;

/** What is understood and not there yet. Has to run first: nothing else is said of an attribute that is refused here. */
export function checkSupported(context: RuleContext, table: readonly NotSupported[]): void {
  const { entities, problems } = context;
  const mode = all(context, 'router')[0]?.text('mode') ?? 'standalone';
  for (const entity of entities) {
    for (const row of table) {
      if (row.section !== entity.section) continue;
      const { attribute } = row;
      if (attribute === undefined) {
        const message = `the section '${entity.section}' is not supported yet in this version: ${row.what}`;
        problems.error(entity.line, message, { hint: row.hint });
        continue;
      }
      const value = entity.value[attribute];
      const standard = entity.type.attributes.find(({ name }) => name === attribute)?.default;
      const meant = row.values === undefined ? value !== standard : value !== undefined && row.values.includes(value);
      if (!meant || entity.isUnsound(attribute)) continue;
      const shown = typeof value === 'boolean' ? (value ? 'yes' : 'no') : safeText(String(value));
      const message = `'${attribute}: ${shown}' of ${entity.label} is not supported yet in this version: ${row.what}`;
      const former = attribute === 'role' ? roleWords(mode, entity) : undefined;
      problems.error(entity.lineOf(attribute), message, { hint: row.hint, former });
      entity.markUnsound(attribute);
    }
  }
}

/** At most one router, policy and console section, and one log section for each module. */
export function checkSingletons(context: RuleContext): void {
  const first = new Map<string, ConfigEntity>();
  for (const entity of context.entities) {
    const isLog = entity.section === 'log';
    if (!entity.type.singleton && (!isLog || entity.text('module') === undefined)) continue;
    const what = isLog ? `log section for module ${entity.text('module')}` : `${entity.section} section`;
    const earlier = first.get(what);
    if (earlier === undefined) first.set(what, entity);
    else {
      context.problems.error(entity.line, `there is a second ${what}`, {
        hint: `the first one begins at line ${earlier.line}; make one of them`,
      });
    }
  }
}

/** Gives every entity a name, and refuses a name that two of them have. */
export function nameEntities(context: RuleContext): void {
  const owners = new Map<string, ConfigEntity>();
  const counters = new Map<string, number>();
  for (const entity of context.entities) {
    entity.name = entity.text('name') ?? defaultName(entity, counters);
    // The port of such a listener is not known yet, so two of them have nothing in common.
    if (entity.text('name') === undefined && entity.section === 'listener' && entity.text('port')?.trim() === '0') {
      for (let n = 1; owners.has(entity.name); n++) entity.name = `${defaultName(entity, counters)}/${n}`;
    }
    if (entity.type.singleton || entity.section === 'log') continue;
    if (entity.name.trim() === '')
      context.problems.error(entity.lineOf('name'), `the name of the ${entity.section} is empty`);
    const owner = owners.get(entity.name);
    if (owner === undefined) owners.set(entity.name, entity);
    else duplicateName(context, entity, owner);
  }
}

function duplicateName({ problems }: RuleContext, entity: ConfigEntity, owner: ConfigEntity): void {
  if (entity.text('name') === undefined && owner.section === entity.section) {
    problems.error(entity.line, `the ${entity.section} is the same as the one ${owner.place}`, {
      found: safeText(entity.name),
      hint:
        entity.section === 'connector' ? 'if there are to be two of them, give each a name' : 'take one of them out',
    });
    return;
  }
  problems.error(entity.lineOf('name'), `the name '${safeText(entity.name)}' belongs to two entities`, {
    hint: `the ${owner.section} ${owner.place} has it too; names are unique over all sections`,
  });
}

function defaultName(entity: ConfigEntity, counters: Map<string, number>): string {
  const { section } = entity;
  switch (section) {
    case 'connector':
    case 'listener':
      if (entity.given.has('connectionString')) break;
      return `${section}/${entity.text('host') ?? ''}:${entity.text('port') ?? ''}`;
    case 'log':
      return `log/${entity.text('module') ?? ''}`;
    case 'router':
      return `router/${entity.text('id') ?? ''}`;
    case 'vhost':
      return `vhost/${entity.text('hostname') ?? ''}`;
    default:
  }
  const n = counters.get(section) ?? 0;
  counters.set(section, n + 1);
  return `${section}/${n}`;
}

/** The router's id, and its mode against the roles of its connections. */
export function checkRouter(context: RuleContext): void {
  const { problems } = context;
  const [router] = all(context, 'router');
  const id = router?.text('id');
  if (router !== undefined && id !== undefined) {
    const line = router.lineOf('id');
    if (id.trim() === '') problems.error(line, "the router's id is empty", { hint: 'write one, or take the line out' });
    else if (id.length > ID_LENGTH_MAX) {
      problems.error(line, `the router's id is longer than ${ID_LENGTH_MAX} characters`, {
        found: `${id.length} characters`,
        former: `Router ID "${safeText(id)}" exceeds the maximum allowed length (${ID_LENGTH_MAX} characters)`,
      });
    }
    const bad = /[\p{Cc}\p{Zs}\p{Zl}\p{Zp}]/u.exec(id)?.[0];
    if (bad !== undefined) {
      const code = `U+${bad.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
      problems.error(line, `the router's id contains the character ${code}`, {
        found: safeText(id),
        allowed: 'anything but blanks and control characters',
        former: `AttributeError: Router id attribute containing character '${bad.trim() === '' ? ' ' : code}' in id '${safeText(id)}' is disallowed.`,
      });
    }
  }
  if (router?.isUnsound('mode') === true) return;
  const mode = router?.text('mode') ?? 'standalone';
  for (const entity of [...all(context, 'listener'), ...all(context, 'connector')]) {
    const role = entity.text('role');
    if (entity.isUnsound('role')) continue;
    const line = entity.lineOf('role');
    if (mode === 'standalone' && (role === 'inter-router' || role === 'edge')) {
      problems.error(line, `${entity.label} has role ${role}, but the router is a standalone one`, {
        hint: 'set mode: interior (or edge) in the router section, or another role here',
        former: roleWords(mode, entity),
      });
    } else if (role === 'inter-router' && mode !== 'interior') {
      problems.error(line, `${entity.label} has role inter-router, which needs mode: interior`, {
        found: `mode: ${mode}`,
        former: roleWords(mode, entity),
      });
    } else if (role === 'edge' && mode === 'edge' && entity.section === 'listener') {
      problems.error(line, `${entity.label} has role edge, which needs mode: interior`, {
        found: 'mode: edge',
        hint: 'an edge router connects to an interior one: it needs a connector of role edge',
        former: roleWords(mode, entity),
      });
    }
  }
}

/** How Qpid Dispatch words a role that does not go with the router's mode. */
function roleWords(mode: string, entity: ConfigEntity): string | undefined {
  const role = entity.text('role');
  if (mode === 'standalone' && (role === 'inter-router' || role === 'edge')) {
    return "role='standalone' not allowed to connect to or accept connections from other routers.";
  }
  const needsInterior =
    role === 'inter-router' ? mode !== 'interior' : role === 'edge' && mode === 'edge' && entity.section === 'listener';
  return needsInterior ? `role='${role}' only allowed with router mode='interior' for ${entity.label}` : undefined;
}

// attribute → section that it names
const REFERENCES: readonly { readonly attribute: string; readonly to: readonly string[] }[] = [
  { attribute: 'sslProfile', to: ['sslProfile'] },
  { attribute: 'saslPlugin', to: ['authServicePlugin'] },
  { attribute: 'exchangeName', to: ['exchange'] },
  { attribute: 'connection', to: ['connector', 'listener'] },
];

/** Every name that refers to another entity must be one. */
export function checkReferences(context: RuleContext): void {
  for (const entity of context.entities) {
    for (const { attribute, to } of REFERENCES) {
      const wanted = entity.text(attribute);
      if (wanted === undefined || entity.isUnsound(attribute)) continue;
      // A made-up name changes with the settings that it is made of: only names that were given can be relied on.
      const named = context.entities.filter((other) => to.includes(other.section) && other.text('name') !== undefined);
      if (named.some((other) => other.name === wanted)) continue;
      const names = named.map((other) => other.name);
      const nearest = nearestName(wanted, names);
      const message = `'${attribute}' of ${entity.label} names no ${to.join(' or ')}`;
      const details = {
        found: safeText(wanted),
        allowed: names.length > 0 ? names.map(safeText).join(', ') : `there is no ${to.join(' or ')} with a name`,
        nearest,
        hint:
          attribute === 'connection' ? "for a container id write 'containerId' in place of 'connection'" : undefined,
      };
      if (attribute === 'connection' && nearest === undefined) {
        // No slip of the pen: management may create it while the router runs.
        context.problems.warn(entity.lineOf(attribute), `${message}: it waits until there is one`, details);
        continue;
      }
      entity.markUnsound(attribute);
      context.problems.error(entity.lineOf(attribute), message, details);
    }
  }
}

const RESERVED_PROPERTIES = new Set(['product', 'version', 'failover-server-list', 'network-host', 'port']);

/** The router speaks for itself in some properties of its open. */
export function checkOpenProperties(context: RuleContext): void {
  const { problems } = context;
  for (const entity of [...all(context, 'listener'), ...all(context, 'connector')]) {
    const keys = Object.keys(entity.map('openProperties'));
    const line = entity.lineOf('openProperties');
    for (const key of keys) {
      if (!RESERVED_PROPERTIES.has(key) && !/^(?:x-opt-)?qd\./u.test(key)) continue;
      problems.error(line, `the key '${safeText(key)}' is reserved and cannot stand in openProperties`, {
        hint: `also reserved are ${[...RESERVED_PROPERTIES].join(', ')} and all that begins with qd. or x-opt-qd.`,
        former: `ValidationError: Reserved key '${safeText(key)}' not allowed in openProperties`,
      });
    }
    const role = entity.text('role');
    if (keys.length > 0 && (role === 'inter-router' || role === 'edge')) {
      problems.error(line, `openProperties cannot be given for role ${role}`, {
        former: `ValidationError: openProperties not allowed for role ${role}`,
      });
    }
  }
}
