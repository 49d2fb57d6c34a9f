// Random patches for training. The batches of a run are numbered from 0, and each is a pure function of the
// seed, the cases, the options and its number: any number of threads draws the same batches, and one number
// is enough to resume. The default is the published sampling (one patch per case and epoch), except that the
// last offset can be drawn and every batch is full. Cases that lack contrasts have batches of their own.

import type { Random } from "../../engine/autograd/random.ts";
import { type Augmentation, AUGMENTATIONS, type Recipe } from "./augment.ts";
import { pivot, type Placement, takeImages, takeLabels } from "./augmentSpatial.ts";
import { DataError } from "../errors.ts";
import { foregroundOf } from "./foreground.ts";
import { healthyCorner } from "./healthy.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import { BatchOrder } from "./order.ts";
import { type Case, gridSpacing } from "../preparation/preprocess.ts";
import { caseOf, type SuppliedCase } from "../preparation/supply.ts";
import { MODALITIES } from "../datasets/source.ts";
import { CHANNEL, HEALTHY, PATCH, SHARE, streamAt, VIEW } from "./streams.ts";

export interface Batch {
  /** [N, modalities, D, H, W]. */
  images: Float32Array<ArrayBuffer>;
  /** Network classes [N, D, H, W]. */
  label: Uint8Array<ArrayBuffer>;
  /** The ids of the N cases. */
  cases: string[];
  /** The modalities that each of them lacks, whose voxels are 0; absent if all have all. */
  absent?: readonly (readonly string[])[];
}

/** The state of a `PatchSampler`, as JSON: enough to resume to the same bits. */
export interface SamplerState {
  /** The number of batches taken so far. */
  batches: number;
  /** The number of cases. */
  cases: number;
  /** The number of cases that lack modalities; not there if every case has all. */
  lacking?: number;
}

/** The options of sampling. */
export interface Sampling {
  /**
   * "inclusive" can draw the last position at which a patch fits; "exclusive" cannot, as in the published
   * code.
   */
  offsets: "inclusive" | "exclusive";
  /** The last batch of an epoch: filled with cases of the next epoch, or short, as in the published code. */
  lastBatch: "full" | "short";
  augment: Augmentation;
  /** The share of patches that must show a foreground voxel, 0 to 1. */
  foreground: number;
}

/** The defaults of sampling. */
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
  /** Which view of the patches to show: of images alone, with an augmentation of its own. */
  view?: number;
  /** The share of patches that are placed where they show brain but no tumour, if there is room; 0 to 1. */
  healthy?: number;
  /** False for cases whose labels are not read; batches then have zeros for them. By default true. */
  labels?: boolean;
}

type Optional = "view" | "healthy" | "labels";

/**
 * An endless stream of batches: every case once per epoch, in a new order each time. If some cases lack
 * modalities, each batch holds only such cases, or none: then full batches use every case equally often in
 * the long run.
 */
export class PatchSampler {
  readonly #cases: readonly SuppliedCase[];
  readonly #options: Required<Omit<SamplerOptions, Optional>> & Pick<SamplerOptions, Optional>;
  readonly #recipe: Recipe;
  readonly #order: BatchOrder;
  #taken = 0;

  /** Throws DataError unless all `cases` have the same modalities, and those at hand have labels. */
  constructor(cases: readonly SuppliedCase[], options: SamplerOptions) {
    const first = cases[0];
    if (!first) throw new DataError("PatchSampler: expected at least one case to train on, got none");
    for (const one of cases) {
      const { id, channels } = one;
      if (!("read" in one) && showsLabels(options)) labelOf(one);
      if (channels.join() !== first.channels.join()) {
        throw new DataError(
          `case ${id}: expected the modalities ${first.channels.join(", ")}, got ${channels.join(", ")}`,
        );
      }
    }
    this.#cases = cases;
    this.#options = { ...SAMPLING, ...options };
    this.#recipe = AUGMENTATIONS[this.#options.augment];
    this.#order = new BatchOrder(cases.map(lacks), this.#options);
  }

  /** The number of batches of an epoch. */
  get batchesPerEpoch(): number {
    return this.#order.batchesPerEpoch;
  }

  /** Returns the next batch. If a case cannot be read, the batch is still the next one. */
  async next(): Promise<Batch> {
    const batch = await this.batch(this.#taken);
    this.#taken++;
    return batch;
  }

  /**
   * Returns batch `number` of the run, counted from 0. Cases that are not at hand are read one at a time.
   * Throws the DataError of one that cannot be read.
   */
  async batch(number: number): Promise<Batch> {
    const { patch, seed, view } = this.#options;
    const chosen = this.#order.casesOf(number).map((index) => this.#cases[index]!);
    const voxels = patch[0] * patch[1] * patch[2];
    const channels = this.#cases[0]!.channels.length;
    const images = new Float32Array(chosen.length * channels * voxels);
    const label = new Uint8Array(chosen.length * voxels);
    const forced = this.#forced(number, chosen.length);
    const healthy = this.#healthy(number, chosen.length);
    for (const [n, supplied] of chosen.entries()) {
      const from = await caseOf(supplied);
      const random = streamAt(seed, PATCH, number, n);
      const own = view === undefined ? random : streamAt(seed, VIEW, view, number, n);
      const drawn = this.#place(from, { random, own }, n >= chosen.length - forced);
      const corner = n < healthy && healthyCorner(from, patch, streamAt(seed, HEALTHY, number, n));
      const place = corner ? { ...drawn, corner } : drawn;
      const target = images.subarray(n * channels * voxels, (n + 1) * channels * voxels);
      takeImages(from, target, patch, place);
      if (showsLabels(this.#options))
        takeLabels(labelOf(from), from.size, label.subarray(n * voxels, (n + 1) * voxels), patch, place);
      const views = from.channels.map((modality, m) => ({
        voxels: target.subarray(m * voxels, (m + 1) * voxels),
        background: from.background?.[m] ?? 0,
        random: streamAt(seed, ...channelOf(view), number, n, MODALITIES.indexOf(modality)),
      }));
      const there = views.filter((_, m) => !from.absent?.includes(from.channels[m]!));
      this.#recipe.intensities({ size: patch, channels: there }, own);
    }
    const absent = chosen.some(lacks) && { absent: chosen.map((one) => [...(one.absent ?? [])]) };
    return { images, label, cases: chosen.map(({ id }) => id), ...absent };
  }

  /** Returns the state for `restore`. */
  state(): SamplerState {
    const lacking = this.#cases.filter(lacks).length;
    return { batches: this.#taken, cases: this.#cases.length, ...(lacking > 0 && { lacking }) };
  }

  /** Resumes from a `state()`. Throws DataError if it is invalid or of another number of cases. */
  restore(state: SamplerState): void {
    this.#taken = batchesTaken(state, this.state());
  }

  /**
   * Returns how many of a batch must show foreground (its last ones): on average the share in the options.
   */
  #forced(number: number, size: number): number {
    const { foreground, seed } = this.#options;
    return Math.floor(foreground * size + streamAt(seed, SHARE, number).next());
  }

  /** Returns how many of a batch must show no tumour (its first ones): on average the share of options. */
  #healthy(number: number, size: number): number {
    const { healthy = 0, seed } = this.#options;
    return healthy === 0 ? 0 : Math.floor(healthy * size + streamAt(seed, HEALTHY, number).next());
  }

  /** Draws a patch's corner by `random`, its turn and flips by `own`: the same generator but for views. */
  #place(prepared: Case, { random, own }: { random: Random; own: Random }, forced: boolean): Placement {
    const { patch, offsets } = this.#options;
    const { size, label } = prepared;
    const turn = this.#recipe.turn(own, gridSpacing(prepared));
    const free = size.map((length, axis) => length - patch[axis]!);
    const centre = forced ? foregroundOf(label!, size, random) : null;
    const corner = free.map((room, axis) => {
      const start = centre && centre[axis]! - pivot(patch)[axis]!;
      if (start !== null && turn) return start; // a turn does not move this voxel
      if (room < 0) return Math.ceil(room / 2); // padded, centred
      if (start !== null) return Math.min(room, Math.max(0, start));
      return random.integer(offsets === "inclusive" ? room + 1 : Math.max(room, 1));
    }) as [number, number, number];
    const flip = [0, 1, 2].map(() => this.#recipe.flips && own.next() < 0.5);
    return { corner, flip: flip as [boolean, boolean, boolean], turn };
  }
}

/** Tells whether batches have labels: views of patches have none. */
function showsLabels({ view, labels = true }: Pick<SamplerOptions, "view" | "labels">): boolean {
  return labels && view === undefined;
}

/** The place of the generators of channels. */
function channelOf(view: number | undefined): number[] {
  return view === undefined ? [CHANNEL] : [CHANNEL, VIEW, view];
}

function lacks({ absent = [] }: Pick<Case, "absent">): boolean {
  return absent.length > 0;
}

function labelOf({ id, label }: Case): Uint8Array {
  if (!label) throw new DataError(`case ${id}: expected a label to train on, got none`);
  return label;
}

/**
 * Returns the number of batches in a state. Throws DataError unless its numbers of cases are those of `now`.
 */
function batchesTaken(state: SamplerState, now: SamplerState): number {
  if (!Number.isSafeInteger(state.batches) || state.batches < 0) {
    const got = Object.keys(state).join(", ") || "nothing";
    throw new DataError(
      `PatchSampler: expected a state with a number of batches, got ${got}: ` +
        "checkpoints of an earlier version cannot be resumed; train the stage again",
    );
  }
  const text = ({ cases, lacking = 0 }: SamplerState) =>
    `${cases} cases${lacking ? ` (${lacking} lack contrasts)` : ""}`;
  if (text(state) !== text(now)) {
    const remedy = "resume with the cases that the training started with";
    throw new DataError(`PatchSampler: expected the state of ${text(now)}, got ${text(state)}: ${remedy}`);
  }
  return state.batches;
}
