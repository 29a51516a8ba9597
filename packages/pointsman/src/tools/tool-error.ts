// SPDX-License-Identifier: Apache-2.0

/** What a tool fails with. `kind` is the name that scripts look for in front of the text: `NotFoundStatus`, `Timeout`. */
export class ToolError extends Error {
  override readonly name = 'ToolError';
  readonly kind: string;
  /** What to do about it, for people. */
  readonly hint: string | undefined;

  constructor(kind: string, message: string, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.kind = kind;
    this.hint = hint;
  }
}

/** Wrong arguments. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const STATUS_KINDS: Readonly<Record<number, string>> = {
  400: 'BadRequestStatus',
  401: 'UnauthorizedStatus',
  403: 'ForbiddenStatus',
  404: 'NotFoundStatus',
  409: 'ConflictStatus',
  500: 'InternalServerErrorStatus',
  501: 'NotImplementedStatus',
};

const STATUS_TEXTS: Readonly<Record<number, string>> = {
  200: 'OK',
  201: 'Created',
  204: 'No Content',
};

/** The error for an answer whose status is not the one that was expected. */
export function statusError(status: number, description: string, expected: number): ToolError {
  const kind = STATUS_KINDS[status];
  if (kind !== undefined) return new ToolError(kind, description);
  const name = (code: number): string => `${code}(${STATUS_TEXTS[code] ?? ''})`;
  return new ToolError('ValueError', `Response was ${name(status)} but expected ${name(expected)}: ${description}`);
}
