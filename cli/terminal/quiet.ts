// Drivers write to the standard error of the process behind Node's back. Two warnings of Dawn and a
// complaint of Mesa are harmless and come with every software adapter: they are kept from users here,
// by pointing descriptor 2 at a file for the length of one synchronous call. All else is passed on.

import { closeSync, constants, fstatSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isatty } from "node:tty";

/** What says nothing that a user could act on, or what the caller says better (no driver). */
const harmless = [
  /artificially reduced from \d+ to \d+/,
  /XDG_RUNTIME_DIR is invalid or not set/,
  /vkCreateInstance: Found no drivers/,
  /vkCreateInstance failed with VK_ERROR_INCOMPATIBLE_DRIVER/,
  /Couldn.t load Vulkan: libvulkan/,
  /^\s+at .*\(.*dawn\/native\/vulkan\/\w+\.cpp:\d+\)$/,
  /^\s*$/,
];

/** The lines of `text` that a user should see. */
export function audible(text: string): string[] {
  return text.split("\n").filter((line) => !harmless.some((pattern) => pattern.test(line)));
}

/**
 * Runs `f`, which must be synchronous, without the harmless lines on standard error; await filesAtRest()
 * first. Where descriptor 2 cannot be opened a second time (a socket), or sharing its position matters
 * (a file), nothing is hidden.
 */
export function quietly<T>(f: () => T): T {
  if (process.platform !== "linux" || !(isatty(2) || fstatSync(2).isFIFO())) return f();
  const path = join(tmpdir(), `protokd-stderr-${process.pid}`);
  const before = reopen(2);
  if (before === null) return f();
  try {
    closeSync(2);
    openSync(path, "wx"); // takes the lowest free descriptor: 2
    return f();
  } finally {
    closeSync(2);
    reopen(before);
    closeSync(before);
    for (const line of audible(readFileSync(path, "utf8"))) writeSync(2, `${line}\n`);
    rmSync(path);
  }
}

/**
 * Resolves when no file is being opened in the background: that could take descriptor 2 between its
 * closing and its opening. It waits for a second at most; whoever reads on and on is past opening.
 */
export async function filesAtRest(): Promise<void> {
  const end = Date.now() + 1000;
  while (process.getActiveResourcesInfo().some((name) => name.startsWith("FSReq")) && Date.now() < end) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function reopen(descriptor: number): number | null {
  try {
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NOCTTY);
  } catch {
    return null;
  }
}
