// SPDX-License-Identifier: Apache-2.0

/** Default of `router.timestampFormat`. */
export const TIMESTAMP_FORMAT = '%Y-%m-%d %H:%M:%S.%%06lu %z';

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const;

/**
 * Renders times as strftime does, in the C locale. `%%06lu` stands for the microseconds, as `%%3u` and its like do.
 * Conversions that strftime does not have are left as they stand.
 */
export class TimestampFormat {
  readonly #pieces: readonly (string | ((time: Clockface) => string))[];
  readonly #utc: boolean;

  constructor(format: string = TIMESTAMP_FORMAT, utc = false) {
    this.#utc = utc;
    this.#pieces = piecesOf(format);
  }

  /** @param ms - since 1970, with a fraction */
  render(ms: number): string {
    const clockface = new Clockface(ms, this.#utc);
    let text = '';
    for (const piece of this.#pieces) text += typeof piece === 'string' ? piece : piece(clockface);
    return text;
  }
}

class Clockface {
  /** The parts of it that UTC gives are those of the place. */
  readonly date: Date;
  readonly micros: number;
  readonly seconds: number;
  readonly offsetMinutes: number;

  constructor(ms: number, utc: boolean) {
    const whole = Math.floor(ms);
    this.offsetMinutes = utc ? 0 : -new Date(whole).getTimezoneOffset();
    this.date = new Date(whole + this.offsetMinutes * 60_000);
    this.micros = this.date.getUTCMilliseconds() * 1000 + Math.floor((ms - whole) * 1000);
    this.seconds = Math.floor(whole / 1000);
  }
}

const digits = (value: number, count = 2, fill = '0'): string => String(value).padStart(count, fill);
const hour12 = (date: Date): number => date.getUTCHours() % 12 || 12;
const DAY_MS = 86_400_000;

function dayOfYear(date: Date): number {
  return Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS) + 1;
}

function zoneOf({ offsetMinutes }: Clockface): string {
  const size = Math.abs(offsetMinutes);
  return `${offsetMinutes < 0 ? '-' : '+'}${digits(Math.floor(size / 60))}${digits(size % 60)}`;
}

const CONVERSIONS: Readonly<Record<string, string | ((time: Clockface) => string)>> = {
  Y: ({ date }) => digits(date.getUTCFullYear(), 4),
  C: ({ date }) => digits(Math.floor(date.getUTCFullYear() / 100)),
  y: ({ date }) => digits(date.getUTCFullYear() % 100),
  m: ({ date }) => digits(date.getUTCMonth() + 1),
  d: ({ date }) => digits(date.getUTCDate()),
  e: ({ date }) => digits(date.getUTCDate(), 2, ' '),
  j: ({ date }) => digits(dayOfYear(date), 3),
  H: ({ date }) => digits(date.getUTCHours()),
  k: ({ date }) => digits(date.getUTCHours(), 2, ' '),
  I: ({ date }) => digits(hour12(date)),
  l: ({ date }) => digits(hour12(date), 2, ' '),
  p: ({ date }) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  M: ({ date }) => digits(date.getUTCMinutes()),
  S: ({ date }) => digits(date.getUTCSeconds()),
  s: ({ seconds }) => String(seconds),
  z: zoneOf,
  Z: (time) => (time.offsetMinutes === 0 ? 'UTC' : zoneOf(time)),
  a: ({ date }) => DAYS[date.getUTCDay()]!.slice(0, 3),
  A: ({ date }) => DAYS[date.getUTCDay()]!,
  b: ({ date }) => MONTHS[date.getUTCMonth()]!.slice(0, 3),
  h: ({ date }) => MONTHS[date.getUTCMonth()]!.slice(0, 3),
  B: ({ date }) => MONTHS[date.getUTCMonth()]!,
  u: ({ date }) => String(date.getUTCDay() || 7),
  w: ({ date }) => String(date.getUTCDay()),
  n: '\n',
  t: '\t',
};

const COMPOUNDS: Readonly<Record<string, string>> = {
  F: '%Y-%m-%d',
  T: '%H:%M:%S',
  R: '%H:%M',
  D: '%m/%d/%y',
  c: '%a %b %e %H:%M:%S %Y',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
  r: '%I:%M:%S %p',
};

function piecesOf(format: string): (string | ((time: Clockface) => string))[] {
  const whole = format.replace(/%([FTRDcxXr%])/g, (found, letter: string) => COMPOUNDS[letter] ?? found);
  const pieces: (string | ((time: Clockface) => string))[] = [];
  let last = 0;
  for (const found of whole.matchAll(/%%(0?)(\d{0,2})l{0,2}[ud]|%%|%([A-Za-z])/g)) {
    pieces.push(whole.slice(last, found.index));
    last = found.index + found[0].length;
    const [text, zero, width, letter] = found;
    if (text === '%%') pieces.push('%');
    else if (letter !== undefined) pieces.push(CONVERSIONS[letter] ?? text);
    else pieces.push(({ micros }) => digits(micros, Number(width), zero === '0' ? '0' : ' '));
  }
  pieces.push(whole.slice(last));
  return pieces;
}

/** How far the steady clock may be from the clock on the wall before it is set anew, in ms. */
const DRIFT_MAX_MS = 2;

/** The time since 1970 in ms with microseconds behind the point, which {@link Date.now} does not have. */
export function microClock(): () => number {
  let offset = Date.now() - performance.now();
  return () => {
    const wall = Date.now();
    const steady = performance.now();
    const ms = offset + steady;
    if (ms >= wall && ms < wall + DRIFT_MAX_MS) return ms;
    offset = wall - steady;
    return wall;
  };
}
