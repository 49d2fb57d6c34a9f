// The streams of batches that a stage draws from, and the modalities that its cases are loaded with.

import { gapsOf, listOf } from "../../data/datasets/gaps.ts";
import { type CaseFiles, type Modality, MODALITIES } from "../../data/datasets/source.ts";
import { patientGroups, patientsBy } from "../../data/datasets/patients.ts";
import { DataError } from "../../data/errors.ts";
import type { SamplerOptions } from "../../data/sampling/patches.ts";
import {
  methodOf,
  type Stream,
  streamsOf as methodStreams,
  trainedBeside,
} from "../../model/methods/index.ts";
import { loading, networkModalities, runOf, type TrainConfig } from "../settings/config.ts";

const STREAM_SEED = 1_000_003; // between the seeds of two streams, so that each draws on its own

/** The parts of a case to train on that decide which streams draw it. */
interface TrainedCase {
  id: string;
  /** The modalities that it lacks. */
  absent?: readonly string[] | undefined;
}

/** How to draw one stream. */
export interface StreamPlan<Case> {
  name: string;
  cases: readonly Case[];
  options: SamplerOptions & Pick<TrainConfig, "workers">;
}

/**
 * The streams of the stage's method, drawn from these cases, one of scans without labels from `unlabelled`;
 * the first one counts the steps of an epoch. Views draw the same patches, and all others their own.
 */
export function streamsOf<Case extends TrainedCase>(
  cases: readonly Case[],
  config: TrainConfig,
  modalities: readonly string[],
  unlabelled: readonly Case[] = [],
): StreamPlan<Case>[] {
  const streams = methodStreams(methodOf(config.method), runOf(config, modalities));
  const patientOf = patientsBy(config.patients);
  const groups = patientGroups(
    cases.map(({ id }) => id),
    patientOf,
  );
  const places = new Map(groups.map(([first], place) => [patientOf(first!), place]));
  const shows = ({ id, absent }: Case, { sees, patients: chosen }: Stream) =>
    (sees === undefined || !absent?.includes(sees)) && (chosen?.(places.get(patientOf(id)) ?? -1) ?? true);
  return Object.entries(streams).map(([name, stream], i) => ({
    name,
    cases: stream.unlabelled ? unlabelled : cases.filter((one) => shows(one, stream)),
    options: {
      ...loading(config),
      ...(stream.view === undefined ? { seed: config.seed + STREAM_SEED * i } : { view: stream.view }),
      ...(stream.healthy !== undefined && { healthy: stream.healthy }),
      ...(stream.unlabelled && { labels: false, foreground: 0 }),
    },
  }));
}

/**
 * Returns a line on the cases of each stream, where there are several: "t1ce of 6 cases, flair of 5 cases".
 * Throws a DataError for a stream without a case.
 */
export function streamLines(streams: readonly StreamPlan<TrainedCase>[]): string[] {
  if (streams.length === 1) return [];
  const empty = streams.find(({ cases }) => !cases.length);
  if (empty) {
    const all = streams.map(({ name, cases }) => `${name} ${cases.length}`).join(", ");
    throw new DataError(
      `no case is left to train on with ${empty.name} (${all}): train on more cases, or choose other contrasts with ` +
        "--modality",
    );
  }
  const counts = streams.map(({ name, cases }) => `${name} of ${cases.length}`);
  return [`a batch of each: ${counts.join(", ")} cases`];
}

/**
 * The modalities to load, in channel order: those of the stage's networks; or, for a network that trains
 * alone or by a twin, also those that are there (that at least one case to train on has), so that it draws
 * the same patches as one that is taught.
 */
export function loadedModalities(
  config: TrainConfig,
  taughtBy: readonly (readonly string[])[],
  there: readonly Modality[],
): Modality[] {
  const alone = !taughtBy.length || config.control === "twin";
  const needed = new Set<string>([...networkModalities(config), ...taughtBy.flat(), ...(alone ? there : [])]);
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
