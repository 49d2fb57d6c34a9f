// Random patches for training, after the published sampling (methods: one crop per case and epoch, flips,
// intensity scaling), with the last offset reachable and every batch full unless asked otherwise. All
// randomness comes from one small state that a checkpoint can hold.

import { Random } from "../engine/random.ts";
import { DataError } from "./errors.ts";
import type { Vec3 } from "./geometry.ts";
import type { Case } from "./preprocess.ts";

export interface Batch {
  /** [N, modalities, D, H, W]. */
  images: Float32Array;
  /** Network classes [N, D, H, W]. */
  label: Uint8Array;
  /** The ids of the N cases. */
  cases: string[];
}

/** What `PatchSampler` needs to go on bit for bit: plain numbers, for JSON. */
export interface SamplerState {
  random: number[];
  /** This epoch's order of the cases, by index. */
  order: number[];
  /** How many of them are done. */
  position: number;
}

/** How patches are drawn; the second of each is the published ProtoKD code's. */
export interface Sampling {
  /** Whether the last place in a volume where a patch fits is drawn, too. Where it is the only one, it is. */
  offsets: "inclusive" | "exclusive";
  /** What follows when an epoch's cases do not fill the last batch: it runs on into the next, or is short. */
  lastBatch: "full" | "short";
}

/** The defaults. */
export const SAMPLING: Readonly<Sampling> = { offsets: "inclusive", lastBatch: "full" };

export interface SamplerOptions extends Partial<Sampling> {
  /** D, H, W. */
  patch: Vec3;
  batch: number;
  seed: number;
  /** Mirror each axis with probability 1/2. Default true. */
  flips?: boolean;
  /** Multiply each modality by U(0.9, 1.1) with probability 1/2. Default true. */
  scaling?: boolean;
}

/** An endless stream of batches: every case once an epoch, in a new order. */
export class PatchSampler {
  readonly #cases: readonly Case[];
  readonly #options: Required<SamplerOptions>;
  readonly #random: Random;
  #order: number[] = [];
  #position = 0;

  /** `cases` need labels and the same modalities; throws otherwise. */
  constructor(cases: readonly Case[], { flips = true, scaling = true, ...options }: SamplerOptions) {
    const first = cases[0];
    if (!first) throw new DataError("PatchSampler: expected at least one case to train on, got none");
    for (const { id, label, channels } of cases) {
      if (!label) throw new DataError(`case ${id}: expected a label to train on, got none`);
      if (channels.join() !== first.channels.join()) {
        throw new DataError(
          `case ${id}: expected the modalities ${first.channels.join(", ")}, got ${channels.join(", ")}`,
        );
      }
    }
    this.#cases = cases;
    this.#options = { ...SAMPLING, ...options, flips, scaling };
    this.#random = new Random(options.seed);
  }

  /** Batches until every case has been seen once. */
  get batchesPerEpoch(): number {
    return Math.ceil(this.#cases.length / this.#options.batch);
  }

  next(): Batch {
    const { patch } = this.#options;
    const batch = this.#nextSize();
    const voxels = patch[0] * patch[1] * patch[2];
    const modalities = this.#cases[0]!.channels.length;
    const images = new Float32Array(batch * modalities * voxels);
    const label = new Uint8Array(batch * voxels);
    const ids: string[] = [];
    for (let n = 0; n < batch; n++) {
      const chosen = this.#nextCase();
      const place = this.#draw(chosen);
      for (let m = 0; m < modalities; m++) {
        const target = images.subarray((n * modalities + m) * voxels, (n * modalities + m + 1) * voxels);
        const size = chosen.size[0] * chosen.size[1] * chosen.size[2];
        target.fill(chosen.background?.[m] ?? 0);
        copyPatch(chosen.images.subarray(m * size, (m + 1) * size), chosen.size, target, patch, place);
        const scale = this.#scale();
        if (scale !== 1) for (let i = 0; i < voxels; i++) target[i] = target[i]! * scale;
      }
      copyPatch(chosen.label!, chosen.size, label.subarray(n * voxels, (n + 1) * voxels), patch, place);
      ids.push(chosen.id);
    }
    return { images, label, cases: ids };
  }

  state(): SamplerState {
    return { random: this.#random.state(), order: [...this.#order], position: this.#position };
  }

  /** Goes on from a `state()` of a sampler with as many cases. */
  restore({ random, order, position }: SamplerState): void {
    if (order.length && order.length !== this.#cases.length) {
      throw new Error(`PatchSampler: expected the state of ${this.#cases.length} cases, got ${order.length}`);
    }
    this.#random.restore(random);
    this.#order = [...order];
    this.#position = position;
  }

  #nextSize(): number {
    const { batch, lastBatch } = this.#options;
    const left = this.#order.length - this.#position || this.#cases.length;
    return lastBatch === "short" ? Math.min(batch, left) : batch;
  }

  #nextCase(): Case {
    if (this.#position === this.#order.length) {
      this.#order = this.#random.shuffle([...this.#cases.keys()]);
      this.#position = 0;
    }
    return this.#cases[this.#order[this.#position++]!]!;
  }

  #draw({ size }: Case): Placement {
    const { patch, flips, offsets } = this.#options;
    const corner = size.map((length, axis) => {
      const free = length - patch[axis]!;
      if (free < 0) return Math.ceil(free / 2); // padded, centred
      return this.#random.integer(offsets === "inclusive" ? free + 1 : Math.max(free, 1));
    }) as [number, number, number];
    const flip = [0, 1, 2].map(() => flips && this.#random.next() < 0.5) as [boolean, boolean, boolean];
    return { corner, flip };
  }

  #scale(): number {
    if (!this.#options.scaling || this.#random.next() >= 0.5) return 1;
    return 0.9 + 0.2 * this.#random.next();
  }
}

/** Shares of the cases that train, validate and test, as in the published experiments. */
const FRACTIONS = [0.7, 0.1, 0.2] as const;

/**
 * Divides case ids at random, the same way for the same ids (in any order) and seed. At least one case
 * trains and one tests; validation may be empty. Throws DataError for fewer than two, or for an id given
 * twice.
 */
export function splitCases(
  ids: readonly string[],
  { seed, fractions = FRACTIONS }: { seed: number; fractions?: readonly [number, number, number] },
): { train: string[]; val: string[]; test: string[] } {
  const sorted = [...ids].sort();
  const twice = sorted.find((id, i) => id === sorted[i + 1]);
  if (twice !== undefined) throw new DataError(`splitCases: expected every case once, got ${twice} twice`);
  if (ids.length < 2) {
    throw new DataError(`splitCases: expected at least 2 cases, to train and to test, got ${ids.length}`);
  }
  const shuffled = new Random(seed).shuffle(sorted);
  const test = Math.min(ids.length - 1, Math.max(1, Math.round(fractions[2] * ids.length)));
  const val = Math.min(ids.length - 1 - test, Math.floor(fractions[1] * ids.length + 1e-9));
  return {
    train: shuffled.slice(test + val).sort(),
    val: shuffled.slice(test, test + val).sort(),
    test: shuffled.slice(0, test).sort(),
  };
}

interface Placement {
  corner: Vec3; // of the patch in the volume; negative where the volume is the smaller
  flip: readonly [boolean, boolean, boolean];
}

/** Copies the part of `source` [size] that the patch covers into `target` [patch], mirrored as asked. */
function copyPatch(
  source: Float32Array | Uint8Array,
  size: Vec3,
  target: Float32Array | Uint8Array,
  patch: Vec3,
  { corner, flip }: Placement,
): void {
  const from = corner.map((at) => Math.max(0, -at)) as [number, number, number];
  const to = corner.map((at, axis) => Math.min(patch[axis]!, size[axis]! - at)) as [number, number, number];
  for (let z = from[0]; z < to[0]; z++) {
    for (let y = from[1]; y < to[1]; y++) {
      const row = ((z + corner[0]) * size[1] + y + corner[1]) * size[2] + corner[2];
      const values = source.subarray(row + from[2], row + to[2]);
      const [tz, ty] = [flip[0] ? patch[0] - 1 - z : z, flip[1] ? patch[1] - 1 - y : y];
      const start = (tz * patch[1] + ty) * patch[2];
      if (!flip[2]) target.set(values, start + from[2]);
      else for (let x = 0; x < values.length; x++) target[start + patch[2] - 1 - from[2] - x] = values[x]!;
    }
  }
}
