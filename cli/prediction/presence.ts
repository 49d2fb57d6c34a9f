// predict.js with a network that classifies: which regions each case shows. No label map is written.

import { join } from "node:path";
import { type Modality, openDataset } from "../../data/datasets/datasets.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import { collectProblems, DataError, grouped } from "../../data/errors.ts";
import type { AffineChoice } from "../../data/preparation/grids.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import type { Device } from "../../engine/index.ts";
import type { Tiling } from "../../model/inference/windows.ts";
import { vnetClassifier } from "../../model/networks/classifier.ts";
import { Params } from "../../model/networks/params.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { REGION_NAMES } from "../../model/scoring/regions.ts";
import { casePresence } from "../../trainer/stages/presence.ts";
import { seenBy } from "../../trainer/stages/prediction.ts";
import { checkWritable, exists } from "../files/files.ts";
import { folderSource } from "../files/folderSource.ts";
import { isClassifier, readClassifier, type StoredModel } from "../files/models.ts";
import { FILES } from "../files/stageFolder.ts";
import { complain, emit, result, warn } from "../terminal/console.ts";
import { predictionProgress } from "../terminal/progress.ts";
import { type CasePresence, PRESENCE, presenceOf, writePresence } from "./presenceFiles.ts";

/** The classifier's checkpoint that --model names; null for a network that segments. Throws a UsageError. */
export async function classifierIn(paths: readonly string[]): Promise<string | null> {
  const files = await Promise.all(
    paths.map(async (path) => {
      const best = join(path, FILES.best);
      return (await exists(best)) ? best : path;
    }),
  );
  const found = await Promise.all(files.map(isClassifier));
  const at = found.indexOf(true);
  if (at < 0) return null;
  if (files.length === 1) return files[0]!;
  throw new UsageError(
    `--model ${paths[at]}: says which regions a case shows, and is not averaged with others: give it alone`,
  );
}

/** The options of predict.js, by their names. */
interface Options extends Partial<Record<(typeof UNUSED)[number], unknown>> {
  input: string;
  output: string;
  affine?: AffineChoice;
  step?: number;
  window?: Tiling["weighting"];
  overwrite?: boolean;
  skipBad?: boolean;
}

/** Options that a classifier has no use for. */
const UNUSED = ["with", "available", "labels", "tta", "saveProbabilities", "continue", "modality"] as const;

/**
 * Writes presence.json and presence.csv of every case of a folder. Throws a UsageError, or a DataError with
 * the problems of all cases before it opens the device; with `skipBad` after the others are written.
 */
export async function predictPresence(
  open: () => Promise<Device>,
  path: string,
  options: Options,
): Promise<void> {
  const { input, output, overwrite = false, skipBad = false } = options;
  const unused = UNUSED.find((name) => options[name] !== undefined && options[name] !== false);
  if (unused !== undefined) {
    const flag = unused.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new UsageError(`--${flag}: ${path} says which regions a case shows, and does not use it`);
  }
  if (!overwrite && (await exists(join(output, PRESENCE.json))))
    throw new UsageError(`${join(output, PRESENCE.json)}: exists: give --overwrite, or another --output`);
  const model = await readClassifier(path);
  const card = model.card!;
  const dataset = await openDataset(await folderSource(input), {
    convention: card.labels,
    orders: [card.modalities],
  });
  grouped(dataset.warnings).forEach(warn);
  const { cases, problems } = await readable(model, dataset, options);
  if (problems.length && !skipBad) throw new DataError(problems);
  for (const problem of problems) complain(`skipped: ${problem}`);
  await checkWritable(join(output, PRESENCE.json), "--output");
  const found = cases.length ? await presences(await open(), model, cases, options) : [];
  await writePresence(output, found, {
    model: card.stage,
    modalities: card.modalities,
  });
  const count = found.length === 1 ? "1 case" : `${found.length} cases`;
  result(`${count}: ${join(output, PRESENCE.json)} and ${PRESENCE.csv}`);
  emit("end", { cases: found.length, output });
  if (problems.length) throw new DataError(problems);
}

/** A case that is read when its turn comes. */
type Reader = { id: string; read: () => Promise<Case> };

/** The cases that can be read, by reading each once, and the problems of the others. */
async function readable(
  { card }: StoredModel,
  dataset: Awaited<ReturnType<typeof openDataset>>,
  { input, affine = "file" }: Options,
): Promise<{ cases: Reader[]; problems: string[] }> {
  const { modalities, any, background, crop, padding, grid } = card!;
  const source = await folderSource(input);
  const preparation = { background, crop, padding, ...(grid && { orientation: grid.orientation }) };
  const required: Modality[] = any ? [] : [...modalities];
  const [cases, problems]: [Reader[], string[]] = [[], []];
  for (const files of [...dataset.cases, ...dataset.newCases]) {
    const own = { labels: false, required, affine, ...preparation };
    const read = () => loadCase(source, dataset, files, modalities, own);
    if (await collectProblems(problems, read)) cases.push({ id: files.id, read });
  }
  return { cases, problems };
}

/** The presence of each case's regions. */
async function presences(
  device: Device,
  { network: config, card, values }: StoredModel,
  cases: readonly Reader[],
  { step, window = card!.window }: Options,
): Promise<CasePresence[]> {
  const params = new Params(device, { values });
  const network = { params, config, architecture: vnetClassifier };
  const progress = predictionProgress(cases.length);
  const found: CasePresence[] = [];
  try {
    for (const { id, read } of cases) {
      const began = performance.now();
      const prepared = await read();
      const windows = await casePresence(
        device,
        network,
        seenBy(prepared, card!),
        { patch: card!.patch, window, ...(step !== undefined && { step }) },
        (done, all) => progress.window(id, done, all),
      );
      const own = presenceOf(prepared, windows, card!.patch);
      found.push(own);
      progress.written(id, (performance.now() - began) / 1000, windows.length);
      emit("presence", { ...own });
    }
  } finally {
    progress.stop();
    params.free();
  }
  for (const one of found) {
    const regions = REGION_NAMES.map((region) => `${region} ${one[region].probability.toFixed(3)}`);
    result(`${one.case}: ${regions.join(", ")}`);
  }
  return found;
}
