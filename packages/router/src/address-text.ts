// SPDX-License-Identifier: Apache-2.0

/** Who we are, as far as addresses name us. */
export interface AddressContext {
  readonly routerId: string;
  readonly area: string;
  readonly isEdge: boolean;
}

/** A mobile address carries its phase, a digit; `F` is that of a fallback. */
export type Phase = string;

/** Number of the fallback's phase, as annotations have it: the distance of `F` from `0`. */
export const FALLBACK_PHASE = 22;

/** @param phase - 0 to 9, or {@link FALLBACK_PHASE} */
export function phaseCharacter(phase: number): Phase {
  return phase === FALLBACK_PHASE ? 'F' : String(phase);
}

/**
 * What an address text means, as a key: one character of class, for mobile addresses one of phase, then the rest.
 *
 * | class | meaning                    | class | meaning                         |
 * | ----- | -------------------------- | ----- | ------------------------------- |
 * | T     | every router               | M     | mobile: follows its consumers   |
 * | L     | this router alone          | H     | an edge router attached here    |
 * | R     | another router             | A     | another area                    |
 */
export type AddressKey = string;

/**
 * The address proper: scheme and host are cut off, and one separator at the end.
 *
 * `amqp:/a/b`, `/a/b.` and `amqp://host:5672/a/b` all name `a/b`.
 */
export function plainAddress(text: string): string {
  let rest = text;
  if (rest.startsWith('//')) {
    const slash = rest.indexOf('/', 2);
    if (slash >= 0) rest = rest.slice(slash + 1);
  } else if (rest.startsWith('/')) {
    rest = rest.slice(1);
  } else {
    const scheme = rest.indexOf(':/');
    if (scheme >= 0) {
      rest = rest.slice(scheme + 2);
      if (rest.startsWith('/')) {
        const slash = rest.indexOf('/', 1);
        rest = slash < 0 ? rest : rest.slice(slash + 1);
      }
    }
  }
  const last = rest.charCodeAt(rest.length - 1);
  return last === 0x2e || last === 0x2f ? rest.slice(0, -1) : rest;
}

/** The key of an address text. @param phase - phase of a mobile address */
export function addressKey(text: string, phase: Phase, context: AddressContext): AddressKey {
  const rest = plainAddress(text);
  // Nearly every address is mobile; the other classes all start with an underscore.
  if (rest.charCodeAt(0) !== 0x5f) return `M${phase}${rest}`;
  if (rest.startsWith('_local/')) return `L${rest.slice(7)}`;
  if (rest.startsWith('_topo/')) return topologicalKey(rest.slice(6), context);
  if (rest.startsWith('_edge/')) {
    const slash = rest.indexOf('/', 6);
    const id = slash < 0 ? rest.slice(6) : rest.slice(6, slash);
    if (id === context.routerId) return `L${slash < 0 ? '' : rest.slice(slash + 1)}`;
    return context.isEdge ? 'L_edge' : `H${id}`;
  }
  return `M${phase}${rest}`;
}

function topologicalKey(rest: string, { routerId, area, isEdge }: AddressContext): AddressKey {
  const first = rest.indexOf('/');
  const inArea = first < 0 ? rest : rest.slice(0, first);
  const behind = first < 0 ? '' : rest.slice(first + 1);
  if (inArea !== 'all' && inArea !== area) return isEdge ? 'L_edge' : `A${inArea}`;
  const second = behind.indexOf('/');
  const router = second < 0 ? behind : behind.slice(0, second);
  const local = second < 0 ? '' : behind.slice(second + 1);
  if (router === 'all' && second >= 0) return `T${local}`;
  if (router === routerId && second >= 0) return `L${local}`;
  return isEdge ? 'L_edge' : `R${router}`;
}
