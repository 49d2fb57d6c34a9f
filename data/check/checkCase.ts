// Reads the files of one case and checks them, for check, train and predict alike. Problems are refused by
// training and prediction, warnings look odd. A problem with one file does not stop the check of the others.

import { append } from "../../engine/values.ts";
import {
  checkForms,
  checkGrid,
  checkIntensities,
  checkLabel,
  checkPlace,
  type Findings,
  type Intensities,
  type LabelReport,
} from "./checkVolume.ts";
import { boundingBox } from "../preparation/crop.ts";
import { type CaseFiles, type Modality, MODALITIES, type Source } from "../datasets/datasets.ts";
import { voxelDigest } from "../digest.ts";
import { collectProblems, DataError } from "../errors.ts";
import { formatSize, type Vec3 } from "../nifti/geometry.ts";
import { isGzip } from "../nifti/gzip.ts";
import { type LabelConvention, roundLabels } from "../datasets/labels.ts";
import { pathsOf } from "../datasets/source.ts";
import { readNifti, type Volume } from "../nifti/nifti.ts";
import { orientationOf } from "../nifti/orientation.ts";
import { type AffineChoice, compareGrids } from "../preparation/grids.ts";
import { findModality, type Image, type Read } from "../preparation/preprocess.ts";

/** The requirements that every case is checked against. */
export interface CaseExpectations {
  /** The modalities to read. */
  modalities: readonly Modality[];
  /** Those that a case must have; by default all of them, and never fewer than one of them. */
  required?: readonly Modality[] | undefined;
  /** True if a label is required. */
  labels: boolean;
  /** Whose affine the volumes of a case have; default "file". */
  affine?: AffineChoice;
  /** False to accept voxel sizes that no head has, where nothing depends on millimetres. */
  millimetres?: boolean;
  /** True to read and check the required files alone: no other modality, no label that is not required. */
  only?: boolean;
}

/** Called once with every file that is read. */
export type Seen = (path: string, bytes: Uint8Array, volume: Volume) => Promise<void>;

/** A case's volumes, as far as they could be read, and the report on them. */
export interface CheckedCase {
  report: CaseReport;
  images: Image[];
  /** Network classes [D, H, W]; absent without a label, or if the convention does not have its values. */
  classes?: Uint8Array;
}

/** The content of a case, and the findings about it. */
export interface CaseReport extends Findings {
  id: string;
  grid?: Grid;
  images: Partial<Record<Modality, ImageReport>>;
  label?: { path: string } & LabelReport;
}

/** The grid of a case: that of its first readable image. */
export interface Grid {
  /** D, H, W. */
  size: Vec3;
  /** D, H, W in mm. */
  spacing: Vec3;
  /** The directions of x, y and z: LPS and so on. */
  orientation: string;
  /** D, H, W of the box around all nonzero voxels. */
  brain: Vec3;
}

/** The content of an image. */
export interface ImageReport extends Intensities {
  path: string;
  /** SHA-256 of its voxels, equal for the same scan, compressed or not; absent if the image is constant. */
  digest?: string;
}

/** Reads and checks the files of a case. Throws no error for problems: they are in the report. */
export async function checkCase(
  source: Source,
  files: CaseFiles,
  convention: LabelConvention | null,
  expected: CaseExpectations,
  seen?: Seen,
): Promise<CheckedCase> {
  const found: Findings = { problems: [], warnings: [] };
  const report: CaseReport = { id: files.id, images: {}, ...found };
  const read = reader(source, found, seen);
  checkPresence(files, expected, found);

  const images: Image[] = [];
  for (const modality of expected.only ? expected.modalities : MODALITIES) {
    const path = files.images[modality]?.path;
    if (path === undefined) continue;
    const image = await collectProblems(found.problems, () => findModality(read, files, modality));
    if (!image) continue;
    images.push(image);
    const measured = checkIntensities(image.voxels, image.what, found);
    const digest = measured.deviation ? await voxelDigest(image.voxels) : undefined;
    report.images[modality] = { path, ...measured, ...(digest !== undefined && { digest }) };
  }
  checkCopies(report);
  const label = expected.only && !expected.labels ? undefined : files.label;
  const volume = label === undefined ? undefined : await collectProblems(found.problems, () => read(label));
  const placed = volume && { what: `label (${label})`, volume };
  let classes: Uint8Array | undefined;
  if (label !== undefined && placed) {
    const { what, volume } = placed;
    if (volume.channels > 1) found.problems.push(`${what}: expected one volume, got ${volume.channels}`);
    const checked = await checkLabel(volume, convention, { what, names: pathsOf(files) }, found);
    report.label = { path: label, ...checked.report };
    classes = checked.classes;
  }
  compareAll(placed ? [...images, placed] : images, { where: `case ${files.id}`, ...expected }, found);

  const first = images[0]?.volume ?? volume;
  if (first) {
    const { size, spacing, affine } = first;
    const same = images.filter((image) => sameSize(image.volume, first));
    const voxels = same.map((image) => image.voxels);
    checkGrid(first, { what: images[0]?.what ?? placed!.what, millimetres: expected.millimetres }, found);
    const filled = voxels.filter((image) => image.some((value) => value));
    const brain = filled.length ? boundingBox(filled, size).size : size;
    report.grid = { size, spacing, orientation: orientationOf(affine), brain };
    if (placed && volume?.channels === 1 && same.length && sameSize(volume, first))
      checkPlace(roundLabels(volume.data, volume.step), voxels, placed.what, found);
  }
  for (const list of [report.problems, report.warnings]) {
    const lines = [...new Set(list)].map((line) => `case ${files.id}: ${line}`);
    list.length = 0;
    append(list, lines);
  }
  return { report, images, ...(classes && { classes }) };
}

/** Adds a problem for each pair of contrasts that are one and the same scan. */
function checkCopies({ images, problems }: CaseReport): void {
  const first = new Map<string, string>();
  for (const { digest, path } of Object.values(images)) {
    if (digest === undefined) continue;
    const other = first.get(digest);
    if (other === undefined) first.set(digest, path);
    else
      problems.push(
        `${other} and ${path}: expected two different scans, got the same voxels: one of them has the wrong name`,
      );
  }
}

function checkPresence(
  files: CaseFiles,
  { modalities, required = modalities, labels }: CaseExpectations,
  found: Findings,
): void {
  const present = MODALITIES.filter((modality) => files.images[modality]);
  const missing = required.filter((modality) => !files.images[modality]);
  if (missing.length) {
    const fewer = present.length > 1 ? " or fewer of these" : "";
    const students = present.length ? `: it can still train a student of ${present.join("+")}${fewer}` : "";
    const got = present.join(", ") || "none";
    found.problems.push(`expected the modalities ${required.join(", ")}, got only ${got}${students}`);
  } else if (!modalities.some((modality) => files.images[modality])) {
    found.problems.push(`expected one of ${modalities.join(", ")}, got ${present.join(", ") || "none"}`);
  }
  if (labels && files.label === undefined) found.problems.push("expected a label, got none");
}

/** Returns a function that reads each file once, and warns if its name does not match its compression. */
function reader(source: Source, found: Findings, seen?: Seen): Read {
  const volumes = new Map<string, Promise<Volume>>();
  const readNew = async (path: string) => {
    const bytes = await readBytes(source, path);
    if (isGzip(bytes) !== path.toLowerCase().endsWith(".gz")) {
      const odd = isGzip(bytes)
        ? "is gzip-compressed, but its name does not end in .gz"
        : "is not gzip-compressed, but its name ends in .gz";
      found.warnings.push(`${path}: ${odd}: other programs may refuse it`);
    }
    const volume = await readNifti(bytes, path);
    checkForms(volume, path, found);
    await seen?.(path, bytes, volume);
    return volume;
  };
  return (path) => {
    const volume = volumes.get(path) ?? readNew(path);
    volumes.set(path, volume);
    return volume;
  };
}

/** Reads a file. Throws a DataError with its name if it cannot be read. */
export async function readBytes(source: Source, path: string): Promise<Uint8Array> {
  try {
    return await source.read(path);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${path}: expected a readable file, got ${(error as Error).message}`);
  }
}

type Placed = Pick<Image, "what" | "volume">;

/**
 * Adds a problem with all shapes if one differs, else a problem for each affine that differs from the first.
 */
function compareAll(
  all: readonly Placed[],
  options: { where: string; affine?: AffineChoice },
  found: Findings,
): void {
  const [first, ...others] = all;
  if (!first) return;
  if (others.every(({ volume }) => sameSize(volume, first.volume))) {
    for (const other of others) compareGrids(first, other, options, found);
    return;
  }
  const shapes = all.map(({ what, volume }) => `${what} ${formatSize(volume.size)}`).join(", ");
  found.problems.push(`expected one shape, got ${shapes}: resample them to one grid`);
}

function sameSize(a: Volume, b: Volume): boolean {
  return a.size.every((length, axis) => length === b.size[axis]);
}
