// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../src/config/read-config.js';
import { createLogger } from '../src/log.js';
import type { Logger } from '../src/log.js';
import { RouterProcess } from '../src/run/router-process.js';
import type { RouterProcessOptions } from '../src/run/router-process.js';
import { TestIo } from './client-fixture.js';
import type { Opened } from './client-fixture.js';

/** A router of a configuration file, in a folder of its own, in this process. */
export class Running {
  readonly folder: string;
  readonly file: string;
  readonly io: TestIo = new TestIo();
  readonly process: RouterProcess;
  readonly log: Logger;

  private constructor(opened: Opened, conf: string, options: Partial<RouterProcessOptions>) {
    this.folder = mkdtempSync(join(tmpdir(), 'pointsman-'));
    opened.later(() => rmSync(this.folder, { recursive: true }));
    this.file = join(this.folder, 'router.conf');
    this.write(conf);
    const loaded = loadConfig(this.file);
    assert.ok(loaded.ok, loaded.ok ? '' : JSON.stringify(loaded.problems));
    this.log = createLogger({ logs: loaded.config.logs, stderr: this.io.stderr, stdout: this.io.stdout });
    this.process = new RouterProcess(loaded.config, { ...options, log: this.log });
  }

  static async start(opened: Opened, conf: string, options: Partial<RouterProcessOptions> = {}): Promise<Running> {
    const running = new Running(opened, conf, options);
    await running.process.start();
    opened.later(() => running.process.stop());
    return running;
  }

  write(conf: string): void {
    writeFileSync(this.file, conf);
  }

  port(name: string): number | undefined {
    return this.process.listeners.find((open) => open.name === name)?.port;
  }
}
