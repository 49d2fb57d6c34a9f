// Estimates the GPU memory of a training before it begins, and suggests settings that fit.

import { bytesText, type Device, GpuError } from "../../engine/index.ts";
import { type Demand, estimate, type Footprint, type Remedy, remedies } from "../../trainer/stages/memory.ts";
import { say } from "../terminal/console.ts";
import { memoryLimit } from "./memoryLimit.ts";

const GIB = 2 ** 30;

/** Prints the memory that training will take. Throws as checkMemory() does. */
export function reportMemory(device: Device, demand: Demand, hostBytes = 0): Footprint {
  const { memory, ...footprint } = checkMemory(device, demand, hostBytes);
  const { peakBytes, pooledBytes } = footprint;
  const known = memory < Infinity ? ` of ${bytesText(memory)}` : "";
  say(`  GPU memory: ${bytesText(pooledBytes)}${known}, ${bytesText(peakBytes)} of it in use at once`);
  return footprint;
}

/**
 * Returns the memory that training will take, and what there is as far as that is known. Throws a GpuError
 * with settings that fit, if a tensor is larger than the adapter allows, or all of them together exceed
 * --gpu-memory (on a CPU, the main memory that `hostBytes` leave).
 */
export function checkMemory(
  device: Device,
  demand: Demand,
  hostBytes: number,
): Footprint & { memory: number } {
  const { gpuMemory } = demand.config;
  const onCpu = device.adapter.info.isFallbackAdapter;
  const memory =
    gpuMemory !== null ? gpuMemory * GIB : onCpu ? Math.max(0, memoryLimit() - hostBytes) : Infinity;
  const instead = () => {
    const found = remedies(device, demand, memory).map(asFlags);
    return found.length ? `these fit: ${found.join("; or ")}` : "choose fewer --filters or a smaller --patch";
  };
  let footprint: Footprint;
  try {
    footprint = estimate(device, demand);
  } catch (error) {
    if (!(error instanceof GpuError) || error.kind !== "out-of-memory") throw error;
    throw new GpuError("out-of-memory", `${error.message}; ${instead()}`);
  }
  const { pooledBytes } = footprint;
  if (pooledBytes > memory) {
    const there = gpuMemory !== null ? "--gpu-memory allows" : "main memory has beside the cases (--cache)";
    throw new GpuError(
      "out-of-memory",
      `training would take ${bytesText(pooledBytes)} of GPU memory, ${there} ${bytesText(memory)}: ${instead()}`,
    );
  }
  return { ...footprint, memory };
}

/** A remedy as flags of the command line. */
function asFlags({ batch, precision, lowMemory, patch }: Remedy): string {
  const flags = [
    batch && `--batch ${batch}`,
    precision && `--precision ${precision}`,
    lowMemory && "--low-memory",
    patch && `--patch ${patch.join(",")}`,
  ];
  return flags.filter(Boolean).join(" ");
}
