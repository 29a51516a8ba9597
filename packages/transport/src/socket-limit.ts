// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:net';
import type { WheelEntry } from './deadline-wheel.js';
import type { Driver } from './drive.js';

/** A time limit on what a socket has to do, on the shared timer. It ends with the socket, and leaves nothing there. */
export class SocketLimit implements WheelEntry {
  wheelSlot = -1;
  readonly #driver: Driver;
  readonly #socket: Socket;
  readonly #at: number;
  readonly #onExpired: (late: boolean) => void;
  readonly #among: Set<SocketLimit> | undefined;
  readonly #end = (): void => this.end();

  /**
   * @param onExpired - `late`: the time is over; else the port closes
   * @param among - where it stands until it ends
   */
  constructor(
    driver: Driver,
    socket: Socket,
    ms: number,
    onExpired: (late: boolean) => void,
    among?: Set<SocketLimit>,
  ) {
    this.#driver = driver;
    this.#socket = socket;
    this.#among = among;
    among?.add(this);
    this.#at = driver.clock.now() + ms;
    this.#onExpired = onExpired;
    driver.wheel.add(this);
    socket.on('close', this.#end);
  }

  deadline(): number {
    return this.#at;
  }

  expire(): void {
    this.end();
    this.#onExpired(true);
  }

  /** The port closes: what is limited ends before its time. */
  expireNow(): void {
    this.end();
    this.#onExpired(false);
  }

  /** It was done in time. Idempotent. */
  end(): void {
    this.#driver.wheel.remove(this);
    this.#among?.delete(this);
    this.#socket.off('close', this.#end);
  }
}
