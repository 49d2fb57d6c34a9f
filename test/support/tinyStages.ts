// Stages so small that they train in seconds, trained as train.js does it.

import { readFileSync } from "node:fs";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { train } from "../../cli/stages/training.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import { device } from "./gradcheck.ts";
import { silenced } from "./quietly.ts";

/** The settings of a tiny stage. */
export const TINY = {
  filters: 2,
  levels: 2,
  batch: 1,
  epochs: 2,
  patch: [16, 16, 16],
  workers: 0,
} as const satisfies TrainFlags;

/** Trains the stage that flags ask for, and returns what is printed. */
export async function trainStageOf(
  flags: TrainFlags,
  unfinished: "refuse" | "resume" = "refuse",
): Promise<string> {
  const config = await resolveConfig(flags);
  return (await silenced(() => train(() => Promise.resolve(device), config, { unfinished }))).join("\n");
}

/** The tensors of a checkpoint or a training state, as text. */
export function tensorText(path: string): string {
  const found = decodeSafetensors(readFileSync(path), path).tensors;
  const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("base64");
  return JSON.stringify(Object.entries(found).map(([name, { data: values }]) => [name, bytes(values)]));
}
