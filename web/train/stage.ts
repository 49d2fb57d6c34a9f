// One stage of a training, made ready on a device: a teacher, or a student with or without one. No page and no storage
// in it: the same steps run anywhere.

import { DataError } from "../../data/errors.ts";
import { PatchSampler, type SamplerState } from "../../data/sampling/patches.ts";
import { type Case, loadCases, PREPARATION } from "../../data/preparation/preprocess.ts";
import { chooseSlice, greysOf } from "../../data/preparation/slices.ts";
import { MODALITIES, type Modality } from "../../data/datasets/source.ts";
import { parseSplits, type Split, SPLIT_FILE, SPLIT_SEED, splitCases } from "../../data/datasets/splits.ts";
import type { Input } from "../../data/preparation/input.ts";
import type { Device } from "../../engine/index.ts";
import type { NetworkCard } from "../../model/files/card.ts";
import { METHODS } from "../../model/methods/index.ts";
import { diceByRegion, meanDice } from "../../model/scoring/metrics.ts";
import type { Network } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { checkPatch } from "../../model/networks/patch.ts";
import { stepsDone } from "../../trainer/loop/position.ts";
import type { Region } from "../../model/scoring/regions.ts";
import { type Scores, Trainer } from "../../trainer/loop/trainer.ts";
import { restoreTensors, type TrainingState } from "../../trainer/loop/state.ts";
import { VNET, type VnetConfig } from "../../model/networks/vnet.ts";
import { TILING } from "../../model/inference/windows.ts";
import { predictCase } from "../segment/prediction.ts";
import type { Study } from "../segment/segmentation.ts";
import type { SliceNews, TrainSettings } from "./trainProtocol.ts";

/** The network that teaches, and what it sees. */
export interface Guide {
  network: Network;
  modalities: readonly Modality[];
}

export interface StageCases {
  training: Case[];
  validation: Case[];
  /** Of the training cases, in channel order. */
  modalities: readonly Modality[];
}

/** Which stages the settings ask for, by the command line's names of their folders. */
export function stagesOf({ stages, modality, method }: TrainSettings): string[] {
  const student = method === "none" ? `student_${modality}` : `student_${modality}_${method}`;
  return stages === "both" ? ["teacher", student] : [stages === "teacher" ? "teacher" : student];
}

/** What the network of a stage sees, in channel order. */
export function seenBy(stage: string, { modality }: TrainSettings): Modality[] {
  return stage === "teacher" ? [...MODALITIES] : [modality];
}

/**
 * Reads and prepares the cases of a stage, those set aside that the command line sets aside; a student's with all that its
 * teacher sees. Throws a DataError.
 */
export async function loadStage(
  study: Study,
  stage: string,
  settings: TrainSettings,
  taught: readonly Modality[] | null,
): Promise<StageCases> {
  const { source, dataset } = study;
  const split = await splitOf(study);
  const own = seenBy(stage, settings);
  const modalities = taught ?? own;
  const load = (ids: readonly string[], seen: readonly Modality[]) => {
    const files = ids.map((id) => dataset.cases.find((one) => one.id === id)!);
    return loadCases(source, dataset, files, seen, { ...PREPARATION, labels: true });
  };
  return {
    training: await load(split.train, modalities),
    validation: await load(split.val, own),
    modalities,
  };
}

/** As the command line does: by the folder's split.json, or else drawn. Throws a DataError. */
async function splitOf({ source, dataset }: Study): Promise<Split> {
  const known = dataset.cases.map(({ id }) => id);
  if (!(await source.list()).includes(SPLIT_FILE)) return splitCases(known, { seed: SPLIT_SEED });
  const text = new TextDecoder().decode(await source.read(SPLIT_FILE));
  const split = parseSplits(text, SPLIT_FILE, known);
  if (!Array.isArray(split)) return split;
  throw new DataError(`${SPLIT_FILE}: holds ${split.length} folds: the command line can train one of them`);
}

/** A stage that can run. */
export class Stage {
  readonly trainer: Trainer;
  readonly params: Params;
  readonly stepsPerEpoch: number;
  readonly #device: Device;
  readonly network: Network;
  readonly #settings: TrainSettings;
  readonly #cases: StageCases;
  readonly #name: string;
  #lastSlice: SliceNews | null = null;

  /** From the beginning, or from a `state` of the same training. Throws where the settings do not fit each other. */
  constructor(
    device: Device,
    options: {
      name: string;
      settings: TrainSettings;
      cases: StageCases;
      guide: Guide | null;
      state: TrainingState | null;
    },
  ) {
    const { name, settings, cases, guide, state } = options;
    const { patch, batch, seed, filters, levels } = settings;
    checkPatch(patch, levels);
    const seen = seenBy(name, settings);
    const config: VnetConfig = { ...VNET, filters, levels, modalities: seen.length };
    const sampler = new PatchSampler(cases.training, { patch, batch, seed });
    if (state) sampler.restore(state.data as SamplerState);
    this.params = new Params(device, { seed });
    this.stepsPerEpoch = sampler.batchesPerEpoch;
    [this.#device, this.#settings, this.#cases, this.#name] = [device, settings, cases, name];
    this.network = { params: this.params, config };
    this.trainer = new Trainer({
      ...{ device, network: this.network, teacher: guide?.network ?? null, patch },
      method: METHODS[name === "teacher" ? "none" : settings.method]!,
      channels: seen.map((m) => cases.modalities.indexOf(m)),
      stepsPerEpoch: this.stepsPerEpoch,
      next: () => sampler.next(),
      data: () => sampler.state(),
      ...{ epochs: settings.epochs, rate: settings.lr, validateEvery: settings.validateEvery },
      ...(cases.validation.length && { validate: () => this.#validate() }),
      ...(state && { position: state.position }),
      now: () => performance.now(),
    });
    if (!state) return;
    const updates = stepsDone(state.position, this.stepsPerEpoch);
    const { optimizer, guard } = this.trainer;
    restoreTensors({ params: this.params, optimizer, guard }, state, { updates, name });
  }

  /** What a checkpoint says of the network after so many epochs and steps. */
  card(epoch: number, step: number, labels: Input["labels"]): NetworkCard & Input {
    const { patch, seed } = this.#settings;
    return {
      ...{ network: this.network.config, modalities: seenBy(this.#name, this.#settings), patch, labels },
      ...{ ...PREPARATION, window: TILING.weighting, stage: this.#name, epoch, step, seed },
    };
  }

  /** The slice of the last validation that has the most tumour; null until there was one, and after it was taken. */
  takeSlice(): SliceNews | null {
    const slice = this.#lastSlice;
    this.#lastSlice = null;
    return slice;
  }

  free(): void {
    this.trainer.free();
    this.params.free();
  }

  async #validate(): Promise<Scores | null> {
    const { validation } = this.#cases;
    const scores: Record<Region, number>[] = [];
    for (const [i, prepared] of validation.entries()) {
      if (this.trainer.stopping) return null;
      const windows = { patch: this.#settings.patch, window: TILING.weighting };
      const classes = await predictCase(this.#device, this.network, prepared, windows);
      if (i === 0) this.#lastSlice = sliceOf(prepared, classes);
      scores.push(diceByRegion(classes, prepared.label!));
    }
    return meanDice(scores);
  }
}

/** The axial slice with the most tumour in the label; the image is the last modality. */
function sliceOf({ id, images, channels, size, label }: Case, classes: Uint8Array): SliceNews {
  const [depth, height, width] = size;
  const area = height * width;
  const from = chooseSlice(label!, size) * area;
  const last = (channels.length - 1) * depth * area;
  return {
    ...{ case: id, height, width },
    image: Uint8Array.from(greysOf(images.subarray(last + from, last + from + area)), Math.round),
    prediction: classes.slice(from, from + area),
    label: label!.slice(from, from + area),
  };
}
