// SPDX-License-Identifier: Apache-2.0

/** How the keys of bindings are written. */
export type MatchMethod = 'amqp' | 'mqtt';

interface Notation {
  readonly separator: string;
  readonly one: string;
  readonly any: string;
}

const NOTATIONS: Readonly<Record<MatchMethod, Notation>> = {
  amqp: { separator: '.', one: '*', any: '#' },
  mqtt: { separator: '/', one: '+', any: '#' },
};

/** Most parts of a subject that is looked at: beyond them nothing matches but what matches everything. */
const PARTS_MAX = 256;

/** Whether `key` can be the key of a binding: in MQTT's notation `#` stands only at the end. */
export function isBindingKey(key: string, method: MatchMethod): boolean {
  if (method === 'amqp') return true;
  const parts = key.split('/');
  return parts.every((part, i) => part !== '#' || i === parts.length - 1);
}

interface Node<T> {
  readonly exact: Map<string, Node<T>>;
  one: Node<T> | undefined;
  any: Node<T> | undefined;
  /** It stands for `#`: whatever part comes next, it is still reached. */
  readonly isAny: boolean;
  readonly values: T[];
}

/**
 * Keys over subjects, all of which may match at once. `*` (in MQTT's notation `+`) stands for one part, `#` for any number,
 * none included; in MQTT's it stands at the end only.
 *
 * A look-up visits each node at most once for each part of the subject, however many `#` there are.
 */
export class SubjectTree<T> {
  readonly #notation: Notation;
  readonly #root: Node<T> = node();

  constructor(method: MatchMethod) {
    this.#notation = NOTATIONS[method];
  }

  add(key: string, value: T): void {
    let at = this.#root;
    for (const part of this.#parts(key)) {
      if (part === this.#notation.one) at = at.one ??= node();
      else if (part === this.#notation.any) at = at.any ??= node(true);
      else {
        let next = at.exact.get(part);
        if (next === undefined) at.exact.set(part, (next = node()));
        at = next;
      }
    }
    at.values.push(value);
  }

  remove(key: string, value: T): void {
    const path: [Node<T>, string][] = [];
    let at = this.#root;
    for (const part of this.#parts(key)) {
      const next = this.#child(at, part);
      if (next === undefined) return;
      path.push([at, part]);
      at = next;
    }
    const i = at.values.indexOf(value);
    if (i < 0) return;
    at.values.splice(i, 1);
    for (const [parent, part] of path.reverse()) {
      if (at.values.length > 0 || at.exact.size > 0 || at.one !== undefined || at.any !== undefined) return;
      if (part === this.#notation.one) parent.one = undefined;
      else if (part === this.#notation.any) parent.any = undefined;
      else parent.exact.delete(part);
      at = parent;
    }
  }

  /** Values of all keys that `subject` matches, in no order that means anything. */
  matches(subject: string): T[] {
    const found: T[] = [];
    const parts = this.#parts(subject);
    if (parts.length > PARTS_MAX) {
      if (this.#root.any !== undefined) found.push(...this.#root.any.values);
      return found;
    }
    let reached = withAny(new Set([this.#root]));
    for (const part of parts) {
      const next = new Set<Node<T>>();
      for (const at of reached) {
        const exact = at.exact.get(part);
        if (exact !== undefined) next.add(exact);
        if (at.one !== undefined) next.add(at.one);
        if (at.isAny) next.add(at);
      }
      reached = withAny(next);
    }
    for (const { values } of reached) found.push(...values);
    return found;
  }

  #parts(text: string): string[] {
    return text.split(this.#notation.separator);
  }

  #child(at: Node<T>, part: string): Node<T> | undefined {
    if (part === this.#notation.one) return at.one;
    return part === this.#notation.any ? at.any : at.exact.get(part);
  }
}

function node<T>(isAny = false): Node<T> {
  return { exact: new Map(), one: undefined, any: undefined, isAny, values: [] };
}

/** Adds what is reached without a further part: `#` also stands for none. */
function withAny<T>(nodes: Set<Node<T>>): Set<Node<T>> {
  // A set that grows while it is gone through is gone through to its end.
  for (const { any } of nodes) if (any !== undefined) nodes.add(any);
  return nodes;
}
