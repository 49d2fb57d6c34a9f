// Checkpoints on disk: a network's tensors under the published names, and in the metadata what is needed to
// use it: its shape, the modalities it sees, how its input was prepared.

import { readFile } from "node:fs/promises";
import type { Modality } from "../data/datasets.ts";
import { type LabelConvention } from "../data/labels.ts";
import type { Device } from "../engine/index.ts";
import { CheckpointError, decodeSafetensors, encodeSafetensors, type StoredTensor } from "../model/checkpoint.ts";
import { Params, type Values } from "../model/params.ts";
import type { Vec3 } from "../model/regions.ts";
import type { Network } from "../model/trainer.ts";
import type { VnetConfig } from "../model/vnet.ts";
import { writeAtomically } from "./files.ts";

/** What a checkpoint's metadata says about its network. */
export interface ModelCard {
  network: VnetConfig;
  modalities: Modality[];
  patch: Vec3;
  /** Convention of the labels it was trained on: predictions use it unless told otherwise. */
  labels: LabelConvention;
  background: "zero" | "shifted";
  stage: string;
  epoch: number;
  step: number;
  seed: number;
}

const FORMAT = "protokd 1";

/** Writes a checkpoint atomically. `more` are tensors beside the network's: an optimizer's moments. */
export async function saveModel(
  path: string,
  params: Params,
  card: ModelCard,
  more: Record<string, StoredTensor> = {},
  notes: Record<string, string> = {},
): Promise<void> {
  const tensors = { ...(await params.read()), ...more };
  const metadata = { format: FORMAT, card: JSON.stringify(card), ...notes };
  await writeAtomically(path, encodeSafetensors(tensors, metadata));
}

/** Reads a checkpoint that this project wrote; its parameters are made by the first forward pass. */
export async function loadModel(device: Device, path: string): Promise<Network & { card: ModelCard }> {
  const { card, values } = await readModel(path);
  return { params: new Params(device, { values }), config: card.network, card };
}

/** The same without a device: for checks before anything is started. */
export async function readModel(path: string): Promise<{ card: ModelCard; values: Record<string, Values> }> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new CheckpointError(`${path}: expected a checkpoint, got ${error.code === "ENOENT" ? "no file" : error.code}`);
  });
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  if (metadata["format"] !== FORMAT || !metadata["card"]) {
    throw new CheckpointError(`${path}: a safetensors file, but not of this project (no format "${FORMAT}" in it)`);
  }
  const values: Record<string, Values> = {};
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    if (!name.startsWith("optimizer.") && data instanceof Float32Array) values[name] = { shape, data };
  }
  return { card: JSON.parse(metadata["card"]) as ModelCard, values };
}
