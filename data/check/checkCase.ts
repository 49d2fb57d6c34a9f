// Everything about one case that can be seen in its files: what training would refuse, and what is odd
// although it would not. Nothing that is wrong with a file keeps the others from being looked at.

import { checkForms, checkGrid, checkIntensities, checkLabel, checkPlace } from "./checkVolume.ts";
import type { Findings, Intensities, LabelReport } from "./checkVolume.ts";
import { boundingBox } from "../preparation/crop.ts";
import { type CaseFiles, type Modality, MODALITIES, type Source } from "../datasets/datasets.ts";
import { sha256 } from "../digest.ts";
import { collectProblems, DataError } from "../errors.ts";
import { formatSize, type Vec3 } from "../nifti/geometry.ts";
import { isGzip } from "../nifti/gzip.ts";
import type { LabelConvention } from "../datasets/labels.ts";
import { readNifti, type Volume } from "../nifti/nifti.ts";
import { orientationOf } from "../nifti/orientation.ts";
import { compareGrids, findModality, type Image, type Read } from "../preparation/preprocess.ts";

/** What is expected of every case. */
export interface CaseExpectations {
  /** The modalities that have to be there. */
  modalities: readonly Modality[];
  /** Whether a label has to be there. */
  labels: boolean;
}

/** What is in a case. */
export interface CaseReport extends Findings {
  id: string;
  grid?: Grid;
  images: Partial<Record<Modality, ImageReport>>;
  label?: { path: string } & LabelReport;
}

/** How a case lies in its first readable image. */
export interface Grid {
  /** D, H, W. */
  size: Vec3;
  /** D, H, W in mm. */
  spacing: Vec3;
  /** Where x, y and z point to: LPS and so on. */
  orientation: string;
  /** D, H, W of the box around all voxels that are not 0. */
  brain: Vec3;
}

/** What is in an image. */
export interface ImageReport extends Intensities {
  path: string;
  /** SHA-256 of its voxels, the same for the same scan however it is packed; none if it has no brain. */
  digest?: string;
}

/** Reads and looks at all files of a case, the modalities that are not asked for too. */
export async function checkCase(
  source: Source,
  files: CaseFiles,
  convention: LabelConvention | null,
  expected: CaseExpectations,
): Promise<CaseReport> {
  const found: Findings = { problems: [], warnings: [] };
  const report: CaseReport = { id: files.id, images: {}, ...found };
  const read = reader(source, found);
  checkPresence(files, expected, found);

  const images: Image[] = [];
  for (const modality of MODALITIES) {
    const path = files.images[modality]?.path;
    if (path === undefined) continue;
    const image = await collectProblems(found.problems, () => findModality(read, files, modality));
    if (!image) continue;
    images.push(image);
    const seen = checkIntensities(image.voxels, image.what, found);
    const digest = seen.deviation ? await sha256(image.voxels) : undefined;
    report.images[modality] = { path, ...seen, ...(digest !== undefined && { digest }) };
  }
  const label = files.label;
  const volume = label === undefined ? undefined : await collectProblems(found.problems, () => read(label));
  const placed = volume && { what: `label (${label})`, volume };
  if (label !== undefined && placed) {
    const { what, volume } = placed;
    if (volume.channels > 1) found.problems.push(`${what}: expected one volume, got ${volume.channels}`);
    report.label = { path: label, ...(await checkLabel(volume, convention, what, found)) };
  }
  compareAll(placed ? [...images, placed] : images, `case ${files.id}`, found.problems);

  const first = images[0]?.volume ?? volume;
  if (first) {
    const { size, spacing, affine } = first;
    const same = images.filter((image) => sameSize(image.volume, first));
    const voxels = same.map((image) => image.voxels);
    checkGrid(first, found);
    const filled = voxels.filter((image) => image.some((value) => value));
    const brain = filled.length ? boundingBox(filled, size).size : size;
    report.grid = { size, spacing, orientation: orientationOf(affine), brain };
    if (placed && volume?.channels === 1 && same.length && sameSize(volume, first))
      checkPlace(volume.data, voxels, placed.what, found);
  }
  for (const list of [report.problems, report.warnings]) {
    const lines = [...new Set(list)].map((line) => `case ${files.id}: ${line}`);
    list.splice(0, list.length, ...lines);
  }
  return report;
}

function checkPresence(files: CaseFiles, { modalities, labels }: CaseExpectations, found: Findings): void {
  const present = MODALITIES.filter((modality) => files.images[modality]);
  const missing = modalities.filter((modality) => !files.images[modality]);
  if (missing.length) {
    const students = present.length ? `; a student of ${present.join(" or ")} can use it` : "";
    const got = present.join(", ") || "none";
    found.problems.push(`expected the modalities ${modalities.join(", ")}, got only ${got}${students}`);
  }
  if (labels && files.label === undefined) found.problems.push("expected a label, got none");
}

/** Reads each file once, and says what is odd about its name. */
function reader(source: Source, found: Findings): Read {
  const volumes = new Map<string, Promise<Volume>>();
  const readNew = async (path: string) => {
    const bytes = await readBytes(source, path);
    if (isGzip(bytes) !== path.toLowerCase().endsWith(".gz")) {
      const packed = isGzip(bytes) ? "is gzip'd, but not named so" : "is not gzip'd, but named so";
      found.warnings.push(`${path}: ${packed}: it is read here, other programs refuse it`);
    }
    const volume = await readNifti(bytes, path);
    checkForms(volume, path, found);
    return volume;
  };
  return (path) => {
    const volume = volumes.get(path) ?? readNew(path);
    volumes.set(path, volume);
    return volume;
  };
}

/** A file's bytes; whatever keeps it from being read is a DataError that names it. */
export async function readBytes(source: Source, path: string): Promise<Uint8Array> {
  try {
    return await source.read(path);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${path}: expected a file that can be read, got ${(error as Error).message}`);
  }
}

type Placed = Pick<Image, "what" | "volume">;

/** All shapes where one differs, else each affine that differs from the first. */
function compareAll(all: readonly Placed[], where: string, problems: string[]): void {
  const [first, ...others] = all;
  if (!first) return;
  if (others.every(({ volume }) => sameSize(volume, first.volume))) {
    for (const other of others) compareGrids(first, other, where, problems);
    return;
  }
  const shapes = all.map(({ what, volume }) => `${what} ${formatSize(volume.size)}`).join(", ");
  problems.push(`expected one shape, got ${shapes}: resample them to one grid`);
}

function sameSize(a: Volume, b: Volume): boolean {
  return a.size.every((length, axis) => length === b.size[axis]);
}
