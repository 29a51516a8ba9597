// SPDX-License-Identifier: Apache-2.0

/** Most frames that the peer may have on the way by default, however small they are. */
const FRAMES_MAX = 1024;
/** Fewest: below that, a peer would wait for our flows more than it sends. */
const FRAMES_MIN = 64;
/** Bytes that the peer may have on the way, judged by the frames it has sent so far: the window is what holds a sender back. */
const BYTES_MAX = 1 << 20;

/** How many transfer frames a session takes from its peer. @see OASIS AMQP 1.0, 2.5.6 */
export class IncomingWindow {
  /** Frames that may still come, as far as the peer's last word and ours go. Below zero where it was made smaller meanwhile. */
  frames = 0;
  /** Frames that may come without breach: more than the window where that was made smaller, since some are on the way. */
  #allowed = 0;
  #max = FRAMES_MIN;
  /** The owner of the session has set the window: it does not follow the size of the frames. */
  #isFixed = false;
  /** Bytes of transfers since the window was last renewed. */
  #bytes = 0;
  #holds = 0;

  /** @param fixed - frames, or undefined for as many as fit, first of `frameSize` bytes each, then of the size that comes */
  begin(fixed: number | undefined, frameSize: number): void {
    this.#isFixed = fixed !== undefined;
    this.#max = this.frames = this.#allowed = fixed ?? framesOf(frameSize);
  }

  /** A transfer came. @returns false where it was not allowed to */
  take(bytes: number): boolean {
    this.frames--;
    this.#bytes += bytes;
    return --this.#allowed >= 0;
  }

  /** Half or more is used up, and nobody holds it: the peer should be told of a new one. */
  get isDue(): boolean {
    return this.#holds === 0 && this.frames <= this.#max >> 1;
  }

  get isHeld(): boolean {
    return this.#holds > 0;
  }

  hold(): void {
    this.#holds++;
  }

  release(): void {
    this.#holds--;
  }

  /** Makes it whole again, unless it is held. The flow that says so is the caller's to write. */
  renew(): void {
    if (this.#holds > 0) return;
    const used = this.#max - this.frames;
    // A few frames tell nothing; a run of them tells what the peer sends.
    if (!this.#isFixed && used >= FRAMES_MIN >> 1) this.#max = framesOf(this.#bytes / used);
    this.#bytes = 0;
    this.frames = this.#max;
    this.#allowed = Math.max(this.#allowed, this.frames);
  }
}

/** Frames of `bytes` each that fit {@link BYTES_MAX}. */
function framesOf(bytes: number): number {
  return Math.max(FRAMES_MIN, Math.min(FRAMES_MAX, Math.floor(BYTES_MAX / (bytes + 64))));
}
