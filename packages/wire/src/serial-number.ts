// SPDX-License-Identifier: Apache-2.0

/**
 * A 32-bit serial number of RFC 1982: `transfer-id`, `delivery-id`, `delivery-count`.
 *
 * The brand marks values that wrap. A number becomes one in {@link serial} and nowhere else.
 */
export type SerialNumber = number & { readonly [serialBrand]: true };

declare const serialBrand: unique symbol;

/** Takes the low 32 bits of `value`. */
export function serial(value: number): SerialNumber {
  return (value >>> 0) as SerialNumber;
}

/** The number `steps` further on; `steps` may be negative. */
export function serialAdd(a: SerialNumber, steps: number): SerialNumber {
  return ((a + steps) >>> 0) as SerialNumber;
}

/**
 * Steps from `a` to `b`, negative where `b` lies before `a`.
 *
 * Two numbers exactly 2^31 apart have no order; the distance is then -2^31 whichever is given first.
 *
 * @returns an integer of -2^31 to 2^31 - 1
 * @see RFC 1982, 3.2
 */
export function serialDistance(a: SerialNumber, b: SerialNumber): number {
  return (b - a) | 0;
}
