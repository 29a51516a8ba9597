// SPDX-License-Identifier: Apache-2.0

/** The longest time that .NET knows: it stands for no end. */
const FOREVER = 'P10675199DT2H48M5.4775807S';
const FOREVER_MS = 10_675_199 * 86_400_000;

/** Milliseconds of an ISO 8601 duration as XML Schema has it, without years and months; Infinity for the longest. */
export function msOfDuration(text: string): number | undefined {
  const match = /^P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?$/u.exec(
    text.trim(),
  );
  if (match === null || text.trim().length < 3 || text.trim().endsWith('T')) return undefined;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
  ];
  const ms = ((days * 24 + hours) * 60 + minutes) * 60_000 + Math.round(seconds * 1_000);
  return ms >= FOREVER_MS ? Infinity : ms;
}

/** @param ms - 0 or more; Infinity for no end */
export function durationOf(ms: number): string {
  if (ms >= FOREVER_MS) return FOREVER;
  const days = Math.floor(ms / 86_400_000);
  const rest = ms - days * 86_400_000;
  const hours = Math.floor(rest / 3_600_000);
  const minutes = Math.floor(rest / 60_000) % 60;
  const seconds = (rest % 60_000) / 1_000;
  const time = `${hours > 0 ? `${hours}H` : ''}${minutes > 0 ? `${minutes}M` : ''}${seconds > 0 ? `${seconds}S` : ''}`;
  if (days === 0) return time === '' ? 'PT0S' : `PT${time}`;
  return `P${days}D${time === '' ? '' : `T${time}`}`;
}
