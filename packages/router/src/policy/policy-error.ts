// SPDX-License-Identifier: Apache-2.0

/** A vhost that cannot be used as it was given. The message says all that is wrong with it. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}
