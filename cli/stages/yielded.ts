// The stages that a training yields, where one network sees each of several contrasts alone: each contrast
// gets an ordinary stage of one channel in a folder of its own, from the best network of the training.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isEach } from "../../data/datasets/subsets.ts";
import { INPUT } from "../../data/preparation/input.ts";
import { soleCheckpoint } from "../../model/files/card.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { networkModalities, stageName, type TrainConfig } from "../../trainer/settings/config.ts";
import { yieldedStages } from "../../trainer/settings/eachContrast.ts";
import { writeAtomically } from "../files/files.ts";
import { begin, FILES, held, readConfig } from "../files/stageFolder.ts";
import { readRecords } from "../files/ownFiles.ts";
import { readFile } from "../terminal/userFile.ts";

/**
 * Throws a UsageError if the folder of a stage that the training yields holds something else, or if another
 * training in --out yields the same stage.
 */
export async function checkYielded(config: TrainConfig): Promise<void> {
  if (!isEach(config.modality)) return;
  for (const own of yieldedStages(config)) {
    const folder = join(config.out, stageName(own));
    const [first] = await held(folder);
    if (first !== undefined && !(await readConfig(folder)))
      throw new UsageError(
        `${folder}: holds ${first}, but no run: choose another --out, for nothing here is deleted`,
      );
  }
  for (const name of await readdir(config.out).catch(() => [])) {
    const other = name === stageName(config) ? null : await readConfig(join(config.out, name));
    if (!other || !isEach(other.modality) || other.method !== config.method) continue;
    const shared = networkModalities(other).filter((one) => networkModalities(config).includes(one));
    if (shared.length)
      throw new UsageError(
        `${join(config.out, name)}: trains ${shared.join(", ")} too, and its networks have the same folders: choose ` +
          "another --out",
      );
  }
}

/** Writes the stages that a training yields: their records, and their networks of one contrast. */
export async function writeYielded(
  config: TrainConfig,
  { data, files, networks }: Began,
): Promise<TrainConfig[]> {
  const stages = yieldedStages(config);
  if (!isEach(config.modality)) return stages;
  const from = join(config.out, stageName(config));
  const records = await readRecords(from);
  const whole = await readFile(join(from, FILES.best));
  for (const own of stages) {
    const [contrast] = networkModalities(own);
    const folder = join(own.out, stageName(own));
    await begin(folder, own, data, files, networks);
    const lines = records.map((record) => `${JSON.stringify(recordOf(record, contrast!))}\n`);
    await writeAtomically(join(folder, FILES.metrics), lines.join(""));
    const best = await soleCheckpoint(whole, join(from, FILES.best), INPUT, contrast!);
    await writeAtomically(join(folder, FILES.best), best);
  }
  return stages;
}

/** The inputs of a training, as a stage's folder records them. */
interface Began {
  data: Parameters<typeof begin>[2];
  files: Parameters<typeof begin>[3];
  networks: Parameters<typeof begin>[4];
}

/** The record of an epoch with the scores of one contrast. */
function recordOf({ contrasts, average: _, ...record }: EpochRecord, contrast: string): EpochRecord {
  const { validation: __, ...rest } = record;
  const own = contrasts?.[contrast];
  return own ? { ...rest, validation: own } : rest;
}
