// The page's side of the worker.

import { type Remote, wrap } from "comlink";
import { READY } from "./protocol.ts";
import type { Engine } from "./worker.ts";

/** Starts the page's worker; rejects if it cannot start. */
export function startEngine(): Promise<Remote<Engine>> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "engine" });
  return connect<Engine>(worker);
}

/** The API of a worker, once it listens. */
export async function connect<Api>(worker: Worker): Promise<Remote<Api>> {
  await new Promise<void>((resolve, reject) => {
    worker.addEventListener("message", (event) => event.data === READY && resolve(), { once: true });
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      reject(
        new Error(`the worker could not be started: ${event.message || "is a file of the page missing?"}`),
      );
    });
  });
  return wrap<Api>(worker);
}

/** An error to show for a missing GPU. */
export function unsupported(why: string): Error {
  return Object.assign(new Error(why), { name: "GpuError unsupported" });
}
