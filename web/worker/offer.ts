// The worker's end: what it offers to the page.

import { expose } from "comlink";
import { READY } from "./protocol.ts";

/** Offers an api to the page, and says so: what the page sends before is lost, since modules wait for their shaders. */
export function offer<T extends Record<string, (...args: never[]) => unknown>>(api: T): void {
  expose(withKinds(api));
  postMessage(READY);
}

/** An Error crosses to the page with its name, but not with its kind: the name takes it along. */
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
