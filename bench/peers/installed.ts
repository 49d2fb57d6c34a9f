// Loads the other engines: packages of bench/peers/package.json, which only this benchmark needs.

import { createRequire } from "node:module";
import { gpu } from "../../cli/device/gpu.ts";
import { Unsupported } from "./engine.ts";

/** Loads a package of bench/peers. Throws an Unsupported that tells how to install it. */
export function installed(name: string): { module: unknown; version: string } {
  const require = createRequire(new URL("./package.json", import.meta.url));
  // They look for WebGPU in navigator.gpu, as in a browser.
  Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "node" }, configurable: true });
  try {
    const module: unknown = require(name);
    return { module, version: versionOf(name) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const missing = code === "MODULE_NOT_FOUND" && message.includes(name);
    throw new Unsupported(
      missing ? `not installed: npm ci --prefix bench/peers` : `does not load: ${message}`,
    );
  }
}

function versionOf(name: string): string {
  const { dependencies } = createRequire(import.meta.url)("./package.json") as {
    dependencies: Record<string, string>;
  };
  return dependencies[name] ?? "unknown";
}
