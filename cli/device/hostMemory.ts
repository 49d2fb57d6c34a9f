// Estimates the main memory of a training before it begins, and suggests settings that fit.

import { bytesText } from "../../engine/index.ts";
import type { CaseRecord } from "../../data/datasets/manifest.ts";
import { VNET } from "../../model/networks/vnet.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { TrainConfig } from "../../trainer/settings/settings.ts";
import { AHEAD } from "../files/loader.ts";

const GIB = 2 ** 30;

/** Node, the GPU's driver and garbage that has not been collected yet, beside what is counted here. */
const BASE = 400e6;

/** A thread, without the cases that it reads. */
const THREAD = 40e6;

/** Batches of the last steps, which may not have reached the GPU yet. */
const QUEUED = 4;

/** While a case is read: the bytes of a voxel in a file (int16 in BraTS), and as float32. */
const READING = 2 + 4;

/** A training, as far as main memory depends on it. */
export interface HostDemand {
  config: Pick<TrainConfig, "workers" | "batch" | "patch">;
  /** The number of modalities of the loaded cases. */
  channels: number;
  /** The number of the method's streams, each with threads of its own. */
  streams: number;
  /** Bytes of the largest case while it is read. */
  reading: number;
  /** Bytes and voxels of the largest prepared case. */
  prepared: { bytes: number; voxels: number };
  /** Bytes of the cases that stay in memory. */
  kept: number;
  /** True if other cases are read while training runs. */
  again: boolean;
  /** True if there are validation cases. */
  validates: boolean;
}

/** Bytes of a case's volumes while it is read. */
export function readingBytes({ images, label }: CaseRecord): number {
  const files = new Map(
    [...Object.values(images), ...(label ? [label] : [])].map((file) => [file.path, file]),
  );
  return [...files.values()].reduce(
    (sum, { shape, bytes }) => sum + bytes + READING * shape.reduce((a, b) => a * b, 1),
    0,
  );
}

/** Bytes of main memory that a training will take at most. */
export function hostBytes(demand: HostDemand): number {
  const { config, channels, streams, prepared, kept, again, validates } = demand;
  const { workers, batch, patch } = config;
  const threads = streams * workers;
  const one = demand.reading + prepared.bytes;
  const first = Math.max(1, workers) * one; // each thread reads a case before training
  const batches = streams * (AHEAD * workers + QUEUED) * batch * (4 * channels + 1) * product(patch);
  const predicted = prepared.voxels * (4 * channels + 4 * VNET.classes + 2);
  const training = batches + (again ? threads * one : 0);
  const validation = validates ? predicted + (again ? one : 0) : 0;
  return BASE + threads * THREAD + kept + Math.max(first, training + validation);
}

/** The room for cases: as set, else half of the limit, but no more than the training itself leaves. */
export function cacheRoom(cache: TrainConfig["cache"], limit: number, demand: HostDemand): number {
  if (cache !== null) return cache * GIB;
  return Math.max(0, Math.min(limit / 2, limit - hostBytes({ ...demand, kept: 0, again: true })));
}

/**
 * Returns the bytes of main memory that training takes. Throws a UsageError with settings that fit if they
 * exceed the `limit`.
 */
export function checkHostMemory(demand: HostDemand, limit: number): number {
  const bytes = hostBytes(demand);
  if (bytes <= limit) return bytes;
  const fitting = remedies(demand, limit);
  const instead = fitting.length
    ? `these fit: ${fitting.join("; or ")}`
    : "use fewer --workers, a smaller --batch or --patch and a smaller --cache together";
  throw new UsageError(
    `training would take ${bytesText(bytes)} of main memory, and this process may use ${bytesText(limit)} ` +
      `(${bytesText(demand.kept)} are for cases): ${instead}`,
  );
}

/** Flags that fit, each a change by itself. */
function remedies(demand: HostDemand, limit: number): string[] {
  const { config } = demand;
  const room = limit - hostBytes({ ...demand, kept: 0, again: true });
  const fits = (change: Partial<HostDemand["config"]>) =>
    hostBytes({ ...demand, config: { ...config, ...change } }) <= limit;
  const fewer = (most: number, least: number) =>
    Array.from({ length: Math.max(0, most - least) }, (_, i) => most - 1 - i);
  const workers = fewer(config.workers, 0).find((n) => fits({ workers: n }));
  const batch = fewer(config.batch, 1).find((n) => fits({ batch: n }));
  return [
    ...(demand.kept > 0 && room >= 0 ? [`--cache ${Math.floor((100 * room) / GIB) / 100}`] : []),
    ...(workers === undefined ? [] : [`--workers ${workers}`]),
    ...(batch === undefined ? [] : [`--batch ${batch}`]),
  ];
}

function product(size: readonly number[]): number {
  return size.reduce((a, b) => a * b, 1);
}
