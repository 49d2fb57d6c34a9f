// Prepares a case for a network: reads the chosen modalities, checks that they share a grid, scales each to
// mean 0 and deviation 1 over the brain, and crops everything to the brain's bounding box, or to the
// published code's box. Also puts predictions back into the source's grid.

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
  /** The padding of a volume that is smaller than the patch, by channel; 0 if absent. */
  background?: readonly number[];
  /** Network classes [D, H, W]. */
  label?: Uint8Array;
  source: {
    /** D, H, W before cropping. */
    size: Vec3;
    /** The first voxel of the crop, D, H, W. */
    offset: Vec3;
    /** D, H, W in mm. */
    spacing: Vec3;
    /** The first modality's header, for `writeLabelLike`. */
    header: Uint8Array;
  };
  convention: LabelConvention;
}

/** The choices in making a network's input; the second of each is the published ProtoKD code's. */
export interface Preparation {
  /** Voxels outside the brain: 0, or -mean/deviation, scaled like all others. */
  background: "zero" | "shifted";
  /** The crop: the brain's bounding box, or a fixed box of BraTS's grid (PUBLISHED_BOX). */
  crop: "brain" | "published";
  /** The padding of a volume that is smaller than the patch: its background, or always 0. */
  padding: "background" | "zero";
}

/** The defaults. */
export const PREPARATION: Readonly<Preparation> = {
  background: "zero",
  crop: "brain",
  padding: "background",
};

export interface LoadOptions extends Partial<Preparation> {
  /** True to read a label; a case without one is then an error. */
  labels: boolean;
  /** Called once with every file that is read. */
  seen?: (path: string, bytes: Uint8Array, volume: Volume) => Promise<void>;
}

/** The largest distance, in mm, between the corners of two volumes of a case: headers are rounded. */
const CLOSE_ENOUGH = 0.01;

/** Reads and prepares one case. Throws one DataError with all its problems. */
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
  const scans = images.map((image) => image.voxels);
  const box = crop === "published" ? fixedBox(volume.size, where) : boundingBox(scans, volume.size);
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
    if (ready && !problems.length) loaded.push(ready); // after a problem, the rest is only checked
  }
  if (problems.length) throw new DataError(problems);
  return loaded;
}

/** Puts labels of the cropped case [D, H, W] into the source's whole grid, with 0 outside the crop. */
export function uncrop(labels: Uint8Array, { size, source }: Pick<Case, "size" | "source">): Uint8Array {
  if (labels.length !== voxelCount(size)) {
    throw new Error(`uncrop: expected labels of [${size}], got ${labels.length}`);
  }
  const whole = new Uint8Array(voxelCount(source.size));
  putBox(labels, whole, source.size, { size, offset: source.offset });
  return whole;
}

/**
 * Puts probabilities of the cropped case [classes, D, H, W] into the source's whole grid, with class 0
 * outside the crop.
 */
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

function fixedBox(size: Vec3, where: string): Box {
  const { offset } = PUBLISHED_BOX;
  const end = PUBLISHED_BOX.size.map((length, axis) => offset[axis]! + length) as [number, number, number];
  if (size.every((length, axis) => length >= end[axis]!)) return PUBLISHED_BOX;
  throw new DataError(
    `${where}: expected at least ${formatSize(end)} voxels for the published code's crop, ` +
      `got ${formatSize(size)}: use --crop brain, which accepts any size`,
  );
}

/** One modality of a case, before scaling and cropping. */
export interface Image {
  what: string; // for messages: "t1 (case_t1.nii.gz)"
  volume: Volume;
  voxels: Float32Array; // [D, H, W]
}
export type Read = (path: string) => Promise<Volume>;

/** Returns a function that reads each file once: the modalities of a 4-D file share it. */
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

/**
 * Returns the volume of a modality without a check of its voxels. Throws DataError if the case does not have
 * it.
 */
export async function findModality(read: Read, { images }: CaseFiles, modality: Modality): Promise<Image> {
  const file = images[modality];
  if (!file) {
    throw new DataError(
      `expected the modality ${modality}, got only ${Object.keys(images).join(", ") || "none"}`,
    );
  }
  const volume = await read(file.path);
  const what = `${modality} (${file.path})`;
  const sharing = Object.values(images).filter(({ path }) => path === file.path);
  const channels = 1 + Math.max(...sharing.map(({ channel }) => channel));
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
    throw new DataError(
      `${what}: expected finite voxels, got ${nonFinite} that are NaN or infinite: export it again`,
    );
  if (!nonZero) throw new DataError(`${what}: expected an image, got zero in every voxel: remove the file`);
}

async function readLabel(read: Read, { label: path }: CaseFiles, convention: LabelConvention) {
  if (path === undefined) throw new DataError("expected a label, got none");
  const volume = await read(path);
  const what = `label (${path})`;
  if (volume.channels !== 1) throw new DataError(`${what}: expected one volume, got ${volume.channels}`);
  return { what, volume, classes: toClasses(volume.data, convention, what) };
}

type Placed = Pick<Image, "what" | "volume">;

/** Adds a problem if two volumes of the case `where` do not have the same grid. */
export function compareGrids(first: Placed, other: Placed, where: string, problems: string[]): void {
  const [a, b] = [first.volume, other.volume];
  const remedy = `register or resample the volumes of ${where} to one grid`;
  if (a.size.some((length, axis) => length !== b.size[axis])) {
    const expected = `expected the shape ${formatSize(a.size)} of ${first.what}`;
    problems.push(`${other.what}: ${expected}, got ${formatSize(b.size)}: ${remedy}`);
    return;
  }
  const apart = cornerDisplacement(a.affine, b.affine, a.size);
  if (apart <= CLOSE_ENOUGH) return;
  const expected = `expected the affine of ${first.what}, ${formatAffine(a.affine)}`;
  const got = `got ${formatAffine(b.affine)}, which moves a corner by ${apart.toFixed(2)} mm`;
  problems.push(`${other.what}: ${expected}, ${got}: ${remedy}`);
}

/** Returns mean and population deviation (1 if it is 0) of the nonzero voxels; there must be at least one. */
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

/**
 * Scales to mean 0 and deviation 1, in place. Voxels of value 0 keep it, or are scaled too if `shifted`.
 * Returns the resulting value of the background.
 */
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
