// Segments cases in the worker, and makes the files to show and download: predictions, references, volumes,
// similarity maps, each in the source's grid.

import { voxelCount } from "../../data/preparation/crop.ts";
import { DataError } from "../../data/errors.ts";
import { fromClasses, toClasses } from "../../data/datasets/labels.ts";
import { readNifti, writeLabelLike, writeNifti } from "../../data/nifti/nifti.ts";
import { readHeader } from "../../data/nifti/header.ts";
import type { CaseReport } from "../../data/check/checkCase.ts";
import { gridWarnings } from "../../data/check/grids.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import type { CommonGrid } from "../../data/preparation/input.ts";
import { type Case, uncrop } from "../../data/preparation/preprocess.ts";
import {
  type CaseFiles,
  type Dataset,
  MODALITIES,
  type Modality,
  type Source,
} from "../../data/datasets/source.ts";
import { compile, type Device } from "../../engine/index.ts";
import { diceByRegion } from "../../model/scoring/metrics.ts";
import { FEATURES } from "../../model/losses/losses.ts";
import { forward, initialise, type Network } from "../../model/networks/network.ts";
import { imageOf } from "../../model/inference/predict.ts";
import { REGION_NAMES, REGIONS } from "../../model/scoring/regions.ts";
import { similarityMaps } from "../../model/inference/similarity.ts";
import { CancelledError } from "../ui/explain.ts";
import { survivingLoss } from "../worker/gpu.ts";
import type { Models, Use } from "../worker/models.ts";
import { predictCase, seenBy } from "../../trainer/stages/prediction.ts";
import type { File3d, Progress, Result } from "../worker/protocol.ts";
import { seenOf } from "./seen.ts";

/** Cases and the source of their files. */
export interface Study {
  source: Source;
  dataset: Dataset;
}

interface Prediction {
  prepared: Case;
  /** Classes [D,H,W] of the cropped case. */
  classes: Uint8Array;
}

export type Report = (progress: Progress) => void;

export class Segmentation {
  readonly #models: Models;
  readonly #predictions = new Map<string, Prediction>();
  #cancelled = false;

  constructor(models: Models) {
    this.#models = models;
  }

  /** Ends the running work at its next window, with a CancelledError. */
  cancel(): void {
    this.#cancelled = true;
  }

  /**
   * Predicts one case with one network, from all that it sees of the case; the prediction is kept until
   * forget(). Throws a DataError for a case that lacks what the network needs.
   */
  async segment(study: Study, id: string, model: string, report: Report): Promise<Result> {
    this.#cancelled = false;
    const started = performance.now();
    const use = this.#models.use(model);
    const files = caseOf(study, id);
    const labels = files.label !== undefined;
    let found: CaseReport | null = null;
    const modalities = use.any ? shownTo(use, files) : use.modalities;
    const prepared = await loadCase(study.source, study.dataset, files, modalities, {
      ...use,
      orientation: use.grid?.orientation,
      labels,
      millimetres: true, // volumes in ml are shown
      checked: (report) => (found = report),
    });
    const { classes, peakBytes } = await this.#run(
      `${id}: ${use.stage}`,
      report,
      async (device, progress) => {
        const network = this.#models.on(device, model);
        await compileAll(device, network, use.patch, (done, all) => progress("compiling", done, all));
        const windows = { patch: use.patch, window: use.window }; // a card's `step` counts training steps
        const predicted = await predictCase(device, network, seenBy(prepared, use), windows, (done, all) =>
          progress("segmenting", done, all),
        );
        return { classes: predicted, peakBytes: device.peakBytes };
      },
    );
    this.#predictions.set(key(id, model), { prepared, classes });
    return {
      case: id,
      model,
      modalities,
      volumes: volumesOf(classes, prepared),
      dice: labels ? diceByRegion(classes, prepared.label!) : null,
      warnings: warningsOf(found!, use.grid),
      seconds: (performance.now() - started) / 1000,
      peakBytes,
    };
  }

  /** The prediction in the source's grid: network classes to show, or the data set's labels to download. */
  async file({ dataset }: Study, id: string, model: string, values: "classes" | "labels"): Promise<File3d> {
    const { prepared, classes } = this.#prediction(id, model);
    const whole = uncrop(classes, prepared);
    const { header, size } = prepared.source;
    const written = values === "classes" ? whole : fromClasses(whole, dataset.convention);
    return (await writeLabelLike(header, written, size)) as File3d;
  }

  /** For each class the map of cosines to the class's prototype, in the source's grid; 0 outside the head. */
  async similarity(id: string, model: string, report: Report): Promise<File3d[]> {
    this.#cancelled = false;
    const { prepared, classes } = this.#prediction(id, model);
    const use = this.#models.use(model);
    const { source } = prepared;
    const maps = await this.#run(`${id}: ${use.stage}`, report, (device, progress) => {
      const network = this.#models.on(device, model);
      return similarityMaps(device, imageOf(seenBy(prepared, use)), {
        window: use.patch,
        label: classes,
        classes: network.config.classes,
        features: (x) => forward(network, x, { mode: "eval", taps: [FEATURES] }).taps[FEATURES]!,
        progress: (done, all) => progress("comparing features", done, all),
      });
    });
    const { affine } = readHeader(source.header, id);
    const files = maps.map(async (map) => {
      blank(map, prepared);
      const whole = uncrop(map, prepared);
      return (await writeNifti({ data: whole, size: source.size, affine })) as File3d;
    });
    return Promise.all(files);
  }

  forget(): void {
    this.#predictions.clear();
  }

  #prediction(id: string, model: string): Prediction {
    const found = this.#predictions.get(key(id, model));
    if (found) return found;
    throw new Error(`segmentation: expected that ${model} has segmented ${id}, got no prediction`);
  }

  async #run<T>(
    what: string,
    report: Report,
    work: (device: Device, progress: (doing: string, done: number, all: number) => void) => Promise<T>,
  ): Promise<T> {
    const progress = (doing: string, done: number, all: number) => {
      if (this.#cancelled) throw new CancelledError("Finished cases are kept.");
      report({ what: `${what}: ${doing}`, done, all });
    };
    const lost = () =>
      report({ what: `${what}: the GPU was lost; starting again on a new device`, done: 0, all: 1 });
    return survivingLoss((device) => work(device, progress), lost);
  }
}

/** One volume of a case to show: the whole file, or one of its volumes. */
export async function volumeFile(
  { source, dataset }: Study,
  id: string,
  modality: Modality,
): Promise<File3d> {
  const image = caseOf({ source, dataset }, id).images[modality];
  if (!image) throw new DataError(`case ${id}: expected the modality ${modality}, got none`);
  const bytes = await source.read(image.path);
  const volume = await readNifti(bytes, image.path);
  if (volume.channels === 1) return bytes as File3d;
  const voxels = voxelCount(volume.size);
  const data = volume.data.subarray(image.channel * voxels, (image.channel + 1) * voxels);
  return (await writeNifti({ data, size: volume.size, affine: volume.affine })) as File3d;
}

/** The label that came with a case, as network classes. */
export async function referenceFile({ source, dataset }: Study, id: string): Promise<File3d> {
  const { label } = caseOf({ source, dataset }, id);
  if (label === undefined) throw new DataError(`case ${id}: expected a label, got none`);
  const { data, size, header, step } = await readNifti(await source.read(label), label);
  const classes = toClasses(data, dataset.convention, label, { step });
  return (await writeLabelLike(header, classes, size)) as File3d;
}

/** The contrasts of a case that a network sees which takes any of its own. Throws a DataError for none. */
function shownTo(use: Use, { id, images }: CaseFiles): Modality[] {
  const there = MODALITIES.filter((modality) => images[modality]);
  const seen = seenOf(use, there);
  if (seen.length) return seen;
  const wanted = use.modalities.join(", ");
  throw new DataError(`case ${id}: expected at least one of ${wanted}, got ${there.join(", ") || "none"}`);
}

function caseOf({ dataset }: Study, id: string): CaseFiles {
  const found = dataset.cases.find((files) => files.id === id);
  if (found) return found;
  throw new DataError(`case ${id}: expected one of the listed cases, got none of this name`);
}

/** The findings about a case that can be segmented. */
function warningsOf(report: CaseReport, grid: CommonGrid | undefined): string[] {
  return [...report.warnings, ...(grid ? gridWarnings([report], grid) : [])];
}

async function compileAll(
  device: Device,
  network: Network,
  patch: readonly number[],
  progress: (done: number, all: number) => void,
): Promise<void> {
  const planned = initialise(device, network, patch);
  for await (const done of compile(device, planned)) progress(done, planned.size);
}

/** Sets a map [D,H,W] to 0 outside the head: values in air mean nothing. */
function blank(map: Float32Array, { images, channels, background }: Case): void {
  for (let v = 0; v < map.length; v++) {
    if (channels.every((_, m) => images[m * map.length + v] === (background?.[m] ?? 0))) map[v] = 0;
  }
}

/** Volume of each region in ml. */
function volumesOf(classes: Uint8Array, { source: { spacing } }: Case): Result["volumes"] {
  const ml = (spacing[0] * spacing[1] * spacing[2]) / 1000;
  const counts = [0, 0, 0, 0];
  for (const value of classes) counts[value]!++;
  const volumes = REGION_NAMES.map((region) => {
    const voxels = REGIONS[region].reduce((sum, c) => sum + counts[c]!, 0);
    return [region, voxels * ml] as const;
  });
  return Object.fromEntries(volumes) as Result["volumes"];
}

function key(id: string, model: string): string {
  return JSON.stringify([id, model]);
}
