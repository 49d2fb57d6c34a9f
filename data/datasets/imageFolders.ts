// The folders beside a dataset.json: imagesTr and labelsTr, and imagesTs and labelsTs, whose cases are new to
// every model. nnU-Net has a file for each channel, the Decathlon one file for all.

import { largest } from "../../engine/values.ts";
import { normal } from "./names.ts";
import { baseName, type CaseFiles, confined, type Modality, someOf } from "./source.ts";
import { collectProblems } from "../errors.ts";
import { put } from "../groups.ts";

/** The modality of each channel, by its number. */
export type Channels = ReadonlyMap<number, Modality>;

const CHANNEL_FILE = /^(.+)_(\d{4})\.nii(\.gz)?$/;
const VOLUME_FILE = /^(.+?)\.nii(\.gz)?$/;

/** True for the name of an image of one channel, CASE_0000.nii.gz. */
export function isNumbered(path: string): boolean {
  return CHANNEL_FILE.test(baseName(path));
}

/** True for the name of a volume. */
export function isVolume(path: string): boolean {
  return VOLUME_FILE.test(baseName(path));
}

/**
 * Returns the number of channels if a folder holds images CASE_0000.nii.gz, CASE_0001.nii.gz and so on at its
 * top, all cases the same number; else null.
 */
export function channelCount(paths: readonly string[]): number | null {
  const found = new Map<string, number[]>();
  for (const path of paths) {
    const [, id, channel] = CHANNEL_FILE.exec(path.includes("/") ? "" : path) ?? [];
    if (id !== undefined) put(found, id, Number(channel));
  }
  const whole = (channels: number[]) => largest(channels) === channels.length - 1;
  const counts = new Set([...found.values()].map((all) => (whole(all) ? all.length : 0)));
  const [count = 0] = counts;
  return counts.size === 1 && count > 0 ? count : null;
}

/** A folder's files and the findings about them. Paths are compared in Unicode's form NFC. */
export class Folder {
  readonly name: string;
  /** The file that describes it, for messages. */
  readonly where: string;
  readonly problems: string[] = [];
  readonly warnings: string[] = [];
  readonly #files = new Map<string, string>();

  constructor(paths: readonly string[], name: string, where: string) {
    this.name = name;
    this.where = where;
    for (const path of paths) {
      const other = this.#files.get(normal(path));
      if (other !== undefined)
        this.problems.push(
          `${name}: expected different names, got ${path} in two forms of Unicode: rename one`,
        );
      this.#files.set(normal(path), path);
    }
  }

  /** Returns the file of this path as the disk names it. */
  find(path: string): string | undefined {
    return this.#files.get(normal(path));
  }

  /** Returns the volumes directly in a folder in it ("": in itself), in order. */
  images(folder: string): string[] {
    const start = folder && `${folder}/`;
    return [...this.#files.values()].filter(
      (path) => path.startsWith(start) && !path.slice(start.length).includes("/") && isVolume(path),
    );
  }

  /** Returns the label of a case in one of these folders. */
  label(id: string, folder: string): string | undefined {
    return this.find(`${folder}/${id}.nii.gz`) ?? this.find(`${folder}/${id}.nii`);
  }

  /** Returns the listed files that are there. The others become one problem, as paths that lead out do. */
  async listed(paths: readonly string[]): Promise<(string | undefined)[]> {
    const outside: string[] = [];
    const missing: string[] = [];
    const found: (string | undefined)[] = [];
    for (const path of paths) {
      const refused: string[] = [];
      const inside = await collectProblems(refused, () => confined(path, this.where));
      if (refused.length) outside.push(JSON.stringify(path));
      const file = inside === undefined ? undefined : this.find(inside);
      if (inside !== undefined && file === undefined) missing.push(inside);
      found.push(file);
    }
    const kind = outside.length > 1 ? "paths" : "a path";
    if (outside.length)
      this.problems.push(`${this.where}: expected ${kind} inside the folder, got ${someOf(outside)}`);
    const [files, remedy] =
      missing.length > 1
        ? ["files", "add them, or remove their entries"]
        : ["file", "add it, or remove its entry"];
    if (missing.length)
      this.problems.push(
        `${this.where}: expected the listed ${files} ${someOf(missing)}, got none: ${remedy}`,
      );
    return found;
  }
}

/** The cases of imagesTr, imagesTs, or of the folder itself, with a file for each channel. */
export function nnunetCases(set: "Tr" | "Ts" | "", channels: Channels, folder: Folder): CaseFiles[] {
  const images = folder.images(set && `images${set}`);
  const numbered = images.filter(isNumbered);
  if (set && numbered.length && numbered.length < images.length) {
    const other = images.find((path) => !isNumbered(path));
    const expected = `expected all images in images${set}, or no image, to be named CASE_0000.nii.gz`;
    folder.problems.push(`${folder.name}: ${expected}, got ${numbered[0]} and ${other}: rename one kind`);
  }
  const cases = new Map<string, CaseFiles>();
  for (const path of numbered) {
    const [, id, channel] = CHANNEL_FILE.exec(normal(baseName(path))) as unknown as [string, string, string];
    const found = cases.get(id) ?? { id, images: {} };
    cases.set(id, found);
    const modality = channels.get(Number(channel));
    const other = modality && found.images[modality];
    if (other)
      folder.problems.push(
        `case ${id}: expected one ${modality} file, got ${other.path} and ${path}: remove one`,
      );
    else if (modality) found.images[modality] = { path, channel: 0 };
    const label = set && folder.label(id, `labels${set}`);
    if (label) found.label = label;
  }
  return [...cases.values()];
}

/** The cases of imagesTr or imagesTs, with one file for all channels; `entries` lists them, if given. */
export async function volumeCases(
  set: "Tr" | "Ts",
  channels: Channels,
  folder: Folder,
  entries?: readonly { image: string; label: string | undefined }[],
): Promise<CaseFiles[]> {
  const cases: CaseFiles[] = [];
  const add = (image: string, label: string | undefined) => {
    const id = VOLUME_FILE.exec(normal(baseName(image)))?.[1] ?? normal(baseName(image));
    const found: CaseFiles = { id, images: {} };
    for (const [channel, modality] of channels) found.images[modality] = { path: image, channel };
    if (label !== undefined) found.label = label;
    cases.push(found);
  };
  if (!entries) {
    for (const image of folder.images(`images${set}`))
      add(image, folder.label(VOLUME_FILE.exec(baseName(image))![1]!, `labels${set}`));
    return cases;
  }
  const files = await folder.listed(
    entries.flatMap(({ image, label }) => [image, ...(label ? [label] : [])]),
  );
  let next = 0;
  for (const { label } of entries) {
    const image = files[next++];
    const labelled = label ? files[next++] : undefined;
    if (image !== undefined) add(image, labelled);
  }
  return cases;
}

/** Returns the label files of each case: those of `cases`, and all in labelsTr and labelsTs. */
export function allLabels(cases: readonly CaseFiles[], folder: Folder): Map<string, string[]> {
  const labels = new Map<string, string[]>();
  for (const path of [...folder.images("labelsTr"), ...folder.images("labelsTs")]) {
    const [, id = ""] = VOLUME_FILE.exec(normal(baseName(path)))!;
    put(labels, id, path);
  }
  for (const { id, label } of cases)
    if (label !== undefined && !labels.get(id)?.includes(label)) labels.set(id, [label]);
  return labels;
}

/** Returns a problem for each case id that is in both lists. */
export function casesInBoth(cases: readonly CaseFiles[], others: readonly CaseFiles[]): string[] {
  const example = ({ images, label }: CaseFiles) => Object.values(images)[0]?.path ?? label ?? "no image";
  const known = new Map(cases.map((one) => [one.id, one]));
  return others.flatMap((other) => {
    const one = known.get(other.id);
    if (!one) return [];
    return `case ${other.id}: expected it in one folder, got ${example(one)} and ${example(other)}: rename one`;
  });
}
