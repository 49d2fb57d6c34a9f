// The worker: the device and all that computes, so that the page never waits. It goes on in a tab that is not shown:
// nothing here is driven by animation frames or timers.
//
// Firefox looks only now and then whether the GPU is done, so what is read is read together: one read for each window
// of a prediction, and one for several training steps (trainer/loop/lossReader.ts).

import { transfer } from "comlink";
import { openDataset, type Modality, type Source } from "../../data/datasets/datasets.ts";
import { DataError } from "../../data/errors.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import { phantomSource } from "../../data/phantom/files.ts";
import { METHODS } from "../../model/methods/index.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import { datasetOf, fileSource, recognise } from "../segment/cases.ts";
import { type FileSettings, settingsIn } from "../train/fileSettings.ts";
import { gpuInfo } from "./gpu.ts";
import { forgetRun, keptFile, keptRun } from "../train/keptRun.ts";
import { Models } from "./models.ts";
import { offer } from "./offer.ts";
import type { File3d, Gpu, ModelInfo, NamedFile, Progress, Recognised, Result, Row } from "./protocol.ts";
import { referenceFile, Segmentation, type Study, volumeFile } from "../segment/segmentation.ts";
import { Training } from "../train/training.ts";
import type { KeptRun, TrainData, TrainNews } from "../train/trainProtocol.ts";

/** Unseen by the example's networks, which were trained on seed 1. */
const EXAMPLE = { seed: 2, cases: 1, size: [64, 64, 64] } as const;

const models = new Models();
const segmentation = new Segmentation(models);
const training = new Training(models);
let source: Source | null = null;
let trainSource: Source | null = null;

/** What the page can ask for. */
const engine = {
  gpu: (): Promise<Gpu> => gpuInfo(),

  /** Takes up the built-in example's networks. */
  async addExampleModels(files: readonly { name: string; bytes: Uint8Array }[]): Promise<ModelInfo[]> {
    for (const { name, bytes } of files) await models.add(bytes, name);
    return models.list();
  },

  /** Takes up what was trained here before; nothing where the browser keeps nothing, as in some private windows. */
  async addKeptModels(): Promise<ModelInfo[]> {
    await training.addKept().catch((error: unknown) => console.info("no networks are kept:", error));
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

  methods: (): string[] => Object.keys(METHODS),

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

  /** The run that the browser keeps, to go on with. */
  keptRun: (): Promise<KeptRun | null> => keptRun(),

  /** Keeps a new run in place of the one before; `from` is a state of its first stage, of a file. */
  keepRun: async (run: Pick<KeptRun, "settings" | "data">, from: File | null): Promise<KeptRun> =>
    training.keep(run, from && { bytes: await bytesOf(from), name: from.name }),

  /** The settings that a training's file says it was trained with; null for an older one, which says none. */
  fileSettings: async (file: File): Promise<FileSettings | null> =>
    settingsIn((await decodeTraining(await bytesOf(file), file.name)).metadata, file.name),

  /** Removes the run that the browser keeps. */
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
  resumeTraining: (): void => training.goOn(),
  stopTraining: (): void => training.stop(),

  /** A checkpoint that is kept, as a file for anywhere; null where there is none. */
  keptFile: async (stage: string, which: "best" | "latest"): Promise<File3d | null> => keptFile(stage, which),

  similarity: async (id: string, model: string, report: (progress: Progress) => void): Promise<File3d[]> => {
    const maps = await segmentation.similarity(id, model, report);
    return transfer(
      maps,
      maps.map(({ buffer }) => buffer),
    );
  },
};

/** Rows as the user left them, and what label values mean. */
export interface Cases {
  rows: Row[];
  convention: LabelConvention;
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
  return { source, dataset: datasetOf(rows, convention) };
}

async function bytesOf(file: File): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await file.arrayBuffer());
}

/** A copy that is moved to the page: what the source keeps stays whole. */
function sent(file: File3d): File3d {
  const copy = file.slice();
  return transfer(copy, [copy.buffer]);
}

offer(engine);
