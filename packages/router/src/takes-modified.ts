// SPDX-License-Identifier: Apache-2.0

/** Whether modified is among the outcomes that a source lists; a source that lists none takes all. 3.5.3 */
export function takesModified(outcomes: readonly string[] | undefined): boolean {
  if (outcomes === undefined || !outcomes.includes('amqp:accepted:list')) return true;
  return outcomes.includes('amqp:modified:list');
}
