// SPDX-License-Identifier: Apache-2.0

/** One line on the terminal that says what is being measured; nothing where stderr is no terminal. */
export class Progress {
  readonly #total: number;
  #done = 0;
  readonly #visible: boolean = process.stderr.isTTY;

  /** @param total - steps to come */
  constructor(total: number) {
    this.#total = total;
  }

  step(what: string): void {
    this.#done++;
    if (this.#visible) process.stderr.write(`\r\u001b[K[${this.#done}/${this.#total}] ${what} `);
  }

  /** Clears the line, so that something else can be printed. */
  clear(): void {
    if (this.#visible) process.stderr.write('\r\u001b[K');
  }
}
