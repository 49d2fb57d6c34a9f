// The worker's side: offers an API to the page.

import { expose } from "comlink";
import { READY } from "./protocol.ts";

/** Offers an API to the page and sends READY: earlier messages are lost while modules wait for shaders. */
export function offer<T extends Record<string, (...args: never[]) => unknown>>(api: T): void {
  expose(withKinds(api));
  postMessage(READY);
}

/** Puts the kind of an error into its name: only the name crosses to the page. */
function withKinds<T extends Record<string, (...args: never[]) => unknown>>(api: T): T {
  const wrapped = Object.entries(api).map(([name, call]) => {
    const guarded = async (...args: never[]) => {
      try {
        return await call(...args);
      } catch (error) {
        if (error instanceof Error && "kind" in error)
          Object.defineProperty(error, "name", { value: `${error.name} ${String(error.kind)}` });
        throw error;
      }
    };
    return [name, guarded] as const;
  });
  return Object.fromEntries(wrapped) as unknown as T;
}
