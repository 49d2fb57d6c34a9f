// A checkpoint that says how to use it: the network's tensors under the published names, and in the metadata a card:
// its shape, its patch, and how its input was made. The last is the business of whoever makes the input, who
// brings a schema for it. Published checkpoints lack all of this.

import * as v from "valibot";
import { type Checkpoint, decodeSafetensors } from "./safetensors.ts";
import { CheckpointError } from "../errors.ts";
import type { Values } from "../networks/params.ts";
import { checkPatch } from "../networks/patch.ts";
import { storedNetwork } from "./published.ts";
import type { Vec3 } from "../scoring/regions.ts";
import { checkSeal } from "./seal.ts";
import type { VnetConfig } from "../networks/vnet.ts";
import type { Tiling } from "../inference/windows.ts";

/** What a card says of the network itself. */
export interface NetworkCard {
  network: VnetConfig;
  patch: Vec3;
  /** How the windows of a prediction are laid and weighed. */
  window: Tiling["weighting"];
  stage: string;
  epoch: number;
  step: number;
  seed: number;
}

/** What a card says of the network's input. */
export interface InputCard {
  /** What the network sees, in channel order. */
  modalities: readonly string[];
}

/** A network in a file, read and checked; a published one has no card. */
export interface StoredModel<Input extends InputCard> {
  path: string;
  network: VnetConfig;
  card: (NetworkCard & Input) | null;
  values: Record<string, Values>;
}

/** How the input's part of a card is read, and what the network's classes must be called. */
export interface InputRule<Input extends InputCard> {
  schema: v.GenericSchema<unknown, Input>;
  classes: readonly string[];
}

const FORMAT = "protokd 2"; // with a checksum (seal.ts), which "protokd 1" lacks
const FORMATS: readonly (string | undefined)[] = [FORMAT, "protokd 1"];

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const NetworkSchema = v.object({
  network: v.object({
    modalities: count,
    classes: count,
    filters: count,
    levels: v.pipe(count, v.minValue(2), v.maxValue(6)),
    norm: v.picklist(["instance", "batch"]),
    deepSupervision: v.exactOptional(v.boolean()),
  }),
  patch: v.tuple([count, count, count]),
  window: v.optional(v.picklist(["gaussian", "uniform"]), "uniform"), // as older ones were scored
  stage: v.string(),
  epoch: v.number(),
  step: v.number(),
  seed: v.number(),
});

/** The metadata of a checkpoint with this card. */
export function cardMetadata(card: NetworkCard & InputCard): Record<string, string> {
  return { format: FORMAT, card: JSON.stringify(card) };
}

/**
 * The network in the bytes of the file `path`, which this project wrote, or a published one. Throws a CheckpointError
 * unless its tensors are what its card says, or, without one, those of some V-Net, and its checksum is right.
 */
export async function decodeModel<Input extends InputCard>(
  bytes: Uint8Array,
  path: string,
  rule: InputRule<Input>,
): Promise<StoredModel<Input>> {
  await checkSeal(bytes, path);
  return modelIn(decodeSafetensors(bytes, path), path, rule);
}

/** The same, of a file that has been decoded. */
export function modelIn<Input extends InputCard>(
  { tensors, metadata }: Checkpoint,
  path: string,
  rule: InputRule<Input>,
): StoredModel<Input> {
  const { format, card: text, sha256 } = metadata;
  const ours = FORMATS.includes(format);
  if (format?.startsWith("protokd") && (!ours || !text)) {
    throw new CheckpointError(`${path}: expected the format "${FORMAT}" with a card, got "${format}"`);
  }
  if (format === FORMAT && !sha256) throw new CheckpointError(`${path}: damaged: it has lost its checksum`);
  const card = ours ? readCard(text!, path, rule) : null;
  const { config: network, values } = storedNetwork(tensors, path, card?.network);
  if (network.classes === rule.classes.length) return { path, network, card, values };
  const classes = rule.classes.join(", ");
  throw new CheckpointError(`${path}: expected the classes ${classes}, got ${network.classes} classes`);
}

function readCard<Input extends InputCard>(
  text: string,
  path: string,
  { schema, classes }: InputRule<Input>,
): NetworkCard & Input {
  try {
    const json: unknown = JSON.parse(text);
    const own = v.parse(NetworkSchema, json);
    const input = v.parse(schema, json);
    const { network, patch } = own;
    if (network.classes !== classes.length) {
      throw new Error(`network.classes: expected ${classes.length}, got ${network.classes}`);
    }
    if (input.modalities.length !== network.modalities) {
      const got = input.modalities.join(", ") || "none";
      throw new Error(`expected ${network.modalities} modalities, got ${got}`);
    }
    checkPatch(patch, network.levels);
    return { ...own, ...input };
  } catch (error) {
    const place = v.isValiError(error) ? `${v.getDotPath(error.issues[0])}: ` : "";
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`${path}: describes a network that is not known here: ${place}${reason}`);
  }
}
