// SPDX-License-Identifier: Apache-2.0
import { attributeOf, camelCase, entityTypes, nearestName, validateEntity } from '@pointsman/management';
import type { AttributeProblem, AttributeType, AttributeValue, EntityType, EntityValue } from '@pointsman/management';
import type { ProblemDetails, ProblemList } from './problems.js';
import { safeText } from './problems.js';
import type { RawAttribute, RawSection } from './raw-config.js';

/** A section after its attributes have been checked one by one, before they are checked against all others. */
export class ConfigEntity {
  readonly type: EntityType;
  /** Name of the section, as `autoLink`. */
  readonly section: string;
  readonly line: number;
  /** Valid attributes and defaults. */
  readonly value: EntityValue;
  /** Given in the file, and valid. */
  readonly given: ReadonlySet<string>;
  /** Unique name: the one given, or made up once all are known. */
  name = '';
  /** What it was made of. */
  readonly #raw: RawSection;
  readonly #lines: ReadonlyMap<string, number>;
  readonly #unsound: Set<string>;

  constructor(type: EntityType, raw: RawSection, value: EntityValue, given: ReadonlySet<string>, unsound: Set<string>) {
    this.type = type;
    this.section = type.section ?? type.name;
    this.line = raw.line;
    this.#raw = raw;
    this.value = value;
    this.given = given;
    this.#unsound = unsound;
    const lines = new Map<string, number>();
    for (const { key, line } of raw.attributes) lines.set(attributeOf(type, key)?.name ?? key, line);
    this.#lines = lines;
  }

  /** As it was written: secrets included. */
  raw(): RawSection {
    return this.#raw;
  }

  /** Where it stands, for messages. What management created has a line below 1. */
  get place(): string {
    return this.line > 0 ? `at line ${this.line}` : 'that management created';
  }

  /** Line of the attribute, or of the section where the attribute is not given. */
  lineOf(attribute: string): number {
    return this.#lines.get(attribute) ?? this.line;
  }

  /** A mistake was reported about it: what `value` has is not what was meant, and nothing follows from it. */
  isUnsound(attribute: string): boolean {
    return this.#unsound.has(attribute);
  }

  markUnsound(attribute: string): void {
    this.#unsound.add(attribute);
  }

  text(attribute: string): string | undefined {
    const value = this.value[attribute];
    return typeof value === 'string' ? value : undefined;
  }

  number(attribute: string): number | undefined {
    const value = this.value[attribute];
    return typeof value === 'number' ? value : undefined;
  }

  flag(attribute: string): boolean {
    return this.value[attribute] === true;
  }

  map(attribute: string): { readonly [key: string]: AttributeValue } {
    const value = this.value[attribute];
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as never) : {};
  }

  /** For messages: `connector 'azure'`, or `connector`. */
  get label(): string {
    const name = this.text('name');
    return name === undefined ? this.section : `${this.section} '${safeText(name)}'`;
  }
}

// Sections that older releases had, and where what they said belongs now.
const FORMER_SECTIONS: Readonly<Record<string, string>> = {
  container: "the router section's id has taken its place",
  fixedAddress: 'address { prefix: …  distribution: … } has taken its place',
  waypoint: 'address { prefix: …  waypoint: yes } and two autoLinks have taken its place',
  linkRoutePattern: 'linkRoute { prefix: …  direction: … } has taken its place',
  tcpListener: 'this router bridges no TCP',
  tcpConnector: 'this router bridges no TCP',
  httpListener: 'this router bridges no HTTP',
  httpConnector: 'this router bridges no HTTP',
};

/** Checks the attributes of each section against the schema. Sections of no known type are reported and left out. */
export function entitiesOf(sections: readonly RawSection[], problems: ProblemList): ConfigEntity[] {
  return sections.flatMap((raw) => {
    const name = camelCase(raw.name);
    const type = entityTypes.find(({ section }) => section === name);
    if (type === undefined) {
      refuseSection(raw, name, problems);
      return [];
    }
    if (type.deprecated) problems.warn(raw.line, `the section '${name}' has no effect`, { hint: type.doc });
    return entityOf(type, raw, problems);
  });
}

function refuseSection(raw: RawSection, name: string, problems: ProblemList): void {
  const valid = entityTypes.flatMap(({ section, deprecated }) => (section === undefined || deprecated ? [] : section));
  // People who know management write the type's name.
  const byType = entityTypes.find((type) => camelCase(type.name) === name || camelCase(type.fullName) === name);
  problems.error(raw.line, `there is no section '${safeText(raw.name)}'`, {
    found: safeText(raw.name),
    allowed: valid.toSorted().join(', '),
    nearest: byType?.section ?? nearestName(name, valid),
    hint: Object.hasOwn(FORMER_SECTIONS, name) ? FORMER_SECTIONS[name] : undefined,
  });
}

function entityOf(type: EntityType, raw: RawSection, problems: ProblemList): ConfigEntity {
  const { attributes } = raw;
  const pairs = attributes.map(({ key, value }) => [key, value] as const);
  const { value, given, problems: found } = validateEntity(type, pairs, 'config');
  const unsound = new Set<string>();
  for (const problem of found) {
    const line = problem.entry === undefined ? raw.line : attributes[problem.entry]?.line;
    const details: ProblemDetails = {
      found: problem.found === undefined ? undefined : safeText(problem.found),
      allowed: problem.allowed,
      nearest: problem.nearest,
      hint: problem.hint,
      former: formerWordsOf(type, problem, attributes[problem.entry ?? -1]),
    };
    if (problem.severity === 'warning') problems.warn(line, problem.message, details);
    else {
      unsound.add(problem.attribute);
      problems.error(line, problem.message, details);
    }
  }
  for (const attribute of attributes) {
    const known = attributeOf(type, attribute.key);
    if (known !== undefined) warnOfReading(attribute, known, problems);
  }
  return new ConfigEntity(type, raw, value, given, unsound);
}

/** How Qpid Dispatch words what is wrong with an attribute. */
function formerWordsOf(type: EntityType, problem: AttributeProblem, raw: RawAttribute | undefined): string | undefined {
  const { code, found = '' } = problem;
  const attribute = attributeOf(type, problem.attribute);
  const { name = problem.attribute, deprecatedName = '' } = attribute ?? {};
  const section = type.section ?? type.name;
  switch (code) {
    case 'deprecated': {
      if (raw === undefined || camelCase(raw.key) !== deprecatedName) return undefined;
      return `Attribute '${deprecatedName}' of entity '${section}' has been deprecated. Use '${name}' instead`;
    }
    case 'old-and-new-name':
      return `${type.fullName}: Both '${deprecatedName}' and '${name}' cannot be specified for entity '${section}'`;
    case 'unknown-attribute':
      return `${type.fullName}: Unknown attribute '${safeText(name)}' for '${type.fullName}'`;
    case 'missing-attribute':
      return `${type.fullName}: Missing required attribute '${name}'`;
    case 'bad-value':
      if (attribute === undefined || attribute.secret) return undefined;
      return badValueWords(type, attribute, raw?.value, safeText(found));
    default:
      return undefined;
  }
}

function badValueWords(
  type: EntityType,
  { name, type: kind, values = [] }: AttributeType,
  value: RawAttribute['value'] | undefined,
  found: string,
): string | undefined {
  switch (kind) {
    case 'boolean':
      return `${type.fullName}: Invalid Boolean value ''${found}''`;
    case 'integer':
      return `${type.fullName}: invalid literal for int() with base 10: '${found}'`;
    case 'enum':
      return `${type.fullName}: Invalid value for enum[${values.map((tag) => `'${tag}'`).join(', ')}]: '${found}'`;
    case 'properties':
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        return 'ValidationError: Properties must be a map';
      }
      return 'ValidationError: Property keys must be ASCII encoded';
    default:
      if (type.section === 'router' && name === 'id') {
        return `AttributeError: Router id attribute containing a control character in id '${found}' is disallowed.`;
      }
      return undefined;
  }
}

/** Warns where the grammar may have read something else than was meant. */
function warnOfReading(raw: RawAttribute, { name, secret }: AttributeType, problems: ProblemList): void {
  const { comment, line } = raw;
  const found = secret ? undefined : safeText(String(raw.value));
  const inFile = typeof raw.value === 'string' && !/^(?:env|file):/u.test(raw.value);
  if (comment !== undefined && (comment.glued || (secret && inFile))) {
    problems.warn(line, `the '${comment.mark}' ends the value of '${name}': what follows counts as a comment`, {
      found,
      hint: `if the '${comment.mark}' belongs to the value, write the whole value in quotes`,
    });
  }
  if (raw.escaped === true) {
    problems.warn(line, `a backslash in the value of '${name}' stands for another character, as in JSON`, {
      found,
      hint: 'to keep backslashes, write the value in single quotes',
    });
  }
}
