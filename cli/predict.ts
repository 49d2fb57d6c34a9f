// node cli/predict.js --model RUN --input DIR --output DIR: segments new cases, each with the best model of
// the run that its modalities allow, and writes label maps in the grid of their source. Every case is read
// before the first is predicted: one error lists all problems. A network that classifies writes which regions
// each case shows instead.

import { join } from "node:path";
import { type Dataset, type Modality, openDataset, type Source } from "../data/datasets/datasets.ts";
import { collectProblems, DataError, grouped } from "../data/errors.ts";
import { type LabelConvention, mergedLabels } from "../data/datasets/labels.ts";
import type { AffineChoice } from "../data/preparation/grids.ts";
import type { Preparation } from "../data/preparation/preprocess.ts";
import { bytesText, type Device } from "../engine/index.ts";
import type { Network } from "../model/networks/network.ts";
import { isNothing, postprocessingText } from "../model/inference/postprocess.ts";
import { TILING, type Tiling } from "../model/inference/windows.ts";
import type { Candidate } from "./prediction/candidates.ts";
import { isMain, runCommand } from "./terminal/command.ts";
import { UsageError } from "../model/settings/errors.ts";
import { complain, emit, result, say, warn, withVoices } from "./terminal/console.ts";
import { checkWritable, removeTemporaries } from "./files/files.ts";
import { folderSource } from "./files/folderSource.ts";
import { lockFolder } from "./files/lock.ts";
import { predictProgram } from "./terminal/predictFlags.ts";
import {
  allowedModalities,
  type BadCase,
  caseLoader,
  checkCases,
  type Load,
  planCases,
  type PlannedCase,
  planText,
} from "./prediction/predictionPlan.ts";
import { InputChecksums } from "./prediction/inputChecksums.ts";
import { findPredicted, finishedRecords } from "./prediction/keptPredictions.ts";
import { classifierIn, predictPresence } from "./prediction/presence.ts";
import { planned, PredictionRecord, RECORD } from "./prediction/predictionRecord.ts";
import { readGains } from "./prediction/gains.ts";
import { predictedCase, uploadAll } from "./prediction/predictedCase.ts";
import { writeProbabilities, writeWhole } from "./prediction/predictions.ts";
import { FAST, type PredictionProgress, predictionProgress } from "./terminal/progress.ts";
import { candidatesOf } from "./prediction/publishedUse.ts";
import { translateFolder } from "./prediction/translation.ts";
import { openTuned } from "./device/tuning.ts";

export interface PredictOptions {
  /** Measure again which kernels are fastest on the adapter. */
  retune?: boolean;
  /** Folder of a run or a stage, or a checkpoint (a published one too); several are averaged. */
  model: string | readonly string[];
  /** Input of a published model: its modality if it has one, its background, and its window D,H,W. */
  modality?: Modality;
  background?: Preparation["background"];
  patch?: string;
  /** The only modalities that may be used, joined by +; default: all. */
  with?: string;
  /** The older name of `with`. */
  available?: string;
  /** BraTS folders, one case's folder, an nnU-Net or Decathlon data set; no labels needed. */
  input: string;
  /** The folder for <case>.nii.gz of every case and predictions.json. */
  output: string;
  /** The meaning of the label values to write; default: by the input's names, or the model's own. */
  labels?: LabelConvention;
  /** Whose affine an image has: its file's (the default), or the first image's, where shapes agree. */
  affine?: AffineChoice;
  /** How windows are weighted; default: as the model was validated. */
  window?: Tiling["weighting"];
  /** The distance of windows, as a share of the window; default 0.5. */
  step?: number;
  /** Average over all eight reflections of each volume. */
  tta?: boolean;
  /** Write the images translated into this contrast instead: see translateFolder(). */
  translate?: Modality;
  /** Write the classes' probabilities too. */
  saveProbabilities?: boolean;
  /** Apply the post-processing chosen when the model was trained; default true. */
  postprocessing?: boolean;
  /** Print that the device has no bounds checks. */
  fast?: boolean;
  /** Replace existing predictions. */
  overwrite?: boolean;
  /** Keep existing predictions and predict the remaining cases. */
  continue?: boolean;
  /** Skip cases that cannot be predicted, and list them at the end. */
  skipBad?: boolean;
}

/**
 * Predicts every case of a folder. Throws a CheckpointError, a UsageError, a BusyError where another process
 * predicts into the same folder, or a DataError with the problems of all cases before it opens the device;
 * with `skipBad`, the DataError comes after the other predictions.
 */
export async function predictFolder(open: () => Promise<Device>, options: PredictOptions): Promise<void> {
  const { output, overwrite = false, continue: keep = false, translate: target } = options;
  if (overwrite && keep && !target)
    throw new UsageError(
      "--continue: keeps the predictions that --overwrite replaces: give only one of them",
    );
  await checkWritable(join(output, RECORD), "--output");
  const unlock = await lockFolder(output, say);
  try {
    await (target ? translateFolder(open, { ...options, target }) : predictLocked(open, options));
  } finally {
    await unlock();
  }
}

/** Predicts into a folder to which nobody else writes meanwhile. */
async function predictLocked(open: () => Promise<Device>, options: PredictOptions): Promise<void> {
  const { model, input, output, overwrite = false, continue: keep = false } = options;
  const paths = typeof model === "string" ? [model] : model;
  const classifier = await classifierIn(paths);
  if (classifier !== null) return predictPresence(open, classifier, options);
  const allowed = allowedModalities(options);
  const candidates = await candidatesOf(paths, options);
  const source = await folderSource(input);
  const { dataset, from } = await openUnlabelled(source, candidates, options.labels);
  const probabilities = options.saveProbabilities ?? false;
  const found = await findPredicted(dataset, { input, output, probabilities, overwrite, keep });

  const gains = await readGains(paths, candidates);
  const { plan, bad } = planCases(dataset, candidates, { allowed, gains });
  const { step = TILING.step, tta: mirror = false, affine = "file" } = options;
  const settings = { labels: dataset.convention, affine, step, mirror };
  const records = plan.map((one) => planned(one, settings));
  const checksums = new InputChecksums(source, dataset);
  const { records: kept, notes } = await finishedRecords(found, records, output, checksums);
  notes.forEach(warn);
  const load = caseLoader(source, dataset, { checksums, affine });
  const checked = await checkCases(
    plan.filter(({ id }) => !kept.has(id)),
    load,
  );
  const problems = reportBad([...bad, ...checked.bad], options.skipBad ?? false);
  const skipped = new Set([...bad, ...checked.bad].map(({ id }) => id));
  const todo = checked.good;
  if (kept.size) say(`${kept.size} of ${dataset.cases.length} cases are predicted already`);
  for (const line of planText(todo)) say(`  ${line}`);
  grouped(checked.warnings).forEach(warn);
  say(`labels written: ${dataset.convention}, ${from}`);
  for (const line of mergedLabels(dataset.convention)) say(`  ${line}`);
  const all = records.filter((one) => !skipped.has(one.case)).map((one) => kept.get(one.case) ?? one);
  if (keep || overwrite) {
    const stray = await removeTemporaries(output);
    if (stray.length) say(`${output}: removed the unfinished ${stray.join(", ")}`);
  }
  const record = new PredictionRecord(output, found.record, all, [...skipped]);
  await record.write();
  if (todo.length) {
    const device = await open();
    if (options.fast) say(FAST);
    await predictCases(device, todo, { load, checksums, record, output, probabilities, ...settings });
  }
  if (problems.length) throw new DataError(problems);
}

interface Work {
  load: Load;
  checksums: InputChecksums;
  record: PredictionRecord;
  output: string;
  probabilities: boolean;
  labels: LabelConvention;
  step: number;
  mirror: boolean;
}

/** Predicts the cases model by model, so that only one model at a time is on the device. */
async function predictCases(device: Device, plan: readonly PlannedCase[], work: Work): Promise<void> {
  const progress = predictionProgress(plan.length);
  const started = performance.now();
  try {
    for (const candidate of new Set(plan.map((one) => one.candidate))) {
      const rule = candidate.postprocessing;
      if (rule && !isNothing(rule)) say(`  ${candidate.name}, post-processing: ${postprocessingText(rule)}`);
      const networks = await uploadAll(device, candidate);
      try {
        for (const one of plan) {
          if (one.candidate === candidate) await predictOne(device, one, networks, { ...work, progress });
        }
      } finally {
        for (const { params } of networks) params.free();
      }
    }
  } finally {
    progress.stop();
  }
  const seconds = (performance.now() - started) / 1000 / plan.length;
  const number = plan.length === 1 ? "1 case" : `${plan.length} cases`;
  result(
    `${number}, ${seconds.toFixed(1)} s each, at most ${bytesText(device.peakBytes)} on the GPU: ${work.output}`,
  );
  emit("end", { cases: plan.length, seconds, gpuBytes: device.peakBytes, output: work.output });
}

/** Predicts one case and writes its files; the label comes last: its file means that the case is done. */
async function predictOne(
  device: Device,
  one: PlannedCase,
  networks: readonly Network[],
  { progress, load, checksums, record, output, ...work }: Work & { progress: PredictionProgress },
): Promise<void> {
  const { id, sees } = one;
  const begun = performance.now();
  const report = (done: number, all: number) => progress.window(id, done, all);
  const predicted = await predictedCase(device, one, networks, { load, ...work, report });
  const { first, windows } = predicted;
  if (work.probabilities) await writeProbabilities(output, first, predicted.probabilities);
  await writeWhole(output, first, predicted.classes, work.labels);
  const seconds = (performance.now() - begun) / 1000;
  await record.done(id, await checksums.of(id, sees), { seconds, windows });
  progress.written(id, seconds, windows);
}

/**
 * Opens the data set, with the cases of imagesTs as well. The convention of labels to write is the user's, or
 * by its names, or the model's. Prints the oddities of its file names.
 */
async function openUnlabelled(
  source: Source,
  candidates: readonly Candidate[],
  labels?: LabelConvention,
): Promise<{ dataset: Dataset; from: string }> {
  const orders = candidates.map(({ modalities }) => modalities);
  const open = (convention?: LabelConvention) => openDataset(source, { convention, orders });
  // Without labels their convention may be the only problem; any other is thrown again.
  const known = labels ? undefined : await collectProblems([], () => open());
  const found = known ?? (await open(labels ?? candidates[0]!.members[0]!.use.labels));
  const { newCases, warnings, ...dataset } = found;
  grouped(warnings).forEach(warn);
  const { length: old } = dataset.cases;
  if (old && newCases.length)
    say(
      `the cases are ${old} of imagesTr and ${newCases.length} new ones of imagesTs: ` +
        `--input ${source.name}/imagesTs predicts the new ones alone`,
    );
  const from = labels ? "by --labels" : known ? "by the input's names" : "as in the model's training";
  return { dataset: { ...dataset, cases: [...dataset.cases, ...newCases] }, from };
}

/** Throws the problems of the cases, or prints and returns them if bad cases are skipped. */
function reportBad(bad: readonly BadCase[], skip: boolean): string[] {
  const problems = bad.flatMap((one) => one.problems);
  if (problems.length && !skip) throw new DataError(problems);
  for (const problem of problems) complain(`skipped: ${problem}`);
  return problems;
}

if (isMain(import.meta.url)) {
  process.exitCode = await runCommand<PredictOptions>(withVoices(predictProgram()), (options) =>
    predictFolder(() => openTuned(options), options),
  );
}
