// The cases of a stage, read and prepared in the page's worker.

import { DataError, grouped } from "../../data/errors.ts";
import { contrastsOf } from "../../data/datasets/gaps.ts";
import type { CaseFiles, Modality } from "../../data/datasets/source.ts";
import { textOf } from "../../data/datasets/json.ts";
import { ANY, EACH, isEach, takesSome } from "../../data/datasets/subsets.ts";
import { checkPatients, patientsBy } from "../../data/datasets/patients.ts";
import { parseSplits, type Split, SPLIT_FILE, SPLIT_SEED, splitCases } from "../../data/datasets/splits.ts";
import type { CaseReport } from "../../data/check/checkCase.ts";
import { loadCases } from "../../data/check/loadCase.ts";
import { compareRun, inGrid } from "../../data/check/run.ts";
import type { CommonGrid, Input } from "../../data/preparation/input.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { PatchSampler, type SamplerState } from "../../data/sampling/patches.ts";
import type { BatchSource } from "../../trainer/loop/options.ts";
import type { TrainingState } from "../../trainer/loop/state.ts";
import { anyContrasts } from "../../trainer/settings/anyContrasts.ts";
import { loadOptions, networkModalities, type TrainConfig } from "../../trainer/settings/config.ts";
import { teacherContrasts } from "../../trainer/settings/teacherContrasts.ts";
import {
  checkTrainedBeside,
  loadedModalities,
  streamLines,
  streamsOf,
} from "../../trainer/stages/sources.ts";
import { stageSplit } from "../../trainer/stages/stageSplit.ts";
import type { Study } from "../segment/segmentation.ts";
import { configOf } from "./pageSettings.ts";
import type { TrainSettings } from "./trainProtocol.ts";

export interface StageCases {
  training: Case[];
  validation: Case[];
  /** The modalities of the training cases, in channel order. */
  modalities: readonly Modality[];
  /** The grid that all cases are turned to. */
  grid: CommonGrid;
  /** How many cases are used, if some lack contrasts, and findings that training can live with. */
  warnings: string[];
}

/**
 * Reads, checks and prepares the cases of a stage, those to train on with all that its teachers see; of a
 * pretraining without labels. They get the grid of the first of its teachers, or of the encoder that it
 * begins with. Cases are set aside for tests as the command line sets them aside. Throws a DataError.
 */
export async function loadStage(
  study: Study,
  config: TrainConfig,
  teachers: readonly Pick<Input, "modalities" | "grid">[],
  encoder: Pick<Input, "grid"> | null = null,
): Promise<StageCases> {
  const { source, dataset } = study;
  const whole = await splitOf(study, config);
  const own = networkModalities(config);
  const files = (ids: readonly string[]) => filesOf(study, ids);
  const taughtBy = teachers.map((teacher) => teacher.modalities);
  for (const seen of taughtBy) {
    if (!own.every((modality) => seen.includes(modality)))
      throw new DataError(`expected a teacher that sees ${own.join(", ")}, got one of ${seen.join(", ")}`);
  }
  const filesOfCase = (id: string) => files([id])[0]!;
  const { split, required, about } = stageSplit(config, { split: whole, filesOf: filesOfCase, taughtBy });
  const modalities = loadedModalities(config, taughtBy, contrastsOf(files(whole.train)));
  checkTrainedBeside(config, modalities, files(split.train));
  const reports: CaseReport[] = [];
  const checked = (report: CaseReport) => void reports.push(report);
  const labels = config.stage !== "pretrain";
  const load = (ids: readonly string[], seen: readonly Modality[]) =>
    loadCases(source, dataset, files(ids), seen, { ...loadOptions(config), labels, required, checked });
  const training = await load(split.train, modalities);
  const validation = await load(split.val, own);
  const known = [...teachers, encoder].flatMap((one) => one?.grid ?? [])[0];
  const { convention } = dataset;
  const options = { trained: training.length, convention, patch: config.patch, known };
  const { grid, warnings } = compareRun(reports, options);
  const upright = [...training, ...validation].map((one, i) => inGrid(one, reports[i]!, grid));
  const drawn = upright.slice(0, training.length);
  const streams = streamsOf(drawn, config, modalities);
  return {
    training: drawn,
    validation: upright.slice(training.length),
    modalities,
    grid,
    warnings: [...about, ...streamLines(streams), ...grouped(warnings)],
  };
}

/**
 * A stage's settings with the contrasts of a teacher, whose `students` are to see these; the notes are for
 * the user, of a student that takes any contrasts too. Throws a DataError if no case to train on has what a
 * network sees.
 */
export async function withContrasts(
  study: Study,
  config: TrainConfig,
  students: readonly (readonly Modality[])[],
): Promise<{ config: TrainConfig; notes: string[] }> {
  const which = isEach(config.modality) ? EACH : ANY;
  if (config.stage !== "teacher" && !takesSome(config.modality)) return { config, notes: [] };
  const cases = await trainedOn(study, config);
  if (config.stage !== "teacher") {
    const { modality, note } = anyContrasts(cases, which);
    return { config, notes: note && modality === config.modality ? [`the student ${note}`] : [] };
  }
  const { teacherModality, notes } = teacherContrasts(cases, { given: config.teacherModality, students });
  return { config: { ...config, teacherModality }, notes };
}

/**
 * Returns settings in which "any" or "each" names the contrasts that at least one case to train on has.
 * Throws a DataError where fewer than two are there.
 */
export async function withAnyContrasts(study: Study, settings: TrainSettings): Promise<TrainSettings> {
  const { stages, modality: which } = settings;
  if (stages === "teacher" || (which !== ANY && which !== EACH)) return settings;
  const cases = await trainedOn(study, configOf("student", settings));
  return { ...settings, modality: anyContrasts(cases, which).modality };
}

/** The files of the cases that a stage trains on, before those that lack contrasts are put aside. */
async function trainedOn(study: Study, config: TrainConfig): Promise<CaseFiles[]> {
  return filesOf(study, (await splitOf(study, config)).train);
}

function filesOf({ dataset }: Study, ids: readonly string[]): CaseFiles[] {
  return ids.map((id) => dataset.cases.find((one) => one.id === id)!);
}

/** The streams of the stage's method, made in this thread; with a `state` they continue from there. */
export function samplersOf(
  { training, modalities }: StageCases,
  config: TrainConfig,
  state: TrainingState | null,
): { sources: Record<string, BatchSource>; stepsPerEpoch: number } {
  const samplers = streamsOf(training, config, modalities).map(({ name, cases, options }) => {
    const { workers: _, ...sampling } = options;
    const sampler = new PatchSampler(cases, sampling);
    if (state) sampler.restore(state.data[name] as SamplerState);
    return [name, sampler] as const;
  });
  return { sources: Object.fromEntries(samplers), stepsPerEpoch: samplers[0]![1].batchesPerEpoch };
}

/** The folder's split.json, or else a split drawn as on the command line. Throws a DataError. */
async function splitOf({ source, dataset }: Study, { patients }: TrainConfig): Promise<Split> {
  const known = dataset.cases.map(({ id }) => id);
  checkPatients(known, patients);
  if (!(await source.list()).includes(SPLIT_FILE))
    return splitCases(known, { seed: SPLIT_SEED, patientOf: patientsBy(patients) });
  const text = textOf(await source.read(SPLIT_FILE), SPLIT_FILE);
  const split = parseSplits(text, SPLIT_FILE, known);
  if (!Array.isArray(split)) return split;
  throw new DataError(`${SPLIT_FILE}: holds ${split.length} folds: the command line can train one of them`);
}
