// The main thread's side of threads that read cases and make batches: each answers its requests in order. The
// cases' arrays are in memory that all threads share.

import { Worker } from "node:worker_threads";
import { DataError } from "../../data/errors.ts";
import type { CaseExpectations, CaseReport } from "../../data/check/checkCase.ts";
import type { CaseRecord } from "../../data/datasets/manifest.ts";
import type { CommonGrid } from "../../data/preparation/input.ts";
import type { Batch, SamplerOptions } from "../../data/sampling/patches.ts";
import type { Case, PrepareOptions } from "../../data/preparation/preprocess.ts";
import type { CaseFiles, Dataset, Modality } from "../../data/datasets/source.ts";
import type { Room } from "./room.ts";

/** How to read cases: all that a thread needs to do it by itself. */
export interface Reading {
  /** The data set's folder. */
  data: string;
  dataset: Pick<Dataset, "layout" | "convention">;
  modalities: readonly Modality[];
  /** Those that a case must have; by default all. */
  required?: readonly Modality[];
  preparation: PrepareOptions & Pick<CaseExpectations, "affine">;
  /** False to read no labels; by default every case must have one. */
  labels?: boolean;
}

/** A case that was read, the record of its files, and what the check found. */
export interface LoadedCase {
  prepared: Case;
  record: CaseRecord;
  report: CaseReport;
}

/** A case that was read and not kept: how to read it again, to the same bits. */
export interface RecordedCase {
  id: string;
  channels: readonly Modality[];
  /** As of Case. */
  absent?: readonly Modality[];
  reading: Reading;
  files: CaseFiles;
  /** Its files when the run began. */
  record: CaseRecord;
  /** The folder of the cache on disk. */
  folder: string | null;
  /** Its grid in its files, and the one that it is turned to; null for its own. */
  own: Pick<CaseReport, "grid">;
  run: CommonGrid | null;
}

/** A case in memory that threads share, or one that each thread reads when it needs it. */
export type KeptCase = Case | RecordedCase;

/** Where a case that has been read for the first time may be kept. */
export interface Cache {
  room: Room;
  /** For cases without room: the folder of the cache on disk, or null. */
  folder: string | null;
  /** Bytes beside its arrays that a kept case will take. */
  more: number;
}

/** The result of reading a case for the first time. */
export interface FirstRead extends Omit<LoadedCase, "prepared"> {
  case: KeptCase;
  /** Bytes of the prepared arrays. */
  bytes: number;
  /** Voxels of the prepared case. */
  voxels: number;
  /** Why it could not be written to the cache on disk. */
  unwritten: string | null;
}

/** A request to a thread. */
export type DataRequest =
  | {
      type: "load";
      reading: Reading;
      files: CaseFiles;
      cache: Omit<Cache, "room"> & { room: SharedArrayBuffer };
    }
  | { type: "read"; recorded: RecordedCase }
  | { type: "train"; cases: readonly KeptCase[]; options: SamplerOptions }
  | { type: "batch"; number: number };

/** The answer of a thread: what was read, nothing, or the batch. */
type Answer = FirstRead | Case | Batch | null;

/** The same, or the error. */
export type DataAnswer =
  { answer: Answer } | { error: { name: string; message: string; problems?: string[] } };

interface Waiting {
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
}

/** A thread that reads cases and makes batches. */
export class DataWorker {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  #dead: Error | null = null;
  #closed = false;

  constructor() {
    this.#worker = new Worker(new URL("./dataWorker.js", import.meta.url), { name: "data" });
    this.#worker.on("message", (reply: DataAnswer) => {
      const waiting = this.#waiting.shift()!;
      if (!this.#waiting.length && !this.#closed) this.#worker.unref(); // so that the process can end
      if ("answer" in reply) return waiting.resolve(reply.answer);
      const { name, message, problems } = reply.error;
      waiting.reject(problems ? new DataError(problems) : Object.assign(new Error(message), { name }));
    });
    this.#worker.on("error", (error) => this.#die(error.message));
    this.#worker.on("exit", (code) => this.#die(`it ended with code ${code}`));
  }

  /** Reads and prepares a case for the first time. Throws a DataError with all its problems. */
  async load(reading: Reading, files: CaseFiles, { room, ...cache }: Cache): Promise<FirstRead> {
    const request = { reading, files, cache: { ...cache, room: room.shared } };
    return (await this.#ask({ type: "load", ...request })) as FirstRead;
  }

  /** Reads a case again. Throws a DataError if it has changed. */
  async read(recorded: RecordedCase): Promise<Case> {
    return (await this.#ask({ type: "read", recorded })) as Case;
  }

  /** Sets the cases and options of later batches; arrays in shared memory are not copied. */
  async train(cases: readonly KeptCase[], options: SamplerOptions): Promise<void> {
    await this.#ask({ type: "train", cases, options });
  }

  /** Batch `number` of the run. */
  async batch(number: number): Promise<Batch> {
    return (await this.#ask({ type: "batch", number })) as Batch;
  }

  /** Ends the thread; pending requests are never answered. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#worker.ref();
    await this.#worker.terminate();
  }

  #ask(request: DataRequest): Promise<Answer> {
    if (this.#dead) return Promise.reject(this.#dead);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage(request);
    });
  }

  #die(why: string): void {
    if (this.#closed || this.#dead) return;
    this.#dead = new Error(
      `a thread that loads data stopped: ${why}: if memory is short, train with fewer --workers ` +
        "(0 loads in the main thread)",
    );
    for (const { reject } of this.#waiting.splice(0)) reject(this.#dead);
  }
}

/** The case with its arrays in memory that threads share. */
export function shared(prepared: Case): Case {
  const images = inSharedMemory(prepared.images, (buffer) => new Float32Array(buffer));
  const label = prepared.label && inSharedMemory(prepared.label, (buffer) => new Uint8Array(buffer));
  const { source } = prepared;
  return {
    ...prepared,
    images,
    ...(label && { label }),
    source: { ...source, header: source.header.slice() }, // a copy, without the rest of the file behind it
  };
}

function inSharedMemory<T extends Float32Array | Uint8Array>(
  values: T,
  view: (buffer: SharedArrayBuffer) => T,
): T {
  if (values.buffer instanceof SharedArrayBuffer) return values;
  const copy = view(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}
