// SPDX-License-Identifier: Apache-2.0
import { attributeOf, validateEntity } from '@pointsman/management';
import type { EntityType, EntityValue } from '@pointsman/management';
import { buildConfig } from './build-config.js';
import { checkEntities } from './check-entities.js';
import { entitiesOf } from './entity.js';
import type { ConfigEntity } from './entity.js';
import type { RouterConfig } from './model.js';
import type { NotSupported } from './not-supported.js';
import { ProblemList, lineOf } from './problems.js';
import type { RawSection } from './raw-config.js';
import type { SecretSources } from './secret.js';

export interface ConfigSourceOptions {
  readonly file: string;
  readonly secrets: SecretSources;
  readonly notSupported: readonly NotSupported[];
}

/** An entity that the rules refuse. The message says everything that is wrong with it, on one line and without secrets. */
export class EntityRefused extends Error {
  override readonly name = 'EntityRefused';
  /** How Qpid Dispatch said it, where tools may look for that. */
  readonly former: string | undefined;

  constructor(message: string, former?: string) {
    super(message);
    this.former = former;
  }
}

/** An entity as it was configured. */
export interface ConfiguredEntity {
  readonly name: string;
  /** With defaults filled in, and with secrets. */
  readonly value: EntityValue;
}

// Files have lines from 1; what management creates is told apart by numbers below that.
let nextLine = 0;

/**
 * The entities of a running configuration. New ones have to keep the same rules as those of a file, against all that are
 * there. Its contents are private, because there are secrets among them.
 */
/** An entity that one configuration takes over from another. */
export interface AdoptedEntity {
  readonly section: string;
  readonly name: string;
  /** Under which the other one has it. */
  readonly fromName: string;
}

export class ConfigSource {
  readonly #entities: ConfigEntity[];
  readonly #options: ConfigSourceOptions;

  constructor(entities: readonly ConfigEntity[], options: ConfigSourceOptions) {
    this.#entities = [...entities];
    this.#options = options;
  }

  copy(): ConfigSource {
    return new ConfigSource(this.#entities, this.#options);
  }

  /** The entities of a section, in the order of their creation. */
  of(section: string): readonly ConfiguredEntity[] {
    return this.#entities.filter((entity) => entity.section === section);
  }

  find(section: string, name: string): ConfiguredEntity | undefined {
    return this.#entities.find((entity) => entity.section === section && entity.name === name);
  }

  /** The only entity of a section, or what it would be if there were one. */
  only(type: EntityType): EntityValue {
    return this.of(type.section ?? type.name)[0]?.value ?? validateEntity(type, {}).value;
  }

  /**
   * Adds an entity of a section, and gives the configuration as it is then: the new one is the last of its kind there.
   *
   * @throws EntityRefused where it breaks a rule; then nothing was added
   */
  add(section: string, attributes: EntityValue): { readonly name: string; readonly config: RouterConfig } {
    nextLine -= 1;
    const line = nextLine;
    const raw: RawSection = {
      name: section,
      line,
      attributes: Object.entries(attributes).map(([key, value]) => ({ key, value, line })),
    };
    const problems = new ProblemList(this.#options.file, Infinity);
    // From what was written: the rules leave marks on entities.
    const entities = entitiesOf([...this.#entities.map((entity) => entity.raw()), raw], problems);
    checkEntities({ entities, problems }, this.#options.notSupported);
    const { file, secrets } = this.#options;
    const config = buildConfig(entities, problems, { file, secrets, generateId: () => '', source: this });
    const errors = problems.sorted().filter((problem) => problem.severity === 'error' && problem.line === line);
    if (errors.length > 0) {
      const former = errors.find((problem) => problem.former !== undefined)?.former;
      throw new EntityRefused(errors.map(lineOf).join('; '), former);
    }
    const entity = entities.at(-1);
    if (entity?.line !== line) throw new EntityRefused(`there is no section '${section}'`);
    if (this.#entities.some((other) => other.name === entity.name && other.section === section)) {
      throw new EntityRefused(`there is a ${section} '${entity.name}' already; give the new one another name`);
    }
    this.#entities.push(entity);
    return { name: entity.name, config };
  }

  /**
   * Gives an entity other values for some of its attributes, as {@link add} would.
   *
   * @throws EntityRefused where it breaks a rule then; nothing has changed
   */
  change(section: string, name: string, attributes: EntityValue): RouterConfig {
    const at = this.#entities.findIndex((entity) => entity.section === section && entity.name === name);
    const old = this.#entities[at];
    if (old === undefined) throw new EntityRefused(`there is no ${section} '${name}'`);
    const before = old
      .raw()
      .attributes.map(({ key, value }) => [attributeOf(old.type, key)?.name ?? key, value] as const);
    this.#entities.splice(at, 1);
    try {
      const { config } = this.add(section, { ...Object.fromEntries(before), ...attributes });
      this.#entities.splice(at, 0, this.#entities.pop()!);
      return config;
    } catch (error) {
      this.#entities.splice(at, 0, old);
      throw error;
    }
  }

  /** Whether management has made it, or changed it since. */
  isOfManagement(section: string, name: string): boolean {
    return this.#entities.some((entity) => entity.section === section && entity.name === name && entity.line < 1);
  }

  /** Takes entities over from another configuration, each in place of the one that has its new name here. */
  adopt(from: ConfigSource, taken: readonly AdoptedEntity[]): void {
    // All are looked up before the first is renamed: made-up names move on when a section is put before another.
    const found = taken.map(({ section, fromName }) =>
      from.#entities.find((other) => other.section === section && other.name === fromName),
    );
    taken.forEach(({ section, name }, index) => {
      const entity = found[index];
      if (entity === undefined) return;
      entity.name = name;
      const at = this.#entities.findIndex((other) => other.section === section && other.name === name);
      if (at >= 0) this.#entities[at] = entity;
      else this.#entities.push(entity);
    });
  }

  remove(section: string, name: string): void {
    const at = this.#entities.findIndex((entity) => entity.section === section && entity.name === name);
    if (at >= 0) this.#entities.splice(at, 1);
  }
}
