// Networks, batches and runs of the training loop so small that a step takes a moment.

import { type Device, Random } from "../../engine/index.ts";
import { PROTOKD, type ProtokdWeights } from "../../model/losses/losses.ts";
import {
  type Method,
  methodOf,
  type NetworkSpec,
  type OptimizerSpec,
  type Role,
  rolesOf,
  type Run,
} from "../../model/methods/index.ts";
import { initialise, type Network } from "../../model/networks/network.ts";
import { Params, type Values } from "../../model/networks/params.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import type { Members } from "../../trainer/loop/members.ts";
import {
  type TrainBatch,
  type TrainEvent,
  Trainer,
  TRAINING,
  type TrainOptions,
} from "../../trainer/loop/trainer.ts";
import { device as shared } from "./gradcheck.ts";

export const PATCH = [8, 8, 8] as const;
export const VOXELS = 512;
/** The modalities of a batch. */
export const NAMES = ["t1", "t2", "flair"] as const;
export const MODALITIES = NAMES.length;

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

/** New batches without end. */
export function stream(patch: Vec3 = PATCH): () => TrainBatch {
  let seed = 100;
  return () => batch((seed += 2), patch);
}

/** A V-Net of two filters and three levels. */
export function network(modalities: number, seed = 1, norm: VnetConfig["norm"] = "instance"): Network {
  return {
    params: new Params(shared, { seed }),
    config: { modalities, classes: 4, filters: 2, levels: 3, norm },
  };
}

/** A training as tests describe it: a network, a method, perhaps a teacher. */
export interface Trial extends Omit<Partial<TrainOptions>, "members" | "run" | "sources" | "method"> {
  device?: Device;
  network?: Network;
  /** The frozen network of the role "teacher"; it sees all modalities. */
  teacher?: Network | null;
  /** The teacher takes any modalities, too. */
  teacherTakesAny?: boolean;
  method?: string | Method;
  /** The channels of the batches that the network sees, by index; the second alone unless given. */
  channels?: readonly number[];
  /** The names of the batches' channels. */
  modalities?: readonly string[];
  /** The network takes any of its channels. */
  any?: boolean;
  /** The network is its own teacher. */
  selfTaught?: boolean;
  /** The method's settings. */
  settings?: Readonly<Record<string, unknown>>;
  optimizer?: Partial<OptimizerSpec>;
  next?: () => TrainBatch | Promise<TrainBatch>;
  data?: () => unknown;
}

/** The options of a trial for the trainer: by default a student of one modality that learns by itself. */
export function trainOptions({
  device = shared,
  network: trained = network(1),
  teacher = null,
  teacherTakesAny = false,
  method: named = "none",
  channels = [1],
  modalities = NAMES,
  any = false,
  selfTaught = false,
  settings = {},
  optimizer,
  next = stream(),
  data,
  ...options
}: Trial = {}): TrainOptions {
  const method = typeof named === "string" ? methodOf(named) : named;
  const seen = channels.map((c) => modalities[c]!);
  const spec: NetworkSpec = { config: trained.config, modalities: seen, ...(any && { any }) };
  const run: Run = {
    settings,
    network: spec,
    modalities,
    selfTaught,
    optimizer: { ...TRAINING, lr: 1e-2, ...optimizer },
  };
  const members: Members = Object.fromEntries(
    Object.entries(rolesOf(method, run)).map(([name, role]) => {
      if ("spec" in role && name !== method.deployed) {
        const params = new Params(device, { seed: 1 });
        return [name, { params, config: role.spec.config, role, spec: role.spec, ...kindOf(role) }];
      }
      if (!("frozen" in role)) return [name, { ...trained, role, spec, ...kindOf(role) }];
      if (!teacher) throw new Error(`method ${method.name}: expected a teacher, got none`);
      const also = teacherTakesAny && ({ any: true } as const);
      return [name, { ...teacher, role, spec: { config: teacher.config, modalities, ...also } }];
    }),
  );
  return {
    device,
    method,
    run,
    members,
    patch: PATCH,
    epochs: 1,
    stepsPerEpoch: 2,
    sources: { paired: { next, ...(data && { state: data }) } },
    ...options,
  };
}

/** The kind of a role's network, where it is no V-Net. */
function kindOf(role: Role): Pick<Network, "architecture"> {
  const architecture = "spec" in role && role.spec.architecture;
  return architecture ? { architecture } : {};
}

/** The trainer of a trial. */
export function trainer(trial: Trial = {}): Trainer {
  return new Trainer(trainOptions(trial));
}

/** Makes a trial a ProtoKD student of a teacher with weights of its own. */
export function student(settings: ProtokdWeights = PROTOKD): Trial {
  return { method: "protokd", teacher: network(MODALITIES, 9, "batch"), settings: { ...settings } };
}

/** All events of a run. */
export async function events(trial: Trial = {}): Promise<TrainEvent[]> {
  const seen: TrainEvent[] = [];
  const made = trainer(trial);
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
export async function trained(trial: Trial = {}): Promise<Record<string, Values>> {
  const own = trial.network ?? network(1);
  await events({ ...trial, network: own });
  const values = await own.params.read();
  own.params.free();
  return values;
}

export { initialise };
