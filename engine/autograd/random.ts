// A seeded generator, sfc32 of Chris Doty-Humphrey's PractRand. Its state is four integers, which a
// checkpoint can store. The project has no other source of random numbers.

export class Random {
  #state = new Uint32Array(4);

  /** `seed` is any integer; equal seeds give equal sequences on every machine. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) throw new Error(`Random: the seed must be an integer, got ${seed}`);
    this.#state.set([seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, 0x9e3779b9, 1]);
    for (let i = 0; i < 15; i++) this.#bits();
  }

  /** Uniform in [0, 1), with 32 random bits. */
  next(): number {
    return this.#bits() / 2 ** 32;
  }

  /** A uniform integer in 0 … n-1. */
  integer(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** A standard normal deviate (Box and Muller, whose second deviate is not kept). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return radius * Math.cos(2 * Math.PI * this.next());
  }

  /** Shuffles in place (Fisher and Yates). */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [items[i], items[j]] = [items[j]!, items[i]!];
    }
    return items;
  }

  /** The four integers to store. */
  state(): number[] {
    return [...this.#state];
  }

  /** Continues from a stored state(). Throws where it has other than four integers. */
  restore(state: readonly number[]): void {
    if (state.length !== 4) throw new Error(`Random: a state has 4 integers, got ${state.length}`);
    this.#state.set(state);
  }

  #bits(): number {
    const s = this.#state;
    const result = (s[0]! + s[1]! + s[3]!) >>> 0;
    s[3]!++;
    s[0] = s[1]! ^ (s[1]! >>> 9);
    s[1] = s[2]! + (s[2]! << 3);
    s[2] = ((s[2]! << 21) | (s[2]! >>> 11)) + result;
    return result;
  }
}
