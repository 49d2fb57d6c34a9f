// A case made ready for a network: chosen modalities read and checked against each other, each scaled to
// mean 0 and deviation 1 over the brain, everything cropped to the brain's bounding box, or to the published
// code's; and predictions put back.

import { type Box, boundingBox, PUBLISHED_BOX, putBox, takeBox, voxelCount } from "./crop.ts";
import { type CaseFiles, type Dataset, type Modality, type Source } from "../datasets/datasets.ts";
import { collectProblems, DataError } from "../errors.ts";
import { cornerDisplacement, formatAffine, formatSize, type Vec3 } from "../nifti/geometry.ts";
import { type LabelConvention, toClasses } from "../datasets/labels.ts";
import { readNifti, type Volume } from "../nifti/nifti.ts";

export interface Case {
  id: string;
  /** D, H, W after cropping. */
  size: Vec3;
  channels: Modality[];
  /** [channels, D, H, W], normalised. */
  images: Float32Array;
  /** What surrounds a volume that is smaller than the patch, by channel; 0 if there is none. */
  background?: readonly number[];
  /** Network classes [D, H, W]. */
  label?: Uint8Array;
  source: {
    /** D, H, W before cropping. */
    size: Vec3;
    /** Where the crop starts in it. */
    offset: Vec3;
    /** D, H, W in mm. */
    spacing: Vec3;
    /** The first modality's header, for `writeLabelLike`. */
    header: Uint8Array;
  };
  convention: LabelConvention;
}

/** How a network's input is made; the second of each is the published ProtoKD code's. */
export interface Preparation {
  /** What voxels outside the brain become: 0, or -mean/deviation, shifted with all others. */
  background: "zero" | "shifted";
  /** What is kept of a volume: the brain's bounding box, or a fixed box of BraTS's grid (PUBLISHED_BOX). */
  crop: "brain" | "published";
  /** What surrounds a volume that is smaller than the patch: more background, or 0 whatever that is. */
  padding: "background" | "zero";
}

/** The defaults. */
export const PREPARATION: Readonly<Preparation> = {
  background: "zero",
  crop: "brain",
  padding: "background",
};

export interface LoadOptions extends Partial<Preparation> {
  /** Whether a label is read, and has to be there. */
  labels: boolean;
  /** Is shown every file once, as it is read. */
  seen?: (path: string, bytes: Uint8Array, volume: Volume) => Promise<void>;
}

/** How far, in mm, the corners of two volumes of a case may lie apart: headers are rounded. */
const CLOSE_ENOUGH = 0.01;

/** Reads and prepares one case. Throws one DataError with everything that is wrong with it. */
export async function loadCase(
  source: Source,
  dataset: Dataset,
  files: CaseFiles,
  modalities: readonly Modality[],
  options: LoadOptions,
): Promise<Case> {
  const { labels, background, crop, padding } = { ...PREPARATION, ...options };
  const problems: string[] = [];
  const where = `case ${files.id}`;
  const read = volumeReader(source, options.seen);
  const images: Image[] = [];
  for (const modality of modalities) {
    const image = await collectProblems(problems, () => readModality(read, files, modality));
    if (image) images.push(image);
  }
  const label = labels
    ? await collectProblems(problems, () => readLabel(read, files, dataset.convention))
    : undefined;
  const [first, ...others] = images;
  for (const other of label ? [...others, label] : others) {
    if (first) compareGrids(first, other, where, problems);
  }
  if (problems.length) throw new DataError([...new Set(problems)].map((problem) => `${where}: ${problem}`));
  if (!first) throw new Error("loadCase: expected at least one modality, got none");

  const { volume } = first;
  const box = crop === "published" ? fixedBox(volume.size, where) : brainBox(images, volume.size);
  const voxels = voxelCount(box.size);
  const prepared = new Float32Array(images.length * voxels);
  const outside = images.map((image, i) => {
    const target = prepared.subarray(i * voxels, (i + 1) * voxels);
    takeBox(image.voxels, target, volume.size, box);
    return normalise(target, brainStatistics(image.voxels), background === "shifted");
  });
  const classes = label && new Uint8Array(voxels);
  if (classes) takeBox(label.classes, classes, volume.size, box);
  return {
    id: files.id,
    size: box.size,
    channels: [...modalities],
    images: prepared,
    ...(padding === "background" && { background: outside }),
    ...(classes && { label: classes }),
    source: { size: volume.size, offset: box.offset, spacing: volume.spacing, header: volume.header },
    convention: dataset.convention,
  };
}

/** Prepares `cases` one after another. Throws one DataError with the problems of all of them. */
export async function loadCases(
  source: Source,
  dataset: Dataset,
  cases: readonly CaseFiles[],
  modalities: readonly Modality[],
  options: LoadOptions,
): Promise<Case[]> {
  const problems: string[] = [];
  const loaded: Case[] = [];
  for (const files of cases) {
    const ready = await collectProblems(problems, () =>
      loadCase(source, dataset, files, modalities, options),
    );
    if (ready && !problems.length) loaded.push(ready); // once one has failed, the rest are only checked
  }
  if (problems.length) throw new DataError(problems);
  return loaded;
}

/** Labels of the cropped case [D, H, W] in the source's whole grid, 0 outside the crop. */
export function uncrop(labels: Uint8Array, { size, source }: Pick<Case, "size" | "source">): Uint8Array {
  if (labels.length !== voxelCount(size)) {
    throw new Error(`uncrop: expected labels of [${size}], got ${labels.length}`);
  }
  const whole = new Uint8Array(voxelCount(source.size));
  putBox(labels, whole, source.size, { size, offset: source.offset });
  return whole;
}

/** Probabilities of the cropped case [classes, D, H, W] in the source's whole grid: outside the crop all is class 0. */
export function uncropProbabilities(
  found: Float32Array,
  classes: number,
  { size, source }: Pick<Case, "size" | "source">,
): Float32Array {
  const [inside, voxels] = [voxelCount(size), voxelCount(source.size)];
  if (found.length !== classes * inside) {
    throw new Error(
      `uncropProbabilities: expected ${classes} volumes of [${size}], got ${found.length} voxels`,
    );
  }
  const whole = new Float32Array(classes * voxels).fill(1, 0, voxels);
  for (let c = 0; c < classes; c++) {
    const part = found.subarray(c * inside, (c + 1) * inside);
    putBox(part, whole.subarray(c * voxels, (c + 1) * voxels), source.size, { size, offset: source.offset });
  }
  return whole;
}

function brainBox(images: readonly Image[], size: Vec3): Box {
  return boundingBox(
    images.map(({ voxels }) => voxels),
    size,
  );
}

function fixedBox(size: Vec3, where: string): Box {
  const { offset } = PUBLISHED_BOX;
  const end = PUBLISHED_BOX.size.map((length, axis) => offset[axis]! + length) as [number, number, number];
  if (size.every((length, axis) => length >= end[axis]!)) return PUBLISHED_BOX;
  throw new DataError(
    `${where}: expected at least ${formatSize(end)} voxels, for the published code's crop, ` +
      `got ${formatSize(size)}: train with --crop brain, which takes any`,
  );
}

/** One modality of a case, as read. */
export interface Image {
  what: string; // for messages: "t1 (case_t1.nii.gz)"
  volume: Volume;
  voxels: Float32Array; // [D, H, W]
}
export type Read = (path: string) => Promise<Volume>;

/** Reads each file once: the modalities of a 4-D file share it. */
function volumeReader(source: Source, seen: LoadOptions["seen"]): Read {
  const volumes = new Map<string, Promise<Volume>>();
  const readNew = async (path: string) => {
    const bytes = await source.read(path);
    const volume = await readNifti(bytes, path);
    await seen?.(path, bytes, volume);
    return volume;
  };
  return (path) => {
    const volume = volumes.get(path) ?? readNew(path);
    volumes.set(path, volume);
    return volume;
  };
}

async function readModality(read: Read, files: CaseFiles, modality: Modality): Promise<Image> {
  const image = await findModality(read, files, modality);
  checkIntensities(image.voxels, image.what);
  return image;
}

/** The volume that `files` has for a modality, whatever its voxels are. Throws DataError where there is none. */
export async function findModality(read: Read, { images }: CaseFiles, modality: Modality): Promise<Image> {
  const file = images[modality];
  if (!file) {
    throw new DataError(
      `expected the modality ${modality}, got only ${Object.keys(images).join(", ") || "none"}`,
    );
  }
  const volume = await read(file.path);
  const what = `${modality} (${file.path})`;
  const channels =
    Math.max(
      ...Object.values(images)
        .filter(({ path }) => path === file.path)
        .map((f) => f.channel),
    ) + 1;
  if (volume.channels < channels || (channels === 1 && volume.channels > 1)) {
    throw new DataError(`${what}: expected ${channels} volumes in the file, got ${volume.channels}`);
  }
  const voxels = voxelCount(volume.size);
  const data = volume.data.subarray(file.channel * voxels, (file.channel + 1) * voxels);
  return { what, volume, voxels: data };
}

function checkIntensities(data: Float32Array, what: string): void {
  let [nonFinite, nonZero] = [0, 0];
  for (const value of data) {
    if (!Number.isFinite(value)) nonFinite++;
    else if (value !== 0) nonZero++;
  }
  if (nonFinite)
    throw new DataError(`${what}: expected numbers, got ${nonFinite} voxels that are NaN or infinite`);
  if (!nonZero) throw new DataError(`${what}: expected an image, got zero in every voxel`);
}

async function readLabel(read: Read, { label: path }: CaseFiles, convention: LabelConvention) {
  if (path === undefined) throw new DataError("expected a label, got none");
  const volume = await read(path);
  const what = `label (${path})`;
  if (volume.channels !== 1) throw new DataError(`${what}: expected one volume, got ${volume.channels}`);
  return { what, volume, classes: toClasses(volume.data, convention, what) };
}

type Placed = Pick<Image, "what" | "volume">;

/** Adds to `problems` what keeps two volumes of a case (`where`) from being laid over each other. */
export function compareGrids(first: Placed, other: Placed, where: string, problems: string[]): void {
  const [a, b] = [first.volume, other.volume];
  if (a.size.some((length, axis) => length !== b.size[axis])) {
    problems.push(
      `${other.what}: expected the shape ${formatSize(a.size)} of ${first.what}, got ${formatSize(b.size)}`,
    );
    return;
  }
  const apart = cornerDisplacement(a.affine, b.affine, a.size);
  if (apart <= CLOSE_ENOUGH) return;
  const expected = `expected the affine of ${first.what}, ${formatAffine(a.affine)}`;
  const got = `got ${formatAffine(b.affine)}, which moves a corner by ${apart.toFixed(2)} mm`;
  problems.push(
    `${other.what}: ${expected}, ${got}: register or resample the volumes of ${where} to one grid`,
  );
}

/** Mean and population deviation (1 where that is 0) over the voxels that are not 0; there must be one. */
function brainStatistics(voxels: Float32Array): { mean: number; deviation: number } {
  let [sum, brain, squares] = [0, 0, 0];
  for (const value of voxels) {
    if (value === 0) continue;
    sum += value;
    brain++;
  }
  const mean = sum / brain;
  for (const value of voxels) if (value !== 0) squares += (value - mean) ** 2;
  return { mean, deviation: Math.sqrt(squares / brain) || 1 };
}

/** Scales to mean 0 and deviation 1. Voxels of 0 stay it, or are `shifted` with the rest; returns what they are. */
function normalise(
  voxels: Float32Array,
  { mean, deviation }: ReturnType<typeof brainStatistics>,
  shifted: boolean,
): number {
  for (let i = 0; i < voxels.length; i++) {
    if (voxels[i] !== 0 || shifted) voxels[i] = (voxels[i]! - mean) / deviation;
  }
  return shifted ? -mean / deviation : 0;
}
