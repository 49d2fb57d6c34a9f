// The worker: the device and all that computes, so that the page never waits. It works in a hidden tab too,
// for neither animation frames nor timers drive it.
//
// Firefox checks only now and then whether the GPU is done, so reads are few: one for each window of a
// prediction, and one for several training steps (trainer/loop/lossReader.ts).

import { transfer } from "comlink";
import { openDataset, type Modality, type Source } from "../../data/datasets/datasets.ts";
import { DataError } from "../../data/errors.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import { phantomSource } from "../../data/phantom/files.ts";
import {
  DEFAULT_METHOD,
  DEFAULT_PRETRAINING,
  methodOf,
  METHODS,
  PRETRAININGS,
  usesStudents,
} from "../../model/methods/index.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import { datasetOf, fileSource, recognise } from "../segment/cases.ts";
import type { FileSettings } from "../../trainer/settings/check.ts";
import { fields, settingsIn, taughtMethods } from "../train/pageSettings.ts";
import { gpuInfo } from "./gpu.ts";
import { encoderFile, keptEncoder } from "../train/keptEncoder.ts";
import { forgetRun, keptFile, keptRun } from "../train/keptRun.ts";
import { Models } from "./models.ts";
import { recipeOf } from "../../trainer/settings/config.ts";
import { offer } from "./offer.ts";
import type { File3d, Gpu, ModelInfo, NamedFile, Progress, Recognised, Result, Row } from "./protocol.ts";
import { referenceFile, Segmentation, type Study, volumeFile } from "../segment/segmentation.ts";
import { withAnyContrasts } from "../train/loadStage.ts";
import { Training } from "../train/training.ts";
import type { FormChoices, KeptRun, TrainData, TrainNews } from "../train/trainProtocol.ts";

/** Unseen by the example's networks, which were trained on seed 1. */
const EXAMPLE = { seed: 2, cases: 1, size: [64, 64, 64] } as const;

const models = new Models();
const segmentation = new Segmentation(models);
const training = new Training(models);
let source: Source | null = null;
let trainSource: Source | null = null;

/** The functions that the page can call. */
const engine = {
  gpu: (): Promise<Gpu> => gpuInfo(),

  /** Takes up the built-in example's networks. */
  async addExampleModels(files: readonly { name: string; bytes: Uint8Array }[]): Promise<ModelInfo[]> {
    for (const { name, bytes } of files) await models.add(bytes, name);
    return models.list();
  },

  /** Takes up the networks that were trained here before; some private windows keep none. */
  async addKeptModels(): Promise<ModelInfo[]> {
    await training.addKept().catch((error: unknown) => console.info("no networks are saved:", error));
    return models.list();
  },

  async openExample(): Promise<Recognised> {
    source = phantomSource(EXAMPLE);
    segmentation.forget();
    return recognise(source);
  },

  async openFiles(name: string, files: NamedFile[]): Promise<Recognised> {
    const chosen = fileSource(name, files);
    const recognised = await recognise(chosen); // what was open stays where this fails
    source = chosen;
    segmentation.forget();
    return recognised;
  },

  async addModel(file: File): Promise<ModelInfo> {
    return models.add(await bytesOf(file), file.name);
  },

  models: (): ModelInfo[] => models.list(),

  /** The choices of the training's form. */
  form: (): FormChoices => ({
    fields: fields(),
    methods: Object.values(METHODS).map(({ name, title }) => [name, title]),
    taught: taughtMethods(),
    elsewhere: Object.fromEntries(
      Object.keys(METHODS).flatMap((name) => {
        if (usesStudents(name)) return [[name, "learns from several students"]];
        return methodOf(name).needsUnlabelled ? [[name, "needs scans without labels"]] : [];
      }),
    ),
    slow: Object.fromEntries(
      Object.keys(METHODS).flatMap((name) => {
        const { slow } = methodOf(name);
        return slow === undefined ? [] : [[name, slow]];
      }),
    ),
    defaultMethod: DEFAULT_METHOD,
    pretraining: DEFAULT_PRETRAINING,
    recipes: { paper: recipeOf("paper"), nnunet: recipeOf("nnunet") },
    defaults: Object.fromEntries(
      Object.keys({ ...METHODS, ...PRETRAININGS }).map((name) => [name, methodOf(name).defaults ?? {}]),
    ),
  }),

  modelSees: (id: string, modality: Modality): ModelInfo => models.sees(id, modality),

  segment: (cases: Cases, id: string, model: string, report: (progress: Progress) => void): Promise<Result> =>
    segmentation.segment(study(cases), id, model, report),

  cancel: (): void => segmentation.cancel(),

  volume: async (cases: Cases, id: string, modality: Modality): Promise<File3d> =>
    sent(await volumeFile(study(cases), id, modality)),

  reference: async (cases: Cases, id: string): Promise<File3d> => sent(await referenceFile(study(cases), id)),

  prediction: async (
    cases: Cases,
    id: string,
    model: string,
    values: "classes" | "labels",
  ): Promise<File3d> => sent(await segmentation.file(study(cases), id, model, values)),

  /** The saved run, to resume. */
  keptRun: (): Promise<KeptRun | null> => keptRun(),

  /** Saves a new run in place of the one before; `from` is a file with a state of its first stage. */
  async keepRun({ settings, data }: Pick<KeptRun, "settings" | "data">, from: File | null): Promise<KeptRun> {
    const study = await trainStudy(data);
    const run = { settings: await withAnyContrasts(study, settings), data };
    return training.keep(run, from && { bytes: await bytesOf(from), name: from.name }, study);
  },

  /** The settings in a training's file. */
  fileSettings: async (file: File): Promise<FileSettings> =>
    settingsIn((await decodeTraining(await bytesOf(file), file.name)).metadata, file.name),

  /** Deletes the saved run. */
  forgetRun: (): Promise<void> => forgetRun(),

  /** Trains the run to its end, or until stopTraining(). Files are those of openTraining(). */
  async train(run: KeptRun, tell: (news: TrainNews) => void): Promise<void> {
    await training.run(run, await trainStudy(run.data), (news) => tell(news));
  },

  /** Takes up the user's own cases to train on. */
  async openTraining(name: string, files: NamedFile[]): Promise<Recognised> {
    const chosen = fileSource(name, files);
    const recognised = await recognise(chosen);
    trainSource = chosen;
    return recognised;
  },

  pauseTraining: (): void => training.pause(),
  resumeTraining: (): void => training.resume(),
  stopTraining: (): void => training.stop(),

  /** A saved checkpoint; null without one. */
  keptFile: async (stage: string, which: "best" | "latest"): Promise<File3d | null> => keptFile(stage, which),

  /** The pretraining whose encoder is kept; null without one, or in a private window that keeps nothing. */
  encoder: (): Promise<string | null> =>
    keptEncoder().then(
      (kept) => kept?.name ?? null,
      () => null,
    ),

  /** The file of the kept encoder; null without one. */
  encoderFile: (): Promise<File3d | null> => encoderFile(),

  similarity: async (id: string, model: string, report: (progress: Progress) => void): Promise<File3d[]> => {
    const maps = await segmentation.similarity(id, model, report);
    return transfer(
      maps,
      maps.map(({ buffer }) => buffer),
    );
  },
};

/** Rows as the user left them, and the convention of the labels. */
export interface Cases {
  rows: Row[];
  /** Null if the names do not tell it, until the user chooses. */
  convention: LabelConvention | null;
}

export type Engine = typeof engine;

async function trainStudy(data: TrainData): Promise<Study> {
  if (data.kind === "phantom") {
    const { cases, size, seed } = data;
    const phantom = phantomSource({ seed, cases, size: [size, size, size] });
    return { source: phantom, dataset: await openDataset(phantom) };
  }
  if (!trainSource)
    throw new DataError("the files of this training are needed again: choose the same folder");
  return { source: trainSource, dataset: datasetOf(data.rows, data.convention) };
}

function study({ rows, convention }: Cases): Study {
  if (!source) throw new Error("worker: expected files, got none yet");
  // Labels whose meaning is open are not read; predictions need some convention.
  const used = convention ? rows : rows.filter(({ role }) => role !== "label");
  return { source, dataset: datasetOf(used, convention ?? "brats") };
}

async function bytesOf(file: File): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await file.arrayBuffer());
}

/** A copy that is moved to the page: the source keeps its own. */
function sent(file: File3d): File3d {
  const copy = file.slice();
  return transfer(copy, [copy.buffer]);
}

offer(engine);
