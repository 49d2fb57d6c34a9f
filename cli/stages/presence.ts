// Scores a stage whose network classifies, on its test cases: presence.json and presence.csv in its folder.

import { join } from "node:path";
import { loadCase } from "../../data/check/loadCase.ts";
import { isAny } from "../../data/datasets/subsets.ts";
import type { CommonGrid } from "../../data/preparation/input.ts";
import type { Device } from "../../engine/index.ts";
import { append } from "../../engine/values.ts";
import { vnetClassifier } from "../../model/networks/classifier.ts";
import { Params } from "../../model/networks/params.ts";
import {
  loadOptions,
  networkContrasts,
  networkModalities,
  stageName,
  type TrainConfig,
} from "../../trainer/settings/config.ts";
import { seenBy } from "../../trainer/stages/prediction.ts";
import { type JudgedWindow, judgedWindows, presenceScores } from "../../trainer/stages/presence.ts";
import { casesOf, type RunData } from "../files/cases.ts";
import { readClassifier } from "../files/models.ts";
import { FILES } from "../files/stageFolder.ts";
import {
  type CasePresence,
  labelledIn,
  presenceOf,
  type PresenceSummary,
  presenceText,
  writePresence,
} from "../prediction/presenceFiles.ts";
import { emit, result } from "../terminal/console.ts";

/** Predicts the test cases with the stage's best network, from its own contrasts alone, and scores it. */
export async function scorePresence(
  device: Device,
  config: TrainConfig,
  { source, dataset, split }: RunData,
  { orientation }: CommonGrid,
): Promise<void> {
  if (!split.test.length) return;
  const folder = join(config.out, stageName(config));
  const { network, values } = await readClassifier(join(folder, FILES.best));
  const params = new Params(device, { values });
  const classifier = { params, config: network, architecture: vnetClassifier };
  const modalities = networkModalities(config);
  const options = {
    labels: true,
    required: isAny(config.modality) ? [] : modalities,
    ...loadOptions(config),
  };
  const all: JudgedWindow[] = [];
  const cases: CasePresence[] = [];
  for (const files of casesOf(dataset, split.test)) {
    const prepared = await loadCase(source, dataset, files, modalities, { ...options, orientation });
    const seen = { ...seenBy(prepared, networkContrasts(config)), label: prepared.label! };
    const windows = await judgedWindows(device, classifier, seen, config);
    append(all, windows);
    cases.push(presenceOf(prepared, windows, config.patch));
  }
  params.free();
  const { precision: averagePrecision, ...AUC } = presenceScores(all);
  const summary: PresenceSummary = {
    windows: all.length,
    labelled: labelledIn(cases),
    AUC,
    averagePrecision,
  };
  await writePresence(folder, cases, { ...summary });
  emit("summary", { stage: stageName(config), ...summary });
  result(presenceText(summary, cases.length));
}
