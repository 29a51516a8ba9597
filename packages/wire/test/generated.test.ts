// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';

it('src/generated is what the definition table gives: npm run generate changes nothing', () => {
  const here = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), 'pointsman-generate-'));
  try {
    const target = join(folder, 'composites.ts');
    execFileSync(process.execPath, [here('generate.mjs'), here('dist/src/definitions'), target]);
    assert.equal(readFileSync(target, 'utf8'), readFileSync(here('src/generated/composites.ts'), 'utf8'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
