// The thread of a DataWorker: reads cases and makes batches.

import { parentPort } from "node:worker_threads";
import { DataError } from "../../data/errors.ts";
import { PatchSampler } from "../../data/sampling/patches.ts";
import { type DataAnswer, type DataRequest, shared } from "./dataWorkers.ts";
import { loadRecorded } from "./loadCases.ts";

const port = parentPort!;
let sampler: PatchSampler | null = null;
let last = Promise.resolve(); // requests are answered in order

port.on("message", (request: DataRequest) => {
  last = last.then(() => answer(request));
});

async function answer(request: DataRequest): Promise<void> {
  try {
    switch (request.type) {
      case "load": {
        const { prepared, ...rest } = await loadRecorded(request.reading, request.files);
        return reply({ answer: { prepared: shared(prepared), ...rest } });
      }
      case "train":
        sampler = new PatchSampler(request.cases, request.options);
        return reply({ answer: null });
      case "batch": {
        const batch = sampler!.batch(request.number);
        return reply({ answer: batch }, [batch.images.buffer, batch.label.buffer]);
      }
    }
  } catch (error) {
    const { name, message } = error as Error;
    reply({ error: { name, message, ...(error instanceof DataError && { problems: [...error.problems] }) } });
  }
}

function reply(message: DataAnswer, moved: ArrayBuffer[] = []): void {
  port.postMessage(message, moved);
}
