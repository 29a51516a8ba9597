// SPDX-License-Identifier: Apache-2.0

/** What tidy sees of a source file: its code without comments and texts, and its imports. */

/**
 * @typedef {object} Import
 * @property {string} target what stands between the quotes
 * @property {number} line 1 for the first
 * @property {boolean} typeOnly erased by the compiler
 * @property {boolean} reExport `export ... from`
 */

const REGEX_AFTER =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^}]|\b(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield))$/;

/**
 * Blanks comments and the contents of strings, templates and regular expressions with spaces. Every other character keeps
 * its place, so that an index into the result is one into `text`.
 *
 * A lexer, not a parser: a `/` after `)` is taken for a division.
 *
 * @param {string} text
 * @returns {string}
 */
export function codeOf(text) {
  const out = text.split('');
  /** Depth of braces at which each open template's `${` ends. @type {number[]} */
  const templates = [];
  let depth = 0;
  let before = '';
  let at = 0;

  const blank = (/** @type {number} */ from, /** @type {number} */ to) => {
    for (let i = from; i < to; i++) if (out[i] !== '\n') out[i] = ' ';
  };
  /** Moves behind a template's text: to its end, or into the next `${`. */
  const template = (/** @type {number} */ from) => {
    let i = from;
    while (i < text.length && text[i] !== '`' && !(text[i] === '$' && text[i + 1] === '{'))
      i += text[i] === '\\' ? 2 : 1;
    blank(from, Math.min(i, text.length));
    if (text[i] === '$') {
      templates.push(depth++);
      return i + 2;
    }
    before = '`';
    return i + 1;
  };

  while (at < text.length) {
    const c = text[at] ?? '';
    const two = text.slice(at, at + 2);
    if (two === '//' || two === '/*') {
      const end = two === '//' ? text.indexOf('\n', at) : text.indexOf('*/', at + 2) + 2;
      const to = end < at + 2 ? text.length : end;
      blank(at, to);
      at = to;
    } else if (c === "'" || c === '"') {
      let i = at + 1;
      while (i < text.length && text[i] !== c && text[i] !== '\n') i += text[i] === '\\' ? 2 : 1;
      blank(at + 1, Math.min(i, text.length));
      at = i + 1;
      before = c;
    } else if (c === '`') {
      at = template(at + 1);
    } else if (c === '/' && REGEX_AFTER.test(before)) {
      let i = at + 1;
      for (let inClass = false; i < text.length && text[i] !== '\n' && (inClass || text[i] !== '/'); i++) {
        if (text[i] === '\\') i++;
        else if (text[i] === '[') inClass = true;
        else if (text[i] === ']') inClass = false;
      }
      blank(at + 1, Math.min(i, text.length));
      at = i + 1;
      before = ')';
    } else if (c === '}' && templates.at(-1) === depth - 1) {
      depth = /** @type {number} */ (templates.pop());
      at = template(at + 1);
    } else {
      if (c === '{') depth++;
      if (c === '}') depth--;
      // The last word or sign, to tell a regular expression from a division.
      if (/\w/.test(c)) before = /\w/.test(text[at - 1] ?? '') ? before + c : c;
      else if (!/\s/.test(c)) before = c;
      at++;
    }
  }
  return out.join('');
}

/**
 * @param {string} text
 * @param {string} code of the same file, by {@link codeOf}
 * @returns {Import[]}
 */
export function importsOf(text, code) {
  /** @type {Import[]} */
  const imports = [];
  const patterns = [
    /\b(import|export)(\s+type)?\b(?:[\w$*{},\s]*?)\bfrom\s*['"]/g,
    /\b(import)()\s*['"]/g,
    /\b(import)()\s*\(\s*['"]/g,
  ];
  for (const pattern of patterns) {
    for (const match of code.matchAll(pattern)) {
      const start = match.index + match[0].length;
      const end = code.indexOf(code[start - 1] ?? '', start);
      imports.push({
        target: text.slice(start, end),
        line: lineOf(text, match.index),
        typeOnly: match[2] !== undefined && match[2] !== '',
        reExport: match[1] === 'export',
      });
    }
  }
  return imports;
}

/**
 * @param {string} text
 * @param {number} index
 * @returns {number} 1 for the first
 */
export function lineOf(text, index) {
  let line = 1;
  for (let i = text.indexOf('\n'); i !== -1 && i < index; i = text.indexOf('\n', i + 1)) line++;
  return line;
}
