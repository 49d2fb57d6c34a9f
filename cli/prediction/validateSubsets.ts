// The scores of a network that takes any of its contrasts, with each subset of them on the validation cases.

import { ALL_SUBSETS, parseSubset } from "../../data/datasets/subsets.ts";
import { channelsThere } from "../../data/preparation/preprocess.ts";
import { inTurn, type SuppliedCase } from "../../data/preparation/supply.ts";
import type { Device } from "../../engine/index.ts";
import type { Network } from "../../model/networks/network.ts";
import { diceByRegion, meanDice } from "../../model/scoring/metrics.ts";
import type { Region } from "../../model/scoring/regions.ts";
import { networkContrasts, type TrainConfig } from "../../trainer/settings/config.ts";
import { predictCase, seenBy } from "../../trainer/stages/prediction.ts";
import { overwrite, say } from "../terminal/console.ts";
import { writeSubsetScores } from "./subsetScores.ts";

/**
 * Scores a stage's best network with every subset of its contrasts on the validation cases that have them,
 * and writes the scores to the stage's folder, for predict.js to choose by. Does nothing for a network of
 * fixed contrasts, or without validation cases.
 */
export async function validateSubsets(
  device: Device,
  network: Network,
  validation: readonly SuppliedCase[],
  { folder, config }: { folder: string; config: TrainConfig },
): Promise<void> {
  const contrasts = networkContrasts(config);
  if (!contrasts.any || !validation.length) return;
  const subsets = ALL_SUBSETS.filter((name) =>
    parseSubset(name).every((modality) => contrasts.modalities.includes(modality)),
  );
  const dice = new Map<string, Record<Region, number>[]>(subsets.map((name) => [name, []]));
  let done = 0;
  for await (const prepared of inTurn(validation)) {
    for (const [name, scores] of dice) {
      const shown = parseSubset(name);
      overwrite(`  validating subset ${++done} of ${dice.size * validation.length}`);
      if (!shown.every((modality) => channelsThere(prepared).includes(modality))) continue;
      const classes = await predictCase(device, network, seenBy(prepared, contrasts, shown), config);
      scores.push(diceByRegion(classes, prepared.label!));
    }
  }
  overwrite("");
  const found = [...dice]
    .filter(([, scores]) => scores.length)
    .map(([name, scores]) => [name, meanDice(scores)] as const);
  await writeSubsetScores(folder, {
    cases: validation.map(({ id }) => id),
    subsets: Object.fromEntries(found),
  });
  const means = found.map(([name, { mean }]) => `${name} ${mean.toFixed(3)}`);
  say(`  mean Dice in validation by what is there: ${means.join(", ")}`);
}
