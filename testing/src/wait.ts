// SPDX-License-Identifier: Apache-2.0

/** Far more than anything here takes on a busy machine: it only ends a test that hangs, with a reason. */
export const PATIENCE_MS = 60_000;

/** Time between two looks at a condition that nothing announces, ms. */
const LOOK_MS = 5;

export interface UntilOptions {
  readonly timeoutMs?: number;
  /** What there was instead, for the message when it takes too long. */
  readonly state?: () => unknown;
}

/**
 * Resolves with the first value of `condition` that is neither false nor undefined.
 *
 * @param what - what is waited for, to follow "waited for"
 * @throws Error where it takes over {@link PATIENCE_MS}; what `condition` throws
 */
export async function until<T>(
  what: string,
  condition: () => T | false | undefined | Promise<T | false | undefined>,
  { timeoutMs = PATIENCE_MS, state }: UntilOptions = {},
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== false && value !== undefined) return value;
    if (performance.now() > end) {
      const shown = state === undefined ? '' : `; there was ${JSON.stringify(state())}`;
      throw new Error(`waited ${timeoutMs} ms for ${what}${shown}`);
    }
    await new Promise<void>((resolve) => {
      setTimeout(resolve, LOOK_MS);
    });
  }
}

/**
 * The same promise with an end.
 *
 * @param what - what is waited for, to follow "waited for"
 * @throws Error where it takes over `timeoutMs`
 */
export async function within<T>(what: string, promise: Promise<T>, timeoutMs: number = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms for ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
