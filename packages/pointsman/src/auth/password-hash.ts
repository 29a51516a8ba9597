// SPDX-License-Identifier: Apache-2.0
import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

/** What a password is stored as: `$scrypt$ln=14,r=8,p=1$SALT$HASH`, in the manner of PHC strings. */
export interface PasswordHash {
  /** Logarithm of the cost, base 2. */
  readonly ln: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

// 16 MB and some 50 ms for each attempt: RFC 7914 names these for interactive logins.
const COST = { ln: 14, r: 8, p: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** A file of users must not make the router compute for minutes, or take its memory. */
const LIMITS = { ln: [10, 17], r: [1, 16], p: [1, 4] } as const;

const FORM = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]{16,86})\$([A-Za-z0-9+/]{22,86})$/u;

/** Reads what {@link hashPassword} wrote; undefined where it is something else, or costs too much to check. */
export function parsePasswordHash(text: string): PasswordHash | undefined {
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const [ln, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const fits = ([least, most]: readonly [number, number], value: number): boolean => value >= least && value <= most;
  if (!fits(LIMITS.ln, ln) || !fits(LIMITS.r, r) || !fits(LIMITS.p, p)) return undefined;
  return { ln, r, p, salt: Buffer.from(match[4]!, 'base64'), hash: Buffer.from(match[5]!, 'base64') };
}

/** What to store for a password. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(password, { ...COST, salt, hash: Buffer.alloc(HASH_BYTES) });
  const plain = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
  return `$scrypt$ln=${COST.ln},r=${COST.r},p=${COST.p}$${plain(salt)}$${plain(hash)}`;
}

async function isPassword(password: string, stored: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, stored), stored.hash);
}

function derive(password: string, { ln, r, p, salt, hash }: PasswordHash): Promise<Buffer> {
  const N = 2 ** ln;
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hash.length, { N, r, p, maxmem: 129 * N * r + (1 << 20) }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

/** Checks under way at a time: of the four threads that Node.js has for this, some are left for files and names. */
const RUNNING_MAX = 2;
/** Checks that wait: as many as are over before clients give up. */
const WAITING_MAX = 400;
/** Passwords that were right and are remembered. */
const KNOWN_MAX = 1_000;

/** Says what is stored for nobody, so that an unknown name takes as long as a wrong password. */
const NOBODY: PasswordHash = { ...COST, salt: randomBytes(SALT_BYTES), hash: randomBytes(HASH_BYTES) };

/**
 * Checks passwords beside everything else that goes on. What was right once is right at once the next time: a thousand
 * clients that come back together share few names. It is remembered under a key of this process, not as it is.
 */
export class PasswordChecker {
  readonly #key = randomBytes(32);
  readonly #known = new Map<string, Promise<boolean>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** @param stored - undefined: there is no such user @returns undefined where too many checks wait already */
  check(password: string, stored: PasswordHash | undefined): Promise<boolean> | undefined {
    const { salt, hash } = stored ?? NOBODY;
    const key = createHmac('sha256', this.#key).update(salt).update(hash).update(password, 'utf8').digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#waiting.length >= WAITING_MAX) return undefined;
    const result = this.#turn()
      .then(() => isPassword(password, stored ?? NOBODY))
      .then((right) => right && stored !== undefined)
      .finally(() => this.#done());
    this.#known.set(key, result);
    const forget = (): boolean => this.#known.delete(key);
    result.then((right) => right || forget(), forget);
    if (this.#known.size > KNOWN_MAX + WAITING_MAX) this.#known.delete(this.#known.keys().next().value!);
    return result;
  }

  #turn(): Promise<void> {
    if (this.#running < RUNNING_MAX) {
      this.#running++;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  #done(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
