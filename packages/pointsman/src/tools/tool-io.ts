// SPDX-License-Identifier: Apache-2.0
import { usageText } from './arguments.js';
import type { OptionSpec } from './arguments.js';
import { ToolError, UsageError } from './tool-error.js';

/** What a tool needs of its process. */
export interface ToolIo {
  readonly stdout: NodeJS.WritableStream & { isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream;
  readonly stdin: NodeJS.ReadableStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Version of the interface that the old names speak; scripts compare it. */
const TOOL_VERSION = '1.19.0';

const DEBUG_VARIABLE = '_QPID_DISPATCH_TOOLS_DEBUG_';

interface Prepared {
  readonly args: { has(key: string): boolean };
  run(write: (text: string) => void): Promise<void>;
}

/**
 * Runs a tool by the manners of the old ones: a failure is one line on stdout and status 1, wrong arguments are told on
 * stderr with status 2.
 */
export async function runTool(
  program: string,
  options: readonly OptionSpec[],
  help: () => string,
  io: ToolIo,
  prepare: () => Promise<Prepared>,
): Promise<number> {
  try {
    const prepared = await prepare();
    if (prepared.args.has('help')) {
      io.stdout.write(help());
      return 0;
    }
    if (prepared.args.has('version')) {
      io.stdout.write(`${TOOL_VERSION}\n`);
      return 0;
    }
    await prepared.run((text) => io.stdout.write(text));
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      io.stderr.write(`${usageText(program, options)}${program}: error: ${error.message}\n`);
      return 2;
    }
    if (io.env[DEBUG_VARIABLE] !== undefined && error instanceof Error) io.stderr.write(`${error.stack}\n`);
    else io.stdout.write(`${failureText(error)}\n`);
    return 1;
  }
}

function failureText(error: unknown): string {
  if (error instanceof ToolError) return `${error.kind}: ${error.message}`;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
