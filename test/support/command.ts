// Runs a command as a user does, without a terminal.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { audible } from "../../cli/terminal/quiet.ts";

/** Runs cli/<name>.js; `stderr` lacks the drivers' harmless lines, which a socket shows. */
export function run(
  name: string,
  ...flags: readonly string[]
): { status: number | null; stdout: string; stderr: string } {
  return start([process.execPath, scriptOf(name), ...flags]);
}

/**
 * Runs cli/<name>.js as a user who may not read and write everything: this one, or another one for root.
 * `status` is null if root has no setpriv.
 */
export function runAsUser(name: string, ...flags: readonly string[]): ReturnType<typeof run> {
  const command = [process.execPath, scriptOf(name), ...flags];
  const user = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"];
  return start(process.getuid?.() === 0 ? [...user, ...command] : command);
}

function scriptOf(name: string): string {
  return fileURLToPath(new URL(`../../cli/${name}.js`, import.meta.url));
}

function start(command: readonly string[]): ReturnType<typeof run> {
  const [program, ...words] = command;
  const { status, stdout, stderr } = spawnSync(program!, words, {
    encoding: "utf8",
    env: { ...process.env, PROTOKD_TUNING: "off" },
  });
  return { status, stdout, stderr: audible(stderr ?? "").join("\n") };
}
