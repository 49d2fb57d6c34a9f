// The messages between the page and its worker. All of them are plain data, which is copied.

import type { Modality } from "../../data/datasets/source.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import type { Region } from "../../model/scoring/regions.ts";

/** A file that the user chose, with its path in the chosen folder. */
export interface NamedFile {
  path: string;
  file: File;
}

/** The content of a file, or of one of its volumes. */
export type Role = Modality | "label" | "unused";

/** One volume of one file, as the page lists it and the user corrects it. */
export interface Row {
  path: string;
  /** Which of the file's volumes. */
  channel: number;
  case: string;
  role: Role;
}

/** The cases recognised in the chosen files. */
export interface Recognised {
  rows: Row[];
  /** Null if the names do not tell it, until the user chooses. */
  convention: LabelConvention | null;
  /** A hint at what the user should check; null if the names are clear. */
  note: string | null;
}

/** A network that can be used. */
export interface ModelInfo {
  id: string;
  name: string;
  /** In words: its filters, and how long it was trained. */
  about: string;
  modalities: Modality[];
  /** True for a network that takes any of them. */
  any?: true;
}

/** A prediction's numbers, without its volumes. */
export interface Result {
  case: string;
  model: string;
  /** The contrasts that the network saw. */
  modalities: Modality[];
  /** Volume of each region in ml. */
  volumes: Record<Region, number>;
  /** 2|P∩R|/(|P|+|R|) of each region (1 if both are empty); null if the case has no label. */
  dice: Record<Region, number> | null;
  /** Warnings of the check about the case. */
  warnings: string[];
  seconds: number;
  /** The most bytes on the GPU so far. */
  peakBytes: number;
}

/** A NIfTI file, gzip'd. */
export type File3d = Uint8Array<ArrayBuffer>;

export interface Progress {
  /** In words: which case and network. */
  what: string;
  done: number;
  all: number;
}

/** The worker's GPU, or the reason why it has none. */
export type Gpu = { found: true; name: string; largestBytes: number } | { found: false; why: string };

/** An error in words for the user. */
export interface Explained {
  title: string;
  /** One line or several. */
  detail: string;
  /** Advice on what to do; may be empty. */
  remedy: string;
}

/** The worker's first message: it listens now. */
export const READY = "ready";
