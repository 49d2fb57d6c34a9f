// Files from elsewhere, and the code that reads them: fuzz.ts damages the ones and calls the other.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readImported, settingsIn } from "../../cli/files/imported.ts";
import { readModel } from "../../cli/files/models.ts";
import { readSplitFiles } from "../../cli/files/splitFiles.ts";
import { readObject, readSettings } from "../../cli/terminal/configFile.ts";
import { surveyDatasetJson } from "../../data/datasets/datasetJson.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import type { Random } from "../../engine/index.ts";
import { decodeSafetensors, encodeSafetensors } from "../../model/files/safetensors.ts";
import { encodeSealed } from "../../model/files/seal.ts";
import { readRecord } from "../../trainer/experiments/armRecord.ts";
import { readStudy } from "../../trainer/experiments/studyConfig.ts";
import { damageBytes, damageJson } from "./damage.ts";
import { ARM, networkFiles, niftiFiles, TEXTS, trainingFiles } from "./samples.ts";

/** A kind of files, with its reader. */
export interface Target {
  about: string;
  /** The name of the damaged file. */
  file: string;
  samples: () => Promise<readonly Uint8Array[]>;
  /** Returns a damaged file. */
  damage: (random: Random, samples: readonly Uint8Array[]) => Promise<Uint8Array>;
  /** Reads the damaged file, which is at `path` if `onDisk`; returns the bytes of what it decoded. */
  read: (bytes: Uint8Array, path: string) => Promise<number>;
  onDisk: boolean;
}

const encoder = new TextEncoder();

const one = <T>(random: Random, list: readonly T[]): T => list[random.integer(list.length)]!;

function damagedBytes(random: Random, samples: readonly Uint8Array[]): Promise<Uint8Array> {
  return Promise.resolve(damageBytes(random, one(random, samples), one(random, samples)));
}

/** Damages the values of JSON in two of three files, and the bytes of the others. */
function damagedText(random: Random, samples: readonly Uint8Array[]): Promise<Uint8Array> {
  const json = parsed(one(random, samples));
  if (json === undefined || random.integer(3) === 0) return damagedBytes(random, samples);
  return Promise.resolve(encoder.encode(damageJson(random, json, parsed(one(random, samples)) ?? null)));
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** Damages bytes, or the header's or the metadata's values, whose checksum then is right again. */
async function damagedTensors(random: Random, samples: readonly Uint8Array[]): Promise<Uint8Array> {
  const sample = one(random, samples);
  const how = random.integer(3);
  if (how === 0) return damageBytes(random, sample, one(random, samples));
  if (how === 1) {
    const length = Number(new DataView(sample.buffer).getBigUint64(0, true));
    const json = encoder.encode(damageJson(random, parsed(sample.slice(8, 8 + length)), ARM));
    const bytes = new Uint8Array(8 + json.length + sample.length - 8 - length);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
    bytes.set(json, 8);
    bytes.set(sample.subarray(8 + length), 8 + json.length);
    return bytes;
  }
  const { tensors, metadata } = decodeSafetensors(sample, "sample");
  const notes = Object.entries(metadata).filter(([name]) => name !== "sha256");
  const [chosen] = one(random, notes);
  const changed = notes.map(([name, value]) => {
    if (name !== chosen) return [name, value] as const;
    const json = parsed(encoder.encode(value));
    return [
      name,
      json === undefined || !random.integer(4) ? value.slice(1) : damageJson(random, json, ARM),
    ] as const;
  });
  const all = Object.fromEntries(changed);
  return random.integer(5) ? encodeSealed(tensors, all) : encodeSafetensors(tensors, all);
}

const texts = (list: readonly string[]) => () => Promise.resolve(list.map((text) => encoder.encode(text)));

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
    file: "fuzz.nii.gz",
    samples: () => Promise.resolve(niftiFiles()),
    damage: damagedBytes,
    read: async (bytes, path) => 4 * (await readNifti(bytes, path)).data.length,
    onDisk: false,
  },
  safetensors: {
    about: "networks",
    file: "fuzz.safetensors",
    samples: networkFiles,
    damage: damagedTensors,
    read: async (bytes, path) => (await readModel(path), bytes.length),
    onDisk: true,
  },
  resume: {
    about: "training states for --resume-from",
    file: "fuzz.safetensors",
    samples: trainingFiles,
    damage: damagedTensors,
    read: async (bytes, path) => (await settingsIn(path), await readImported(path), bytes.length),
    onDisk: true,
  },
  split: {
    about: "splits, as JSON, tables and lists",
    file: "train_list.txt",
    samples: texts(TEXTS.split),
    damage: damagedText,
    read: (_, path) => nothing(readSplitFiles(path, ["A", "B", "C", "D"], "refuse")),
    onDisk: true,
  },
  settings: {
    about: "files of --config",
    file: "fuzz.json",
    samples: texts(TEXTS.settings),
    damage: damagedText,
    read: (_, path) => nothing(readSettings(path)),
    onDisk: true,
  },
  study: {
    about: "configurations of studies",
    file: "fuzz.json",
    samples: texts(TEXTS.study),
    damage: damagedText,
    read: (_, path) => nothing(readObject(path, "a study").then((found) => readStudy(found))),
    onDisk: true,
  },
  dataset: {
    about: "dataset.json",
    file: "fuzz/dataset.json",
    samples: texts(TEXTS.dataset),
    damage: damagedText,
    read: (bytes, path) => nothing(surveyDatasetJson(bytes, PATHS, { name: dirname(path) })),
    onDisk: false,
  },
  evidence: {
    about: "records of studies",
    file: "fuzz.json",
    samples: texts([JSON.stringify(ARM)]),
    damage: damagedText,
    read: (bytes, path) => nothing(Promise.resolve().then(() => readRecord(bytes, path))),
    onDisk: false,
  },
};

/** Writes a damaged file for a reader of paths. */
export function place(folder: string, file: string, bytes: Uint8Array): string {
  const path = join(folder, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}
