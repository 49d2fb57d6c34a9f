// How much of the GPU's memory a training will take, before it begins: a step of it runs on a device that only counts.
// And what else would fit where that is too much.

import { type Device, GpuError, type Precision } from "../engine/index.ts";
import { METHODS } from "../model/methods/index.ts";
import type { Network } from "../model/networks/network.ts";
import { Params, type Values } from "../model/networks/params.ts";
import { checkPatch } from "../model/networks/patch.ts";
import type { Vec3 } from "../model/scoring/regions.ts";
import { Trainer, type TrainOptions } from "./loop/trainer.ts";
import type { VnetConfig } from "../model/networks/vnet.ts";
import { vnetShapes } from "../model/networks/layers.ts";

/** What a training's memory depends on. */
export interface Demand {
  config: VnetConfig;
  /** The network that it learns from, if it does. */
  teacher: VnetConfig | null;
  /** One of METHODS. */
  method: string;
  batch: number;
  patch: Vec3;
  precision: Precision;
  /** Whether activations are computed again in the backward pass. */
  lean: boolean;
  /** Modalities of a batch as it is loaded. */
  modalities: number;
  optimizer: NonNullable<TrainOptions["optimizer"]>;
}

/** Bytes of the GPU's memory. */
export interface Footprint {
  /** Most in use at one time. */
  peakBytes: number;
  /** In buffers: what is freed is kept to be used again, but only for tensors of the same size. */
  pooledBytes: number;
}

/** A change of some of it that fits. */
export type Remedy = Partial<Pick<Demand, "batch" | "precision" | "lean" | "patch">>;

/**
 * What training takes, parameters, both networks and the optimizer included. Nothing is computed, no memory of the
 * device is used. Throws the GpuError that training would: where a tensor exceeds what the adapter can bind.
 */
export function estimate(device: Device, demand: Demand): Footprint {
  const { config, teacher, method, batch, patch, precision, lean, modalities, optimizer } = demand;
  const counting = device.counting();
  const voxels = patch.reduce((a, b) => a * b, 1);
  const images = new Float32Array(batch * modalities * voxels);
  const trainer = new Trainer({
    ...{ device: counting, network: { ...blank(counting, config), precision, lean } },
    ...{ method: METHODS[method]!, teacher: teacher && { ...blank(counting, teacher), precision } },
    ...{ channels: Array.from({ length: config.modalities }, (_, i) => i), patch, optimizer },
    ...{ epochs: 1, stepsPerEpoch: 1, next: unasked },
  });
  const label = new Uint8Array(batch * voxels);
  trainer.rehearse({ images, label, cases: Array<string>(batch).fill("") });
  const { peakBytes, pooledBytes } = counting;
  return { peakBytes, pooledBytes };
}

function unasked(): never {
  throw new Error("estimate: no batch is asked for");
}

/** A network whose parameters are all 0: drawing them takes longer than all else. */
function blank(device: Device, config: VnetConfig): Network {
  const shapes = [...vnetShapes(config)].map(([name, shape]) => {
    return { name, shape, size: shape.reduce((a, b) => a * b, 1) };
  });
  const zeros = new Float32Array(Math.max(...shapes.map(({ size }) => size)));
  const values = Object.fromEntries(
    shapes.map(({ name, shape, size }): [string, Values] => [name, { shape, data: zeros.subarray(0, size) }]),
  );
  return { config, params: new Params(device, { values }) };
}

/** Whether a training fits the adapter, and `memory` bytes. */
export function fits(device: Device, demand: Demand, memory = Infinity): boolean {
  try {
    return estimate(device, demand).pooledBytes <= memory;
  } catch (error) {
    if (error instanceof GpuError && error.kind === "out-of-memory") return false;
    throw error;
  }
}

/**
 * What fits instead, each a change by itself: the largest batch, half precision, computing again; where none of them is
 * enough, all of them together, and then with the largest patch too. Nothing where the smallest patch does not fit.
 */
export function remedies(device: Device, demand: Demand, memory = Infinity): Remedy[] {
  const enough = (remedy: Remedy) => fits(device, { ...demand, ...remedy }, memory);
  const half: Remedy =
    demand.precision === "f32" && device.gpu.features.has("shader-f16") ? { precision: "f16" } : {};
  const lean: Remedy = demand.lean ? {} : { lean: true };
  const batch = largest(demand.batch - 1, (size) => enough({ batch: size }));
  const single = [...(batch ? [{ batch }] : []), ...[half, lean].filter((r) => Object.keys(r).length > 0)];
  const found = single.filter(enough);
  if (found.length) return found;
  const all: Remedy = { ...(demand.batch > 1 && { batch: 1 }), ...half, ...lean };
  if (enough(all)) return [all];
  const patches = smaller(demand.patch, demand.config.levels);
  const fitting = largest(patches.length, (n) => enough({ ...all, patch: patches[patches.length - n]! }));
  return fitting ? [{ ...all, patch: patches[patches.length - fitting]! }] : [];
}

/** The largest of 1 … most for which `holds`, which it does up to some number; 0 for none. */
function largest(most: number, holds: (n: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Patches that the network can halve, each smaller than the one before: of the longest side a step is taken away. */
function smaller(patch: Vec3, levels: number): Vec3[] {
  const step = 2 ** (levels - 1);
  const found: Vec3[] = [];
  for (let last: readonly number[] = patch; ;) {
    const longest = last.lastIndexOf(Math.max(...last));
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
