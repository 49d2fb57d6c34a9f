// Networks, batches and runs of the training loop so small that a step takes a moment.

import { Random } from "../../engine/index.ts";
import { PROTOKD } from "../../model/losses/losses.ts";
import { METHODS } from "../../model/methods/index.ts";
import { Params, type Values } from "../../model/networks/params.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import type { Network } from "../../model/networks/network.ts";
import { type TrainBatch, type TrainEvent, Trainer, type TrainOptions } from "../../trainer/loop/trainer.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";
import { device } from "./gradcheck.ts";

export const PATCH = [8, 8, 8] as const;
export const VOXELS = 512;
export const MODALITIES = 3;

/** A batch of two: noise, and in each modality what one of the classes adds to it. */
export function batch(seed: number, patch: Vec3 = PATCH): TrainBatch {
  const random = new Random(seed);
  const voxels = patch[0] * patch[1] * patch[2];
  const images = Float32Array.from({ length: 2 * MODALITIES * voxels }, () => random.normal());
  const label = Uint8Array.from({ length: 2 * voxels }, () => random.integer(4));
  for (const [i, k] of label.entries()) {
    const n = Math.floor(i / voxels);
    if (k > 0) images[(n * MODALITIES + k - 1) * voxels + (i % voxels)]! += 2;
  }
  return { images, label, cases: [`case ${seed}`, `case ${seed + 1}`] };
}

/** New batches for ever. */
export function stream(patch: Vec3 = PATCH): () => TrainBatch {
  let seed = 100;
  return () => batch((seed += 2), patch);
}

/** A V-Net of two filters and three levels. */
export function network(modalities: number, seed = 1, norm: VnetConfig["norm"] = "instance"): Network {
  return {
    params: new Params(device, { seed }),
    config: { modalities, classes: 4, filters: 2, levels: 3, norm },
  };
}

/** A student of one modality that learns by itself, unless `options` say otherwise. */
export function trainer(options: Partial<TrainOptions> = {}): Trainer {
  return new Trainer({
    ...{ device, network: network(1), method: METHODS["none"]!, teacher: null, channels: [1], patch: PATCH },
    ...{ epochs: 1, stepsPerEpoch: 2, rate: 1e-2, next: stream() },
    ...options,
  });
}

/** What makes it a student of a teacher, who is not trained himself, by ProtoKD. */
export function student(weights = PROTOKD): Partial<TrainOptions> {
  return { method: METHODS["protokd"]!, teacher: network(MODALITIES, 9, "batch"), weights };
}

/** All events of a run. */
export async function events(options: Partial<TrainOptions> = {}): Promise<TrainEvent[]> {
  const seen: TrainEvent[] = [];
  const made = trainer(options);
  for await (const event of made.run()) seen.push(event);
  made.free();
  return seen;
}

/** The events of one type. */
export function of<Type extends TrainEvent["type"]>(all: readonly TrainEvent[], type: Type): Event<Type>[] {
  return all.filter((event): event is Event<Type> => event.type === type);
}

type Event<Type extends TrainEvent["type"]> = Extract<TrainEvent, { type: Type }>;

/** The parameters after a run. */
export async function trained(options: Partial<TrainOptions> = {}): Promise<Record<string, Values>> {
  const own = options.network ?? network(1);
  await events({ ...options, network: own });
  const values = await own.params.read();
  own.params.free();
  return values;
}
