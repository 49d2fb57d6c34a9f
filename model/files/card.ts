// Checkpoints with a card: metadata that describes the network, its patch and its input, beside the tensors
// under their published names. The schema of the input's part comes from the caller, who prepares inputs.
// Published checkpoints have no card.

import * as v from "valibot";
import { jsonFault } from "../../engine/values.ts";
import { type Checkpoint, decodeSafetensors } from "./safetensors.ts";
import { CheckpointError } from "../errors.ts";
import type { Network } from "../networks/network.ts";
import { channelCount } from "../networks/anyContrasts.ts";
import { mergedBank } from "../networks/banks.ts";
import type { Values } from "../networks/params.ts";
import { segmenting, twoStream } from "../networks/twoStream.ts";
import { checkPatch } from "../networks/patch.ts";
import { storedNetwork } from "./published.ts";
import type { Vec3 } from "../scoring/regions.ts";
import { checkSeal, encodeSealed } from "./seal.ts";
import type { VnetConfig } from "../networks/vnet.ts";
import type { Tiling } from "../inference/windows.ts";

/** The network's part of a card. */
export interface NetworkCard {
  network: VnetConfig;
  /**
   * "encoder" where the file holds the network's encoder alone: that of a pretraining. "classifier" where it
   * holds that and a head that says which regions a patch shows.
   */
  part?: "encoder" | "classifier" | undefined;
  /** The kind of a network that is no V-Net: "two-stream". */
  architecture?: string | undefined;
  patch: Vec3;
  /** How the windows of a prediction are placed and weighted. */
  window: Tiling["weighting"];
  stage: string;
  /** Its name in the method, of a network that was trained beside the one that the stage is for. */
  role?: string;
  epoch: number;
  step: number;
  seed: number;
}

/** The input's part of a card. */
export interface InputCard {
  /** The modalities that the network sees, in channel order. */
  modalities: readonly string[];
  /** True for a network that takes any of them: see model/networks/anyContrasts.ts. */
  any?: true | undefined;
  /** True for a network that sees one of them at a time: see model/networks/banks.ts. */
  each?: true | undefined;
}

/** A network from a file, read and checked; a published one has no card. */
export interface StoredModel<Input extends InputCard> {
  path: string;
  network: VnetConfig;
  card: (NetworkCard & Input) | null;
  values: Record<string, Values>;
}

/** The schema of the input's part of a card, and the names of the classes that the network must have. */
export interface InputRule<Input extends InputCard> {
  schema: v.GenericSchema<unknown, Input>;
  classes: readonly string[];
}

/** The format of new checkpoints, which has a checksum (seal.ts); "protokd 1" lacks it. */
export const FORMAT = "protokd 2";
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
  part: v.optional(v.picklist(["encoder", "classifier"])),
  architecture: v.optional(v.literal(twoStream.kind)),
  patch: v.tuple([count, count, count]),
  window: v.optional(v.picklist(["gaussian", "uniform"]), "uniform"), // older cards lack it
  stage: v.string(),
  role: v.exactOptional(v.string()),
  epoch: v.number(),
  step: v.number(),
  seed: v.number(),
});

/** The metadata of a checkpoint with this card. */
export function cardMetadata(card: NetworkCard & InputCard): Record<string, string> {
  return { format: FORMAT, card: JSON.stringify(card) };
}

/**
 * Decodes the network in the bytes of the file `path`: this project's, or a published one. If it sees each of
 * several contrasts alone, `contrast` chooses one. Throws a CheckpointError for a wrong checksum, for tensors
 * that do not match the card or, without a card, any V-Net, and where that contrast is missing.
 */
export async function decodeModel<Input extends InputCard>(
  bytes: Uint8Array,
  path: string,
  rule: InputRule<Input>,
  contrast?: string,
): Promise<StoredModel<Input>> {
  await checkSeal(bytes, path);
  return modelIn(decodeSafetensors(bytes, path), path, rule, contrast);
}

/** The checkpoint of one contrast of a network that sees each alone; errors as in decodeModel(). */
export async function soleCheckpoint<Input extends InputCard>(
  bytes: Uint8Array,
  path: string,
  rule: InputRule<Input>,
  contrast: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const { values, card } = await decodeModel(bytes, path, rule, contrast);
  return encodeSealed(values, cardMetadata(card!));
}

/** The network in a decoded file; errors as in decodeModel(). */
export function modelIn<Input extends InputCard>(
  { tensors, metadata }: Checkpoint,
  path: string,
  rule: InputRule<Input>,
  contrast?: string,
): StoredModel<Input> {
  const { format, card: text, sha256 } = metadata;
  const ours = FORMATS.includes(format);
  if (format?.startsWith("protokd") && (!ours || !text)) {
    throw new CheckpointError(`${path}: expected the format "${FORMAT}" with a card, got "${format}"`);
  }
  if (format === FORMAT && !sha256) throw new CheckpointError(`${path}: damaged: its checksum is missing`);
  const described = ours ? readCard(text!, path, rule) : null;
  if (described?.part === "classifier") {
    throw new CheckpointError(
      `${path}: holds a classifier (${described.stage}), which says what a case shows and segments nothing: use it ` +
        `with predict, or train a network from it with --init-encoder ${path}`,
    );
  }
  if (described?.part) {
    throw new CheckpointError(
      `${path}: holds the encoder of a pretraining (${described.stage}), which segments nothing yet: train a ` +
        `network from it with --init-encoder ${path}, and use that one here`,
    );
  }
  const card = described?.each ? cardOf(described, path, contrast) : described;
  const own = described?.each ? mergedBank(tensors, contrast!) : tensors;
  const used = card?.architecture ? segmenting(own) : own;
  const shapes = card?.architecture ? twoStream.tensors(card.network) : undefined;
  const { config: network, values } = storedNetwork(used, path, card?.network, shapes);
  if (network.classes === rule.classes.length) return { path, network, card, values };
  const classes = rule.classes.join(", ");
  throw new CheckpointError(`${path}: expected the classes ${classes}, got ${network.classes} classes`);
}

/** The kind of network that a card describes, to make a Network with; none for a V-Net. */
export function architectureIn(
  card: Pick<NetworkCard, "architecture"> | null,
): Pick<Network, "architecture"> {
  return card?.architecture ? { architecture: twoStream } : {};
}

/** The contrasts of a network that sees each alone, by its file's bytes; null for any other. */
export function contrastsOf(bytes: Uint8Array, path: string): string[] | null {
  const { modalities, each } = uncheckedCard(decodeSafetensors(bytes, path).metadata);
  return each ? [...modalities!] : null;
}

/** The network as a file's metadata describe it, unchecked; {} where these are no JSON. */
export function uncheckedCard({
  card = "{}",
}: Readonly<Record<string, string>>): Partial<NetworkCard & InputCard> {
  try {
    return (JSON.parse(card) ?? {}) as Partial<NetworkCard & InputCard>;
  } catch {
    return {};
  }
}

/** The card of one contrast of a network that sees each alone. Throws a CheckpointError unless it has it. */
function cardOf<Card extends NetworkCard & InputCard>(card: Card, path: string, contrast?: string): Card {
  const { each: _, ...rest } = card;
  const { modalities, stage } = card;
  if (contrast !== undefined && modalities.includes(contrast))
    return { ...rest, modalities: [contrast], stage: soleStage(stage, contrast) } as unknown as Card;
  throw new CheckpointError(
    `${path}: holds one network for each of ${modalities.join(", ")}: use the checkpoint of one contrast, such as ` +
      `that in the folder ${soleStage(stage, modalities[0]!)} beside ${stage}`,
  );
}

/** The stage of one contrast of a network for several: "student_t1ce_ummkd" of "student_each_ummkd". */
export function soleStage(stage: string, contrast: string): string {
  return stage.replace(/_each[^_]*/, `_${contrast}`);
}

/** The card in the metadata of the file `path`. Throws a CheckpointError for an unknown network. */
export function readCard<Input extends InputCard>(
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
    if (channelCount(input) !== network.modalities) {
      const got = (input.modalities.join(", ") || "none") + (input.any ? " with their availability" : "");
      throw new Error(`expected ${network.modalities} channels, got ${got}`);
    }
    checkPatch(patch, network.levels);
    return { ...own, ...input };
  } catch (error) {
    const place = v.isValiError(error) ? `${v.getDotPath(error.issues[0])}: ` : "";
    const reason = jsonFault(error);
    throw new CheckpointError(`${path}: describes an unknown network: ${place}${reason}`);
  }
}
