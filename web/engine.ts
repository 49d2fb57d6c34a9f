// The page's end of the worker.

import { type Remote, wrap } from "comlink";
import { READY } from "./protocol.ts";
import type { Engine } from "./worker.ts";

/** The worker, once it hears. Rejects where it cannot start. */
export async function startEngine(): Promise<Remote<Engine>> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "engine" });
  await new Promise<void>((resolve, reject) => {
    worker.addEventListener("message", (event) => event.data === READY && resolve(), { once: true });
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      reject(
        new Error(`the worker could not be started: ${event.message || "is a file of the page missing?"}`),
      );
    });
  });
  return wrap<Engine>(worker);
}
