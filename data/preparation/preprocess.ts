// Prepares a case for a network: scales each image to mean 0 and deviation 1 over the brain, crops everything
// to the brain's bounding box, or to the published code's box, and turns it to the orientation of the
// network's training data. Also puts predictions back into the source's grid.

import { largest } from "../../engine/values.ts";
import { type Box, boundingBox, PUBLISHED_BOX, putBox, takeBox, voxelCount } from "./crop.ts";
import type { CaseFiles, Modality } from "../datasets/datasets.ts";
import { DataError } from "../errors.ts";
import { formatSize, type Vec3 } from "../nifti/geometry.ts";
import type { LabelConvention } from "../datasets/labels.ts";
import type { Volume } from "../nifti/nifti.ts";
import { orientationOf } from "../nifti/orientation.ts";
import { inverse, type Turn, turnBetween, turnedSize, turnedVolume } from "./turn.ts";

export interface Case {
  id: string;
  /** D, H, W after cropping. */
  size: Vec3;
  channels: Modality[];
  /** [channels, D, H, W], normalised. */
  images: Float32Array;
  /** The channels that the case lacks, whose voxels are 0; absent if it has all. */
  absent?: readonly Modality[];
  /** The padding of a volume that is smaller than the patch, by channel; 0 if absent. */
  background?: readonly number[];
  /** Network classes [D, H, W]. */
  label?: Uint8Array;
  /** How the crop was turned; absent if its axes are the source's. */
  turn?: Turn;
  /** The source's grid, before cropping and turning. */
  source: {
    /** D, H, W. */
    size: Vec3;
    /** The first voxel of the crop, D, H, W. */
    offset: Vec3;
    /** D, H, W in mm; `gridSpacing` gives the case's own. */
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

/** How to prepare a case; the defaults are PREPARATION. */
export interface PrepareOptions extends Partial<Preparation> {
  /** The orientation to turn the case to, such as LPS; absent keeps its own. */
  orientation?: string | undefined;
}

/** The volumes of a case, read and checked. */
export interface ReadCase {
  id: string;
  /** At least one, all of one grid. */
  images: readonly Image[];
  /** Network classes [D, H, W]. */
  classes?: Uint8Array | undefined;
  convention: LabelConvention;
}

/**
 * Prepares a case that was read. Throws DataError if it is too small for the published code's crop.
 */
export function prepareCase({ id, images, classes, convention }: ReadCase, options: PrepareOptions): Case {
  const { background, crop, padding, orientation } = { ...PREPARATION, ...options };
  const { volume } = images[0]!;
  const scans = images.map((image) => image.voxels);
  const box = crop === "published" ? fixedBox(volume.size, `case ${id}`) : boundingBox(scans, volume.size);
  const voxels = voxelCount(box.size);
  const prepared = new Float32Array(images.length * voxels);
  const outside = images.map((image, i) => {
    const target = prepared.subarray(i * voxels, (i + 1) * voxels);
    takeBox(image.voxels, target, volume.size, box);
    return normalise(target, brainStatistics(image.voxels), background === "shifted");
  });
  const label = classes && new Uint8Array(voxels);
  if (label) takeBox(classes, label, volume.size, box);
  const upright: Case = {
    id,
    size: box.size,
    channels: images.map(({ modality }) => modality),
    images: prepared,
    ...(padding === "background" && { background: outside }),
    ...(label && { label }),
    source: { size: volume.size, offset: box.offset, spacing: volume.spacing, header: volume.header },
    convention,
  };
  const turn = orientation === undefined ? null : turnBetween(orientationOf(volume.affine), orientation);
  return turn ? turnedCase(upright, turn) : upright;
}

/** Returns the contrasts that a prepared case has. */
export function channelsThere({ channels, absent = [] }: Pick<Case, "channels" | "absent">): Modality[] {
  return channels.filter((modality) => !absent.includes(modality));
}

/** Returns a case with these channels, those that it lacks filled with 0. */
export function withAbsent(prepared: Case, modalities: readonly Modality[]): Case {
  const { channels, images, background, size } = prepared;
  const absent = modalities.filter((modality) => !channels.includes(modality));
  if (!absent.length) return prepared;
  const voxels = voxelCount(size);
  const all = new Float32Array(modalities.length * voxels);
  for (const [m, modality] of channels.entries())
    all.set(images.subarray(m * voxels, (m + 1) * voxels), modalities.indexOf(modality) * voxels);
  return {
    ...prepared,
    channels: [...modalities],
    images: all,
    absent,
    ...(background && { background: modalities.map((name) => background[channels.indexOf(name)] ?? 0) }),
  };
}

/** Returns a case that is not turned yet with its images and label turned; the source stays as it is. */
export function turnedCase(prepared: Case, turn: Turn): Case {
  const { size, channels, images, label } = prepared;
  const voxels = voxelCount(size);
  const turned = new Float32Array(images.length);
  for (const m of channels.keys())
    turned.set(turnedVolume(images.subarray(m * voxels, (m + 1) * voxels), size, turn), m * voxels);
  return {
    ...prepared,
    size: turnedSize(size, turn),
    images: turned,
    ...(label && { label: turnedVolume(label, size, turn) }),
    turn,
  };
}

/** Returns the spacing of a prepared case [D, H, W] in mm. */
export function gridSpacing({ turn, source }: Pick<Case, "turn" | "source">): Vec3 {
  return turn ? turnedSize(source.spacing, turn) : source.spacing;
}

/** Returns the box of the source's grid that a prepared case shows. */
export function cropOf({ size, turn, source }: Pick<Case, "size" | "turn" | "source">): Box {
  return { size: turn ? turnedSize(size, inverse(turn)) : size, offset: source.offset };
}

/** Puts values of the prepared case [D, H, W] into the source's whole grid, with 0 outside the crop. */
export function uncrop<T extends Float32Array | Uint8Array>(
  values: T,
  prepared: Pick<Case, "size" | "turn" | "source">,
): T {
  const { size, source } = prepared;
  if (values.length !== voxelCount(size)) {
    throw new Error(`uncrop: expected values of [${size}], got ${values.length}`);
  }
  const whole = new (values.constructor as new (length: number) => T)(voxelCount(source.size));
  putInto(whole, values, prepared);
  return whole;
}

/**
 * Puts probabilities of the prepared case [classes, D, H, W] into the source's whole grid, with class 0
 * outside the crop.
 */
export function uncropProbabilities(
  found: Float32Array,
  classes: number,
  prepared: Pick<Case, "size" | "turn" | "source">,
): Float32Array {
  const { size, source } = prepared;
  const [inside, voxels] = [voxelCount(size), voxelCount(source.size)];
  if (found.length !== classes * inside) {
    throw new Error(
      `uncropProbabilities: expected ${classes} volumes of [${size}], got ${found.length} voxels`,
    );
  }
  const whole = new Float32Array(classes * voxels).fill(1, 0, voxels);
  for (let c = 0; c < classes; c++) {
    const part = found.subarray(c * inside, (c + 1) * inside);
    putInto(whole.subarray(c * voxels, (c + 1) * voxels), part, prepared);
  }
  return whole;
}

/** Copies values of the prepared case into `whole`, a volume of the source's grid. */
function putInto<T extends Float32Array | Uint8Array>(
  whole: T,
  values: T,
  prepared: Pick<Case, "size" | "turn" | "source">,
): void {
  const { size, turn, source } = prepared;
  const upright = turn ? turnedVolume(values, size, inverse(turn)) : values;
  putBox(upright, whole, source.size, cropOf(prepared));
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
  modality: Modality;
  what: string; // for messages: "t1 (case_t1.nii.gz)"
  volume: Volume;
  voxels: Float32Array; // [D, H, W]
}
export type Read = (path: string) => Promise<Volume>;

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
  const channels = 1 + largest(sharing.map(({ channel }) => channel));
  if (volume.channels < channels || (channels === 1 && volume.channels > 1)) {
    throw new DataError(`${what}: expected ${channels} volumes in the file, got ${volume.channels}`);
  }
  const voxels = voxelCount(volume.size);
  const data = volume.data.subarray(file.channel * voxels, (file.channel + 1) * voxels);
  return { modality, what, volume, voxels: data };
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
