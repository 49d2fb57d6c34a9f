// Threads that read cases and make batches, as seen from the main thread: each is asked, and answers in order. The
// cases' arrays lie in memory that all threads share.

import { Worker } from "node:worker_threads";
import { DataError } from "../../data/errors.ts";
import type { CaseRecord } from "../../data/datasets/manifest.ts";
import type { Batch, SamplerOptions } from "../../data/sampling/patches.ts";
import type { Case, Preparation } from "../../data/preparation/preprocess.ts";
import type { CaseFiles, Dataset, Modality } from "../../data/datasets/source.ts";

/** How cases are read: enough for a thread to do it by itself. */
export interface Reading {
  /** The data set's folder. */
  data: string;
  dataset: Pick<Dataset, "layout" | "convention">;
  modalities: readonly Modality[];
  preparation: Preparation;
}

/** A case that was read, and what its files were. */
export interface LoadedCase {
  prepared: Case;
  record: CaseRecord;
}

/** What a thread is asked. */
export type DataRequest =
  | { type: "load"; reading: Reading; files: CaseFiles }
  | { type: "train"; cases: readonly Case[]; options: SamplerOptions }
  | { type: "batch"; number: number };

/** And what it answers: the case, nothing, or the batch; or why not. */
export type DataAnswer =
  { answer: LoadedCase | Batch | null } | { error: { name: string; message: string; problems?: string[] } };

interface Waiting {
  resolve: (answer: LoadedCase | Batch | null) => void;
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
      if (!this.#waiting.length && !this.#closed) this.#worker.unref(); // an idle thread does not keep the process alive
      if ("answer" in reply) return waiting.resolve(reply.answer);
      const { name, message, problems } = reply.error;
      waiting.reject(problems ? new DataError(problems) : Object.assign(new Error(message), { name }));
    });
    this.#worker.on("error", (error) => this.#die(error.message));
    this.#worker.on("exit", (code) => this.#die(`it ended with code ${code}`));
  }

  /** Reads and prepares a case. Throws a DataError with all that is wrong with it. */
  async load(reading: Reading, files: CaseFiles): Promise<LoadedCase> {
    return (await this.#ask({ type: "load", reading, files })) as LoadedCase;
  }

  /** Says which cases batches are made of from now on; what is shared of them is not copied. */
  async train(cases: readonly Case[], options: SamplerOptions): Promise<void> {
    await this.#ask({ type: "train", cases, options });
  }

  /** Batch `number` of the run. */
  async batch(number: number): Promise<Batch> {
    return (await this.#ask({ type: "batch", number })) as Batch;
  }

  /** Ends the thread; what it was asked for is never answered. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#worker.ref();
    await this.#worker.terminate();
  }

  #ask(request: DataRequest): Promise<LoadedCase | Batch | null> {
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
    source: { ...source, header: source.header.slice() }, // not the whole file that it is the beginning of
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
