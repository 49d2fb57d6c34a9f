// The page's end of the worker.

import { type Remote, wrap } from "comlink";
import { READY } from "./protocol.ts";
import type { Engine } from "./worker.ts";

/** The worker of the page. Rejects where it cannot start. */
export function startEngine(): Promise<Remote<Engine>> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "engine" });
  return connect<Engine>(worker);
}

/** What a worker offers, once it hears. */
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

/** Why there is no GPU, as an error to show. */
export function unsupported(why: string): Error {
  return Object.assign(new Error(why), { name: "GpuError unsupported" });
}
