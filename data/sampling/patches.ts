// Random patches for training. The batches of a run are counted from 0, and each is a pure function of the seed, the
// cases, the options and its number: threads in any number draw the same, and a run goes on from one number. By
// default the published sampling (one patch per case and epoch), with the last offset reachable and every batch full.

import type { Random } from "../../engine/autograd/random.ts";
import { type Augmentation, AUGMENTATIONS, type Recipe } from "./augment.ts";
import { pivot, type Placement, takeImages, takeLabels } from "./augmentSpatial.ts";
import { DataError } from "../errors.ts";
import { foregroundOf } from "./foreground.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import type { Case } from "../preparation/preprocess.ts";
import { MODALITIES } from "../datasets/source.ts";
import { streamAt } from "./streams.ts";

export interface Batch {
  /** [N, modalities, D, H, W]. */
  images: Float32Array<ArrayBuffer>;
  /** Network classes [N, D, H, W]. */
  label: Uint8Array<ArrayBuffer>;
  /** The ids of the N cases. */
  cases: string[];
}

/** What `PatchSampler` needs to go on bit for bit: plain numbers, for JSON. */
export interface SamplerState {
  /** How many batches were taken. */
  batches: number;
  /** Of how many cases. */
  cases: number;
}

/** How patches are drawn. */
export interface Sampling {
  /** Whether the last place in a volume where a patch fits is drawn, too, or not, as in the published code. */
  offsets: "inclusive" | "exclusive";
  /** When an epoch's cases do not fill the last batch, it runs on into the next, or is short, as published. */
  lastBatch: "full" | "short";
  /** How they are varied. */
  augment: Augmentation;
  /** The share of patches that must show a voxel of some class but the background, 0 to 1. */
  foreground: number;
}

/** The defaults. */
export const SAMPLING: Readonly<Sampling> = {
  offsets: "inclusive",
  lastBatch: "full",
  augment: "paper",
  foreground: 0,
};

export interface SamplerOptions extends Partial<Sampling> {
  /** D, H, W. */
  patch: Vec3;
  batch: number;
  seed: number;
}

/** What is drawn, each from a stream of its own. */
const [ORDER, SHARE, PATCH, CHANNEL] = [0, 1, 2, 3];

/** An endless stream of batches: every case once an epoch, in a new order. */
export class PatchSampler {
  readonly #cases: readonly Case[];
  readonly #options: Required<SamplerOptions>;
  readonly #recipe: Recipe;
  #taken = 0;

  /** `cases` need labels and the same modalities; throws a DataError otherwise. */
  constructor(cases: readonly Case[], options: SamplerOptions) {
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
    this.#options = { ...SAMPLING, ...options };
    this.#recipe = AUGMENTATIONS[this.#options.augment];
  }

  /** Batches until every case has been seen once. */
  get batchesPerEpoch(): number {
    return Math.ceil(this.#cases.length / this.#options.batch);
  }

  /** The next batch. */
  next(): Batch {
    return this.batch(this.#taken++);
  }

  /** Batch `number` of the run, from 0 on. */
  batch(number: number): Batch {
    const { patch, seed } = this.#options;
    const chosen = this.#casesOf(number);
    const voxels = patch[0] * patch[1] * patch[2];
    const channels = this.#cases[0]!.channels.length;
    const images = new Float32Array(chosen.length * channels * voxels);
    const label = new Uint8Array(chosen.length * voxels);
    const forced = this.#forced(number, chosen.length);
    for (const [n, from] of chosen.entries()) {
      const random = streamAt(seed, PATCH, number, n);
      const place = this.#place(from, random, n >= chosen.length - forced);
      const target = images.subarray(n * channels * voxels, (n + 1) * channels * voxels);
      takeImages(from, target, patch, place);
      takeLabels(from.label!, from.size, label.subarray(n * voxels, (n + 1) * voxels), patch, place);
      const views = from.channels.map((modality, m) => ({
        voxels: target.subarray(m * voxels, (m + 1) * voxels),
        background: from.background?.[m] ?? 0,
        random: streamAt(seed, CHANNEL, number, n, MODALITIES.indexOf(modality)),
      }));
      this.#recipe.intensities({ size: patch, channels: views }, random);
    }
    return { images, label, cases: chosen.map(({ id }) => id) };
  }

  /** What `restore` needs to go on after the batches taken so far. */
  state(): SamplerState {
    return { batches: this.#taken, cases: this.#cases.length };
  }

  /** Goes on from a `state()` of a sampler with as many cases. Throws a DataError for what is none. */
  restore(state: SamplerState): void {
    this.#taken = batchesTaken(state, this.#cases.length);
  }

  #casesOf(number: number): Case[] {
    const { batch, lastBatch } = this.#options;
    const count = this.#cases.length;
    const [epoch, position] =
      lastBatch === "short"
        ? [Math.floor(number / this.batchesPerEpoch), batch * (number % this.batchesPerEpoch)]
        : [Math.floor((number * batch) / count), (number * batch) % count];
    const size = lastBatch === "short" ? Math.min(batch, count - position) : batch;
    const indices: number[] = [];
    for (let e = epoch; indices.length < size; e++) {
      const start = e === epoch ? position : 0;
      indices.push(...this.#order(e).slice(start, start + size - indices.length));
    }
    return indices.map((index) => this.#cases[index]!);
  }

  #order(epoch: number): number[] {
    return streamAt(this.#options.seed, ORDER, epoch).shuffle([...this.#cases.keys()]);
  }

  /** How many of a batch must show foreground: its last ones. On average exactly the share that was asked for. */
  #forced(number: number, size: number): number {
    const { foreground, seed } = this.#options;
    return Math.floor(foreground * size + streamAt(seed, SHARE, number).next());
  }

  #place({ size, label, source }: Case, random: Random, forced: boolean): Placement {
    const { patch, offsets } = this.#options;
    const turn = this.#recipe.turn(random, source.spacing);
    const free = size.map((length, axis) => length - patch[axis]!);
    const centre = forced ? foregroundOf(label!, size, random) : null;
    const corner = free.map((room, axis) => {
      const start = centre && centre[axis]! - pivot(patch)[axis]!;
      if (start !== null && turn) return start; // a turn leaves this voxel where it is
      if (room < 0) return Math.ceil(room / 2); // padded, centred
      if (start !== null) return Math.min(room, Math.max(0, start));
      return random.integer(offsets === "inclusive" ? room + 1 : Math.max(room, 1));
    }) as [number, number, number];
    const flip = [0, 1, 2].map(() => this.#recipe.flips && random.next() < 0.5);
    return { corner, flip: flip as [boolean, boolean, boolean], turn };
  }
}

/** How many batches a state says were taken; throws a DataError unless it is one of a sampler with so many cases. */
export function batchesTaken(state: SamplerState, cases: number): number {
  if (!Number.isSafeInteger(state.batches) || state.batches < 0) {
    const got = Object.keys(state).join(", ") || "nothing";
    throw new DataError(
      `PatchSampler: expected a state that counts batches, got one of ${got}: a checkpoint of an earlier version ` +
        "cannot be continued; train the stage anew",
    );
  }
  if (state.cases !== cases) {
    throw new DataError(`PatchSampler: expected the state of ${cases} cases, got ${state.cases}`);
  }
  return state.batches;
}
