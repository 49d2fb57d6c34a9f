// Runs a command as a user does, without a terminal.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { audible } from "../../cli/terminal/quiet.ts";

/** Runs cli/<name>.js; `stderr` lacks the drivers' harmless lines, which a socket shows. */
export function run(
  name: string,
  ...flags: readonly string[]
): { status: number | null; stdout: string; stderr: string } {
  const script = fileURLToPath(new URL(`../../cli/${name}.js`, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...flags], {
    encoding: "utf8",
    env: { ...process.env, PROTOKD_TUNING: "off" },
  });
  return { status, stdout, stderr: audible(stderr).join("\n") };
}
