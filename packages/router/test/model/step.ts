// SPDX-License-Identifier: Apache-2.0
import { ACCEPTED, MODIFIED_FAILED, RELEASED } from '@pointsman/engine';
import type { DeliveryState } from '@pointsman/wire';

/** What a receiver may make of a message, by name. */
export const OUTCOMES: Readonly<Record<string, DeliveryState>> = {
  accepted: ACCEPTED,
  released: RELEASED,
  failed: MODIFIED_FAILED,
  elsewhere: { type: 'modified', deliveryFailed: true, undeliverableHere: true },
  rejected: { type: 'rejected', error: { condition: 'test:bad', description: 'no good' } },
};

/**
 * One thing that happens. Everything in it is named by number, so that a run can be told by its steps alone; a step about
 * something that is not there does nothing, so that others can be left out.
 */
export type Step =
  | {
      readonly op: 'connect';
      readonly client: number;
      readonly broker: boolean;
      /** It is spoken to in a dialect: it confirms outcomes, and hears of them beyond the link. */
      readonly strict: boolean;
      /** Its addresses are those of a tenant. */
      readonly tenant: boolean;
      readonly frame: number;
      readonly keeps: boolean;
    }
  | {
      readonly op: 'consumer';
      readonly client: number;
      readonly session: number;
      readonly link: number;
      /** Undefined for a dynamic one. */
      readonly address: string | undefined;
      readonly credit: number;
      readonly settled: boolean;
      /** It takes what nobody else takes. */
      readonly fallback: boolean;
      /** Bytes of the largest message that it takes; 0 for any. */
      readonly most: number;
    }
  | {
      readonly op: 'producer';
      readonly client: number;
      readonly session: number;
      readonly link: number;
      /** Undefined for an anonymous one. */
      readonly address: string | undefined;
      readonly confirms: boolean;
    }
  | { readonly op: 'credit'; readonly link: number; readonly count: number }
  | { readonly op: 'drain'; readonly link: number }
  | {
      readonly op: 'send';
      readonly link: number;
      readonly message: number;
      /** What it says of itself, which counts on an anonymous link only; undefined names none. */
      readonly to: string | undefined;
      readonly size: number;
      readonly settled: boolean;
      /** All of it, or a first part. */
      readonly whole: boolean;
    }
  | { readonly op: 'more'; readonly link: number; readonly count: number }
  | { readonly op: 'abort'; readonly link: number }
  | {
      readonly op: 'say';
      readonly link: number;
      readonly message: number;
      readonly outcome: string;
      readonly settles: boolean;
    }
  | { readonly op: 'say all'; readonly link: number; readonly outcome: string }
  | { readonly op: 'confirm'; readonly link: number }
  | { readonly op: 'detach'; readonly link: number }
  | { readonly op: 'end'; readonly client: number; readonly session: number }
  | { readonly op: 'close'; readonly client: number }
  | { readonly op: 'cut'; readonly client: number }
  | { readonly op: 'refuse'; readonly client: number; readonly refuses: boolean }
  /** What is configured at run time: an autolink, a link route or settings of an address come or go. */
  | { readonly op: 'configure'; readonly name: string; readonly there: boolean }
  /** A node within the router comes or goes. */
  | { readonly op: 'serve'; readonly address: string; readonly there: boolean }
  /** The router itself sends. */
  | { readonly op: 'emit'; readonly to: string; readonly message: number; readonly size: number }
  | { readonly op: 'carry'; readonly client: number; readonly toRouter: boolean }
  | { readonly op: 'wait'; readonly ms: number }
  | { readonly op: 'silence' };

/** A step as a line to read. */
export function textOf(step: Step): string {
  const { op, ...rest } = step;
  return `${op} ${Object.entries(rest)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ')}`.trimEnd();
}
