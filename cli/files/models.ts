// Checkpoints on disk: a network's tensors under the published names, and in the metadata a card with its
// sizes, the modalities that it sees, and how its input was prepared. Published checkpoints have no card.

import { type Modality, MODALITIES } from "../../data/datasets/datasets.ts";
import { type Input, INPUT } from "../../data/preparation/input.ts";
import type { Device } from "../../engine/index.ts";
import {
  architectureIn,
  decodeModel,
  type NetworkCard,
  type StoredModel as Stored,
} from "../../model/files/card.ts";
import { decodeClassifier, decodeEncoder, decodeTranslator, partIn } from "../../model/files/cardParts.ts";
import { CheckpointError } from "../../model/errors.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import type { FrozenNetwork } from "../../trainer/loop/members.ts";
import { encodeModel, type ModelCard } from "../../trainer/stages/stage.ts";
import { Params } from "../../model/networks/params.ts";
import { translates } from "../../model/networks/twoStream.ts";
import type { Network } from "../../model/networks/network.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { writeAtomically } from "./files.ts";
import { readFile } from "../terminal/userFile.ts";

/** The parts of a card that using a network needs. */
export type ModelUse = Input & Pick<NetworkCard, "patch" | "window" | "stage">;

/** A network in a file, read and checked; a published one has no card. */
export type StoredModel = Stored<Input>;

/** Writes a network's checkpoint atomically. Throws a DivergedError rather than write NaN or infinity. */
export async function saveModel(path: string, params: Params, card: ModelCard): Promise<void> {
  await writeAtomically(path, await encodeModel(params, card, path));
}

/**
 * Reads a network that this project wrote, or a published one, and checks all of it without a device. If it
 * sees each of several contrasts alone, `contrast` chooses one. Throws a CheckpointError unless its tensors
 * are what its card says, or, without one, those of some V-Net.
 */
export async function readModel(path: string, contrast?: Modality): Promise<StoredModel> {
  return decodeModel(await readBytes(path), path, INPUT, contrast);
}

/** Reads the encoder of a pretraining, or that of any network, with the same checks. */
export async function readEncoder(path: string): Promise<StoredModel> {
  return decodeEncoder(await readBytes(path), path, INPUT);
}

/** Reads the network that translates images into a contrast; errors as in decodeTranslator(). */
export async function readTranslator(path: string, target: Modality) {
  return decodeTranslator(await readBytes(path), path, INPUT, target);
}

/** Tells whether a file holds a network that translates contrasts; false where it cannot be read. */
export async function isTranslator(path: string): Promise<boolean> {
  try {
    return translates(decodeSafetensors(await readFile(path), path).tensors);
  } catch {
    return false; // whoever reads the network says why
  }
}

/** Reads a network that classifies, with the same checks. */
export async function readClassifier(path: string): Promise<StoredModel> {
  return decodeClassifier(await readBytes(path), path, INPUT);
}

/** Tells whether a file holds a network that classifies; false where it cannot be read. */
export async function isClassifier(path: string): Promise<boolean> {
  try {
    return partIn(decodeSafetensors(await readFile(path), path).metadata) === "classifier";
  } catch {
    return false; // whoever reads the network says why
  }
}

function readBytes(path: string): Promise<Uint8Array> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new CheckpointError(
      `${path}: expected a checkpoint, got ${error.code === "ENOENT" ? "no file" : error.code}`,
    );
  });
}

/** A stored network as the frozen one of another stage. */
export function frozenNetwork(model: StoredModel): FrozenNetwork {
  const { network: config, card, values } = model;
  const seen = { modalities: channelsOf(model), ...(card?.any && ({ any: true } as const)) };
  return { spec: { config, ...seen, ...architectureIn(card) }, values };
}

/** Puts a network on the device. */
export function upload(device: Device, { network, values, card }: StoredModel): Network {
  return { params: new Params(device, { values }), config: network, ...architectureIn(card) };
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
