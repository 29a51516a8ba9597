// SPDX-License-Identifier: Apache-2.0

/** A request that is not done: an HTTP status, and the sub-code and text that the cloud says with it. */
export class AdminError extends Error {
  readonly status: number;

  /** @param subCode - as `40900`; clients look for it in the text */
  constructor(status: number, subCode: string, detail: string) {
    super(`SubCode=${subCode}. ${detail}`);
    this.status = status;
  }
}

/** What is not valid, by name. */
export function invalid(what: string): AdminError {
  return new AdminError(400, '40000', `The request is not valid. ${what}`);
}
