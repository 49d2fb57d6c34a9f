// One stage of a run: a teacher or a student, trained, kept, and scored on the test cases, each in its own
// folder under --out. Everything that can be wrong is found before the first step.

import { join } from "node:path";
import type { Box } from "../../data/preparation/crop.ts";
import type { Modality } from "../../data/datasets/datasets.ts";
import { checkDisjoint } from "../../data/datasets/manifest.ts";
import type { SamplerState } from "../../data/sampling/patches.ts";
import { type Case, loadCase } from "../../data/preparation/preprocess.ts";
import type { Device } from "../../engine/index.ts";
import { asideSource } from "../../model/losses/deepSupervision.ts";
import { METHODS } from "../../model/methods/index.ts";
import { diceByRegion, meanDice } from "../../model/scoring/metrics.ts";
import { Params } from "../../model/networks/params.ts";
import { type Postprocessing, postprocess } from "../../model/inference/postprocess.ts";
import { stepsDone } from "../../trainer/loop/position.ts";
import type { Region } from "../../model/scoring/regions.ts";
import type { Summary } from "../../model/scoring/summary.ts";
import { checkPrecision, type Network } from "../../model/networks/network.ts";
import { type Scores, Trainer, type TrainEvent } from "../../trainer/loop/trainer.ts";
import { restoreTensors } from "../../trainer/loop/state.ts";
import { keepCarried } from "../files/imported.ts";
import { casesOf, idsOf, openRunData, type RunData } from "../files/cases.ts";
import type { FoundState } from "../files/checkpoints.ts";
import {
  loading,
  networkConfig,
  networkModalities,
  preparation,
  stageName,
  stageTitle,
  type TrainConfig,
  trainingOptions,
} from "../../trainer/settings/config.ts";
import { emit, isLively, say } from "../terminal/console.ts";
import { evaluateFolders } from "../evaluate.ts";
import { checkRoom } from "../files/files.ts";
import { keepTraining, rewind } from "./keptTraining.ts";
import { loadRecordedCases } from "../files/loadCases.ts";
import { openLoader } from "../files/loader.ts";
import { reportMemory } from "../device/memory.ts";
import { channelsOf, type ModelCard, readModel, upload } from "../files/models.ts";
import { predictCase, withChannels, writePrediction } from "../prediction/predictions.ts";
import { tunePostprocessing } from "../prediction/postprocessing.ts";
import { FAST, trainingProgress } from "../terminal/progress.ts";
import { begin, FILES, goOn } from "../files/stageFolder.ts";
import { StageLog } from "../report/stageLog.ts";
import { assumption, readInit, readTeacher, trainedOn } from "./stageModels.ts";
import { applyTuning } from "../device/tuning.ts";

/**
 * Trains, predicts the test cases with the best checkpoint, and scores them. Returns the stage's folder. All
 * cases, those for the test too, are read before the device is opened and the folder's content replaced. With a
 * `state` of the folder it goes on from there, to the same bits as if it had never stopped.
 */
export async function trainStage(
  open: () => Promise<Device>,
  config: TrainConfig,
  state: FoundState | null = null,
): Promise<string> {
  const folder = join(config.out, stageName(config));
  say(`${stageTitle(config)} -> ${folder}`);
  if (config.fast) say(`  ${FAST}`);
  const method = METHODS[config.method]!;
  const [guide, first] = [await readTeacher(config), await readInit(config)];
  const assumed = guide && assumption(guide, config);
  if (assumed) say(`  ${assumed}`);
  const data = await openRunData(config);
  const { split } = data;
  const modalities = guide ? channelsOf(guide) : data.modalities; // a teacher sees all that is loaded
  const { training, validation, records } = await loadRun(data, modalities, config);
  const flattering = guide && (await trainedOn(guide.path, split.test));
  if (flattering) say(`  ${flattering}`);
  say(`  ${training.length} cases to train, ${validation.length} to validate, ${split.test.length} to test`);
  const device = await open();
  device.peakBytes = device.bytes; // of this stage alone
  if (state) await restoreTuning(device, config);
  config = { ...config, tuning: device.tuning };
  const { precision } = config;
  checkPrecision(device, precision);
  const teacher: Network | null = guide && { ...upload(device, guide), precision };
  const trained = { config: networkConfig(config), precision, lean: config.lowMemory };
  reportMemory(device, config, { teacher, modalities: modalities.length });

  const source = first && asideSource(first.values, config.deepSupervision, config.seed);
  const params = new Params(device, source ?? { seed: config.seed });
  const network: Network = { ...trained, params };
  const { patch, batch } = config;
  const loader = await openLoader(training, {
    ...loading(config),
    ...(state && { state: state.data as SamplerState }),
  });
  const stepsPerEpoch = loader.batchesPerEpoch;
  const seen = networkModalities(config);
  const trainer: Trainer = new Trainer({
    ...{ device, network, method, teacher, patch, stepsPerEpoch },
    channels: seen.map((m) => modalities.indexOf(m)),
    next: () => loader.next(),
    data: () => loader.state(),
    ...trainingOptions(config),
    ...(validation.length && {
      validate: (n: Network) => validate(device, n, validation, config, () => trainer.stopping),
    }),
    ...(state && { position: state.position }),
    now: () => performance.now(),
  });
  const { optimizer, guard } = trainer;
  const progress = trainingProgress({ title: stageName(config), epochs: config.epochs, batch });
  let log: StageLog | null = null;
  try {
    const card = (epoch: number, step: number) => cardOf(config, data, epoch, step);
    const stored = [...params.tensors.values(), ...Object.values(optimizer.moments).flat()];
    const bytes = stored.reduce((sum, { size }) => sum + 4 * size, 0);
    await checkRoom(folder, 4 * bytes + split.test.length * PREDICTION, "checkpoints and predictions");
    if (state) {
      const updates = stepsDone(state.position, stepsPerEpoch);
      restoreTensors({ params, optimizer, guard }, state, { updates, name: state.path });
      const { epoch } = state.position;
      if (state.carried) {
        await begin(folder, config, data, records);
        await keepCarried(folder, state, { params, card: card(epoch - 1, updates), config });
      } else {
        await goOn(folder, config, data, records);
        await rewind(folder, state.position, updates);
      }
      say(`  going on after ${updates} steps, in epoch ${epoch}`);
    } else await begin(folder, config, data, records);
    log = await StageLog.begin(folder, optimizer.steps, { title: stageName(config), batch });
    emit("config", { stage: stageName(config), config });
    const tell = async (event: TrainEvent) => {
      progress.show(event);
      await log!.note(event);
    };
    await keepTraining({ folder, trainer, params, config, card, tell });
  } finally {
    progress.stop();
    await loader.close();
    await log?.close();
    trainer.free();
    network.params.free();
    teacher?.params.free();
  }
  const best = upload(device, await readModel(join(folder, FILES.best)));
  const rule = await tunePostprocessing(device, best, validation, { folder, config });
  if (split.test.length) {
    const tested = await scoreTestCases(device, config, data, { folder, network: best, rule });
    const { foreground_mean, mean, convention } = tested;
    emit("summary", { stage: stageName(config), convention, foreground_mean, mean });
  }
  best.params.free();
  device.trim();
  return folder;
}

const PREDICTION = 1e6; // bytes of a predicted case, generously

/** The kernels that a run began with, for others round differently. */
async function restoreTuning(device: Device, { tuning }: TrainConfig): Promise<void> {
  if (tuning) await applyTuning(device, { recorded: tuning });
  if (JSON.stringify(device.tuning) === JSON.stringify(tuning)) return;
  say("  the run began with other kernels than this adapter has: the last digits will differ");
}

/**
 * The cases to train and to validate on. Those to test on are read too: now is the time to find them broken, or to be
 * the same scans as others under another name.
 */
async function loadRun({ dataset, split }: RunData, modalities: readonly Modality[], config: TrainConfig) {
  const reading = { data: config.data, dataset, modalities, preparation: preparation(config) };
  const wanted = casesOf(dataset, idsOf(split));
  const { cases, records } = await loadRecordedCases(reading, wanted, config.workers);
  checkDisjoint(split, records);
  const trained = split.train.length;
  const validation = cases.slice(trained, trained + split.val.length);
  return { training: cases.slice(0, trained), validation, records };
}

/** The mean Dice of the cases; null where it was `stopped` before the last. */
async function validate(
  device: Device,
  network: Network,
  cases: readonly Case[],
  config: TrainConfig,
  stopped: () => boolean,
): Promise<Scores | null> {
  const scores: Record<Region, number>[] = [];
  for (const prepared of cases) {
    if (stopped()) return null;
    const seen = withChannels(prepared, networkModalities(config));
    const classes = await predictCase(device, network, seen, config);
    scores.push(diceByRegion(classes, prepared.label!));
  }
  return meanDice(scores);
}

/** Predicts the test cases from the stage's own modalities alone, as a hospital would, and scores the files. */
async function scoreTestCases(
  device: Device,
  config: TrainConfig,
  data: RunData,
  { folder, network, rule }: { folder: string; network: Network; rule: Postprocessing },
): Promise<Summary> {
  const { source, dataset, split } = data;
  const predictions = join(folder, FILES.predictions);
  const boxes = new Map<string, Box>();
  const seconds = new Map<string, number>();
  for (const [i, files] of casesOf(dataset, split.test).entries()) {
    if (isLively()) process.stdout.write(`\r  predicting test case ${i + 1} of ${split.test.length}`);
    const options = { labels: false, ...preparation(config) };
    const began = performance.now();
    const prepared = await loadCase(source, dataset, files, networkModalities(config), options);
    const found = await predictCase(device, network, prepared, config);
    const classes = postprocess(found, { size: prepared.size, spacing: prepared.source.spacing }, rule);
    await writePrediction(predictions, prepared, classes, dataset.convention);
    seconds.set(files.id, (performance.now() - began) / 1000);
    if (config.scoring === "crop")
      boxes.set(files.id, { size: prepared.size, offset: prepared.source.offset });
  }
  if (isLively()) process.stdout.write("\r\x1b[K");
  const labels = dataset.convention;
  const output = join(folder, FILES.summary);
  const { data: references, convention } = config;
  return evaluateFolders({
    predictions,
    references,
    labels,
    partial: true,
    convention,
    boxes,
    seconds,
    output,
  });
}

function cardOf(config: TrainConfig, { dataset }: RunData, epoch: number, step: number): ModelCard {
  return {
    network: networkConfig(config),
    modalities: networkModalities(config),
    ...{ patch: config.patch, window: config.window },
    labels: dataset.convention,
    ...preparation(config),
    ...{ stage: stageName(config), epoch, step, seed: config.seed },
  };
}
