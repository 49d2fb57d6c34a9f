// predict.js --translate: writes each case's image as another contrast would show it, by the network of a
// UAGAN stage, in the grid of its source.

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type CaseFiles, type Modality, openDataset } from "../../data/datasets/datasets.ts";
import { writeProbabilitiesLike } from "../../data/nifti/nifti.ts";
import { collectProblems, DataError, grouped } from "../../data/errors.ts";
import type { AffineChoice } from "../../data/preparation/grids.ts";
import { uncrop } from "../../data/preparation/preprocess.ts";
import { compile, type Device } from "../../engine/index.ts";
import type { Tiling } from "../../model/inference/windows.ts";
import { initialise, type Network } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { TRANSLATION, translator } from "../../model/networks/twoStream.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { translateCase } from "../../trainer/stages/translation.ts";
import { checkWritable, exists, writeAtomically } from "../files/files.ts";
import { folderSource } from "../files/folderSource.ts";
import { type ModelUse, readTranslator } from "../files/models.ts";
import { FILES } from "../files/stageFolder.ts";
import { emit, result, say, warn } from "../terminal/console.ts";
import { compiling, predictionProgress } from "../terminal/progress.ts";
import { InputChecksums } from "./inputChecksums.ts";
import { translationFile } from "./translationFiles.ts";
import { allowedModalities, caseLoader, type Load } from "./predictionPlan.ts";
import { checkDistinct } from "./keptPredictions.ts";

/** The options of predict.js that a translation has; the others are refused. */
export interface TranslateOptions {
  /** The stage of a UAGAN training of several contrasts, or its checkpoint. */
  model: string | readonly string[];
  /** The contrast to translate into. */
  target: Modality;
  with?: string;
  available?: string;
  input: string;
  output: string;
  affine?: AffineChoice;
  window?: Tiling["weighting"];
  step?: number;
  tta?: boolean;
  overwrite?: boolean;
}

const REFUSED = {
  labels: "--labels",
  modality: "--modality",
  background: "--background",
  patch: "--patch",
  saveProbabilities: "--save-probabilities",
  continue: "--continue",
  skipBad: "--skip-bad",
} as const;

/** A case and the contrast that is translated. */
interface Planned {
  id: string;
  from: Modality;
  file: string;
}

/**
 * Writes OUTPUT/<case>_<target>_from_<contrast>.nii.gz for each case of a folder: of its contrasts the first
 * that the network takes, in the scale of the network's inputs (mean 0 and deviation 1 over the brain, 0
 * outside). Reads all cases before the first is translated. Throws a CheckpointError for a network that does
 * not translate into the contrast, a UsageError, and a DataError with the problems of all cases.
 */
export async function translateFolder(
  open: () => Promise<Device>,
  options: TranslateOptions & { [Name in keyof typeof REFUSED]?: unknown },
): Promise<void> {
  const { target, input, output, affine = "file", overwrite = false } = options;
  for (const [name, flag] of Object.entries(REFUSED))
    if (options[name as keyof typeof REFUSED])
      throw new UsageError(`${flag}: goes with label maps, not with --translate: give only one of them`);
  const model = await readTranslator(await checkpointIn(options.model), target);
  const { card } = model;
  const source = await folderSource(input);
  const { labels: convention, modalities } = card;
  const found = await openDataset(source, { convention, orders: [modalities] });
  const { newCases, warnings, ...dataset } = found;
  grouped(warnings).forEach(warn);
  const cases = [...dataset.cases, ...newCases];
  const allowed = allowedModalities(options).filter((name) => name !== target && modalities.includes(name));
  const plan = planned(cases, allowed, target);
  const files = await Promise.all(plan.map(({ file }) => exists(join(output, file))));
  const there = plan.filter((_, i) => files[i]).map(({ file }) => file);
  if (there.length && !overwrite)
    throw new UsageError(`${output}: already has ${there.join(", ")}: replace them with --overwrite`);
  await checkWritable(join(output, plan[0]!.file), "--output");
  const whole = { ...dataset, cases };
  const load = caseLoader(source, whole, { checksums: new InputChecksums(source, whole), affine });
  const problems: string[] = [];
  for (const { id, from } of plan)
    await collectProblems(problems, () => load(id, { ...card, modalities: [from] }));
  if (problems.length) throw new DataError(problems);
  for (const { id, from } of plan) say(`  ${id}: ${from} into ${target}`);

  const device = await open();
  const params = new Params(device, { values: model.values });
  const network: Network = { params, config: model.network, architecture: translator };
  try {
    await translateCases(device, network, plan, { ...options, load, use: card });
  } finally {
    params.free();
  }
}

/** The checkpoint that --model names. */
async function checkpointIn(model: TranslateOptions["model"]): Promise<string> {
  const [path, ...more] = typeof model === "string" ? [model] : model;
  if (path === undefined || more.length)
    throw new UsageError("--translate: expected one --model, the stage of a UAGAN training, got several");
  const isFolder = (await stat(path).catch(() => null))?.isDirectory() ?? false;
  return isFolder ? join(path, FILES.best) : path;
}

/** Each case with the first of its contrasts among `allowed`. Throws a DataError for cases without one. */
function planned(cases: readonly CaseFiles[], allowed: readonly Modality[], target: Modality): Planned[] {
  const problems: string[] = [];
  const plan = cases.flatMap(({ id, images }) => {
    const from = allowed.find((name) => images[name]);
    if (from) return [{ id, from, file: translationFile(id, { from, into: target }) }];
    const expected = allowed.join(", ") || "a contrast that the network takes (allow more with --with)";
    problems.push(
      `case ${id}: expected ${allowed.length > 1 ? "one of " : ""}${expected} to translate into ${target}, ` +
        `got only ${Object.keys(images).join(", ")}`,
    );
    return [];
  });
  if (problems.length) throw new DataError(problems);
  checkDistinct(plan.map(({ id, file }) => ({ id, files: [file] })));
  return plan;
}

type Work = TranslateOptions & { load: Load; use: ModelUse };

/** Translates the cases one by one, and writes their files. */
async function translateCases(
  device: Device,
  network: Network,
  plan: readonly Planned[],
  { load, use, output, target, window = use.window, step, tta = false }: Work,
): Promise<void> {
  const how = { patch: use.patch, window, mirror: tta, ...(step !== undefined && { step }) };
  const needed = initialise(device, network, use.patch, { taps: [TRANSLATION] });
  if (needed.size) compiling(0, needed.size);
  for await (const done of compile(device, needed)) compiling(done, needed.size);
  const progress = predictionProgress(plan.length);
  try {
    for (const { id, from, file } of plan) {
      const begun = performance.now();
      let windows = 0;
      const prepared = await load(id, { ...use, modalities: [from] });
      const image = await translateCase(device, network, prepared, how, (done, all) => {
        windows = done;
        progress.window(id, done, all);
      });
      const { header, size } = prepared.source;
      const bytes = await writeProbabilitiesLike(header, uncrop(image, prepared), size);
      await writeAtomically(join(output, file), bytes);
      progress.written(id, (performance.now() - begun) / 1000, windows);
    }
  } finally {
    progress.stop();
  }
  const number = plan.length === 1 ? "1 case" : `${plan.length} cases`;
  result(`${number} translated into ${target}: ${output}`);
  emit("end", { cases: plan.length, target, output });
}
