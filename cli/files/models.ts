// Checkpoints on disk: a network's tensors under the published names, and in the metadata what is needed to
// use it: its shape, the modalities it sees, how its input was prepared. Published ones lack the latter.

import { readFile } from "node:fs/promises";
import { type Modality, MODALITIES } from "../../data/datasets/datasets.ts";
import { type Input, INPUT } from "../../data/preparation/input.ts";
import type { Device } from "../../engine/index.ts";
import {
  cardMetadata,
  decodeModel,
  type NetworkCard,
  type StoredModel as Stored,
} from "../../model/files/card.ts";
import { CheckpointError } from "../../model/files/safetensors.ts";
import { withoutAsides } from "../../model/losses/deepSupervision.ts";
import { checkFinite } from "../../trainer/loop/diverged.ts";
import { Params } from "../../model/networks/params.ts";
import { encodeSealed } from "../../model/files/seal.ts";
import type { Network } from "../../model/networks/network.ts";
import { UsageError } from "../../trainer/errors.ts";
import { writeAtomically } from "./files.ts";

/** What has to be known of a network to use it. */
export type ModelUse = Input & Pick<NetworkCard, "patch" | "window" | "stage">;

/** What a checkpoint's metadata says about its network. */
export type ModelCard = NetworkCard & Input;

/** A network in a file, read and checked; a published one has no card. */
export type StoredModel = Stored<Input>;

/** Writes a network's checkpoint atomically, without the heads that only its training has. Throws a DivergedError rather than write NaN or infinity. */
export async function saveModel(path: string, params: Params, card: ModelCard): Promise<void> {
  const tensors = withoutAsides(await params.read());
  checkFinite(tensors, path);
  const { deepSupervision: _, ...network } = card.network;
  await writeAtomically(path, await encodeSealed(tensors, cardMetadata({ ...card, network })));
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
  return decodeModel(bytes, path, INPUT);
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
