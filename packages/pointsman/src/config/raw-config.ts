// SPDX-License-Identifier: Apache-2.0

/** A value as the file has it. At the level of attributes scalars are text, in maps they have their JSON type. */
export type RawValue = string | number | boolean | null | readonly RawValue[] | { readonly [key: string]: RawValue };

export interface RawAttribute {
  /** As it stands in the file. */
  readonly key: string;
  readonly value: RawValue;
  readonly line: number;
  /** The value was ended by a comment. `glued`: without a blank before it. */
  readonly comment?: { readonly mark: '#' | '//'; readonly glued: boolean } | undefined;
  /** A backslash in the value, outside quotes, stood for another character. */
  readonly escaped?: boolean | undefined;
}

/** One section of a configuration file, whatever the format, before anything is known of its meaning. */
export interface RawSection {
  /** As it stands in the file. */
  readonly name: string;
  readonly line: number;
  readonly attributes: readonly RawAttribute[];
}

/** Deepest nesting of maps and lists in an attribute. Policies, the deepest that there is, need three levels. */
export const NESTING_MAX = 32;
/** Values in one file, aliases of YAML counted where they are used. */
export const VALUES_MAX = 100_000;
