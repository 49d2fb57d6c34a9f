// The post-processing of a stage: chosen on its validation cases when training ends, saved beside its
// checkpoint as postprocessing.json with the scores of every rule tried, and read by every prediction.

import { join } from "node:path";
import * as v from "valibot";
import { channelsThere, gridSpacing } from "../../data/preparation/preprocess.ts";
import { inTurn, type SuppliedCase } from "../../data/preparation/supply.ts";
import type { Device } from "../../engine/index.ts";
import type { Network } from "../../model/networks/network.ts";
import {
  choosePostprocessing,
  NO_POSTPROCESSING,
  type Postprocessing,
  postprocessingText,
} from "../../model/inference/postprocess.ts";
import { validatedSubsets } from "../../model/networks/anyContrasts.ts";
import { tighten } from "../../model/scoring/masks.ts";
import { networkContrasts, type TrainConfig } from "../../trainer/settings/config.ts";
import { say } from "../terminal/console.ts";
import { writeAtomically } from "../files/files.ts";
import { predictCase, seenBy } from "../../trainer/stages/prediction.ts";
import { fileChecksum } from "../files/inputs.ts";
import { readBeside } from "./besideCheckpoint.ts";
import { FILES } from "../files/stageFolder.ts";

const volume = v.pipe(v.number(), v.finite(), v.minValue(0));
const CleaningSchema = v.object({ largest: v.boolean(), piece: volume, total: volume });
const Schema = v.object({
  rule: v.object({ WT: CleaningSchema, TC: CleaningSchema, ET: CleaningSchema }),
  /** The SHA-256 of the checkpoint's file; older versions did not record it. */
  checkpoint: v.exactOptional(v.string()),
});

/**
 * Chooses the post-processing of a stage's best network on the labelled validation cases, and writes it to
 * the stage's folder; does nothing without validation cases or with --postprocessing none.
 */
export async function tunePostprocessing(
  device: Device,
  network: Network,
  validation: readonly SuppliedCase[],
  { folder, config }: { folder: string; config: TrainConfig },
): Promise<Postprocessing> {
  if (config.postprocessing === "none" || !validation.length) return NO_POSTPROCESSING;
  const seen = networkContrasts(config);
  const validated = [];
  for await (const prepared of inTurn(validation)) {
    const { label, size } = prepared;
    for (const shown of validatedSubsets(seen, channelsThere(prepared))) {
      const prediction = await predictCase(device, network, seenBy(prepared, seen, shown), config);
      const pair = { prediction, reference: label!, size };
      validated.push({ ...(tighten(pair) ?? pair), spacing: gridSpacing(prepared) }); // memory holds all
    }
  }
  const choice = choosePostprocessing(validated);
  const text = postprocessingText(choice.rule);
  const checkpoint = await fileChecksum(join(folder, FILES.best));
  const detail = { text, ...choice, chosenOn: validation.map(({ id }) => id), checkpoint };
  await writeAtomically(join(folder, FILES.postprocessing), `${JSON.stringify(detail, null, 2)}\n`);
  const scores = `Dice ${choice.with.mean.toFixed(3)} with it, ${choice.without.mean.toFixed(3)} without`;
  say(`  post-processing, by the validation cases: ${text} (${scores})`);
  return choice.rule;
}

/**
 * The post-processing chosen for a checkpoint; null without its file, or where that was chosen for another.
 * Throws a CheckpointError.
 */
export async function readPostprocessing(checkpoint: string): Promise<Postprocessing | null> {
  const remedy = "skip it with --no-postprocessing";
  const chosen = await readBeside(checkpoint, FILES.postprocessing, Schema, {
    expected: "the rule that train.js writes, got another",
    unreadable: `make it readable, or ${remedy}`,
    remedy,
    other: ["was chosen for", "not applied"],
  });
  return chosen && chosen.rule;
}
