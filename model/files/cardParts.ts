// Checkpoints that hold another network than one that segments: an encoder, a classifier, a translator.

import { CheckpointError } from "../errors.ts";
import { mergedBank } from "../networks/banks.ts";
import { classifierShapes } from "../networks/classifier.ts";
import { encoderShapes } from "../networks/layers.ts";
import type { Values } from "../networks/params.ts";
import { translates, translator } from "../networks/twoStream.ts";
import {
  FORMAT,
  type InputCard,
  type InputRule,
  modelIn,
  type NetworkCard,
  readCard,
  type StoredModel,
  uncheckedCard,
} from "./card.ts";
import { storedNetwork } from "./published.ts";
import { type Checkpoint, decodeSafetensors } from "./safetensors.ts";
import { checkSeal } from "./seal.ts";

/**
 * Decodes the encoder in the bytes of the file `path`: a pretraining's, or that of any network. Errors as in
 * decodeModel().
 */
export async function decodeEncoder<Input extends InputCard>(
  bytes: Uint8Array,
  path: string,
  rule: InputRule<Input>,
): Promise<StoredModel<Input>> {
  await checkSeal(bytes, path);
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  const part = partIn(metadata);
  if (part === "encoder") return partOf({ tensors, metadata }, path, rule, encoderShapes);
  const model =
    part === null
      ? modelIn({ tensors, metadata }, path, rule)
      : partOf({ tensors, metadata }, path, rule, classifierShapes);
  return { ...model, values: encoderOf(model) };
}

/**
 * Decodes the classifier in the bytes of the file `path`. Throws a CheckpointError where it holds another
 * network; else as in decodeModel().
 */
export async function decodeClassifier<Input extends InputCard>(
  bytes: Uint8Array,
  path: string,
  rule: InputRule<Input>,
): Promise<StoredModel<Input>> {
  await checkSeal(bytes, path);
  const checkpoint = decodeSafetensors(bytes, path);
  if (partIn(checkpoint.metadata) === "classifier") return partOf(checkpoint, path, rule, classifierShapes);
  throw new CheckpointError(
    `${path}: expected a classifier, got another network: train one with --method wsd`,
  );
}

/** The part of a V-Net that a file says it holds; null where it says none. */
export function partIn(metadata: Readonly<Record<string, string>>): NetworkCard["part"] | null {
  return metadata["format"] === FORMAT ? (uncheckedCard(metadata).part ?? null) : null;
}

/** The part of a V-Net that has tensors of these shapes, with its card. */
function partOf<Input extends InputCard>(
  { tensors, metadata }: Checkpoint,
  path: string,
  rule: InputRule<Input>,
  shapes: typeof encoderShapes,
): StoredModel<Input> {
  const card = readCard(metadata["card"]!, path, rule);
  const { config, values } = storedNetwork(tensors, path, card.network, shapes(card.network));
  return { path, network: config, card, values };
}

/**
 * Decodes the network in the bytes of the file `path` that translates images into the contrast `target`.
 * Throws a CheckpointError for a network that does not translate, or not into this contrast, and as
 * decodeModel().
 */
export async function decodeTranslator<Input extends InputCard>(
  bytes: Uint8Array,
  path: string,
  rule: InputRule<Input>,
  target: string,
): Promise<StoredModel<Input> & { card: NetworkCard & Input }> {
  await checkSeal(bytes, path);
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  const text = metadata["format"] === FORMAT ? metadata["card"] : undefined;
  const card = text === undefined ? null : readCard(text, path, rule);
  if (!card?.architecture || !translates(tensors))
    throw new CheckpointError(
      `${path}: holds no network that translates contrasts: use the stage of several contrasts that train.js ` +
        "--method uagan wrote, such as RUN/student_each_uagan",
    );
  if (!card.modalities.includes(target))
    throw new CheckpointError(
      `${path}: translates into ${card.modalities.join(", ")}, not into ${target}: choose one of these`,
    );
  const own = mergedBank(tensors, target);
  const { config, values } = storedNetwork(own, path, card.network, translator.tensors(card.network));
  return { path, network: config, card, values };
}

function encoderOf({ network, values }: StoredModel<InputCard>): Record<string, Values> {
  return Object.fromEntries([...encoderShapes(network).keys()].map((name) => [name, values[name]!]));
}
