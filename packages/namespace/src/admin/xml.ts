// SPDX-License-Identifier: Apache-2.0

/** An element, by its names without prefixes. */
export interface XmlElement {
  readonly name: string;
  /** By name without prefix; namespace declarations are left out. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** All text directly within it, joined. */
  readonly text: string;
}

/** What is no XML, or more than is taken. */
export class XmlError extends Error {}

const LENGTH_MAX = 1_048_576;
const DEPTH_MAX = 32;
const ELEMENTS_MAX = 10_000;
const ATTRIBUTES_MAX = 32;

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
const NAME = /^[A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?/u;

/**
 * Reads one document. Names lose their prefixes: no two elements here differ in the namespace alone. Document types, and
 * with them entities of their own, are refused.
 *
 * @throws XmlError
 */
export function readXml(text: string): XmlElement {
  if (text.length > LENGTH_MAX) throw new XmlError(`more than ${LENGTH_MAX} characters`);
  return new XmlReader(text).document();
}

class XmlReader {
  readonly #text: string;
  #at = 0;
  #elements = 0;

  constructor(text: string) {
    this.#text = text.replace(/^\ufeff/u, '');
  }

  document(): XmlElement {
    this.#misc();
    if (this.#text[this.#at] !== '<') this.#fail('no element');
    const root = this.#element(1);
    this.#misc();
    if (this.#at < this.#text.length) this.#fail('something behind the last element');
    return root;
  }

  /** White space, comments and processing instructions. */
  #misc(): void {
    for (;;) {
      this.#blanks();
      if (this.#starts('<?')) this.#skipTo('?>');
      else if (this.#starts('<!--')) this.#skipTo('-->');
      else if (this.#starts('<!')) this.#fail('a document type');
      else return;
    }
  }

  #element(depth: number): XmlElement {
    if (depth > DEPTH_MAX) this.#fail(`elements within more than ${DEPTH_MAX} others`);
    if (++this.#elements > ELEMENTS_MAX) this.#fail(`more than ${ELEMENTS_MAX} elements`);
    this.#at++;
    const qualified = this.#name();
    const attributes = this.#attributes();
    const children: XmlElement[] = [];
    let text = '';
    if (this.#takes('/>')) return { name: local(qualified), attributes, children, text };
    if (!this.#takes('>')) this.#fail(`a start of <${qualified}> that does not end`);
    for (;;) {
      const next = this.#text.indexOf('<', this.#at);
      if (next < 0) this.#fail(`no end of <${qualified}>`);
      text += this.#decoded(this.#text.slice(this.#at, next));
      this.#at = next;
      if (this.#takes('</')) {
        if (this.#name() !== qualified) this.#fail(`an end that is not that of <${qualified}>`);
        this.#blanks();
        if (!this.#takes('>')) this.#fail(`an end of <${qualified}> that does not end`);
        return { name: local(qualified), attributes, children, text };
      }
      if (this.#starts('<!--')) this.#skipTo('-->');
      else if (this.#starts('<?')) this.#skipTo('?>');
      else if (this.#takes('<![CDATA[')) {
        const start = this.#at;
        this.#skipTo(']]>');
        text += this.#text.slice(start, this.#at - 3);
      } else children.push(this.#element(depth + 1));
    }
  }

  #attributes(): ReadonlyMap<string, string> {
    const attributes = new Map<string, string>();
    for (let count = 0; ; count++) {
      this.#blanks();
      if (this.#starts('>') || this.#starts('/>')) return attributes;
      if (count >= ATTRIBUTES_MAX) this.#fail(`more than ${ATTRIBUTES_MAX} attributes`);
      const name = this.#name();
      this.#blanks();
      if (!this.#takes('=')) this.#fail(`no value of attribute ${name}`);
      this.#blanks();
      const quote = this.#text[this.#at];
      if (quote !== '"' && quote !== "'") this.#fail(`no quotes around attribute ${name}`);
      const end = this.#text.indexOf(quote, this.#at + 1);
      if (end < 0) this.#fail(`no end of attribute ${name}`);
      const value = this.#decoded(this.#text.slice(this.#at + 1, end));
      this.#at = end + 1;
      if (name !== 'xmlns' && !name.startsWith('xmlns:')) attributes.set(local(name), value);
    }
  }

  #decoded(raw: string): string {
    if (!raw.includes('&')) return raw;
    return raw.replaceAll(/&([^;&]{0,12});?/gu, (whole, body: string) => {
      const known = Object.hasOwn(ENTITIES, body) ? ENTITIES[body] : undefined;
      if (known !== undefined && whole.endsWith(';')) return known;
      const [, hex, decimal] = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/iu.exec(body) ?? [];
      const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
      if (!(code >= 9 && code <= 0x10_ffff) || (code >= 0xd800 && code <= 0xdfff))
        this.#fail(`the unknown entity &${body}`);
      return String.fromCodePoint(code);
    });
  }

  #name(): string {
    const [name] = NAME.exec(this.#text.slice(this.#at, this.#at + 200)) ?? [];
    if (name === undefined) this.#fail('no name');
    this.#at += name.length;
    return name;
  }

  #blanks(): void {
    while (this.#at < this.#text.length && ' \t\r\n'.includes(this.#text[this.#at]!)) this.#at++;
  }

  #starts(text: string): boolean {
    return this.#text.startsWith(text, this.#at);
  }

  #takes(text: string): boolean {
    if (!this.#starts(text)) return false;
    this.#at += text.length;
    return true;
  }

  #skipTo(end: string): void {
    const at = this.#text.indexOf(end, this.#at);
    if (at < 0) this.#fail(`no ${end}`);
    this.#at = at + end.length;
  }

  #fail(what: string): never {
    throw new XmlError(`${what} at character ${this.#at}`);
  }
}

function local(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

/** The element of a name within another. */
export function childOf(element: XmlElement, name: string): XmlElement | undefined {
  return element.children.find((child) => child.name === name);
}

/** Text for an element or an attribute. Characters that XML does not have are left out. */
export function escapeXml(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[&<>"\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/gu, (character) => {
    switch (character) {
      case '&':
        return '&amp;';
      case '<':
        return '&lt;';
      case '>':
        return '&gt;';
      case '"':
        return '&quot;';
      default:
        return '';
    }
  });
}
