// Named parameters, made on first use: the forward pass of a network is its architecture, and the names
// it asks for are the checkpoint's keys. There is no second list of layers.

import { free, keep, Random, tensor, type Device, type Tensor } from "../../engine/index.ts";
import { CheckpointError } from "../files/safetensors.ts";

/** A tensor's values on the host, as a checkpoint holds them. */
export interface Values {
  shape: readonly number[];
  data: Float32Array;
}

/** The parameters of a network. */
export class Params {
  readonly device: Device;
  readonly tensors = new Map<string, Tensor>();
  readonly #seed: number;
  readonly #values: Readonly<Record<string, Values>> | null;
  readonly #trained = new Set<string>();
  readonly #drawn: string | null;

  /**
   * New ones drawn from `seed`, or a checkpoint's: then a missing or misshapen one is a CheckpointError, but for those
   * whose names begin with `drawn`, which may be missing and are drawn.
   */
  constructor(
    device: Device,
    source:
      | { seed: number }
      | { values: Readonly<Record<string, Values>> }
      | { values: Readonly<Record<string, Values>>; seed: number; drawn: string },
  ) {
    this.device = device;
    this.#drawn = "drawn" in source ? source.drawn : null;
    this.#seed = "seed" in source ? source.seed : 0;
    this.#values = "values" in source ? source.values : null;
  }

  /** Uniform in ±1/√fan, as PyTorch initialises the weights and biases of convolutions. */
  uniform(name: string, shape: readonly number[], fan: number): Tensor {
    return this.#make(name, shape, true, (size) => {
      const random = new Random(this.#seed * 2 ** 21 + hash(name));
      const values = new Float32Array(size);
      for (let i = 0; i < size; i++) values[i] = (2 * random.next() - 1) / Math.sqrt(fan);
      return values;
    });
  }

  /** A trained parameter that starts at one value. */
  constant(name: string, shape: readonly number[], value: number): Tensor {
    return this.#make(name, shape, true, (size) => new Float32Array(size).fill(value));
  }

  /** A tensor that is saved with the parameters but not trained: a running statistic. */
  statistic(name: string, shape: readonly number[], value: number): Tensor {
    return this.#make(name, shape, false, (size) => new Float32Array(size).fill(value));
  }

  /** Those an optimizer trains, in the order of first use. */
  get trained(): Tensor[] {
    return [...this.tensors].filter(([name]) => this.#trained.has(name)).map(([, t]) => t);
  }

  /** How many numbers are trained. */
  get count(): number {
    return this.trained.reduce((sum, t) => sum + t.size, 0);
  }

  /** After a first forward pass: throws a CheckpointError if there is more than the network asked for. */
  checkUsed(): void {
    const surplus = Object.keys(this.#values ?? {}).filter((name) => !this.tensors.has(name));
    if (surplus.length) throw new CheckpointError(`of another network, which also has ${surplus.join(", ")}`);
  }

  /** The values of all tensors, by name. */
  async read(): Promise<Record<string, Values>> {
    const values: Record<string, Values> = {};
    for (const [name, t] of this.tensors) values[name] = { shape: t.shape, data: await t.read() };
    return values;
  }

  free(): void {
    this.tensors.forEach(free);
    this.tensors.clear();
  }

  #make(
    name: string,
    shape: readonly number[],
    trained: boolean,
    initial: (size: number) => Float32Array,
  ): Tensor {
    const known = this.tensors.get(name);
    if (known) return known;
    const size = shape.reduce((a, b) => a * b, 1);
    const value = this.#values?.[name];
    const drawn = this.#drawn !== null && name.startsWith(this.#drawn);
    if (this.#values && !value && !drawn) {
      throw new CheckpointError(`of another network: it has no ${name}, which should be [${shape}]`);
    }
    if (value && `${value.shape}` !== `${shape}`) {
      throw new CheckpointError(
        `of another network: expected ${name} to be [${shape}], got [${value.shape}]`,
      );
    }
    const made = keep(tensor(this.device, shape, value?.data ?? initial(size)));
    this.tensors.set(name, made);
    if (trained) this.#trained.add(name);
    return made;
  }
}

/** 32 bits of a name (FNV-1a), so that what a parameter starts as depends on its name and the seed alone. */
function hash(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
