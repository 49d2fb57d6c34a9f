// All that a training needs to go on as if it had never stopped, and the file that holds it: a safetensors file with
// the network's tensors under the published names, the optimizer's under "optimizer.", and in its metadata where
// the run is and what its source of batches needs. The same bytes in Node and in a browser.

import * as v from "valibot";
import type { GradientGuard, Optimizer } from "../../engine/index.ts";
import { CheckpointError, decodeSafetensors } from "../../model/files/safetensors.ts";
import { checkFinite } from "./diverged.ts";
import type { Params, Values } from "../../model/networks/params.ts";
import { type Position, PositionSchema } from "./position.ts";
import { checkSeal, encodeSealed } from "../../model/files/seal.ts";

/** What a training is at rest. */
export interface TrainingState {
  /** The network's, by their names; its running statistics too. */
  network: Record<string, Values>;
  /** The optimizer's: "<moment>.<name of the parameter>", and "guard" (GradientGuard's state). */
  optimizer: Record<string, Values>;
  position: Position;
  /** What the source of batches needs to go on: JSON. */
  data: unknown;
}

/** What of a training holds state, all of it on the device. */
export interface Stateful {
  params: Params;
  optimizer: Optimizer;
  guard: GradientGuard;
}

/** Reads the tensors of a training at rest. */
export async function readTensors({ params, optimizer, guard }: Stateful) {
  const stored: TrainingState["optimizer"] = {};
  for (const [name, t] of optimizerTensors({ params, optimizer, guard })) {
    stored[name] = { shape: t.shape, data: await t.read() };
  }
  return { network: await params.read(), optimizer: stored };
}

/**
 * Puts a state's tensors into a training that was just made for the same network; `updates` are the optimizer's steps so
 * far. Throws a CheckpointError, `name` being the file's, unless each is there and of its shape.
 */
export function restoreTensors(
  training: Stateful,
  { network, optimizer }: Pick<TrainingState, "network" | "optimizer">,
  { updates, name }: { updates: number; name: string },
): void {
  const wanted = [
    ...[...training.params.tensors].map(([key, t]) => [key, t, network[key]] as const),
    ...optimizerTensors(training).map(([key, t]) => [`optimizer.${key}`, t, optimizer[key]] as const),
  ];
  for (const [key, t, value] of wanted) {
    if (`${value?.shape}` === `${t.shape}`) continue;
    throw new CheckpointError(
      `${name}: of another training: expected ${key} [${t.shape}], got ${value ? `[${value.shape}]` : "none"}`,
    );
  }
  for (const [, t, value] of wanted) t.write(value!.data);
  training.guard.restore(optimizer["guard"]!.data);
  training.optimizer.steps = updates;
}

function optimizerTensors({ params, optimizer, guard }: Stateful) {
  const names = [...params.tensors].filter(([, t]) => optimizer.params.includes(t)).map(([name]) => name);
  const moments = Object.entries(optimizer.moments).flatMap(([kind, tensors]) =>
    tensors.map((t, i) => [`${kind}.${names[i]}`, t] as const),
  );
  return [...moments, ["guard", guard.state] as const];
}

/** The bytes of a checkpoint; `notes` are more of its metadata. Throws a DivergedError rather than store NaN. */
export async function encodeTraining(
  { network, optimizer, position, data }: TrainingState,
  notes: Readonly<Record<string, string>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const { guard, ...moments } = optimizer; // whose last norm may well be no number
  const tensors = { ...network, ...prefixed(moments) };
  checkFinite(tensors, `epoch ${position.epoch}, after ${position.done} steps`);
  const state = { training: JSON.stringify(position), sampler: JSON.stringify(data ?? null) };
  return encodeSealed({ ...tensors, ...prefixed({ guard: guard! }) }, { ...notes, ...state });
}

/** What the bytes of a checkpoint hold; `name` is the file's. Throws a CheckpointError unless all is as it was written. */
export async function decodeTraining(
  bytes: Uint8Array,
  name: string,
): Promise<TrainingState & { metadata: Record<string, string> }> {
  const sealed = await checkSeal(bytes, name);
  const { tensors, metadata } = decodeSafetensors(bytes, name);
  if (!sealed) throw new CheckpointError(`${name}: has no checksum: it is damaged, or of an older version`);
  const [network, optimizer]: Record<string, Values>[] = [{}, {}];
  for (const [key, { shape, data }] of Object.entries(tensors)) {
    if (!(data instanceof Float32Array)) throw new CheckpointError(`${name}: ${key} holds integers`);
    if (key.startsWith(PREFIX)) optimizer![key.slice(PREFIX.length)] = { shape, data };
    else network![key] = { shape, data };
  }
  try {
    const position = v.parse(PositionSchema, JSON.parse(metadata["training"] ?? "null"));
    const data: unknown = JSON.parse(metadata["sampler"] ?? "null");
    return { network: network!, optimizer: optimizer!, position, data, metadata };
  } catch (error) {
    const { message } = error as Error;
    throw new CheckpointError(`${name}: expected the state of a training, got another file: ${message}`);
  }
}

/** The metadata in which a training's file says its settings: JSON, by the names that the command line has for them. */
export const SETTINGS_NOTE = "config";

const PREFIX = "optimizer.";

function prefixed(tensors: Readonly<Record<string, Values>>): Record<string, Values> {
  return Object.fromEntries(Object.entries(tensors).map(([name, value]) => [PREFIX + name, value]));
}
