// What the page and its worker say to each other. All of it is plain data: it is copied from one to the other.

import type { Modality } from "../../data/datasets/source.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import type { Region } from "../../model/scoring/regions.ts";

/** A file that the user chose, by its path in what was chosen. */
export interface NamedFile {
  path: string;
  file: File;
}

/** What a file, or one of the volumes in it, is taken for. */
export type Role = Modality | "label" | "unused";

/** One volume of one file, as the page lists it and the user corrects it. */
export interface Row {
  path: string;
  /** Which of the file's volumes. */
  channel: number;
  case: string;
  role: Role;
}

/** What was made of the files chosen. */
export interface Recognised {
  rows: Row[];
  convention: LabelConvention;
  /** What the user should look at, or null where the names say all. */
  note: string | null;
}

/** A network that can be used. */
export interface ModelInfo {
  id: string;
  name: string;
  /** In words: of how many filters, trained for how long. */
  about: string;
  modalities: Modality[];
}

/** What predictions are, but for the volumes. */
export interface Result {
  case: string;
  model: string;
  modalities: Modality[];
  /** Volume of each region in ml. */
  volumes: Record<Region, number>;
  /** 2|P∩R|/(|P|+|R|) of each region (1 where both lack it), where the case has a label. */
  dice: Record<Region, number> | null;
  seconds: number;
  /** The most bytes on the GPU so far. */
  peakBytes: number;
}

/** NIfTI files, gzip'd. */
export type File3d = Uint8Array<ArrayBuffer>;

export interface Progress {
  /** In words: which case and network. */
  what: string;
  done: number;
  all: number;
}

/** What the worker runs on, or why it cannot. */
export type Gpu = { found: true; name: string; largestBytes: number } | { found: false; why: string };

/** An error as a person should read it. */
export interface Explained {
  title: string;
  /** One line or several. */
  detail: string;
  /** What to do; may be empty. */
  remedy: string;
}

/** The worker's first message: from now on it hears. */
export const READY = "ready";
