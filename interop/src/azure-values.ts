// SPDX-License-Identifier: Apache-2.0

/** What JSON has no form for, as an object with one member: `{"$date": ISO 8601}`, `{"$bytes": base64}`, `{"$bigint": digits}`. */
type Tagged = Readonly<Partial<Record<'$date' | '$bytes' | '$bigint', string>>>;

/** A 64-bit number of the `long` library, as the official client has them. */
function isLong(value: object): boolean {
  return 'low' in value && 'high' in value && 'unsigned' in value;
}

/** A value as it can be written in JSON; dates, bytes and large numbers keep their kind. */
export function toJson(value: unknown): unknown {
  if (typeof value === 'bigint') return { $bigint: value.toString() };
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (isLong(value)) return { $bigint: String(value) };
  if (Array.isArray(value)) return value.map(toJson);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, toJson(member)]));
}

/** The value that {@link toJson} was given; bytes come as a Buffer. */
export function fromJson(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(fromJson);
  const { $date, $bytes, $bigint } = value as Tagged;
  if ($date !== undefined) return new Date($date);
  if ($bytes !== undefined) return Buffer.from($bytes, 'base64');
  if ($bigint !== undefined) return BigInt($bigint);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, fromJson(member)]));
}
