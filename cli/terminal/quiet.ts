// Drivers write to the standard error of the process behind Node's back. Two warnings of Dawn and a complaint
// of Mesa are harmless and come with every software adapter: they are hidden by pointing descriptor 2 at a
// file for the length of one synchronous call. All other lines are passed on.

import { spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isatty } from "node:tty";

/** Lines that no user could act on, or that the command reports in better words (no driver). */
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
 * first. Nothing is hidden where standard error is a socket, as below another Node process: it cannot be
 * opened again.
 */
export function quietly<T>(f: () => T): T {
  const folder = canReopen() ? temporaryFolder() : null;
  if (folder === null) return f();
  const path = join(folder, "stderr");
  const before = reopen(2);
  try {
    if (before === null) return f();
    closeSync(openSync(path, "w")); // here, where it may fail: below, descriptor 2 is closed
    closeSync(2);
    openSync(path, "a"); // takes the lowest free descriptor: 2
    try {
      return f();
    } finally {
      closeSync(2);
      reopen(before);
      for (const line of audible(readFileSync(path, "utf8"))) pass(line);
    }
  } finally {
    if (before !== null) closeSync(before);
    rmSync(folder, { recursive: true });
  }
}

/** Prints a line on standard error, if it still has a reader. */
function pass(line: string): void {
  try {
    writeSync(2, `${line}\n`);
  } catch {
    // as in outliveReaders()
  }
}

/**
 * Resolves when no file is being opened in the background: that could take descriptor 2 between its closing
 * and its opening. It waits for a second at most: a longer read is past its opening.
 */
export async function filesAtRest(): Promise<void> {
  const end = Date.now() + 1000;
  while (process.getActiveResourcesInfo().some((name) => name.startsWith("FSReq")) && Date.now() < end) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** True if descriptor 2 can be opened again: for a terminal, a pipe, or a file to which writes append. */
function canReopen(): boolean {
  if (process.platform !== "linux") return false;
  const kind = fstatSync(2);
  return isatty(2) || kind.isFIFO() || (kind.isFile() && appends());
}

/**
 * Makes every write to the file at descriptor 2 append. Opened again it has a position of its own, so that
 * whoever shares it (`> log 2>&1`, the lines after this command in a script) would otherwise overwrite what
 * stands there. Node cannot change the flags of an open file; dd does, of the output that it inherits.
 */
function appends(): boolean {
  if (!isAppending())
    spawnSync("dd", ["if=/dev/null", "oflag=append", "status=none"], { stdio: ["ignore", 2, "ignore"] });
  return isAppending();
}

function isAppending(): boolean {
  try {
    const flags = /^flags:\s*(\d+)$/m.exec(readFileSync("/proc/self/fdinfo/2", "utf8"))?.[1] ?? "0";
    return (parseInt(flags, 8) & constants.O_APPEND) !== 0;
  } catch {
    return false; // no such /proc
  }
}

function reopen(descriptor: number): number | null {
  try {
    return openSync(
      `/proc/self/fd/${descriptor}`,
      constants.O_WRONLY | constants.O_APPEND | constants.O_NOCTTY,
    );
  } catch {
    return null;
  }
}

function temporaryFolder(): string | null {
  try {
    return mkdtempSync(join(tmpdir(), "protokd-stderr-"));
  } catch {
    return null;
  }
}
