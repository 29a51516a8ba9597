// SPDX-License-Identifier: Apache-2.0
import { plainAddress } from '../address-text.js';
import { PatternTree } from '../pattern-tree.js';

/** Stands for the name of the user, in names and patterns. */
export const USER_TOKEN = '${user}';

/** Names of nodes that a user may use. They are compared as the client says them. */
export interface NameRules {
  allows(name: string, user: string): boolean;
}

/** What the router cuts off with all that stands before it. */
const SCHEME_END = ':/';

/**
 * A name, and what is left of it for the router, which takes `orders:/secret` for `secret`: a rule that means `orders` and
 * what begins so must not let it pass.
 */
function meaningsOf(name: string): readonly string[] {
  if (!name.includes(SCHEME_END)) return [name];
  const meanings = [name];
  for (let left = name; left.includes(SCHEME_END);) {
    left = meanings.length <= SCHEMES_MAX ? plainAddress(left) : '';
    meanings.push(left);
  }
  return meanings;
}

/** A name with more of them means nothing. */
const SCHEMES_MAX = 8;

/** Nothing is allowed. */
export const NO_NAMES: NameRules = { allows: () => false };

interface Item {
  /** Around the user's name. */
  readonly before: string;
  readonly after: string;
  readonly hasUser: boolean;
  /** Whatever begins so is meant. */
  readonly isPrefix: boolean;
}

/** Rules by whole names: `text`, `text*` for all that begins with it, `*` for all, each with the user's name in it once. */
export class NameList implements NameRules {
  readonly #items: readonly Item[];

  constructor(items: readonly string[]) {
    this.#items = items.map((text) => {
      const isPrefix = text.endsWith('*');
      const plain = isPrefix ? text.slice(0, -1) : text;
      const at = plain.indexOf(USER_TOKEN);
      const after = at < 0 ? '' : plain.slice(at + USER_TOKEN.length);
      return { before: at < 0 ? plain : plain.slice(0, at), after, hasUser: at >= 0, isPrefix };
    });
  }

  allows(name: string, user: string): boolean {
    if (name === '') return false;
    const meanings = meaningsOf(name);
    return this.#items.some(({ before, after, hasUser, isPrefix }) => {
      const meant = hasUser ? before + user + after : before;
      if (!isPrefix) return name === meant;
      // Whoever writes a scheme into a rule means it.
      return meant.includes(SCHEME_END) ? name.startsWith(meant) : meanings.every((text) => text.startsWith(meant));
    });
  }
}

/** Rules by patterns, with the user's name as the first or last token of some. */
export class NamePatterns implements NameRules {
  readonly #plain = new PatternTree<true>();
  /** What follows, and what comes before, the user's name. */
  readonly #behindUser = new PatternTree<true>();
  readonly #beforeUser = new PatternTree<true>();

  /** @param items - for which {@link isUserPattern} holds where they have the user's name in them */
  constructor(items: readonly string[]) {
    for (const item of items) {
      if (item.startsWith(USER_TOKEN)) this.#behindUser.add(item.slice(USER_TOKEN.length), true);
      else if (item.endsWith(USER_TOKEN)) this.#beforeUser.add(item.slice(0, -USER_TOKEN.length), true);
      else this.#plain.add(item, true);
    }
  }

  allows(name: string, user: string): boolean {
    return meaningsOf(name).every((text) => this.#matches(text, user));
  }

  #matches(name: string, user: string): boolean {
    if (name === '') return false;
    if (this.#plain.match(name) === true) return true;
    if (user === '') return false;
    const behind = name.slice(user.length);
    if (name.startsWith(user) && isSeparated(behind[0]) && this.#behindUser.match(behind) === true) return true;
    const before = name.slice(0, -user.length);
    return name.endsWith(user) && isSeparated(before.at(-1)) && this.#beforeUser.match(before) === true;
  }
}

/** Whether the user's name stands in a pattern as a whole token at its beginning or end. */
export function isUserPattern(item: string): boolean {
  if (item.startsWith(USER_TOKEN)) return isSeparated(item[USER_TOKEN.length]);
  return item.endsWith(USER_TOKEN) && isSeparated(item.at(-USER_TOKEN.length - 1));
}

/** A separator, or nothing at all. */
function isSeparated(character: string | undefined): boolean {
  return character === undefined || character === '.' || character === '/';
}
