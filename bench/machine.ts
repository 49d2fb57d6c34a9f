// Describes the machine of a measurement.

import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { dawnToggles, defaultToggles, describe, type Toggles } from "../cli/device/gpu.ts";

export interface Machine {
  adapter: string;
  toggles: { mode: Toggles; enabled: readonly string[] };
  processor: string;
  node: string;
  /** The commit, with a + if the tree has uncommitted changes; null outside a repository. */
  commit: string | null;
}

/** This machine, with a device's adapter. */
export function thisMachine(adapter: GPUAdapter): Machine {
  return {
    adapter: describe(adapter.info),
    toggles: { mode: defaultToggles, enabled: dawnToggles[defaultToggles] },
    processor: `${cpus().length} x ${cpus()[0]?.model ?? "unknown"}`,
    node: process.version,
    commit: commit(),
  };
}

/** One line for the terminal. */
export function machineText({ adapter, toggles, processor, node, commit }: Machine): string {
  return `${adapter}, toggles ${toggles.mode}; ${processor}; Node ${node}; commit ${commit ?? "unknown"}`;
}

function commit(): string | null {
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
    return git("rev-parse", "--short", "HEAD") + (changed ? "+" : "");
  } catch {
    return null; // an unpacked archive, or no git
  }
}

function git(...options: string[]): string {
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  return execFileSync("git", options, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
}
