// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';
import type * as YamlLibrary from 'yaml';

type Yaml = typeof YamlLibrary;

let library: Yaml | undefined;

/** The YAML library, loaded by the first file that needs it: a router with a `.conf` file starts without, and sooner. */
export function yaml(): Yaml {
  return (library ??= createRequire(import.meta.url)('yaml') as Yaml);
}
