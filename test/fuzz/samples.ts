// Small whole files of every kind, for the fuzzers to damage.

import { gzipSync } from "node:zlib";
import { PREPARATION } from "../../data/preparation/preprocess.ts";
import { DATATYPES } from "../../data/nifti/header.ts";
import { cardMetadata } from "../../model/files/card.ts";
import { encodeSafetensors } from "../../model/files/safetensors.ts";
import { encodeSealed } from "../../model/files/seal.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";
import { beginning } from "../../trainer/loop/position.ts";
import { encodeTraining } from "../../trainer/loop/state.ts";
import { DEFAULTS } from "../../trainer/settings/config.ts";
import { weights } from "../support/published/weights.ts";

const SIZE = [4, 3, 2] as const; // width, height, depth

/** NIfTI-1 and NIfTI-2 files of every voxel type and in both orders of bytes, half of them compressed. */
export function niftiFiles(): Uint8Array[] {
  const files = [...DATATYPES.keys()].flatMap((type, i) =>
    [1, 2].map((version) => nifti(type, version as 1 | 2, (i + version) % 3 > 0)),
  );
  return files.map((file, i) => (i % 2 ? new Uint8Array(gzipSync(file)) : file));
}

function nifti(type: number, version: 1 | 2, little: boolean): Uint8Array {
  const width = DATATYPES.get(type)!.bytes;
  const [first, voxels] = version === 1 ? [352, 24 * width] : [544, 24 * width];
  const bytes = new Uint8Array(first + voxels);
  const view = new DataView(bytes.buffer);
  const affine = [1, 1, 1].flatMap((edge, row) => [0, 1, 2, 3].map((column) => (row === column ? edge : 0)));
  if (version === 1) {
    view.setInt32(0, 348, little);
    [3, ...SIZE, 1, 1, 1, 1].forEach((length, i) => view.setInt16(40 + 2 * i, length, little));
    view.setInt16(70, type, little);
    view.setInt16(72, 8 * width, little);
    [1, 1, 1, 1].forEach((edge, i) => view.setFloat32(76 + 4 * i, edge, little));
    view.setFloat32(108, first, little);
    view.setFloat32(112, 1, little);
    view.setInt16(254, 1, little);
    affine.forEach((value, i) => view.setFloat32(280 + 4 * i, value, little));
    bytes.set(new TextEncoder().encode("n+1\0"), 344);
  } else {
    view.setInt32(0, 540, little);
    bytes.set([0x6e, 0x2b, 0x32, 0, 0x0d, 0x0a, 0x1a, 0x0a], 4);
    view.setInt16(12, type, little);
    view.setInt16(14, 8 * width, little);
    [3, ...SIZE, 1, 1, 1, 1].forEach((length, i) => view.setBigInt64(16 + 8 * i, BigInt(length), little));
    [1, 1, 1, 1].forEach((edge, i) => view.setFloat64(104 + 8 * i, edge, little));
    view.setBigInt64(168, BigInt(first), little);
    view.setFloat64(176, 1, little);
    view.setInt32(348, 1, little);
    affine.forEach((value, i) => view.setFloat64(400 + 8 * i, value, little));
  }
  for (let i = first; i < bytes.length; i++) bytes[i] = (i * 37) & 0x7f;
  return bytes;
}

const NETWORK: VnetConfig = { modalities: 1, classes: 4, filters: 1, levels: 2, norm: "instance" };

const CARD = {
  network: NETWORK,
  modalities: ["t1ce" as const],
  patch: [8, 8, 8] as [number, number, number],
  window: "gaussian" as const,
  labels: "brats" as const,
  ...PREPARATION,
  stage: "student_t1ce",
  epoch: 2,
  step: 4,
  seed: 1,
};

/** A network of this project, and the same without card and checksum, as others publish it. */
export async function networkFiles(): Promise<Uint8Array[]> {
  const tensors = weights(NETWORK);
  return [await encodeSealed(tensors, cardMetadata(CARD)), encodeSafetensors(tensors, { format: "pt" })];
}

/** The state of a training after an epoch, with its settings. */
export async function trainingFiles(): Promise<Uint8Array[]> {
  const tensors = Object.fromEntries(Object.entries(weights(NETWORK)).slice(0, 3));
  const position = { ...beginning(), epoch: 2, updates: { network: 4 }, total: 3 };
  const config = JSON.stringify({ ...DEFAULTS, stage: "teacher", method: "none" });
  const notes = { ...cardMetadata(CARD), config };
  return [await encodeTraining({ tensors, position, data: { labelled: { epoch: 1 } } }, notes)];
}

/** The files of JSON and lists that users write, by kind. */
export const TEXTS = {
  split: [
    '{"train": ["A", "B"], "val": ["C"], "test": ["D"]}',
    '[{"train": ["A", "B"], "val": ["C"]}, {"train": ["C", "D"], "val": ["A"]}]',
    "case,set\nA,train\nB,train\nC,val\nD,test\n",
    "case,fold\nA,0\nB,1\nC,2\nD,3\n",
    "A\nB\nD\n",
  ],
  settings: ['{"epochs": 30, "lr": 0.003, "patch": [32, 32, 32], "method": "protokd", "workers": 2}'],
  study: [
    '{"size": "hour", "name": "strong kd", "modalities": ["t1ce"], "seeds": [0, 1], "settings": {"epochs": 20},' +
      '"entries": [{"name": "kd", "method": "kd", "settings": {"kdWeight": 4}}], "controls": ["shuffled"],' +
      '"sets": [{"phantom": {"seed": 1, "size": 48, "train": 16, "val": 4, "test": 24}}]}',
  ],
  dataset: [
    '{"channel_names": {"0": "T1", "1": "T2", "2": "T1ce", "3": "FLAIR"}, "numTraining": 2, ' +
      '"labels": {"background": 0, "whole tumor": [1, 2, 3]}, "file_ending": ".nii.gz"}',
    '{"modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}, "labels": {"0": "background", ' +
      '"1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}, "training": [{"image": ' +
      '"./imagesTr/A.nii.gz", "label": "./labelsTr/A.nii.gz"}]}',
    '{"training": [{"fold": 0, "image": ["A/A_t1.nii.gz", "A/A_flair.nii.gz"], "label": "A/A_seg.nii.gz"}]}',
  ],
} as const;

/** The record of a study's arm. */
export const ARM = {
  format: "protokd arm 1",
  version: "0.1.0",
  name: "baseline",
  method: "none",
  settings: { epochs: 3, patch: [16, 16, 16] },
  control: "none",
  modality: "t1ce",
  seed: 0,
  data: { phantom: { version: 2, seed: 2001, size: 24, train: 4, val: 2, test: 6 } },
  weights: "0".repeat(64),
  convention: "brats",
  shares: { logits: { kd: 0.1 } },
  steps: 6,
  seconds: 2.5,
  validation: [{ epoch: 3, mean: 0.4 }],
  scores: [{ case: "A", Dice: { WT: 0.5, TC: 0.4, ET: null }, HD95: { WT: 3, TC: 4, ET: null } }],
};
