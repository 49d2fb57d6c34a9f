// Commands that are killed, stopped, or run out of disk at a chosen moment (faultyFiles.ts), on a phantom in
// their folder.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { TRANSLATIONS } from "../../cli/prediction/translationFiles.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";

export const folder = mkdtempSync(join(tmpdir(), "killed-"));

export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

/** Is called with the output so far, and may send a signal, or stop reading: then both pipes are closed. */
export type Watch = (output: string, kill: (signal: NodeJS.Signals) => void, leave: () => void) => void;

/** Trains. */
export function train(
  run: string,
  flags: string[],
  env?: Record<string, string>,
  watch?: Watch,
): Promise<Outcome> {
  const least = ["--patch", "16", "--levels", "2", "--filters", "2", "--batch", "1", "--workers", "0"];
  const places = ["--data", join(folder, "data"), "--split", join(folder, "split.json")];
  return command("train", [...places, "--out", join(folder, run, "out"), ...least, ...flags], env, watch);
}

/** Runs a command; `watch` is called with its output so far. */
export async function command(
  name: string,
  flags: string[],
  env: Record<string, string> = {},
  watch: Watch = () => undefined,
): Promise<Outcome> {
  const script = fileURLToPath(new URL(`../../cli/${name}.js`, import.meta.url));
  const child = spawn(
    process.execPath,
    ["--import", new URL("faultyFiles.js", import.meta.url).href, script, ...flags],
    { env: { ...process.env, PROTOKD_TUNING: "off", ...env } },
  );
  let output = "";
  const streams = [child.stdout, child.stderr];
  for (const stream of streams) {
    stream.on("data", (data: Buffer) => {
      output += data.toString();
      watch(
        output,
        (signal) => child.kill(signal),
        () => streams.forEach((one) => one.destroy()),
      );
    });
  }
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, output };
}

export const text = (run: string, stage: string, file: string) =>
  readFileSync(join(folder, run, "out", stage, file), "utf8");

/** The files of a stage, without what may differ between two runs: times and memory. */
export function result(run: string, stage: string) {
  const tensors = (file: string) =>
    decodeSafetensors(readFileSync(join(folder, run, "out", stage, file)), file).tensors;
  const lines = text(run, stage, FILES.metrics).trim().split("\n");
  const files = readdirSync(join(folder, run, "out", stage)).sort();
  const isScored = files.includes(FILES.summary);
  return {
    latest: tensors(FILES.latest),
    best: tensors(FILES.best),
    epochs: lines.map((line) => ({ ...(JSON.parse(line) as object), seconds: 0, waited: 0, gpuBytes: 0 })),
    summary: (isScored ? text(run, stage, FILES.summary) : "")
      .replaceAll(join(folder, run), "RUN")
      .replace(/"seconds[^\n]*/g, ""),
    translations: files.includes(TRANSLATIONS.json) ? text(run, stage, TRANSLATIONS.json) : "",
    files,
  };
}

/** Makes the data that train() uses. */
export async function makeData(): Promise<void> {
  await makePhantom({ out: join(folder, "data"), cases: 4, size: 24, seed: 5 });
  const split = { train: ["PHANTOM_001", "PHANTOM_002"], val: ["PHANTOM_003"], test: ["PHANTOM_004"] };
  writeFileSync(join(folder, "split.json"), JSON.stringify(split));
}
