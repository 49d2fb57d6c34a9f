// Training states: all that a resumed run needs to end with exactly the same weights as an uninterrupted one.
// A file of a state is safetensors: the deployed network's tensors under the published names, other networks'
// under "role/", the method's own under "own/", the optimizers' under "optimizer.<group>/", and the position
// and the sources' states in the metadata. Node and browsers write the same bytes.

import * as v from "valibot";
import { faultOf } from "../../data/datasets/json.ts";
import { CheckpointError, OldStateError } from "../../model/errors.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import { checkSeal, encodeSealed } from "../../model/files/seal.ts";
import type { Values } from "../../model/networks/params.ts";
import { checkFinite } from "./diverged.ts";
import type { Learner } from "./learner.ts";
import { type Position, PositionSchema } from "./position.ts";

/** A training at a checkpoint event. */
export interface TrainingState {
  /** By their names in the file. */
  tensors: Record<string, Values>;
  position: Position;
  /** The state of each stream's source, as JSON. */
  data: Record<string, unknown>;
}

const FORMAT = "2"; // states of format 1 lack this metadata: they had one network and one optimizer
const GUARD = /^optimizer\.[^/]*\/guard$/;

/** Reads the tensors of a training at a checkpoint event. */
export async function readTensors(learner: Learner): Promise<TrainingState["tensors"]> {
  const stored: TrainingState["tensors"] = {};
  for (const [name, t] of learner.tensors) stored[name] = { shape: t.shape, data: await t.read() };
  return stored;
}

/**
 * Restores a state's tensors in a new training of the same networks; `name` is the file's name for messages.
 * Throws a CheckpointError if one is missing or has another shape.
 */
export function restoreTensors(
  learner: Learner,
  { tensors }: Pick<TrainingState, "tensors">,
  name: string,
): void {
  const wanted = [...learner.tensors].map(([key, t]) => [key, t, tensors[key]] as const);
  for (const [key, t, value] of wanted) {
    if (`${value?.shape}` === `${t.shape}`) continue;
    throw new CheckpointError(
      `${name}: of another training: expected ${key} [${t.shape}], got ${value ? `[${value.shape}]` : "none"}`,
    );
  }
  for (const [, t, value] of wanted) t.write(value!.data);
  for (const [group, { guard }] of learner.groups) guard.restore(tensors[`optimizer.${group}/guard`]!.data);
}

/** Encodes a state, with `notes` as more metadata. Throws a DivergedError for NaN or infinity. */
export async function encodeTraining(
  { tensors, position, data }: TrainingState,
  notes: Readonly<Record<string, string>>,
): Promise<Uint8Array<ArrayBuffer>> {
  // The last norm of a guard may be infinite.
  const finite = Object.fromEntries(Object.entries(tensors).filter(([name]) => !GUARD.test(name)));
  checkFinite(finite, `epoch ${position.epoch}, after ${position.done} steps`);
  return encodeSealed(tensors, {
    ...notes,
    training: JSON.stringify(position),
    training_format: FORMAT,
    sampler: JSON.stringify(data),
  });
}

/**
 * Decodes a state; `name` is the file's name for messages. Throws a CheckpointError for a damaged or other
 * file, and an OldStateError for a state of an older version.
 */
export async function decodeTraining(
  bytes: Uint8Array,
  name: string,
): Promise<TrainingState & { metadata: Record<string, string> }> {
  const sealed = await checkSeal(bytes, name);
  const { tensors: stored, metadata } = decodeSafetensors(bytes, name);
  if (!sealed) throw new CheckpointError(`${name}: has no checksum: it is damaged, or of an older version`);
  if (metadata["training"] !== undefined && metadata["training_format"] !== FORMAT) {
    throw new OldStateError(
      `${name}: a training state of an older version, which this version cannot resume: ` +
        "finish that training with the version that began it, or start a new one in another folder (--out)",
    );
  }
  const tensors: Record<string, Values> = {};
  for (const [key, { shape, data }] of Object.entries(stored)) {
    if (!(data instanceof Float32Array)) throw new CheckpointError(`${name}: ${key} holds integers`);
    tensors[key] = { shape, data };
  }
  try {
    const position = v.parse(PositionSchema, JSON.parse(metadata["training"] ?? "null"));
    const data = v.parse(
      v.custom<Record<string, unknown>>(isRecord),
      JSON.parse(metadata["sampler"] ?? "null"),
    );
    return { tensors, position, data, metadata };
  } catch (error) {
    throw new CheckpointError(
      `${name}: expected the state of a training, got another file: ${faultOf(error)}`,
    );
  }
}

function isRecord(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The key of a state's metadata that holds its settings as JSON. */
export const SETTINGS_NOTE = "config";

/**
 * The settings in a state's metadata, unchecked; null where it has none. Throws a CheckpointError that names
 * the file `name`, and shows nothing of it, where they are not a JSON object.
 */
export function notedSettings(metadata: Readonly<Record<string, string>>, name: string): object | null {
  const note = metadata[SETTINGS_NOTE];
  if (note === undefined) return null;
  let found: unknown;
  try {
    found = JSON.parse(note);
  } catch {
    found = undefined; // its message has a part of the text
  }
  if (isRecord(found)) return found as object;
  throw new CheckpointError(`${name}: expected its settings as a JSON object, got other text`);
}
