// SPDX-License-Identifier: Apache-2.0

/**
 * One field of a composite type. `type` is the name that the standard gives it: a primitive, a restricted type, a
 * composite, or what it `requires` where the type is `*`.
 */
export interface Field {
  readonly name: string;
  readonly type: string;
  readonly mandatory: boolean;
  /** Null, one value, or an array of them. @see OASIS AMQP 1.0, 1.4 */
  readonly multiple: boolean;
  /** Value that stands for an absent field. Readers leave the field undefined. */
  readonly default: string | number | boolean | undefined;
  readonly doc: string;
}

/** A list with a descriptor. @see OASIS AMQP 1.0, 1.3 and 1.4 */
export interface Composite {
  readonly name: string;
  readonly code: number;
  readonly section: string;
  readonly doc: string;
  readonly fields: readonly Field[];
}

export function composite(
  name: string,
  code: number,
  section: string,
  doc: string,
  fields: readonly Field[],
): Composite {
  return { name, code, section, doc, fields };
}

export function required(name: string, type: string, doc: string): Field {
  return { name, type, mandatory: true, multiple: false, default: undefined, doc };
}

export function optional(name: string, type: string, doc: string, value?: string | number | boolean): Field {
  return { name, type, mandatory: false, multiple: false, default: value, doc };
}

export function several(name: string, type: string, doc: string): Field {
  return { name, type, mandatory: false, multiple: true, default: undefined, doc };
}

/** A restricted type: another name for a type, with the values it is narrowed to where the standard names them. */
export interface Restricted {
  readonly name: string;
  readonly source: string;
  readonly section: string;
  readonly choices?: Readonly<Record<string, string | number | boolean>>;
}
