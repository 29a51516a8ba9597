// SPDX-License-Identifier: Apache-2.0
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Scene } from './five-steps-fixture.js';

/** A line to a port of this machine that can break: what is on its way then is lost, at whatever byte. */
export class Line {
  readonly port: number;
  readonly #pairs: Set<Pair>;

  private constructor(port: number, pairs: Set<Pair>) {
    this.port = port;
    this.#pairs = pairs;
  }

  static async to(port: number, one: Scene): Promise<Line> {
    const pairs = new Set<Pair>();
    const own = await one.openPort((near) => {
      const far = connect(port, '127.0.0.1');
      const pair = new Pair(near, far);
      pairs.add(pair);
      for (const socket of [near, far]) {
        socket.on('error', () => undefined);
        socket.on('close', () => {
          pair.destroy();
          pairs.delete(pair);
        });
      }
    });
    one.whenOver(() => {
      for (const pair of pairs) pair.destroy();
    });
    return new Line(own, pairs);
  }

  /** Breaks all connections. @returns how many */
  cut(): number {
    const all = [...this.#pairs];
    for (const pair of all) pair.destroy();
    return all.length;
  }

  /** Breaks all connections within what comes next on them. @param share - of that, which gets through; 0 to 1 */
  cutWithin(share: number): number {
    for (const pair of this.#pairs) pair.share = share;
    return this.#pairs.size;
  }
}

class Pair {
  /** Of the next bytes, in either direction, so many get through, and nothing after them. */
  share: number | undefined;
  readonly #near: Socket;
  readonly #far: Socket;

  constructor(near: Socket, far: Socket) {
    this.#near = near;
    this.#far = far;
    this.#carry(near, far);
    this.#carry(far, near);
  }

  destroy(): void {
    this.#near.destroy();
    this.#far.destroy();
  }

  #carry(from: Socket, to: Socket): void {
    from.on('data', (bytes: Buffer) => {
      const { share } = this;
      if (share !== undefined) to.write(bytes.subarray(0, Math.floor(bytes.length * share)), () => this.destroy());
      else if (!to.write(bytes)) from.pause();
      if (share !== undefined) from.pause();
    });
    from.on('end', () => to.end());
    to.on('drain', () => {
      if (this.share === undefined) from.resume();
    });
  }
}
