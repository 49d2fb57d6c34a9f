// Trains one stage of a run and scores it on the test cases, in its own folder under --out. Everything that
// can be wrong is found before the first step.

import { join } from "node:path";
import type { Box } from "../../data/preparation/crop.ts";
import { mergedLabels } from "../../data/datasets/labels.ts";
import { isAny, isEach } from "../../data/datasets/subsets.ts";
import type { CaseRecord } from "../../data/datasets/manifest.ts";
import type { SamplerState } from "../../data/sampling/patches.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import { grouped } from "../../data/errors.ts";
import type { CommonGrid } from "../../data/preparation/input.ts";
import { cropOf, gridSpacing } from "../../data/preparation/preprocess.ts";
import { type Device, tuningOf } from "../../engine/index.ts";
import { type Postprocessing, postprocess } from "../../model/inference/postprocess.ts";
import { classifies } from "../../model/methods/index.ts";
import { parseInterval } from "../../model/settings/durations.ts";
import type { Network } from "../../model/networks/network.ts";
import type { Summary } from "../../model/scoring/summary.ts";
import type { TrainEvent } from "../../trainer/loop/options.ts";
import {
  networkContrasts,
  networkModalities,
  loadOptions,
  stageName,
  stageTitle,
  type TrainConfig,
} from "../../trainer/settings/config.ts";
import { keepTraining } from "../../trainer/stages/keep.ts";
import { predictCase, seenBy } from "../../trainer/stages/prediction.ts";
import { streamLines, type StreamPlan } from "../../trainer/stages/sources.ts";
import { Stage } from "../../trainer/stages/stage.ts";
import { stageSplit } from "../../trainer/stages/stageSplit.ts";
import { reportMemory } from "../device/memory.ts";
import { applyTuning } from "../device/tuning.ts";
import { scorePairs, writeSummary } from "../prediction/evaluation.ts";
import { pairsOf } from "../prediction/labelPairs.ts";
import { casesOf, filesById, openRunData, type RunData } from "../files/cases.ts";
import type { FoundState } from "../files/checkpoints.ts";
import { checkRoom } from "../files/files.ts";
import { folderStorage, rewind } from "../files/folderStorage.ts";
import { keepImported } from "../files/imported.ts";
import type { KeptCase } from "../files/dataWorkers.ts";
import { type Loader, openLoader } from "../files/loader.ts";
import { checkHeld } from "../files/lock.ts";
import { frozenNetwork, readModel, upload } from "../files/models.ts";
import { resume } from "../files/sameRun.ts";
import { begin, FILES } from "../files/stageFolder.ts";
import { validateSubsets } from "../prediction/validateSubsets.ts";
import { tunePostprocessing } from "../prediction/postprocessing.ts";
import { writePrediction } from "../prediction/predictions.ts";
import { StageLog } from "../report/stageLog.ts";
import { emit, overwrite, say, warn } from "../terminal/console.ts";
import { FAST, trainingProgress } from "../terminal/progress.ts";
import { listenForStop, resumeCommand, StoppedError, type StopSignal } from "../terminal/stopSignals.ts";
import { scorePresence } from "./presence.ts";
import { scoreTranslations } from "./translation.ts";
import { readStageCases, type StageCases } from "./stageCases.ts";
import { readNetworks, type StageNetworks, warnings } from "./stageModels.ts";
import { writeYielded } from "./yielded.ts";

const PREDICTION = 1e6; // bytes of a predicted case, generously

/**
 * Trains, predicts the test cases with the best checkpoint, and scores them. Returns the stage's folder. A
 * training that memory does not hold is refused before any case is read, and all cases are read before the
 * folder's content is replaced. With a `state` of the folder it ends in the bits of one that never stopped.
 */
export async function trainStage(
  open: () => Promise<Device>,
  config: TrainConfig,
  state: FoundState | null = null,
): Promise<string> {
  const folder = join(config.out, stageName(config));
  say(`${stageTitle(config)} -> ${folder}`);
  if (config.fast) say(`  ${FAST}`);
  const networks = await readNetworks(config);
  const data = await openRunData(config, state && !state.imported ? folder : null);
  const cases = await readStageCases(data, networks, config, open);
  try {
    const { train, val, test } = cases.split;
    const started = await warnings(config, networks, { split: data.split, state });
    [...started, ...grouped(cases.warnings)].forEach(warn);
    const about = data.about && `; ${data.about}`;
    say(`  ${train.length} cases to train, ${val.length} to validate, ${test.length} to test${about}`);
    for (const line of mergedLabels(data.dataset.convention)) say(`  ${line}`);
    for (const line of streamLines(cases.streams)) say(`  ${line}`);
    await trainOn(cases, open, config, { folder, networks, data, state });
  } finally {
    await cases.close();
  }
  return folder;
}

/** A stage without its cases. */
interface Given {
  folder: string;
  networks: StageNetworks;
  data: RunData;
  state: FoundState | null;
}

/** Trains a stage on cases that were read, and scores it. */
async function trainOn(
  { streams, validation, records, split, modalities, grid, hostBytes }: StageCases,
  open: () => Promise<Device>,
  config: TrainConfig,
  { folder, networks, data, state }: Given,
): Promise<void> {
  const device = await open();
  device.peakBytes = device.bytes; // of this stage alone
  if (state) await restoreTuning(device, config);
  config = { ...config, tuning: tuningOf(device) };
  const frozen = (name: string) => frozenNetwork(networks.frozen.get(name)!);
  reportMemory(device, { config, modalities, frozen }, hostBytes);
  const began = { data, files: records, networks: networks.checksums, tests: split.test.length };
  const loaders = await openLoaders(streams, state);
  try {
    const stage = new Stage(device, {
      config,
      modalities,
      validation,
      sources: loaders,
      stepsPerEpoch: Object.values(loaders)[0]!.batchesPerEpoch,
      labels: data.dataset.convention,
      grid,
      frozen,
      init: networks.init?.values ?? null,
      initEncoder: networks.initEncoder?.values ?? null,
      state,
    });
    await trainInto(folder, stage, began, state).finally(() => stage.free());
  } finally {
    for (const loader of Object.values(loaders)) await loader.close();
  }
  const yielded = config.stage === "pretrain" ? [] : await writeYielded(config, began);
  for (const own of yielded) await score(device, own, { ...data, split }, { validation, grid });
  if (isEach(config.modality)) await scoreTranslations(device, config, data, grid);
  device.trim();
}

/** The kernels that a run began with, for others round differently. */
async function restoreTuning(device: Device, { tuning }: TrainConfig): Promise<void> {
  if (tuning) await applyTuning(device, { recorded: tuning });
  if (JSON.stringify(tuningOf(device)) === JSON.stringify(tuning)) return;
  say("  the run began with other kernels than this adapter has: the last digits will differ");
}

/** A loader for each stream of the method. */
async function openLoaders(
  streams: readonly StreamPlan<KeptCase>[],
  state: FoundState | null,
): Promise<Record<string, Loader>> {
  const loaders: Record<string, Loader> = {};
  for (const { name, cases, options } of streams) {
    const from = state && { state: state.data[name] as SamplerState };
    loaders[name] = await openLoader(cases, { ...options, ...from });
  }
  return loaders;
}

/** The inputs that a folder records when a stage begins, and the number of test cases. */
interface Began {
  data: RunData;
  files: readonly CaseRecord[];
  networks: StageNetworks["checksums"];
  tests: number;
}

/**
 * Prepares the folder, and trains the stage to its end or until a signal. Throws a StoppedError when all is
 * saved.
 */
async function trainInto(
  folder: string,
  stage: Stage,
  inputs: Began,
  state: FoundState | null,
): Promise<void> {
  const { config, trainer, name: title } = stage;
  const { epochs, batch } = config;
  const { data, files, networks, tests } = inputs;
  await checkRoom(folder, 4 * stage.stateBytes + tests * PREDICTION, "checkpoints and predictions");
  await checkHeld(folder); // before what it holds is replaced
  if (state?.imported !== false) await begin(folder, config, data, files, networks);
  if (state?.imported) await keepImported(folder, state, stage);
  if (state && !state.imported) {
    for (const line of await resume(folder, config, inputs)) say(`  ${line}`);
    await rewind(folder, state.position, trainer.steps);
  }
  if (state) say(`  resuming after ${trainer.steps} steps, in epoch ${state.position.epoch}`);
  const log = await StageLog.begin(folder, trainer.steps, { title, batch });
  emit("config", { stage: title, config });
  const progress = trainingProgress({ title, epochs, batch });
  const stop = listenForStop((signal) => {
    trainer.stop();
    say(`${signal}: finishing this step, then saving; press again to stop at once`);
  });
  try {
    const ended = await keepTraining(stage, {
      storage: folderStorage(folder),
      cadence: { ...parseInterval(config.saveEvery), epochSeconds: 0 },
      show: async (event) => {
        progress.show(event);
        sayOf(event);
        await log.note(event);
      },
    });
    if (ended === "request") throw stopped(stop.received ?? "SIGTERM", stage);
    if (ended) say(`  ${ENDINGS[ended]} after ${trainer.steps} steps`);
  } finally {
    stop.close();
    progress.stop();
    await log.close();
  }
}

/** Prints a skipped step. */
function sayOf(event: TrainEvent): void {
  if (event.type !== "skip" || event.why === "overflow") return;
  say(`  step ${event.step} skipped: ${event.why} not finite (cases ${event.cases.join(", ")})`);
}

const ENDINGS = {
  time: "ended: the time of --max-time is up",
  patience: "ended: no better validation within --patience",
} as const;

function stopped(signal: StopSignal, { trainer: { position, steps } }: Stage): StoppedError {
  return new StoppedError(
    signal,
    `stopped by ${signal} and saved, after ${steps} steps, in epoch ${position.epoch}; to resume:\n  ${resumeCommand()}`,
  );
}

/** Chooses the best network's post-processing by the validation cases, and scores it on the test cases. */
async function score(
  device: Device,
  config: TrainConfig,
  data: RunData,
  { validation: all, grid }: Pick<StageCases, "validation" | "grid">,
): Promise<void> {
  if (classifies(config.method)) return scorePresence(device, config, data, grid);
  const folder = join(config.out, stageName(config));
  const used = stageSplit(config, { split: data.split, filesOf: filesById(data.dataset), taughtBy: [] });
  data = { ...data, split: used.split };
  const validated = new Set(used.split.val);
  const validation = all.filter(({ id }) => validated.has(id));
  const best = upload(device, await readModel(join(folder, FILES.best)));
  const rule = await tunePostprocessing(device, best, validation, { folder, config });
  await validateSubsets(device, best, validation, { folder, config });
  if (data.split.test.length) {
    const how = { folder, network: best, rule, grid };
    const { foreground_mean, mean, convention } = await scoreTestCases(device, config, data, how);
    emit("summary", { stage: stageName(config), convention, foreground_mean, mean });
  }
  best.params.free();
}

/**
 * Predicts the test cases from the stage's own modalities alone, as a hospital would, and scores the files.
 */
async function scoreTestCases(
  device: Device,
  config: TrainConfig,
  data: RunData,
  {
    folder,
    network,
    rule,
    grid: { orientation },
  }: { folder: string; network: Network; rule: Postprocessing; grid: CommonGrid },
): Promise<Summary> {
  const { source, dataset, split } = data;
  const predictions = join(folder, FILES.predictions);
  const boxes = new Map<string, Box>();
  const seconds = new Map<string, number>();
  for (const [i, files] of casesOf(dataset, split.test).entries()) {
    overwrite(`  predicting test case ${i + 1} of ${split.test.length}`);
    const required = isAny(config.modality) ? [] : networkModalities(config);
    const began = performance.now();
    const options = { labels: false, required, ...loadOptions(config), orientation };
    const prepared = await loadCase(source, dataset, files, networkModalities(config), options);
    const seen = seenBy(prepared, networkContrasts(config));
    const found = await predictCase(device, network, seen, config);
    const classes = postprocess(found, { size: prepared.size, spacing: gridSpacing(prepared) }, rule);
    await writePrediction(predictions, prepared, classes, dataset.convention);
    seconds.set(files.id, (performance.now() - began) / 1000);
    if (config.scoring === "crop") boxes.set(files.id, cropOf(prepared));
  }
  overwrite("");
  const folders = { predictions, references: config.data };
  const { convention } = config;
  const affine = "image"; // the grids were compared when the cases were read, all with their first image
  const pairs = pairsOf(casesOf(dataset, split.test), folders);
  const scored = { pairs, folders, labels: dataset.convention };
  const summary = await scorePairs(scored, { convention, affine, boxes, seconds });
  await writeSummary(join(folder, FILES.summary), summary);
  return summary;
}
