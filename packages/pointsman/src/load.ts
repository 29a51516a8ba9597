// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';

/**
 * Loads a module of this folder, with the hundreds that it imports. `require` loads them one after the other; `import`, which turns
 * promises for each, takes a fifth of the time to start longer under Node.js 20. It is there for Node.js 22 before 22.12.
 *
 * @param path - of a module that has no `await` at its top, nor have those that it imports: `./command.js`
 */
export async function load<Module>(path: string): Promise<Module> {
  const isRequired = (process.features as { readonly require_module?: boolean }).require_module === true;
  return (isRequired ? createRequire(import.meta.url)(path) : await import(path)) as Module;
}
