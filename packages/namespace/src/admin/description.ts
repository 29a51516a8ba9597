// SPDX-License-Identifier: Apache-2.0
import { msOfDuration } from './duration.js';
import { invalid } from './admin-error.js';
import { childOf } from './xml.js';
import type { XmlElement } from './xml.js';

/** The description of an entity in a request, read by name. Each reader gives undefined for what is left out. */
export class Description {
  readonly #element: XmlElement;

  constructor(element: XmlElement) {
    this.#element = element;
  }

  element(name: string): XmlElement | undefined {
    return childOf(this.#element, name);
  }

  /** @throws AdminError where it is longer than `max` */
  text(name: string, max = 1024): string | undefined {
    const text = this.element(name)?.text.trim();
    if (text !== undefined && text.length > max) throw invalid(`${name} has more than ${max} characters.`);
    return text === '' ? undefined : text;
  }

  flag(name: string): boolean | undefined {
    const text = this.text(name)?.toLowerCase();
    if (text === undefined) return undefined;
    if (text !== 'true' && text !== 'false') throw invalid(`${name} is neither true nor false.`);
    return text === 'true';
  }

  number(name: string, min: number, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,15}$/u.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw invalid(`${name} is no number from ${min} to ${max}.`);
    return value;
  }

  /** Milliseconds; Infinity for no end. */
  duration(name: string, minMs: number, maxMs: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const ms = msOfDuration(text);
    if (ms === undefined) throw invalid(`${name} is no duration such as PT1M.`);
    if (ms < minMs || ms > maxMs) throw invalid(`${name} is not within what is allowed.`);
    return ms;
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = values.find((one) => one.toLowerCase() === text.toLowerCase());
    if (value === undefined) throw invalid(`${name} is none of ${values.join(', ')}.`);
    return value;
  }
}
