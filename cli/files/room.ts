// The room for cases in main memory: a number that all threads share, so that together they never keep more.

const PAGE = 4096; // bytes: an Int32 counts pages up to 8 TiB

export class Room {
  readonly #pages: Int32Array;

  /** So many bytes, or the room that another thread passed on as `shared`. */
  constructor(bytes: number | SharedArrayBuffer) {
    this.#pages = new Int32Array(typeof bytes === "number" ? new SharedArrayBuffer(4) : bytes);
    if (typeof bytes === "number") this.#pages[0] = Math.min(2 ** 31 - 1, Math.floor(bytes / PAGE));
  }

  /** For a Room in another thread. */
  get shared(): SharedArrayBuffer {
    return this.#pages.buffer as SharedArrayBuffer;
  }

  /** The bytes that are left. */
  get bytes(): number {
    return PAGE * Atomics.load(this.#pages, 0);
  }

  /** Leaves at most so many bytes. */
  leave(bytes: number): void {
    this.take(Math.max(0, this.bytes - bytes));
  }

  /** Takes so many bytes and returns true, or returns false if fewer are left. */
  take(bytes: number): boolean {
    const pages = Math.ceil(bytes / PAGE);
    for (;;) {
      const left = Atomics.load(this.#pages, 0);
      if (left < pages) return false;
      if (Atomics.compareExchange(this.#pages, 0, left, left - pages) === left) return true;
    }
  }
}
