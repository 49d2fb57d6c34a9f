// A folder of golden values: what PyTorch computes in float64 from float32 inputs, for every operation and for
// a whole network. cases.json describes the cases, ops.safetensors and vnet.safetensors hold their tensors.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeSafetensors, type StoredTensor } from "../../model/files/safetensors.ts";
import type { Array64 } from "../support/gradcheck.ts";

/** Those that come with the project. */
export const FIXTURES = fileURLToPath(new URL("../fixtures/golden", import.meta.url));

/** More of them, with larger networks, where the folder is there. */
export const SHARED = fileURLToPath(new URL("../../../shared/golden", import.meta.url));

/** One case of one operation. */
export interface OpCase {
  name: string;
  /** As PyTorch's function takes them, and `op`, its name. */
  attributes: Record<string, unknown>;
  in: Record<string, Array64>;
  out: Array64;
  gout: Array64;
  /** Of those inputs that are differentiated. */
  gin: Record<string, Array64>;
  /** What the case has besides, by its name: running statistics after the step, an optimizer's start and end. */
  more: Record<string, Array64>;
  /** Relative errors of PyTorch's own float32: of `out`, and of the gradient by input. */
  float32: Record<string, number>;
}

export const LOSSES = ["ce", "dice", "kd", "proto", "total"] as const;

export type LossName = (typeof LOSSES)[number];

export type Losses = Record<LossName, number>;

/** A whole network: the losses of the steps of training, and how far PyTorch's own float32 is from them. */
export interface NetworkCase {
  norm: "instance" | "batch";
  filters: number;
  rate: number;
  decay: number;
  /** Index of the modality that the student sees. */
  modality: number;
  history: Losses[];
  float32: { features: number; logits: number; gradient: number; history: Losses[] };
  tensors: Record<string, StoredTensor>;
  /** Of values to be compared (not of inputs and weights) only every such one is stored. */
  every: number;
}

export interface Golden {
  ops: OpCase[];
  networks: NetworkCase[];
}

/** Opens a folder; throws an Error that names the file where one is missing or not as it should be. */
export function openGolden(folder: string): Golden {
  const file = (name: string) => {
    const path = join(folder, name);
    if (!existsSync(path)) throw new Error(`golden: ${path} is missing: expected a folder of golden values`);
    return readFileSync(path);
  };
  const { vnet, ...cases } = JSON.parse(file("cases.json").toString()) as {
    vnet: Networks;
  } & Record<string, OpCase["attributes"]>;
  const ops = new Map<string, OpCase>();
  for (const [name, { float32 = {}, ...attributes }] of Object.entries<OpCase["attributes"]>(cases)) {
    const own = float32 as Record<string, number>;
    ops.set(name, { name, attributes, float32: own, in: {}, out: NONE, gout: NONE, gin: {}, more: {} });
  }
  for (const [key, { shape, data }] of Object.entries(
    decodeSafetensors(file("ops.safetensors"), join(folder, "ops.safetensors")).tensors,
  )) {
    const array = { shape, data: Float64Array.from(data, Number) };
    const [owner, role, input] = key.split(".") as [string, string?, string?];
    const known = ops.get(owner);
    if (!known || !role) throw new Error(`golden: ${folder}: ${key} belongs to no case of cases.json`);
    if (role === "out" || role === "gout") known[role] = array;
    else if (input && (role === "in" || role === "gin")) known[role][input] = array;
    else known.more[role] = array;
  }

  const { tensors, metadata } = decodeSafetensors(file("vnet.safetensors"), join(folder, "vnet.safetensors"));
  const networks = (["instance", "batch"] as const).map((norm): NetworkCase => {
    const { student_modality: modality, history, float32 } = vnet[norm];
    const { filters, lr: rate, weight_decay: decay } = vnet;
    const every = Number(metadata["every"] ?? 1);
    return { norm, filters, rate, decay, modality, history, float32, tensors, every };
  });
  return { ops: [...ops.values()], networks };
}

type Networks = { filters: number; lr: number; weight_decay: number } & Record<
  "instance" | "batch",
  { student_modality: number; history: Losses[]; float32: NetworkCase["float32"] }
>;

const NONE: Array64 = { shape: [0], data: new Float64Array() };
