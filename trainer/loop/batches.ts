// A batch of patches on the device, uploaded in parts. The parts that earlier steps used are uploaded at
// once, before the step is recorded, since a later write costs a submission of its own.

import { type Device, free, keep, tensor, type Tensor } from "../../engine/index.ts";
import { coarseLabels } from "../../model/losses/deepSupervision.ts";
import type { DeviceBatch } from "../../model/methods/index.ts";
import type { TrainBatch } from "./options.ts";

/** The names of the parts that steps use: see UploadedBatch. */
export type Parts = Set<string>;

const LABEL = "label";
const COARSE = "coarse ";
const IMAGES = "images ";

/** A batch whose tensors stay on the device until free(). */
export class UploadedBatch implements DeviceBatch {
  readonly cases: readonly string[];
  readonly #device: Device;
  readonly #batch: TrainBatch;
  readonly #patch: readonly [number, number, number];
  readonly #modalities: readonly string[];
  readonly #images = new Map<string, Tensor>();
  readonly #parts: Parts;
  #label: Tensor | null = null;
  #coarse: Tensor[] = [];

  /**
   * `modalities` are the batch's channels. Uploads `parts` now, and adds to them the parts that are used
   * later.
   */
  constructor(
    device: Device,
    batch: TrainBatch,
    {
      patch,
      modalities,
      parts = new Set(),
    }: { patch: readonly [number, number, number]; modalities: readonly string[]; parts?: Parts },
  ) {
    this.cases = batch.cases;
    this.#device = device;
    this.#batch = batch;
    this.#patch = patch;
    this.#modalities = modalities;
    this.#parts = parts;
    for (const part of [...parts]) {
      if (part === LABEL) void this.label;
      else if (part.startsWith(COARSE)) this.coarseLabels(Number(part.slice(COARSE.length)));
      else this.images(part.slice(IMAGES.length).split(","));
    }
  }

  get label(): Tensor {
    this.#parts.add(LABEL);
    return (this.#label ??= this.#put([this.cases.length, ...this.#patch], this.#batch.label));
  }

  coarseLabels(levels: number): readonly Tensor[] {
    if (levels > this.#coarse.length) {
      this.#parts.add(`${COARSE}${levels}`);
      this.#coarse.forEach(free);
      const labels = coarseLabels(this.#batch.label, this.#patch, levels);
      this.#coarse = labels.map(({ shape, data }) => this.#put([this.cases.length, ...shape], data));
    }
    return this.#coarse.slice(0, levels);
  }

  images(modalities: readonly string[]): Tensor {
    const key = modalities.join();
    const known = this.#images.get(key);
    if (known) return known;
    this.#parts.add(`${IMAGES}${key}`);
    const shape = [this.cases.length, modalities.length, ...this.#patch];
    const made = this.#put(shape, this.#channels(modalities));
    this.#images.set(key, made);
    return made;
  }

  free(): void {
    for (const t of [this.#label, ...this.#coarse, ...this.#images.values()]) if (t) free(t);
    this.#images.clear();
    this.#label = null;
    this.#coarse = [];
  }

  #put(shape: readonly number[], values: ArrayLike<number>): Tensor {
    return keep(tensor(this.#device, shape, values));
  }

  /** The images of some modalities; for all modalities, the batch's own array. */
  #channels(modalities: readonly string[]): Float32Array {
    const { images } = this.#batch;
    const all = this.#modalities;
    if (modalities.join() === all.join()) return images;
    const voxels = this.#patch.reduce((a, b) => a * b, 1);
    const picked = new Float32Array(this.cases.length * modalities.length * voxels);
    const channels = modalities.map((name) => all.indexOf(name));
    for (let n = 0; n < this.cases.length; n++) {
      for (const [i, m] of channels.entries()) {
        if (m < 0)
          throw new Error(`batch: expected the modalities ${all.join(", ")}, got ${modalities.join(", ")}`);
        const from = (n * all.length + m) * voxels;
        picked.set(images.subarray(from, from + voxels), (n * modalities.length + i) * voxels);
      }
    }
    return picked;
  }
}
