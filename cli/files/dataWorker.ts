// The thread of a DataWorker: reads cases and makes batches.

import { parentPort } from "node:worker_threads";
import { DataError } from "../../data/errors.ts";
import { PatchSampler } from "../../data/sampling/patches.ts";
import type { DataAnswer, DataRequest } from "./dataWorkers.ts";
import { firstRead, readAgain, suppliedCase } from "./loadCases.ts";
import { Room } from "./room.ts";

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
        const { room, ...cache } = request.cache;
        const found = await firstRead(request.reading, request.files, { ...cache, room: new Room(room) });
        return reply({ answer: found });
      }
      case "read": {
        const found = await readAgain(request.recorded);
        const buffers = [found.images.buffer, ...(found.label ? [found.label.buffer] : [])];
        return reply({ answer: found }, [...new Set(buffers)] as ArrayBuffer[]);
      }
      case "train":
        sampler = new PatchSampler(
          request.cases.map((kept) => suppliedCase(kept)),
          request.options,
        );
        return reply({ answer: null });
      case "batch": {
        const batch = await sampler!.batch(request.number);
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
