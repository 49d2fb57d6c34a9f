// The streams of batches that a stage draws from, and the modalities that its cases are loaded with.

import { gapsOf, listOf } from "../../data/datasets/gaps.ts";
import { type CaseFiles, type Modality, MODALITIES } from "../../data/datasets/source.ts";
import { DataError } from "../../data/errors.ts";
import type { SamplerOptions } from "../../data/sampling/patches.ts";
import { methodOf, streamsOf as methodStreams, trainedBeside } from "../../model/methods/index.ts";
import { loading, networkModalities, runOf, type TrainConfig } from "../settings/config.ts";

const STREAM_SEED = 1_000_003; // between the seeds of two streams, so that each draws on its own

/** How to draw one stream. */
export interface StreamPlan<Case> {
  name: string;
  cases: readonly Case[];
  options: SamplerOptions & Pick<TrainConfig, "workers">;
}

/** The streams of the stage's method, drawn from these cases; the first one counts the steps of an epoch. */
export function streamsOf<Case>(
  cases: readonly Case[],
  config: TrainConfig,
  modalities: readonly string[],
): StreamPlan<Case>[] {
  const streams = methodStreams(methodOf(config.method), runOf(config, modalities));
  return Object.entries(streams).map(([name, stream], i) => ({
    name,
    cases: stream.cases ? cases.filter((_, index) => stream.cases!(index)) : cases,
    options: { ...loading(config), seed: config.seed + STREAM_SEED * i },
  }));
}

/**
 * The modalities to load, in channel order: those of the stage's networks; or, for a network that trains
 * alone, also those that are there (that at least one case to train on has), so that it draws the same
 * patches as one that is taught.
 */
export function loadedModalities(
  config: TrainConfig,
  taughtBy: readonly (readonly string[])[],
  there: readonly Modality[],
): Modality[] {
  const needed = new Set<string>([
    ...networkModalities(config),
    ...(taughtBy.length ? taughtBy.flat() : there),
  ]);
  return MODALITIES.filter((name) => needed.has(name));
}

/**
 * Throws a DataError if the method trains a network beside the deployed one, and a case to train on lacks a
 * contrast that it sees.
 */
export function checkTrainedBeside(
  config: TrainConfig,
  modalities: readonly string[],
  cases: readonly CaseFiles[],
): void {
  const method = methodOf(config.method);
  for (const [name, spec] of trainedBeside(method, runOf(config, modalities))) {
    if (spec.any) continue;
    const seen = MODALITIES.filter((one) => spec.modalities.includes(one));
    const gaps = gapsOf(cases, seen);
    if (gaps)
      throw new DataError(
        `${method.title}: trains its ${name} on the same cases, and it sees ${listOf(seen)}: ${gaps}: list the ` +
          "cases that have all of them in a --split file",
      );
  }
}
