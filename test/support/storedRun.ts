// A run's folder as train.js leaves it, but for the training: checkpoints of tiny networks with weights from
// a seed, and the line of metrics.jsonl that says how each did in validation.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ModelCard } from "../../trainer/stages/stage.ts";
import { saveModel, upload } from "../../cli/files/models.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { writeSubsetScores } from "../../cli/prediction/subsetScores.ts";
import type { Modality } from "../../data/datasets/datasets.ts";
import { PREPARATION } from "../../data/preparation/preprocess.ts";
import { channelCount } from "../../model/networks/anyContrasts.ts";
import { initialise } from "../../model/networks/network.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";
import { device } from "./gradcheck.ts";
import { weights } from "./published/weights.ts";

/** One stage of it. */
export interface StoredStage {
  name: string;
  modalities: Modality[];
  /** True for a network that takes any of them. */
  any?: true;
  /** Mean Dice in validation; not recorded unless given. */
  dice?: number;
  /** Mean Dice in validation by subset, of a network that takes any; not recorded unless given. */
  subsets?: Record<string, number>;
  seed?: number;
  card?: Partial<ModelCard>;
}

const PLAIN = { step: 1, seconds: 1, rate: 1e-3, losses: {} };

/** Writes a stage into `run` and returns its checkpoint's path. */
export async function storeStage(run: string, stage: StoredStage): Promise<string> {
  const { name, modalities, any, dice, subsets, seed = 1, card } = stage;
  const folder = join(run, name);
  mkdirSync(folder, { recursive: true });
  const network: VnetConfig = {
    modalities: channelCount({ modalities, any }),
    classes: 4,
    filters: 2,
    levels: 2,
    norm: "instance",
  };
  const { params, config } = upload(device, {
    path: "",
    network,
    card: null,
    values: weights(network, seed),
  });
  initialise(device, { params, config }, [8, 8, 8]);
  const path = join(folder, FILES.best);
  await saveModel(path, params, {
    network,
    modalities,
    ...(any && { any }),
    patch: [8, 8, 8],
    window: "gaussian",
    labels: "brats",
    ...PREPARATION,
    stage: name,
    epoch: 2,
    step: 4,
    seed,
    ...card,
  });
  params.free();
  if (subsets) {
    const regions = (mean: number) => ({ WT: mean, TC: mean, ET: mean, mean });
    const scores = Object.entries(subsets).map(([subset, mean]) => [subset, regions(mean)] as const);
    await writeSubsetScores(folder, { cases: ["PHANTOM_001"], subsets: Object.fromEntries(scores) });
  }
  const record = (epoch: number, mean?: number) =>
    JSON.stringify({
      epoch,
      ...PLAIN,
      ...(mean !== undefined && { validation: { WT: 0, TC: 0, ET: 0, mean } }),
    });
  writeFileSync(join(folder, FILES.metrics), `${record(1, 0.01)}\n${record(2, dice)}\n${record(3, 0.99)}\n`);
  return path;
}
