// The encoder of the last pretraining in this browser, which a later training can begin with. It outlasts the
// run that made it.

import { DataError } from "../../data/errors.ts";
import { type Input, INPUT } from "../../data/preparation/input.ts";
import type { StoredModel } from "../../model/files/card.ts";
import { decodeEncoder } from "../../model/files/cardParts.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { checkEach } from "../../trainer/settings/eachContrast.ts";
import type { TrainConfig } from "../../trainer/settings/settings.ts";
import { checkEncoder } from "../../trainer/stages/firstEncoder.ts";
import { keptFolder, read, write } from "../worker/opfs.ts";

const [FOLDER, FILE] = ["encoder", "encoder.safetensors"];

/** Keeps the encoder of a pretraining in place of the one before. */
export async function keepEncoder(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  await write(await keptFolder(FOLDER), FILE, bytes);
}

/** The file of the kept encoder; null without one. */
export async function encoderFile(): Promise<Uint8Array<ArrayBuffer> | null> {
  return read(await keptFolder(FOLDER), FILE);
}

/** The kept encoder, and the pretraining that it is of; null without one. Throws a CheckpointError. */
export async function keptEncoder(): Promise<{ name: string; model: StoredModel<Input> } | null> {
  const bytes = await encoderFile();
  const model = bytes && (await decodeEncoder(bytes, "the kept encoder", INPUT));
  return model && { name: model.card!.stage, model };
}

/**
 * The encoder that a stage begins with; null for one that draws it. Throws a DataError where it is not kept
 * any more, a UsageError where it does not fit the stage.
 */
export async function encoderFor(config: TrainConfig): Promise<StoredModel<Input> | null> {
  const { initEncoder } = config;
  if (initEncoder === null) return null;
  const kept = await keptEncoder();
  if (kept?.name !== initEncoder)
    throw new DataError(
      `${initEncoder}: its encoder is not kept in this browser any more: pretrain it again`,
    );
  checkEach(config);
  checkEncoder(kept.model, config, (why) => {
    throw new UsageError(`--init-encoder ${initEncoder}: ${why}`);
  });
  return kept.model;
}
