// The other engines are packages of bench/peers/package.json, which nobody else needs installed.

import { createRequire } from "node:module";
import { gpu } from "../../cli/device/gpu.ts";
import { Unsupported } from "./engine.ts";

/** A package of bench/peers, with its version. Throws an Unsupported that says how to install it. */
export function installed(name: string): { module: unknown; version: string } {
  const require = createRequire(new URL("./package.json", import.meta.url));
  // They look for WebGPU where a browser has it.
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
