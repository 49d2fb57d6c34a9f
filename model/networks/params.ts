// Named parameters, made on first use: a forward pass requests each tensor under the name that it has in
// checkpoints, so that no second list of tensors is needed.

import { free, keep, Random, tensor, type Device, type Tensor } from "../../engine/index.ts";
import { CheckpointError } from "../errors.ts";

/** A tensor's values on the host, as a checkpoint holds them. */
export interface Values {
  shape: readonly number[];
  data: Float32Array;
}

/** The source of first values: a seed, a checkpoint, or zeros for memory estimates. */
export type ParamSource =
  | { seed: number }
  | { values: Readonly<Record<string, Values>> }
  /** A checkpoint that may lack the tensors that are `drawn` by their names from the seed. */
  | { values: Readonly<Record<string, Values>>; seed: number; drawn: (name: string) => boolean }
  | { zeros: true };

type Initial = (size: number) => Float32Array;

/** The parameters of a network. */
export class Params {
  readonly device: Device;
  readonly tensors = new Map<string, Tensor>();
  readonly #source: ParamSource;
  readonly #trained = new Set<string>();
  readonly #initial = new Map<string, Initial>();

  /**
   * With a checkpoint's values, requests for a tensor that it lacks or that has another shape throw a
   * CheckpointError.
   */
  constructor(device: Device, source: ParamSource) {
    this.device = device;
    this.#source = source;
  }

  /** A trained tensor, uniform in ±1/√fan, as PyTorch initialises the weights and biases of convolutions. */
  weight(name: string, shape: readonly number[], fan: number): Tensor {
    const root = Math.sqrt(fan);
    return this.#make(name, shape, true, (size) => this.#draw(name, size, (r) => (2 * r.next() - 1) / root));
  }

  /** A trained tensor, drawn from a normal distribution of mean 0. */
  normal(name: string, shape: readonly number[], deviation: number): Tensor {
    return this.#make(name, shape, true, (size) => this.#draw(name, size, (r) => deviation * r.normal()));
  }

  /** A trained tensor whose elements all start at one value. */
  constant(name: string, shape: readonly number[], value: number): Tensor {
    return this.#make(name, shape, true, (size) => new Float32Array(size).fill(value));
  }

  /** A tensor that is saved with the parameters but not trained: a running statistic. */
  statistic(name: string, shape: readonly number[], value: number): Tensor {
    return this.#make(name, shape, false, (size) => new Float32Array(size).fill(value));
  }

  /** The tensors that an optimizer trains, in the order of first use. */
  get trained(): Tensor[] {
    return [...this.tensors].filter(([name]) => this.#trained.has(name)).map(([, t]) => t);
  }

  /** The tensors that no optimizer trains. */
  get statistics(): Tensor[] {
    return [...this.tensors].filter(([name]) => !this.#trained.has(name)).map(([, t]) => t);
  }

  /** The number of trained values. */
  get count(): number {
    return this.trained.reduce((sum, t) => sum + t.size, 0);
  }

  /**
   * Throws a CheckpointError if the checkpoint has tensors that the network's forward pass did not request.
   */
  checkUsed(): void {
    const values = "values" in this.#source ? this.#source.values : {};
    const surplus = Object.keys(values).filter((name) => !this.tensors.has(name));
    if (surplus.length) throw new CheckpointError(`of another network, which also has ${surplus.join(", ")}`);
  }

  /** The values of all tensors, by name. */
  async read(): Promise<Record<string, Values>> {
    const values: Record<string, Values> = {};
    for (const [name, t] of this.tensors) values[name] = { shape: t.shape, data: await t.read() };
    return values;
  }

  /** Sets every tensor back to its first values. */
  reset(): void {
    for (const [name, t] of this.tensors) t.write(this.#first(name, t.size));
  }

  free(): void {
    this.tensors.forEach(free);
    this.tensors.clear();
  }

  #draw(name: string, size: number, value: (random: Random) => number): Float32Array {
    const seed = "seed" in this.#source ? this.#source.seed : 0;
    const random = new Random(seed * 2 ** 21 + hash(name));
    const values = new Float32Array(size);
    for (let i = 0; i < size; i++) values[i] = value(random);
    return values;
  }

  #make(name: string, shape: readonly number[], trained: boolean, initial: Initial): Tensor {
    const known = this.tensors.get(name);
    if (known) return known;
    const source = this.#source;
    if ("values" in source) {
      const value = source.values[name];
      const drawn = "drawn" in source && source.drawn(name);
      if (!value && !drawn) {
        throw new CheckpointError(`of another network: it has no ${name}, which should be [${shape}]`);
      }
      if (value && `${value.shape}` !== `${shape}`) {
        throw new CheckpointError(
          `of another network: expected ${name} to be [${shape}], got [${value.shape}]`,
        );
      }
    }
    this.#initial.set(name, initial);
    const size = shape.reduce((a, b) => a * b, 1);
    const made = keep(tensor(this.device, shape, this.#first(name, size)));
    this.tensors.set(name, made);
    if (trained) this.#trained.add(name);
    return made;
  }

  #first(name: string, size: number): Float32Array {
    if ("zeros" in this.#source) return zeros(size);
    const stored = "values" in this.#source ? this.#source.values[name] : undefined;
    return stored?.data ?? this.#initial.get(name)!(size);
  }
}

let zero = new Float32Array(0);

/** Zeros, shared between calls; they are only read. */
function zeros(size: number): Float32Array {
  if (zero.length < size) zero = new Float32Array(size);
  return zero.subarray(0, size);
}

/**
 * Hashes a name to 32 bits (FNV-1a), so that a parameter's first values depend on its name and the seed
 * alone.
 */
function hash(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
