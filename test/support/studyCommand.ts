// Commands that run to their end, or are killed as soon as their output is of interest.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

/** Runs a command of cli/; kills it as by kill -9 as soon as `kill` is true of its output so far. */
export async function runCli(
  name: string,
  flags: readonly string[],
  kill: (output: string) => boolean = () => false,
): Promise<Ended> {
  const script = fileURLToPath(new URL(`../../cli/${name}.js`, import.meta.url));
  const child = spawn(process.execPath, [script, ...flags], {
    env: { ...process.env, PROTOKD_TUNING: "off" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data: Buffer) => {
      output += data.toString();
      if (kill(output)) child.kill("SIGKILL");
    });
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, output };
}
