// node cli/predict.js --model FILE --input DIR --output DIR: label maps of new cases, each in its source's own
// grid. Every case is read before the first is predicted: one error names all that is wrong with them.

import { readdir, realpath } from "node:fs/promises";
import { basename, join } from "node:path";
import { Command, Option } from "commander";
import { type Dataset, openDataset, requireModalities, type Source } from "../data/datasets.ts";
import { type Modality, MODALITIES } from "../data/datasets.ts";
import { collectProblems, DataError } from "../data/errors.ts";
import { CONVENTION_NAMES, type LabelConvention } from "../data/labels.ts";
import { type Case, loadCase, PREPARATION, type Preparation } from "../data/preprocess.ts";
import { bytesText, compile, type Device } from "../engine/index.ts";
import { touch } from "../model/network.ts";
import { describeVnet } from "../model/published.ts";
import { examples, FAST_HELP, isMain, RETUNE_HELP, runCommand, UsageError } from "./command.ts";
import { DEFAULTS, fittingPatch, PARITY } from "./config.ts";
import { folderSource } from "./folderSource.ts";
import { channelsOf, type ModelUse, readModel, type StoredModel, upload } from "./models.ts";
import { predictCase, writePrediction } from "./predictions.ts";
import { compiling, FAST, predictionProgress } from "./progress.ts";
import { parsePatch } from "./settingKinds.ts";
import { openTuned } from "./tuning.ts";

/** What to predict, with what, and where to. */
export interface PredictOptions {
  /** Whether kernels are chosen anew for the adapter. */
  retune?: boolean;
  /** A checkpoint of this project, or a published one. */
  model: string;
  /** What a published one sees, if it is one modality, how its input was made, and its windows, D,H,W. */
  modality?: Modality;
  background?: Preparation["background"];
  patch?: string;
  /** BraTS folders, one case's folder, an nnU-Net or Decathlon data set; no labels needed. */
  input: string;
  /** Gets <case>.nii.gz of every case. */
  output: string;
  /** What the numbers written mean; as the input's names say, or else as the model learnt, if left out. */
  labels?: LabelConvention;
  /** Say that the device has no bounds checks. */
  fast?: boolean;
  /** Replace predictions that are there. */
  overwrite?: boolean;
}

const KEPT = 2 ** 30; // bytes of cases that stay loaded between their check and their prediction

/**
 * Predicts every case of a folder. Throws CheckpointError, UsageError, or a DataError of all cases, before it
 * opens the device.
 */
export async function predictFolder(open: () => Promise<Device>, options: PredictOptions): Promise<void> {
  const { model, input, output, overwrite = false } = options;
  const stored = await readModel(model);
  const use = useOf(stored, options);
  const source = await folderSource(input);
  const { dataset, from } = await openUnlabelled(source, use, options.labels);
  await refuseToReplace(dataset, { input, output, overwrite });
  const load = caseLoader(source, dataset, use);
  await checkCases(dataset, use, model, load);

  const device = await open();
  const network = upload(device, stored);
  const { convention, cases } = dataset;
  console.log(`${use.stage} (${use.modalities.join(", ")}), labels written: ${convention}, ${from}`);
  if (options.fast) console.log(FAST);
  const planned = touch(device, network, use.patch);
  if (planned.size) compiling(0, planned.size);
  for await (const done of compile(device, planned)) compiling(done, planned.size);
  const progress = predictionProgress(cases.length);
  const started = performance.now();
  try {
    for (const { id } of cases) {
      const begun = performance.now();
      const prepared = await load(id);
      let windows = 0;
      const classes = await predictCase(device, network, prepared, use.patch, (done, all) => {
        windows = all;
        progress.window(id, done, all);
      });
      await writePrediction(output, prepared, classes, convention);
      progress.written(id, (performance.now() - begun) / 1000, windows);
    }
  } finally {
    progress.stop();
    network.params.free();
  }
  const seconds = (performance.now() - started) / 1000 / cases.length;
  const number = cases.length === 1 ? "1 case" : `${cases.length} cases`;
  console.log(
    `${number}, ${seconds.toFixed(1)} s each, at most ${bytesText(device.peakBytes)} on the GPU: ${output}`,
  );
}

/** How to use the model: as its card says, or, without one, as the user and the published code do. */
function useOf(model: StoredModel, { modality, background, patch }: PredictOptions): ModelUse {
  const modalities = channelsOf(model, modality);
  if (model.card) {
    const given = Object.entries({ background, patch }).find(([, value]) => value !== undefined);
    if (given) throw new UsageError(`--${given[0]}: ${model.path} says that itself`);
    return model.card;
  }
  const use: ModelUse = {
    ...{ ...PREPARATION, background: background ?? PARITY.background, padding: PARITY.padding },
    ...{ modalities, patch: fittingPatch(patch ? parsePatch(patch) : DEFAULTS.patch, model.network.levels) },
    ...{ labels: "brats", stage: basename(model.path) },
  };
  console.log(
    `${model.path}: ${describeVnet(model.network)}, which does not say how to use it: taken to be ` +
      `${modalities.join(", ")}, --background ${use.background} and --patch ${use.patch.join(",")}`,
  );
  return use;
}

/** The data set, with the convention to write and where that is from: what names do not tell, the model does. */
async function openUnlabelled(
  source: Source,
  use: ModelUse,
  labels?: LabelConvention,
): Promise<{ dataset: Dataset; from: string }> {
  if (labels) return { dataset: await openDataset(source, { convention: labels }), from: "by --labels" };
  const dataset = await collectProblems([], () => openDataset(source));
  if (dataset) return { dataset, from: "as the input's names say" };
  // Without labels their convention may be the only problem; any other is thrown again here.
  return {
    dataset: await openDataset(source, { convention: use.labels }),
    from: "as the model learnt them",
  };
}

/** Throws where a prediction would replace another, or, whatever the flags, a file of the input. */
async function refuseToReplace(
  { cases }: Dataset,
  { input, output, overwrite }: { input: string; output: string; overwrite: boolean },
): Promise<void> {
  const held = new Set(
    await readdir(output).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw new UsageError(`--output ${output}: expected a folder, or none yet, got ${error.code}`);
    }),
  );
  const there = cases.map(({ id }) => `${id}.nii.gz`).filter((name) => held.has(name));
  if (!there.length) return;
  const inputs = cases.flatMap(({ images, label }) => [
    ...Object.values(images).map(({ path }) => path),
    ...(label === undefined ? [] : [label]),
  ]);
  const real = (path: string) => realpath(path).catch(() => path);
  const sources = new Set(await Promise.all(inputs.map((path) => real(join(input, path)))));
  for (const name of there) {
    if (!sources.has(await real(join(output, name)))) continue;
    throw new UsageError(`--output ${output}: ${name} in it belongs to the input: choose another folder`);
  }
  if (overwrite) return;
  throw new UsageError(
    `--output ${output}: holds ${there.join(", ")} already: replace with --overwrite, or choose another folder`,
  );
}

/** Loads a case by id as the model wants it. The first ones stay loaded, so that few cases are read once. */
function caseLoader(source: Source, dataset: Dataset, use: ModelUse): (id: string) => Promise<Case> {
  const files = new Map(dataset.cases.map((found) => [found.id, found]));
  const kept = new Map<string, Case>();
  let bytes = 0;
  return async (id) => {
    const known = kept.get(id);
    kept.delete(id); // it is asked for twice
    if (known) return known;
    const { background, crop, padding } = use;
    const options = { labels: false, background, crop, padding };
    const loaded = await loadCase(source, dataset, files.get(id)!, use.modalities, options);
    bytes += loaded.images.byteLength;
    if (bytes <= KEPT) kept.set(id, loaded);
    return loaded;
  };
}

/** Throws one DataError with the problems of all cases. */
async function checkCases(
  dataset: Dataset,
  { modalities }: ModelUse,
  model: string,
  load: (id: string) => Promise<Case>,
): Promise<void> {
  const problems: string[] = [];
  await collectProblems(problems, () => requireModalities(dataset, modalities, { labels: false }));
  if (problems.length && modalities.length > 1) {
    const needs = `${model}: needs ${modalities.join(", ")} of every case`;
    problems.push(`${needs}; the checkpoint of a student of a modality that is there can be used instead`);
  }
  for (const { id, images } of dataset.cases) {
    if (modalities.every((modality) => images[modality])) await collectProblems(problems, () => load(id));
  }
  if (problems.length) throw new DataError(problems);
}

if (isMain(import.meta.url)) {
  const program = new Command("predict")
    .description("Label maps of new cases, in each source's own grid and affine.")
    .addHelpText(
      "after",
      examples(
        "node cli/predict.js --model runs/brats/teacher/checkpoint_best.safetensors --input NEW --output predictions",
        "node cli/predict.js --model student.safetensors --modality flair --input NEW --output predictions",
      ),
    )
    .requiredOption(
      "--model <file>",
      "a checkpoint: runs/<name>/<stage>/checkpoint_best.safetensors, or a published one",
    )
    .requiredOption(
      "--input <folder>",
      "BraTS folders, one case's folder, nnU-Net or Decathlon data; no labels needed",
    )
    .requiredOption("--output <folder>", "where <case>.nii.gz are written")
    .addOption(
      new Option("--modality <name>", "what a published model of one modality sees").choices([...MODALITIES]),
    )
    .addOption(
      new Option(
        "--background <how>",
        `how a published model's input was made (default: ${PARITY.background})`,
      ).choices(["zero", "shifted"]),
    )
    .option("--patch <d,h,w>", `voxels of a published model's window (default: ${DEFAULTS.patch})`)
    .addOption(
      new Option(
        "--labels <convention>",
        "what the numbers written mean (default: by the input's names, or the model's)",
      ).choices([...CONVENTION_NAMES]),
    )
    .option("--fast", FAST_HELP)
    .option("--retune", RETUNE_HELP)
    .option("--overwrite", "replace predictions that are there");
  process.exitCode = await runCommand<PredictOptions>(program, (options) =>
    predictFolder(() => openTuned(options), options),
  );
}
