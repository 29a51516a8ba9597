// SPDX-License-Identifier: Apache-2.0

/**
 * The rules of this repository that a program can hold: above all the import law, who may import whom.
 *
 * Every rule is a row of a table below. CONTRIBUTING.md says what they are for.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { codeOf, importsOf, lineOf } from './source.mjs';

/**
 * @typedef {object} Layer
 * @property {readonly string[]} packages of ours that it may import
 * @property {readonly string[] | 'any'} node modules of Node.js that it may import
 * @property {readonly string[]} outside packages of others, each with a page in docs/decisions
 * @property {boolean} pure a function of its inputs: it is given its clock, timers and randomness
 */

/** @type {Readonly<Record<string, Layer>>} */
// prettier-ignore
const LAYERS = {
  wire:       { packages: [],                               node: [],         outside: [],       pure: true },
  engine:     { packages: ['wire'],                         node: [],         outside: [],       pure: true },
  management: { packages: ['wire'],                         node: [],         outside: [],       pure: true },
  router:     { packages: ['wire', 'engine', 'management'], node: [],         outside: [],       pure: true },
  azure:      { packages: ['wire', 'engine', 'management'], node: ['crypto'], outside: [],       pure: true },
  namespace:  { packages: ['wire', 'engine', 'management'], node: [],         outside: [],       pure: true },
  transport:  { packages: ['wire', 'engine'],               node: 'any',      outside: ['ws'],   pure: false },
  console:    { packages: ['wire', 'management'],           node: [],         outside: [],       pure: false },
  pointsman:  { packages: ['wire', 'engine', 'management', 'router', 'azure', 'namespace', 'transport'],
                                                            node: 'any',      outside: ['yaml'], pure: false },
};

/** Private folders beside packages/: they may import everything, but as everyone does, by name. */
const FREE = ['testing', 'interop', 'bench'];

const PURE = Object.keys(LAYERS).filter((name) => LAYERS[name]?.pure);
const SOCKETS = ['net', 'tls', 'http', 'https', 'http2', 'dgram'];

/** @param {string} path */
const isScript = (path) => /\.(ts|mjs|js)$/.test(path);
const sourcesOf = (/** @type {readonly string[]} */ names) => (/** @type {string} */ path) =>
  names.some((name) => path.startsWith(`packages/${name}/src/`));
const testsOf = (/** @type {readonly string[]} */ names) => (/** @type {string} */ path) =>
  names.some((name) => path.startsWith(`packages/${name}/test/`));
const either =
  (/** @type {((path: string) => boolean)[]} */ ...tests) =>
  (/** @type {string} */ path) =>
    tests.some((test) => test(path));

/**
 * Words that may not stand in code (comments and texts are not looked at).
 *
 * @type {readonly {words: RegExp, where: (path: string) => boolean, why: string}[]}
 */
const BANNED = [
  {
    words: /(?<![.\w#$])(?:Date\.now|performance\s*\.|new Date\s*\(\s*\)|new Date\b(?!\s*\())/g,
    where: sourcesOf(PURE),
    why: 'the time is passed in',
  },
  {
    words: /(?<![.\w#$])(?:setTimeout|setInterval|setImmediate)\b/g,
    where: either(sourcesOf(PURE), testsOf(PURE)),
    why: 'deadlines are handed out, the caller keeps the timers',
  },
  {
    words: /(?<![.\w#$])(?:Math\.random|crypto\s*\.)/g,
    where: either(sourcesOf(PURE), testsOf(PURE)),
    why: 'randomness is passed in',
  },
  { words: /(?<![\w#$])random(?:Bytes|UUID|Int|FillSync)\b/g, where: sourcesOf(PURE), why: 'randomness is passed in' },
  {
    words: /(?<![.\w#$])(?:process\s*\.|globalThis\b)/g,
    where: sourcesOf(PURE),
    why: 'the process belongs to packages/pointsman',
  },
  {
    words: /(?<![.\w#$])Buffer\b/g,
    where: sourcesOf(PURE.filter((name) => name !== 'azure')),
    why: 'Buffer is of Node.js only: use Uint8Array',
  },
  {
    words: /(?<![.\w#$])Buffer\s*\.\s*concat\b/g,
    where: sourcesOf(['engine', 'router', 'transport']),
    why: 'it copies a message to look at it',
  },
  {
    words: /(?<![.\w#$])console\s*\./g,
    where: (path) => !/^(packages\/pointsman|bench|tools)\//.test(path),
    why: 'only the command prints',
  },
  {
    words: /^[ \t]*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s+[\w$]/gm,
    where: (path) => path.endsWith('.ts'),
    why: 'an enum cannot be erased: use a union of literals',
  },
  {
    words: /^[ \t]*(?:export\s+)?(?:declare\s+)?namespace\s+[\w$.]+\s*\{/gm,
    where: (path) => path.endsWith('.ts'),
    why: 'a namespace cannot be erased: a file is a module',
  },
  {
    words: /\bexport\s+default\b|\bas\s+default\b/g,
    where: () => true,
    why: 'a thing has one name: no default exports',
  },
];

/**
 * Files in which a banned word may stand all the same, each with its reason.
 *
 * @type {Readonly<Record<string, {words: readonly string[], why: string}>>}
 */
const PERMITTED = {
  'packages/transport/src/der.ts': { words: ['Buffer.concat'], why: 'puts a certificate together, not a message' },
  'packages/transport/src/dial.ts': { words: ['Buffer.concat'], why: 'eight bytes of a handshake' },
};

/**
 * Texts that may stand in no file at all. Put together here, so that this file passes.
 *
 * @type {readonly {text: RegExp, why: string}[]}
 */
const UNSPOKEN = [
  { text: new RegExp('/wor' + 'k/', 'g'), why: "a path of one person's machine" },
  {
    text: new RegExp(
      'registry\\.(?:npm' + 'js|yarn' + 'pkg)\\.\\w+|deb\\.deb' + 'ian\\.org|"resolved": "htt' + 'p',
      'g',
    ),
    why: 'the address of a package registry: that is for each machine to say',
  },
  { text: new RegExp('\\b(?:TO' + 'DO|FIX' + 'ME)\\b', 'g'), why: 'what is there works; what is missing is an issue' },
];

/** Longest source file, lines. Beyond it a file holds more than one thing. */
const LINES_MAX = 700;

/**
 * Longer files, each with its reason.
 *
 * @type {Readonly<Record<string, string>>}
 */
const LONG_FILES = {};

const LICENSE_LINE = 'SPDX-License-Identifier: Apache-2.0';
const SKIPPED_FOLDERS = new Set(['.git', '.cache', 'node_modules', 'dist', 'coverage']);

/**
 * @param {string} root
 * @param {Readonly<Record<string, string>>} [longFiles]
 * @returns {string[]} problems as `file:line: what`, sorted; none where all is well
 */
export function tidy(root, longFiles = LONG_FILES) {
  /** @type {string[]} */
  const problems = [];
  /** @type {Map<string, SourceFile>} */
  const sources = new Map();
  const paths = filesOf(root);
  for (const path of paths) {
    const text = readFileSync(join(root, path), 'utf8');
    if (text.includes('\0')) continue;
    problems.push(...textProblems(path, text, longFiles));
    if (!isScript(path)) continue;
    const code = codeOf(text);
    sources.set(path, { path, text, code, imports: importsOf(text, code) });
  }
  for (const file of sources.values())
    problems.push(...wordProblems(file), ...importProblems(file), ...barrelProblems(file));
  for (const folder of workspacesOf(paths)) problems.push(...workspaceProblems(root, folder, sources));
  problems.push(...cycleProblems(sources));
  for (const path of Object.keys(longFiles)) {
    if (!paths.includes(path)) problems.push(`tools/tidy.mjs:1: LONG_FILES names ${path}, which is not there`);
  }
  return problems.sort();
}

/**
 * @typedef {object} SourceFile
 * @property {string} path
 * @property {string} text
 * @property {string} code
 * @property {import('./source.mjs').Import[]} imports
 */

/**
 * @param {string} path
 * @param {string} text
 * @param {Readonly<Record<string, string>>} longFiles
 */
function* textProblems(path, text, longFiles) {
  for (const { text: pattern, why } of UNSPOKEN) {
    for (const match of text.matchAll(pattern)) yield `${path}:${lineOf(text, match.index)}: '${match[0]}' is ${why}`;
  }
  if (!/\.(ts|mjs|js|c|py|sh)$/.test(path) && path !== '.ci/run') return;
  const [first = '', second = ''] = text.split('\n', 2);
  if (!(first.startsWith('#!') ? second : first).includes(LICENSE_LINE))
    yield `${path}:1: the first line is not '${LICENSE_LINE}'`;
  const lines = text.split('\n').length - 1;
  const isLong = lines > LINES_MAX && !path.includes('/generated/');
  if (isLong && longFiles[path] === undefined)
    yield `${path}:${LINES_MAX}: ${lines} lines, over ${LINES_MAX}: does it hold one thing?`;
  if (!isLong && longFiles[path] !== undefined)
    yield `${path}:1: ${lines} lines: take it off LONG_FILES of tools/tidy.mjs`;
}

/** @param {SourceFile} file */
function* wordProblems({ path, text, code }) {
  for (const { words, where, why } of BANNED) {
    if (!where(path)) continue;
    for (const match of code.matchAll(words)) {
      const word = match[0].trim().replace(/\s+/g, ' ');
      if (PERMITTED[path]?.words.includes(word)) continue;
      yield `${path}:${lineOf(text, match.index + match[0].search(/\S/))}: '${word}' is banned here: ${why}`;
    }
  }
}

/** @param {SourceFile} file */
function* importProblems({ path, imports }) {
  const folder = folderOf(path);
  if (folder === undefined) return;
  const name = folder.replace('packages/', '');
  const layer = LAYERS[name];
  const part = path.slice(folder.length + 1).split('/')[0];
  if (layer === undefined && !FREE.includes(folder)) {
    yield `${path}:1: package ${name} has no row in LAYERS of tools/tidy.mjs`;
    return;
  }
  for (const { target, line } of imports) {
    const at = `${path}:${line}:`;
    if (target.startsWith('.')) {
      const to = posix.join(posix.dirname(path), target);
      if (!to.startsWith(`${folder}/`)) yield `${at} '${target}' leaves ${folder}: import the package by its name`;
      else if (part === 'src' && !to.startsWith(`${folder}/src/`))
        yield `${at} '${target}' leaves ${folder}/src, which is what gets published`;
      continue;
    }
    const owner = packageNameOf(target);
    if (isOurs(owner) && target !== owner) yield `${at} '${target}' reaches into ${owner}: only its index is public`;
    if (layer === undefined || (part !== 'src' && part !== 'test')) continue;

    const isTest = part === 'test';
    if (target.startsWith('node:')) {
      const module = target.slice('node:'.length).split('/')[0] ?? '';
      if (isTest && layer.pure && SOCKETS.includes(module)) yield `${at} a test of ${name} needs no socket: ${target}`;
      if (!isTest && layer.node !== 'any' && !layer.node.includes(module))
        yield `${at} ${name} may not import ${target}`;
    } else if (isOurs(owner)) {
      const ours = owner.replace('@pointsman/', '');
      if (!layer.packages.includes(ours) && !(isTest && ours === name)) yield `${at} ${name} may not import ${owner}`;
    } else if (!isTest && !layer.outside.includes(owner)) {
      yield `${at} ${name} may not import ${owner}: a new dependency needs a page in docs/decisions and its row in LAYERS`;
    }
  }
}

/** @param {SourceFile} file */
function* barrelProblems({ path, code, imports }) {
  const match = /^((?:packages\/[^/]+|testing|interop|bench)\/src)\/(.+)$/.exec(path);
  if (match === null || match[2] === 'index.ts') return;
  const rest = code.replace(/\bexport\b[^;]*?\bfrom\s*(['"])[^'"]*\1\s*;?/g, '').trim();
  if (rest === '' && imports.length > 0) yield `${path}:1: only passes on what other files export: import from those`;
}

/**
 * What package.json and tsconfig.json declare is what the sources import.
 *
 * @param {string} root
 * @param {string} folder
 * @param {ReadonlyMap<string, SourceFile>} sources
 */
function* workspaceProblems(root, folder, sources) {
  const manifest = jsonOf(root, `${folder}/package.json`);
  const forAll = Object.keys(jsonOf(root, 'package.json').devDependencies ?? {});
  const runtime = Object.keys(manifest.dependencies ?? {});
  const all = [...runtime, ...Object.keys(manifest.devDependencies ?? {}), ...forAll, manifest.name];
  const files = [...sources.values()].filter((file) => file.path.startsWith(`${folder}/`));
  const published = files.filter((file) => file.path.startsWith(`${folder}/src/`));
  const references = existsSync(join(root, folder, 'tsconfig.json'))
    ? (jsonOf(root, `${folder}/tsconfig.json`).references ?? []).map((/** @type {{path: string}} */ r) =>
        posix.join(folder, r.path),
      )
    : undefined;

  for (const file of files) {
    for (const { target, line, typeOnly } of file.imports) {
      if (target.startsWith('.') || target.startsWith('node:')) continue;
      const owner = packageNameOf(target);
      // The types of a package may come from its @types twin, which is needed to compile and not to run.
      const declared = published.includes(file) && !typeOnly ? runtime : all;
      if (!declared.includes(owner))
        yield `${file.path}:${line}: ${owner} is missing in the dependencies of ${folder}/package.json`;
      const ours = owner === 'pointsman' ? 'packages/pointsman' : owner.replace('@pointsman/', 'packages/');
      const place = FREE.includes(owner.replace('@pointsman/', '')) ? owner.replace('@pointsman/', '') : ours;
      if (isOurs(owner) && place !== folder && references !== undefined && !references.includes(place)) {
        yield `${file.path}:${line}: ${place} is missing in the references of ${folder}/tsconfig.json`;
      }
    }
  }
  // A package that is still empty declares what it is going to import.
  const isEmpty = published.every((file) => file.imports.length === 0 && !/\bexport\s+[a-z]/.test(file.code));
  if (!folder.startsWith('packages/') || isEmpty) return;
  const used = new Set(published.flatMap((file) => file.imports.map((i) => packageNameOf(i.target))));
  for (const name of runtime) {
    if (!used.has(name))
      yield `${folder}/package.json:1: nothing in ${folder}/src imports ${name}: take it out of the dependencies`;
  }
}

/**
 * Circles of imports among the files of one package. Imports of types alone are erased, and may form one.
 *
 * @param {ReadonlyMap<string, SourceFile>} sources
 */
function* cycleProblems(sources) {
  /** @type {Map<string, 'open' | 'done'>} */
  const state = new Map();
  /** @type {string[]} */
  const trail = [];
  /**
   * @param {string} path
   * @returns {Generator<string>}
   */
  function* visit(path) {
    state.set(path, 'open');
    trail.push(path);
    for (const { target, typeOnly, line } of sources.get(path)?.imports ?? []) {
      if (typeOnly || !target.startsWith('.')) continue;
      const to = posix.join(posix.dirname(path), target.replace(/\.js$/, path.endsWith('.ts') ? '.ts' : '.js'));
      if (!sources.has(to)) continue;
      if (state.get(to) === 'open')
        yield `${path}:${line}: imports in a circle: ${[...trail.slice(trail.indexOf(to)), to].join(' -> ')}`;
      else if (!state.has(to)) yield* visit(to);
    }
    trail.pop();
    state.set(path, 'done');
  }
  for (const path of sources.keys()) if (!state.has(path)) yield* visit(path);
}

/** @param {string} path @returns {string | undefined} the workspace that a file belongs to */
function folderOf(path) {
  return /^(packages\/[^/]+|testing|interop|bench)\//.exec(path)?.[1];
}

/** @param {readonly string[]} paths */
function workspacesOf(paths) {
  return paths
    .filter((path) => path.endsWith('/package.json') && `${folderOf(path)}/package.json` === path)
    .map((path) => posix.dirname(path));
}

/** @param {string} target */
function packageNameOf(target) {
  return target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/');
}

/** @param {string} name */
function isOurs(name) {
  return name === 'pointsman' || name.startsWith('@pointsman/');
}

/** @param {string} root @param {string} path */
function jsonOf(root, path) {
  return JSON.parse(readFileSync(join(root, path), 'utf8'));
}

/**
 * Files that git knows or would add; without git, all that is not a product.
 *
 * @param {string} root
 * @returns {string[]} relative to the root, with `/`
 */
function filesOf(root) {
  if (existsSync(join(root, '.git'))) {
    const listed = execFileSync('git', ['-C', root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    });
    return [...new Set(listed.split('\0'))].filter((path) => path !== '' && existsSync(join(root, path))).sort();
  }
  const walk = (/** @type {string} */ folder) =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap(
      (/** @type {import('node:fs').Dirent} */ entry) => {
        if (SKIPPED_FOLDERS.has(entry.name)) return [];
        const path = posix.join(folder, entry.name);
        return entry.isDirectory() ? walk(path) : entry.isFile() ? [path] : [];
      },
    );
  return walk('').sort();
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const problems = tidy(fileURLToPath(new URL('..', import.meta.url)));
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  if (problems.length > 0) {
    process.stderr.write(`tidy: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}\n`);
    process.exitCode = 1;
  }
}
