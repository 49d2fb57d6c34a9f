// A batch of patches on the device, uploaded in parts. The parts that earlier steps used are uploaded at
// once, before the step is recorded, since a later write costs a submission of its own.

import { type Device, free, keep, maskChannels, tensor, type Tensor } from "../../engine/index.ts";
import { coarseLabels } from "../../model/losses/deepSupervision.ts";
import type { DeviceBatch } from "../../model/methods/index.ts";
import type { TrainBatch } from "./options.ts";

/** The names of the parts that steps use: see UploadedBatch. */
export type Parts = Set<string>;

const LABEL = "label";
const COARSE = "coarse ";
const IMAGES = "images ";
const ANY = { drawn: "any drawn ", every: "any every " };

/** Draws the modalities to show of a sample, among those that its case has. */
type Draw = (sample: number, there: readonly string[]) => readonly string[];

/** The patch, the batch's channels, the parts to upload, and the draw of what samples show. */
interface UploadOptions {
  patch: readonly [number, number, number];
  modalities: readonly string[];
  parts?: Parts;
  draw?: Draw;
}

/** A batch whose tensors stay on the device until free(). */
export class UploadedBatch implements DeviceBatch {
  readonly cases: readonly string[];
  readonly #device: Device;
  readonly #batch: TrainBatch;
  readonly #patch: readonly [number, number, number];
  readonly #modalities: readonly string[];
  readonly #images = new Map<string, Tensor>();
  readonly #draw: Draw;
  readonly #parts: Parts;
  #label: Tensor | null = null;
  #coarse: Tensor[] = [];

  /**
   * `modalities` are the batch's channels. Uploads `parts` now, and adds to them the parts that are used
   * later. `draw` is for networks that take any modalities; by default they see all.
   */
  constructor(device: Device, batch: TrainBatch, { patch, modalities, parts, draw }: UploadOptions) {
    this.cases = batch.cases;
    this.#device = device;
    this.#batch = batch;
    this.#patch = patch;
    this.#modalities = modalities;
    this.#parts = parts ?? new Set();
    this.#draw = draw ?? ((_, there) => there);
    for (const part of [...this.#parts]) {
      const after = (prefix: string) => part.slice(prefix.length).split(",");
      if (part === LABEL) void this.label;
      else if (part.startsWith(COARSE)) this.coarseLabels(Number(part.slice(COARSE.length)));
      else if (part.startsWith(IMAGES)) this.images(after(IMAGES));
      else if (part.startsWith(ANY.drawn)) this.anyImages(after(ANY.drawn), "drawn");
      else this.anyImages(after(ANY.every), "every");
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
    return this.#part(`${IMAGES}${modalities.join()}`, () => this.#upload(modalities));
  }

  anyImages(modalities: readonly string[], shown: "drawn" | "every"): Tensor {
    return this.#part(`${ANY[shown]}${modalities.join()}`, () => {
      const mask = this.cases.flatMap((_, n) => {
        const there = modalities.filter((name) => !this.#batch.absent?.[n]?.includes(name));
        const seen = shown === "every" ? there : this.#draw(n, there);
        return modalities.map((name) => (seen.includes(name) ? 1 : 0));
      });
      const code = this.#put([this.cases.length, modalities.length], mask);
      const known = this.#images.get(`${IMAGES}${modalities.join()}`);
      const images = known ?? this.#upload(modalities);
      this.#device.phase = "input";
      const made = keep(maskChannels(images, code));
      free(code);
      if (!known) free(images);
      return made;
    });
  }

  /** Returns a part of the batch's images; makes it if it is not there yet. */
  #part(key: string, make: () => Tensor): Tensor {
    const known = this.#images.get(key);
    if (known) return known;
    this.#parts.add(key);
    const made = make();
    this.#images.set(key, made);
    return made;
  }

  #upload(modalities: readonly string[]): Tensor {
    return this.#put([this.cases.length, modalities.length, ...this.#patch], this.#channels(modalities));
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
