// SPDX-License-Identifier: Apache-2.0

/** What a shared access signature claims; nothing of it is checked yet. */
export interface SasClaims {
  /** The text that was signed: the resource as received, a line feed, the expiry. */
  readonly signedText: string;
  /** Decoded URI of the resource. */
  readonly resource: string;
  readonly policyName: string;
  readonly signature: string;
  /** Seconds since 1970 UTC. */
  readonly expiresAtSeconds: number;
}

const LENGTH_MAX = 8192;

/**
 * Reads `SharedAccessSignature sr=…&sig=…&se=…&skn=…`, parts in any order.
 *
 * The signature is over the resource exactly as received: which letters were percent-encoded, and how, is part of it.
 *
 * @returns undefined where the text is not of that form
 */
export function readSasToken(text: string): SasClaims | undefined {
  const match = /^SharedAccessSignature\s+(\S+)$/i.exec(text.length > LENGTH_MAX ? '' : text.trim());
  const parts = new Map<string, string>();
  for (const part of (match?.[1] ?? '').split('&')) {
    const at = part.indexOf('=');
    const name = part.slice(0, Math.max(at, 0));
    if (parts.has(name)) return undefined;
    parts.set(name, part.slice(at + 1));
  }
  const sr = parts.get('sr') ?? '';
  const se = parts.get('se') ?? '';
  const [resource, signature, policyName] = [
    decoded(sr),
    decoded(parts.get('sig') ?? ''),
    decoded(parts.get('skn') ?? ''),
  ];
  if (resource === '' || signature === '' || policyName === '' || !/^\d{1,15}$/.test(se)) return undefined;
  return { signedText: `${sr}\n${se}`, resource, policyName, signature, expiresAtSeconds: Number(se) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}
