// Checkpoints on disk: a network's tensors under the published names, and in the metadata what is needed to
// use it: its shape, the modalities it sees, how its input was prepared. Published ones lack the latter.

import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { type Modality, MODALITIES } from "../data/datasets.ts";
import { CLASS_NAMES, CONVENTION_NAMES, type LabelConvention } from "../data/labels.ts";
import type { Preparation } from "../data/preprocess.ts";
import type { Device } from "../engine/index.ts";
import {
  CheckpointError,
  decodeSafetensors,
  encodeSafetensors,
  type StoredTensor,
} from "../model/checkpoint.ts";
import { Params, type Values } from "../model/params.ts";
import { storedNetwork } from "../model/published.ts";
import type { Vec3 } from "../model/regions.ts";
import type { Network } from "../model/network.ts";
import { checkPatch, type VnetConfig } from "../model/vnet.ts";
import type { Tiling } from "../model/windows.ts";
import { UsageError } from "./command.ts";
import { writeAtomically } from "./files.ts";

/** What has to be known of a network to use it. */
export interface ModelUse extends Preparation {
  modalities: Modality[];
  patch: Vec3;
  /** How the windows of a prediction are laid and weighed. */
  window: Tiling["weighting"];
  /** Convention of the labels it was trained on: predictions use it unless told otherwise. */
  labels: LabelConvention;
  stage: string;
}

/** What a checkpoint's metadata says about its network. */
export interface ModelCard extends ModelUse {
  network: VnetConfig;
  epoch: number;
  step: number;
  seed: number;
}

/** A network in a file, read and checked; a published one has no card. */
export interface StoredModel {
  path: string;
  network: VnetConfig;
  card: ModelCard | null;
  values: Record<string, Values>;
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
  window: v.optional(v.picklist(["gaussian", "uniform"]), "uniform"), // as older ones were scored
  labels: v.picklist(CONVENTION_NAMES),
  background: v.picklist(["zero", "shifted"]),
  crop: v.optional(v.picklist(["brain", "published"]), "brain"),
  padding: v.optional(v.picklist(["background", "zero"]), "background"),
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

/**
 * Reads a network that this project wrote, or a published one, and checks all of it without a device. Throws a
 * CheckpointError unless its tensors are what its card says, or, without one, those of some V-Net.
 */
export async function readModel(path: string): Promise<StoredModel> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new CheckpointError(
      `${path}: expected a checkpoint, got ${error.code === "ENOENT" ? "no file" : error.code}`,
    );
  });
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  const { format, card: text } = metadata;
  if (format !== undefined && format.startsWith("protokd") && (format !== FORMAT || !text)) {
    throw new CheckpointError(`${path}: expected the format "${FORMAT}" with a card, got "${format}"`);
  }
  const card = format === FORMAT ? readCard(text!, path) : null;
  const { config: network, values } = storedNetwork(tensors, path, card?.network);
  if (network.classes === CLASS_NAMES.length) return { path, network, card, values };
  const classes = CLASS_NAMES.join(", ");
  throw new CheckpointError(`${path}: expected the classes ${classes}, got ${network.classes} classes`);
}

/** Puts a network on the device. */
export function upload(device: Device, { network, values }: StoredModel): Network {
  return { params: new Params(device, { values }), config: network };
}

/**
 * The modalities that a network sees, in channel order. Where no card says it, four channels are those of the
 * published code in its order, and a single one is what the user says with --modality.
 */
export function channelsOf({ path, network, card }: StoredModel, given?: Modality): Modality[] {
  if (card && given && card.modalities.join() !== given) {
    throw new UsageError(`--modality ${given}: ${path} says that it sees ${card.modalities.join(", ")}`);
  }
  if (card) return card.modalities;
  if (network.modalities === 1) {
    if (given) return [given];
    throw new UsageError(`${path}: does not say which modality it sees: say it with --modality`);
  }
  if (given) throw new UsageError(`--modality ${given}: ${path} sees ${network.modalities} modalities`);
  if (network.modalities === MODALITIES.length) return [...MODALITIES];
  throw new CheckpointError(`${path}: does not say which ${network.modalities} modalities it sees`);
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
