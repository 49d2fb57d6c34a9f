// Checkpoints on disk: a network's tensors under the published names, and in the metadata what is needed to
// use it: its shape, the modalities it sees, how its input was prepared.

import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { type Modality, MODALITIES } from "../data/datasets.ts";
import { CLASS_NAMES, CONVENTION_NAMES, type LabelConvention } from "../data/labels.ts";
import type { Device } from "../engine/index.ts";
import {
  CheckpointError,
  decodeSafetensors,
  encodeSafetensors,
  type StoredTensor,
} from "../model/checkpoint.ts";
import { Params, type Values } from "../model/params.ts";
import type { Vec3 } from "../model/regions.ts";
import { type Network, touch } from "../model/trainer.ts";
import { checkPatch, type VnetConfig } from "../model/vnet.ts";
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

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const CardSchema = v.object({
  network: v.object({
    modalities: count,
    classes: v.literal(CLASS_NAMES.length),
    filters: count,
    levels: v.pipe(count, v.minValue(2), v.maxValue(6)),
    norm: v.picklist(["instance", "batch"]),
  }),
  modalities: v.array(v.picklist(MODALITIES)),
  patch: v.tuple([count, count, count]),
  labels: v.picklist(CONVENTION_NAMES),
  background: v.picklist(["zero", "shifted"]),
  stage: v.string(),
  epoch: v.number(),
  step: v.number(),
  seed: v.number(),
});

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

/** Reads a network that this project wrote. Throws a CheckpointError unless its tensors are what its card says. */
export async function loadModel(device: Device, path: string): Promise<Network & { card: ModelCard }> {
  const { card, values } = await readModel(path);
  const network = { params: new Params(device, { values }), config: card.network, card };
  const edge = 2 ** (card.network.levels - 1);
  try {
    touch(device, network, [2 * edge, edge, edge]); // a forward pass asks for every tensor: the least one will do
  } catch (error) {
    network.params.free();
    throw error instanceof CheckpointError ? new CheckpointError(`${path}: ${error.message}`) : error;
  }
  return network;
}

/** The same without a device or a look at the tensors' shapes: for checks before anything is started. */
export async function readModel(path: string): Promise<{ card: ModelCard; values: Record<string, Values> }> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new CheckpointError(
      `${path}: expected a checkpoint, got ${error.code === "ENOENT" ? "no file" : error.code}`,
    );
  });
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  if (metadata["format"] !== FORMAT || !metadata["card"]) {
    throw new CheckpointError(
      `${path}: a safetensors file, but not of this project (no format "${FORMAT}" in it)`,
    );
  }
  const values: Record<string, Values> = {};
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    if (!name.startsWith("optimizer.") && data instanceof Float32Array) values[name] = { shape, data };
  }
  return { card: readCard(metadata["card"], path), values };
}

function readCard(text: string, path: string): ModelCard {
  try {
    const card = v.parse(CardSchema, JSON.parse(text));
    if (card.modalities.length !== card.network.modalities) {
      throw new Error(
        `expected ${card.network.modalities} modalities, got ${card.modalities.join(", ") || "none"}`,
      );
    }
    checkPatch(card.patch, card.network.levels);
    return card;
  } catch (error) {
    const { message, issues } = error as Error & Partial<Pick<v.ValiError<typeof CardSchema>, "issues">>;
    const place = issues ? `${v.getDotPath(issues[0])}: ` : "";
    throw new CheckpointError(`${path}: describes a network that is not known here: ${place}${message}`);
  }
}
