// SPDX-License-Identifier: Apache-2.0
import { OPEN_POLICY, Policy, PolicyError, readVhost } from '@pointsman/router';
import type { PolicySettings } from '@pointsman/router';
import type { ConfigEntity } from './entity.js';
import { safeText } from './problems.js';
import { all } from './rules.js';
import type { RuleContext } from './rules.js';

/** What the policy section says, or holds without one. */
export function policySettingsOf(entity: ConfigEntity | undefined): PolicySettings {
  if (entity === undefined) return OPEN_POLICY;
  return {
    maxConnections: entity.number('maxConnections') ?? OPEN_POLICY.maxConnections,
    maxMessageSize: entity.number('maxMessageSize') ?? OPEN_POLICY.maxMessageSize,
    enableVhostPolicy: entity.flag('enableVhostPolicy'),
    enableVhostNamePatterns: entity.flag('enableVhostNamePatterns'),
    defaultVhost: entity.text('defaultVhost') ?? OPEN_POLICY.defaultVhost,
  };
}

/** What vhost sections say, and whether they go together. Hosts that they name are looked up when the router starts. */
export function checkPolicies(context: RuleContext): void {
  const { problems } = context;
  const settings = policySettingsOf(all(context, 'policy')[0]);
  const vhosts = all(context, 'vhost');
  const policy = new Policy(settings);
  const seen = new Map<string, ConfigEntity>();
  for (const vhost of vhosts) {
    const hostname = vhost.text('hostname');
    if (hostname === undefined || vhost.isUnsound('hostname')) continue;
    const earlier = seen.get(hostname);
    if (earlier !== undefined) {
      // With names that were made up it has been said.
      if (earlier.name === vhost.name) continue;
      problems.error(vhost.lineOf('hostname'), `there is a second vhost '${safeText(hostname)}'`, {
        hint: `the first one is ${earlier.place}; make one of them`,
      });
      continue;
    }
    seen.set(hostname, vhost);
    const line = vhost.lineOf('groups');
    try {
      policy.set(
        readVhost(
          vhost.value,
          () => undefined,
          (text) => problems.warn(line, text, { former: text }),
        ),
      );
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      problems.error(line, error.message, { former: `PolicyError: ${error.message}` });
    }
  }
  warnOfNoEffect(context, settings, vhosts);
}

/** Rules that nobody keeps to, since the switch is off or a name is wrong, are worth a word. */
function warnOfNoEffect(
  context: RuleContext,
  { enableVhostPolicy, enableVhostNamePatterns, defaultVhost }: PolicySettings,
  vhosts: readonly ConfigEntity[],
): void {
  const { problems } = context;
  const [first] = vhosts;
  if (!enableVhostPolicy) {
    if (first !== undefined) {
      problems.warn(first.line, 'vhosts have no effect: everybody may do everything', {
        hint: 'write enableVhostPolicy: yes in the policy section',
      });
    }
    return;
  }
  const names = new Set(
    vhosts
      .flatMap((vhost) => [vhost.text('hostname') ?? '', ...(vhost.text('aliases') ?? '').split(',')])
      .map((name) => name.trim()),
  );
  if (enableVhostNamePatterns || names.has(defaultVhost)) return;
  for (const entity of [...all(context, 'listener'), ...all(context, 'connector')]) {
    const wanted = entity.text('policyVhost');
    if (wanted === undefined || wanted === '' || names.has(wanted)) continue;
    problems.warn(entity.lineOf('policyVhost'), `'policyVhost' of ${entity.label} names no vhost`, {
      found: safeText(wanted),
      hint: 'no connection is let in here before there is one',
    });
  }
}
