// Files from elsewhere, and the code that reads them: fuzz.ts damages the ones and calls the other.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readImported, settingsIn } from "../../cli/files/imported.ts";
import { readModel } from "../../cli/files/models.ts";
import { readSplitFiles } from "../../cli/files/splitFiles.ts";
import { readObject, readSettings } from "../../cli/terminal/configFile.ts";
import { surveyDatasetJson } from "../../data/datasets/datasetJson.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import type { Random } from "../../engine/index.ts";
import { decodeSafetensors, encodeSafetensors } from "../../model/files/safetensors.ts";
import { encodeSealed } from "../../model/files/seal.ts";
import { readStudy } from "../../trainer/experiments/studyConfig.ts";
import { folder, makeData, train } from "../support/killing.ts";
import { READERS } from "../support/ownReaders.ts";
import { damageBytes, damageJson } from "./damage.ts";
import { ARM, networkFiles, niftiFiles, TEXTS, trainingFiles } from "./samples.ts";

/** A file with its name. */
export interface Sample {
  file: string;
  bytes: Uint8Array;
}

/** A kind of files, with its reader. */
export interface Target {
  about: string;
  /** Whole files. */
  samples: () => Promise<readonly Sample[]>;
  /** Returns a damaged file. */
  damage: (random: Random, samples: readonly Sample[]) => Promise<Sample>;
  /** Reads the damaged file, which is at `path` if `onDisk`; returns the bytes of what it decoded. */
  read: (bytes: Uint8Array, path: string) => Promise<number>;
  onDisk: boolean;
}

const encoder = new TextEncoder();

const one = <T>(random: Random, list: readonly T[]): T => list[random.integer(list.length)]!;

function damagedBytes(random: Random, samples: readonly Sample[]): Promise<Sample> {
  const { file, bytes } = one(random, samples);
  return Promise.resolve({ file, bytes: damageBytes(random, bytes, one(random, samples).bytes) });
}

/** Damages the values of JSON in two of three files, and the bytes of the others. */
function damagedText(random: Random, samples: readonly Sample[]): Promise<Sample> {
  const { file, bytes } = one(random, samples);
  const other = one(random, samples).bytes;
  const json = parsed(bytes);
  if (json === undefined || random.integer(3) === 0)
    return Promise.resolve({ file, bytes: damageBytes(random, bytes, other) });
  return Promise.resolve({ file, bytes: encoder.encode(damageJson(random, json, parsed(other) ?? null)) });
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** Damages bytes, or the header's or the metadata's values, whose checksum then is right again. */
async function damagedTensors(random: Random, samples: readonly Sample[]): Promise<Sample> {
  const { file, bytes } = one(random, samples);
  const how = random.integer(3);
  if (how === 0) return damagedBytes(random, samples);
  return { file, bytes: how === 1 ? damagedHeader(random, bytes) : await damagedMetadata(random, bytes) };
}

function damagedHeader(random: Random, bytes: Uint8Array): Uint8Array {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const json = encoder.encode(damageJson(random, parsed(bytes.slice(8, 8 + length)), ARM));
  const damaged = new Uint8Array(8 + json.length + bytes.length - 8 - length);
  new DataView(damaged.buffer).setBigUint64(0, BigInt(json.length), true);
  damaged.set(json, 8);
  damaged.set(bytes.subarray(8 + length), 8 + json.length);
  return damaged;
}

async function damagedMetadata(random: Random, bytes: Uint8Array): Promise<Uint8Array> {
  const { tensors, metadata } = decodeSafetensors(bytes, "sample");
  const notes = Object.entries(metadata).filter(([name]) => name !== "sha256");
  const [chosen] = one(random, notes);
  const changed = notes.map(([name, text]) => {
    const json = name === chosen ? parsed(encoder.encode(text)) : undefined;
    if (name !== chosen) return [name, text] as const;
    const cut = json === undefined || random.integer(4) === 0;
    return [name, cut ? text.slice(1) : damageJson(random, json, ARM)] as const;
  });
  const all = Object.fromEntries(changed);
  return random.integer(5) ? encodeSealed(tensors, all) : encodeSafetensors(tensors, all);
}

/** Samples of one name. */
const named =
  (file: string, files: () => Promise<readonly Uint8Array[]> | readonly Uint8Array[]) =>
  async (): Promise<Sample[]> =>
    (await files()).map((bytes) => ({ file, bytes }));

const texts = (file: string, list: readonly string[]) =>
  named(file, () => list.map((text) => encoder.encode(text)));

/** The readers of text that decode nothing large. */
async function nothing(read: Promise<unknown>): Promise<number> {
  await read;
  return 0;
}

const PATHS = [
  "A/A_t1.nii.gz",
  "A/A_flair.nii.gz",
  "A/A_seg.nii.gz",
  "imagesTr/A.nii.gz",
  "labelsTr/A.nii.gz",
];

export const TARGETS: Readonly<Record<string, Target>> = {
  nifti: {
    about: "scans",
    samples: named("fuzz.nii.gz", niftiFiles),
    damage: damagedBytes,
    read: async (bytes, path) => 4 * (await readNifti(bytes, path)).data.length,
    onDisk: false,
  },
  safetensors: {
    about: "networks",
    samples: named("fuzz.safetensors", networkFiles),
    damage: damagedTensors,
    read: async (bytes, path) => (await readModel(path), bytes.length),
    onDisk: true,
  },
  resume: {
    about: "training states for --resume-from",
    samples: named("fuzz.safetensors", trainingFiles),
    damage: damagedTensors,
    read: async (bytes, path) => (await settingsIn(path), await readImported(path), bytes.length),
    onDisk: true,
  },
  split: {
    about: "splits, as JSON, tables and lists",
    samples: texts("train_list.txt", TEXTS.split),
    damage: damagedText,
    read: (_, path) => nothing(readSplitFiles(path, ["A", "B", "C", "D"], "refuse")),
    onDisk: true,
  },
  settings: {
    about: "files of --config",
    samples: texts("fuzz.json", TEXTS.settings),
    damage: damagedText,
    read: (_, path) => nothing(readSettings(path)),
    onDisk: true,
  },
  study: {
    about: "configurations of studies",
    samples: texts("fuzz.json", TEXTS.study),
    damage: damagedText,
    read: (_, path) => nothing(readObject(path, "a study").then((found) => readStudy(found))),
    onDisk: true,
  },
  dataset: {
    about: "dataset.json",
    samples: texts("fuzz/dataset.json", TEXTS.dataset),
    damage: damagedText,
    read: (bytes, path) => nothing(surveyDatasetJson(bytes, PATHS, { name: dirname(path) })),
    onDisk: false,
  },
  own: {
    about: "files that the program wrote itself",
    samples: ownFiles,
    damage: damagedText,
    read: (_, path) => nothing(READERS[basename(path)]!(dirname(path))),
    onDisk: true,
  },
};

/** The files of a short training that are read back, its phantom's, and the record of a study's arm. */
async function ownFiles(): Promise<Sample[]> {
  await makeData();
  const { code, output } = await train("own files", ["--stage", "teacher", "--epochs", "1"]);
  if (code !== 0) throw new Error(output);
  const folders = [join(folder, "own files", "out", "teacher"), join(folder, "data")];
  const found = folders.flatMap((from) =>
    readdirSync(from)
      .filter((file) => Object.hasOwn(READERS, file))
      .map((file) => ({ file, bytes: new Uint8Array(readFileSync(join(from, file))) })),
  );
  return [...found, { file: "arm.json", bytes: encoder.encode(JSON.stringify(ARM)) }];
}

/** Writes a damaged file for a reader of paths. */
export function place(where: string, file: string, bytes: Uint8Array): string {
  const path = join(where, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}
