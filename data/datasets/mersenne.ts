// The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998) with NumPy's legacy seeding and shuffling
// (numpy.random.RandomState). It is used only to draw nnU-Net's folds; everything else uses
// engine/autograd/random.ts.

const [LENGTH, SHIFT] = [624, 397];

export class MersenneTwister {
  readonly #state = new Uint32Array(LENGTH);
  #position = LENGTH;

  /** Seeds the generator as RandomState(seed) does; `seed` has 32 bits. */
  constructor(seed: number) {
    if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
      throw new Error(`MersenneTwister: expected a seed of 32 bits, got ${seed}`);
    }
    this.#state[0] = seed;
    for (let i = 1; i < LENGTH; i++) {
      const before = this.#state[i - 1]!;
      this.#state[i] = Math.imul(before ^ (before >>> 30), 1812433253) + i;
    }
  }

  /** Returns 32 random bits. */
  next(): number {
    if (this.#position === LENGTH) this.#twist();
    let bits = this.#state[this.#position++]!;
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    return (bits ^ (bits >>> 18)) >>> 0;
  }

  /**
   * Returns an integer in 0 ... most, each equally likely: draws just enough bits until the value is not
   * above `most`.
   */
  integer(most: number): number {
    if (most === 0) return 0;
    const mask = 0xffffffff >>> Math.clz32(most);
    for (;;) {
      const value = (this.next() & mask) >>> 0;
      if (value <= most) return value;
    }
  }

  /** Shuffles in place, as RandomState.shuffle does. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i);
      [items[i], items[j]] = [items[j]!, items[i]!];
    }
    return items;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < LENGTH; i++) {
      const bits = (state[i]! & 0x80000000) | (state[(i + 1) % LENGTH]! & 0x7fffffff);
      state[i] = state[(i + SHIFT) % LENGTH]! ^ (bits >>> 1) ^ (bits & 1 ? 0x9908b0df : 0);
    }
    this.#position = 0;
  }
}
