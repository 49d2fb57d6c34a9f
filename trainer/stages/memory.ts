// How much of the GPU's memory a training will take, before it begins: the stage itself is built on a device
// that only counts, and takes one step there. And what else would fit where that is too much.

import { bytesText, type Device, GpuError } from "../../engine/index.ts";
import { largest } from "../../engine/values.ts";
import { methodOf, streamsOf } from "../../model/methods/index.ts";
import { checkPatch } from "../../model/networks/patch.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import type { FrozenNetwork } from "../loop/members.ts";
import { Trainer } from "../loop/trainer.ts";
import { leastBatch, runOf, type TrainConfig, trainingOptions } from "../settings/config.ts";
import { openStageMembers } from "./stage.ts";

/** The training to estimate. */
export interface Demand {
  config: TrainConfig;
  /** The modalities of the loaded cases. */
  modalities: readonly string[];
  /** The sizes of the networks of earlier stages; their values are not looked at. */
  frozen: (stage: string) => Pick<FrozenNetwork, "spec">;
}

/** Bytes of the GPU's memory. */
export interface Footprint {
  /** The most in use at one time. */
  peakBytes: number;
  /** In buffers: freed ones are kept for later tensors, but only for those of the same size. */
  pooledBytes: number;
}

/** A change of some settings that fits. */
export type Remedy = Partial<Pick<TrainConfig, "batch" | "precision" | "lowMemory" | "patch">>;

/**
 * The memory that a training takes: parameters, all networks, optimizers and one step. Nothing is computed,
 * and no memory of the device is used. Throws the GpuError that training would: where a tensor exceeds what
 * the adapter can bind.
 */
export function estimate(device: Device, demand: Demand): Footprint {
  return footprintOn(device.counting(), demand);
}

/** The same, on a device that counts. */
export function footprintOn(counting: Device, { config, modalities, frozen }: Demand): Footprint {
  const members = openStageMembers(counting, {
    config,
    modalities,
    frozen: (stage) => ({ ...frozen(stage), values: {} }),
    zeros: true,
  });
  const method = methodOf(config.method);
  const run = runOf(config, modalities);
  const voxels = config.patch.reduce((a, b) => a * b, 1);
  const batch = emptyBatch(config, modalities.length * voxels, voxels);
  const streams = Object.keys(streamsOf(method, run));
  const trainer = new Trainer({
    device: counting,
    method,
    run,
    members,
    ...trainingOptions(config),
    stepsPerEpoch: 1,
    sources: Object.fromEntries(streams.map((name) => [name, { next: () => batch }])),
  });
  trainer.rehearse(Object.fromEntries(streams.map((name) => [name, batch])));
  const { peakBytes, pooledBytes } = counting;
  return { peakBytes, pooledBytes };
}

/** A batch of zeros: so many values and labels a sample. Throws a GpuError where main memory is too small. */
function emptyBatch({ batch, patch }: TrainConfig, values: number, voxels: number) {
  try {
    return {
      images: new Float32Array(batch * values),
      label: new Uint8Array(batch * voxels),
      cases: Array<string>(batch).fill(""),
    };
  } catch {
    const bytes = bytesText(batch * (4 * values + voxels));
    throw new GpuError(
      "out-of-memory",
      `a batch of ${batch} patches of ${patch.join("x")} voxels takes ${bytes} of main memory: choose a smaller one`,
    );
  }
}

/** Tells whether a training fits the adapter, and `memory` bytes. */
export function fits(device: Device, demand: Demand, memory = Infinity): boolean {
  try {
    return estimate(device, demand).pooledBytes <= memory;
  } catch (error) {
    if (error instanceof GpuError && error.kind === "out-of-memory") return false;
    throw error;
  }
}

/**
 * Settings that fit instead, each a change by itself: the largest batch, half precision, low memory; where
 * none of them is enough, all of them together, and then with the largest patch too. Empty where the smallest
 * patch does not fit.
 */
export function remedies(device: Device, demand: Demand, memory = Infinity): Remedy[] {
  const { config } = demand;
  const enough = (remedy: Remedy) => fits(device, { ...demand, config: { ...config, ...remedy } }, memory);
  const half: Remedy =
    config.precision === "f32" && device.gpu.features.has("shader-f16") ? { precision: "f16" } : {};
  const low: Remedy = config.lowMemory ? {} : { lowMemory: true };
  const least = leastBatch(config);
  const more = mostWith(config.batch - least, (size) => enough({ batch: least - 1 + size }));
  const batch = more && least - 1 + more;
  const single = [...(batch ? [{ batch }] : []), ...[half, low].filter((r) => Object.keys(r).length > 0)];
  const found = single.filter(enough);
  if (found.length) return found;
  const all: Remedy = { ...(config.batch > least && { batch: least }), ...half, ...low };
  if (enough(all)) return [all];
  const patches = smaller(config.patch, config.levels);
  const fitting = mostWith(patches.length, (n) => enough({ ...all, patch: patches[patches.length - n]! }));
  return fitting ? [{ ...all, patch: patches[patches.length - fitting]! }] : [];
}

/** The largest of 1 … most for which `holds`, which it does up to some number; 0 for none. */
function mostWith(most: number, holds: (n: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Patches that the network can halve, each smaller than the one before: the longest side loses a step. */
function smaller(patch: Vec3, levels: number): Vec3[] {
  const step = 2 ** (levels - 1);
  const found: Vec3[] = [];
  for (let last: readonly number[] = patch; ;) {
    const longest = last.lastIndexOf(largest(last));
    const next = last.map((size, i) => (i === longest ? size - step : size)) as unknown as Vec3;
    try {
      checkPatch(next, levels);
    } catch {
      return found;
    }
    found.push(next);
    last = next;
  }
}
