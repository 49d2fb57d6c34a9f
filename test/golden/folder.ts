// A folder of golden values: PyTorch's results in float64 from float32 inputs, for operations, for the terms
// of distillation methods and for whole networks. cases.json describes the cases; ops.safetensors or
// methods.safetensors, and vnet.safetensors where there are networks, hold their tensors.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeSafetensors, type StoredTensor } from "../../model/files/safetensors.ts";
import type { Array64 } from "../support/gradcheck.ts";

/** Those that come with the project. */
export const FIXTURES = fileURLToPath(new URL("../fixtures/golden", import.meta.url));

/** Those of the methods that come with the project. */
export const METHOD_FIXTURES = join(FIXTURES, "methods");

/** More of them, with larger networks, where the folder is there. */
export const SHARED = fileURLToPath(new URL("../../../shared/golden", import.meta.url));
export const SHARED_METHODS = join(SHARED, "methods");

/** One case of one operation, or of one term of a method. */
export interface OpCase {
  name: string;
  /** As PyTorch's function takes them, and `op`, its name. */
  attributes: Record<string, unknown>;
  in: Record<string, Array64>;
  out: Array64;
  gout: Array64;
  /** The gradients, by the inputs that are differentiated. */
  gin: Record<string, Array64>;
  /** The case's other tensors by name: running statistics after the step, an optimizer's start and end. */
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
  /** Only every such value to be compared is stored; inputs and weights are whole. */
  every: number;
}

export interface Golden {
  ops: OpCase[];
  networks: NetworkCase[];
}

export const OPERATIONS = ["ops.safetensors", "methods.safetensors"];
export const NETWORK = "vnet.safetensors";

/** Opens a folder; throws an Error that names the file where one is missing or not as it should be. */
export function openGolden(folder: string): Golden {
  const path = join(folder, "cases.json");
  if (!existsSync(path)) throw new Error(`golden: ${path} is missing: expected a folder of golden values`);
  const { vnet, ...cases } = JSON.parse(readFileSync(path, "utf8")) as { vnet?: Networks } & Attributes;
  const files = OPERATIONS.filter((file) => existsSync(join(folder, file)));
  if (!files.length) throw new Error(`golden: ${folder} has neither ${OPERATIONS.join(" nor ")}`);
  const ops = new Map<string, OpCase>();
  for (const [name, { float32 = {}, ...attributes }] of Object.entries<OpCase["attributes"]>(cases)) {
    const own = float32 as Record<string, number>;
    ops.set(name, { name, attributes, float32: own, in: {}, out: NONE, gout: NONE, gin: {}, more: {} });
  }
  for (const file of files) addTensors(ops, join(folder, file));
  return { ops: [...ops.values()], networks: vnet ? networksOf(vnet, join(folder, NETWORK)) : [] };
}

/** Reads the tensors of a file, <case>.<role> or <case>.<role>.<input>, into the cases. */
function addTensors(ops: ReadonlyMap<string, OpCase>, path: string): void {
  const { tensors } = decodeSafetensors(readFileSync(path), path);
  for (const [key, { shape, data }] of Object.entries(tensors)) {
    const array = { shape, data: Float64Array.from(data, Number) };
    const [owner, role, input] = key.split(".") as [string, string?, string?];
    const known = ops.get(owner);
    if (!known || !role) throw new Error(`golden: ${path}: ${key} belongs to no case of cases.json`);
    if (role === "out" || role === "gout") known[role] = array;
    else if (input && (role === "in" || role === "gin")) known[role][input] = array;
    else known.more[role] = array;
  }
}

function networksOf(vnet: Networks, path: string): NetworkCase[] {
  if (!existsSync(path)) throw new Error(`golden: ${path} is missing, though cases.json has a network`);
  const { tensors, metadata } = decodeSafetensors(readFileSync(path), path);
  const { filters, lr: rate, weight_decay: decay } = vnet;
  const every = Number(metadata["every"] ?? 1);
  return (["instance", "batch"] as const).map((norm): NetworkCase => {
    const { student_modality: modality, history, float32 } = vnet[norm];
    return { norm, filters, rate, decay, modality, history, float32, tensors, every };
  });
}

type Attributes = Record<string, OpCase["attributes"]>;

type Networks = { filters: number; lr: number; weight_decay: number } & Record<
  "instance" | "batch",
  { student_modality: number; history: Losses[]; float32: NetworkCase["float32"] }
>;

const NONE: Array64 = { shape: [0], data: new Float64Array() };
