// SPDX-License-Identifier: Apache-2.0
import type { LockWatcher, Namespace, WatchedMessage } from '@pointsman/namespace';

interface Line {
  /** The queue told the sender that it has it. */
  isAccepted: boolean;
  received: number;
  locked: number;
  expired: number;
  completed: number;
  /** Given back by the router, or abandoned by lock token. */
  returned: number;
  /** Any other end. */
  lost: number;
}

/**
 * What became of each message, by its sender, by its receiver and by the queue, under its own key: a sender that sends again
 * makes another message.
 */
export class Ledger {
  readonly queue: string;
  readonly #lines = new Map<string, Line>();
  readonly #ids = new Set<number>();
  /** Messages that somebody holds now. */
  held = 0;

  constructor(namespace: Namespace, queue: string) {
    this.queue = queue;
    const watcher: LockWatcher = {
      onLocked: (message) => {
        this.#of(message).locked++;
      },
      onExpired: (message) => {
        this.#of(message).expired++;
      },
      onSettled: (message, how) => {
        const line = this.#of(message);
        if (how === 'complete') line.completed++;
        else if (how === 'unlock' || how === 'abandon') line.returned++;
        else line.lost++;
      },
    };
    namespace.watchLocks(queue, watcher);
  }

  /** @param id - of what is to be sent, whatever the number of its attempts */
  accepted(id: number, attempt: number): void {
    this.#line(keyOf(id, attempt)).isAccepted = true;
  }

  received(key: string): void {
    this.#line(key).received++;
    this.#ids.add(Number(key.split('/', 1)[0]));
  }

  /** Of those that were to be sent, how many came. */
  get arrived(): number {
    return this.#ids.size;
  }

  get doubles(): number {
    return this.#sum(({ received }) => Math.max(0, received - 1));
  }

  get expired(): number {
    return this.#sum(({ expired }) => expired);
  }

  get returned(): number {
    return this.#sum(({ returned }) => returned);
  }

  /** What may not be, a line each: by message, and why. */
  get wrongs(): string[] {
    return [...this.#lines].flatMap(([key, line]) => {
      const { isAccepted, received, expired, completed, locked, lost } = line;
      const wrongs = [
        isAccepted && received === 0 && 'was accepted and never came',
        locked > 0 && received === 0 && 'was in the queue and never came',
        received - 1 > expired && 'came twice though its lock had not ended',
        locked > 0 && completed !== 1 && 'was not completed once',
        lost > 0 && 'left the queue otherwise',
      ].filter((wrong) => wrong !== false);
      return wrongs.length === 0 ? [] : [`${this.queue} ${key}: ${wrongs.join(', ')}: ${JSON.stringify(line)}`];
    });
  }

  #sum(of: (line: Line) => number): number {
    let sum = 0;
    for (const line of this.#lines.values()) sum += of(line);
    return sum;
  }

  #of({ messageId }: WatchedMessage): Line {
    return this.#line(String(messageId));
  }

  #line(key: string): Line {
    const known = this.#lines.get(key);
    if (known !== undefined) return known;
    const line: Line = { isAccepted: false, received: 0, locked: 0, expired: 0, completed: 0, returned: 0, lost: 0 };
    this.#lines.set(key, line);
    return line;
  }
}

/** Message-id of one attempt to send. */
export function keyOf(id: number, attempt: number): string {
  return `${id}/${attempt}`;
}
