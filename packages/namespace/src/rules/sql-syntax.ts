// SPDX-License-Identifier: Apache-2.0

/** A value within an expression: a long, a double, a text, true or false; undefined is unknown, as NULL is. */
export type SqlValue = bigint | number | string | boolean | undefined;

export type PropertyScope = 'user' | 'sys';

export interface SqlProperty {
  readonly kind: 'property';
  readonly scope: PropertyScope;
  /** As written. Names are compared without regard to case. */
  readonly name: string;
}

export type Comparison = '=' | '<>' | '>' | '>=' | '<' | '<=';
export type Arithmetic = '+' | '-' | '*' | '/' | '%';

/** An expression or a predicate: whatever has a value. */
export type SqlNode =
  | { readonly kind: 'constant'; readonly value: SqlValue }
  | { readonly kind: 'parameter'; readonly name: string }
  | SqlProperty
  /** `property(name)`: the property whose name the expression yields. */
  | { readonly kind: 'named-property'; readonly name: SqlNode }
  | { readonly kind: 'newid' }
  | { readonly kind: 'sign'; readonly negative: boolean; readonly operand: SqlNode }
  | { readonly kind: 'arithmetic'; readonly operator: Arithmetic; readonly left: SqlNode; readonly right: SqlNode }
  | { readonly kind: 'comparison'; readonly operator: Comparison; readonly left: SqlNode; readonly right: SqlNode }
  | { readonly kind: 'is-null'; readonly operand: SqlNode }
  | { readonly kind: 'exists'; readonly property: SqlProperty }
  | { readonly kind: 'in'; readonly operand: SqlNode; readonly list: readonly SqlNode[] }
  | {
      readonly kind: 'like';
      readonly operand: SqlNode;
      readonly pattern: SqlNode;
      readonly escape: SqlNode | undefined;
    }
  | { readonly kind: 'not'; readonly operand: SqlNode }
  | { readonly kind: 'and' | 'or'; readonly left: SqlNode; readonly right: SqlNode };

export type SqlStatement =
  | { readonly kind: 'set'; readonly property: SqlProperty; readonly value: SqlNode }
  | { readonly kind: 'remove'; readonly property: SqlProperty };
