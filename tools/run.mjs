// SPDX-License-Identifier: Apache-2.0

/**
 * The one way in: `npm start`, `npm test`, `npm run pointsman | build | bench | generate | tidy | lint | format`.
 *
 * Installs what is missing, builds what has changed, then does what was asked. Plain JavaScript without dependencies,
 * because it runs before anything is installed. What it says itself goes to stderr; stdout belongs to the command.
 */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NODE_MINIMUM = [20, 19];
const IN_CI = process.env['CI'] === 'true' || process.env['CI'] === '1';

/**
 * Limit of one test, ms. Up to Node.js 23 the runner applies it to a whole test file, hence its size; later to
 * each test. It is there to end a test that hangs, never to judge one that is slow.
 */
const TEST_TIMEOUT_MS = 300_000;

/** Test files run at once. Interop tests start brokers and routers of their own: more would fight for the cores. */
const TEST_CONCURRENCY = 2;

/** Folders whose tests are compiled: a file `X/test/a.test.ts` runs as `X/dist/test/a.test.js`. */
const COMPILED = [...foldersIn('packages').map((name) => join('packages', name)), 'testing', 'interop', 'bench'];

const TSC = join('node_modules', 'typescript', 'bin', 'tsc');

/** @type {Readonly<Record<string, (args: string[]) => Promise<number>>>} */
const COMMANDS = { start, test, pointsman, build: () => build(['.']), bench, generate, tidy, lint, format };

process.exitCode = await main(process.argv.slice(2));

/**
 * @param {string[]} argv
 * @returns {Promise<number>} exit status
 */
async function main([name, ...args]) {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [needMajor = 0, needMinor = 0] = NODE_MINIMUM;
  if (major < needMajor || (major === needMajor && minor < needMinor)) {
    return say(`needs Node.js ${NODE_MINIMUM.join('.')} or later, this is ${process.versions.node}`, 1);
  }
  const command = name === undefined ? undefined : COMMANDS[name];
  if (command === undefined) {
    return say(`'${name ?? ''}' is no command of tools/run.mjs; there are ${Object.keys(COMMANDS).join(', ')}`, 2);
  }
  try {
    return await command(args);
  } catch (error) {
    return say(error instanceof Error ? error.message : String(error), 1);
  }
}

/**
 * The demo: a namespace, a router and messages through both.
 *
 * @param {string[]} args
 */
async function start(args) {
  return pointsman(['demo', ...args]);
}

/**
 * The command itself. Paths among its arguments are relative to where it was called, not to the root, where npm goes first.
 *
 * @param {string[]} args
 */
async function pointsman(args) {
  const built = await build(['packages/pointsman']);
  if (built !== 0) return built;
  return run(join(ROOT, 'packages', 'pointsman', 'dist', 'src', 'main.js'), args, process.env['INIT_CWD']);
}

/**
 * Checks, then tests. With a filter (`npm test -- wire`) only the tests whose path contains one of the words.
 *
 * All three run even where the first fails, so that one run tells everything.
 *
 * @param {string[]} filters
 */
async function test(filters) {
  const built = await build(['.']);
  if (built !== 0) return built;
  const files = testFiles(filters);
  if (files.length === 0) return say(`no test file's path contains ${filters.map((f) => `'${f}'`).join(' or ')}`, 1);

  const failed = [];
  if (filters.length === 0) {
    if ((await tidy([])) !== 0) failed.push('tidy');
    if ((await lintBuilt([])) !== 0) failed.push('lint');
  }
  say(`testing (${files.length} files) ...`);
  const status = await run('--test', [
    '--test-reporter=spec',
    `--test-concurrency=${TEST_CONCURRENCY}`,
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    ...files,
  ]);
  if (status !== 0) failed.push('tests');
  return failed.length === 0 ? 0 : say(`failed: ${failed.join(', ')}`, 1);
}

/** @param {string[]} args */
async function bench(args) {
  return (await build(['packages/pointsman', 'bench'])) || run(join('bench', 'dist', 'src', 'main.js'), args);
}

/**
 * Writes anew what is generated: runs `generate.mjs` of every package that has one.
 *
 * What it generates from, `src/definitions`, is compiled alone and aside: the rest of the package may not compile before.
 */
async function generate() {
  const installed = await install();
  if (installed !== 0) return installed;
  for (const folder of COMPILED) {
    const generator = join(folder, 'generate.mjs');
    if (!existsSync(join(ROOT, generator))) continue;
    say(`generating ${folder} ...`);
    const compiled = join(ROOT, '.cache', 'generate', folder);
    const options = ['--ignoreConfig', '--module', 'nodenext', '--target', 'es2022', '--types', '--outDir', compiled];
    const status =
      (await run(TSC, [join(folder, 'src', 'definitions', 'index.ts'), ...options])) ||
      (await run(generator, [compiled]));
    if (status !== 0) return status;
  }
  return 0;
}

/** @param {string[]} args */
async function tidy(args) {
  say('checking the import law ...');
  return run(join('tools', 'tidy.mjs'), args);
}

/**
 * The linter, and whether everything is formatted. `npm run lint -- --fix` mends what can be mended.
 *
 * @param {string[]} args of oxlint
 */
async function lint(args) {
  // Rules about types need the declarations of the other packages.
  return (await build(['.'])) || lintBuilt(args);
}

/** @param {string[]} args of oxlint */
async function lintBuilt(args) {
  // Where the registry has no program for this platform it is left out: the findings are the same everywhere.
  const missing = ['@oxlint', '@oxlint-tsgolint', '@oxfmt'].filter((scope) => !hasBinary(scope));
  if (missing.length > 0 && !IN_CI)
    return say(`lint left out: ${missing.join(', ')} has no program for this platform`, 0);
  say('linting ...');
  const linted = await run(join('node_modules', 'oxlint', 'bin', 'oxlint'), args);
  return (await format(['--list-different'])) === 0 ? linted : say('not formatted: npm run format', 1);
}

/** @param {string[]} args of oxfmt */
async function format(args) {
  return (await install()) || run(join('node_modules', 'oxfmt', 'bin', 'oxfmt'), args);
}

/**
 * Compiles the projects and all that they refer to. Incremental: nothing to do takes a tenth of a second.
 *
 * @param {string[]} projects folders with a tsconfig.json, relative to the root
 */
async function build(projects) {
  const installed = await install();
  if (installed !== 0) return installed;
  const first = !existsSync(join(ROOT, 'packages', 'wire', 'dist'));
  say(`building${first ? ' (first time, a few seconds)' : ''} ...`);
  return run(TSC, ['-b', ...projects]);
}

/** Brings node_modules to what package-lock.json says, where it is not there already. */
async function install() {
  const why = installReason();
  if (why === undefined) return 0;
  say(`installing (${why}, about 10 s) ...`);
  // npm hands its own path to the scripts it runs; started without npm, the one on the PATH has to do.
  const npm = process.env['npm_execpath'];
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const status =
    npm !== undefined && basename(npm).startsWith('npm-cli')
      ? await spawned(process.execPath, [npm, ...args], { quiet: true })
      : await spawned(`npm ${args.join(' ')}`, [], { quiet: true, shell: true });
  return status === 0 ? 0 : say(`npm ci failed with status ${status}: see above`, status);
}

/**
 * Compares package-lock.json with what npm noted when it last installed.
 *
 * @returns {string | undefined} why to install, or undefined where nothing is missing
 */
function installReason() {
  const installedPath = join(ROOT, 'node_modules', '.package-lock.json');
  if (!existsSync(installedPath)) return 'first time';
  /** @type {Record<string, {version?: string, optional?: boolean, link?: boolean}>} */
  const wanted = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(installedPath, 'utf8')).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    // '' is the root itself; an optional package may rightly be absent: it is another platform's.
    if (path === '' || (entry.optional && installed[path] === undefined)) continue;
    if (installed[path]?.version !== entry.version || installed[path]?.link !== entry.link)
      return 'package-lock.json has changed';
  }
  return undefined;
}

/**
 * The compiled test files, derived from the sources: what an earlier build left of a removed test never runs.
 *
 * @param {string[]} filters parts of paths, any of which selects; none selects all
 */
function testFiles(filters) {
  const files = [];
  for (const folder of COMPILED) {
    for (const source of filesBelow(join(folder, 'test'), '.test.ts')) {
      const compiled = join(folder, 'dist', relative(folder, source)).replace(/\.ts$/, '.js');
      if (!existsSync(join(ROOT, compiled)))
        throw new Error(`${source} was not compiled: does ${folder}/tsconfig.json include 'test'?`);
      files.push({ source, run: compiled });
    }
  }
  for (const source of filesBelow(join('tools', 'test'), '.test.mjs')) files.push({ source, run: source });
  const selected = files.filter(({ source }) => filters.length === 0 || filters.some((part) => source.includes(part)));
  return selected.map((file) => file.run);
}

/**
 * @param {string} folder relative to the root
 * @param {string} suffix
 * @returns {string[]} paths relative to the root, sorted
 */
function filesBelow(folder, suffix) {
  if (!existsSync(join(ROOT, folder))) return [];
  const entries = readdirSync(join(ROOT, folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesBelow(path, suffix);
    return entry.name.endsWith(suffix) ? [path] : [];
  });
}

/** @param {string} folder */
function foldersIn(folder) {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(ROOT, folder, entry.name, 'package.json')))
    .map((entry) => entry.name)
    .sort();
}

/** @param {string} scope of npm, under which a tool has one package per platform */
function hasBinary(scope) {
  const bindings = join(ROOT, 'node_modules', scope);
  return (
    existsSync(bindings) && readdirSync(bindings).some((name) => name.includes(`${process.platform}-${process.arch}`))
  );
}

/**
 * Runs a script with this Node.js, from the root.
 *
 * @param {string} script path relative to the root, or a flag of node
 * @param {string[]} args
 * @param {string} [cwd]
 */
function run(script, args, cwd) {
  return spawned(process.execPath, ['--enable-source-maps', script, ...args], { cwd });
}

/**
 * Runs a program to its end. Its exit status is ours; a signal that ends it ends us.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {{cwd?: string | undefined, shell?: boolean, quiet?: boolean}} options `quiet` shows the output only where it fails
 * @returns {Promise<number>}
 */
function spawned(program, args, { cwd = ROOT, shell = false, quiet = false }) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, shell, stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit' });
    /** @type {Buffer[]} */
    const output = [];
    child.stdout?.on('data', (/** @type {Buffer} */ chunk) => output.push(chunk));
    child.stderr?.on('data', (/** @type {Buffer} */ chunk) => output.push(chunk));

    // A terminal sends Ctrl-C to the child too, and npm passes it on to us once more: the child must not get it twice,
    // as programs take the second for impatience.
    const forward = (/** @type {NodeJS.Signals} */ signal) => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);
    for (const signal of signals) process.on(signal, forward);

    child.on('error', (error) => reject(new Error(`cannot start ${program}: ${error.message}`)));
    child.on('close', (status, signal) => {
      for (const name of signals) process.off(name, forward);
      if (quiet && status !== 0) process.stderr.write(Buffer.concat(output));
      if (signal !== null) process.kill(process.pid, signal);
      resolve(status ?? 1);
    });
  });
}

/**
 * @param {string} text
 * @param {number} [status] what to return, for `return say(...)`
 */
function say(text, status = 0) {
  process.stderr.write(`pointsman: ${text}\n`);
  return status;
}
