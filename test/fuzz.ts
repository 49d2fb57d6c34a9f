// npm run fuzz [kind ...]: feeds damaged files to everything that reads files from elsewhere. Each must be
// read, or be refused by one of the project's own errors that names it, in bounded memory and time.
//
//   npm run fuzz -- --runs 100000 nifti     so many damaged scans
//   npm run fuzz -- --minutes 10            of every kind in turn, until the time is up
//   npm run fuzz -- nifti --seed 7 --only 1234   one file again, which is then kept
//
// Exits with 1 if a file was read wrongly, and prints the command that repeats it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { isMain, runCommand } from "../cli/terminal/command.ts";
import { Random } from "../engine/index.ts";
import { UsageError } from "../model/settings/errors.ts";
import { faultOf } from "./fuzz/faults.ts";
import { place, type Target, TARGETS } from "./fuzz/targets.ts";
import { folder as made } from "./support/killing.ts";

interface Flags {
  runs: string;
  minutes?: string;
  seed: string;
  only?: string;
}

const SHOWN = 20; // faults of a kind that are printed

async function main({ runs, minutes, seed, only }: Flags): Promise<void> {
  const kinds = command.args.length ? command.args : Object.keys(TARGETS);
  const unknown = kinds.filter((kind) => !Object.hasOwn(TARGETS, kind));
  if (unknown.length)
    throw new UsageError(`${unknown.join(", ")}: expected kinds of ${Object.keys(TARGETS).join(", ")}`);
  const plan: Plan = {
    seed: whole("--seed", seed),
    first: only === undefined ? 0 : whole("--only", only),
    runs: only === undefined ? whole("--runs", runs) : 1,
    seconds: minutes === undefined ? Infinity : (60 * whole("--minutes", minutes)) / kinds.length,
    kept: only !== undefined,
  };
  if (minutes !== undefined && only === undefined) plan.runs = Infinity;
  let faults = 0;
  try {
    for (const kind of kinds) faults += await fuzz(kind, TARGETS[kind]!, plan);
  } finally {
    rmSync(made, { recursive: true });
  }
  if (faults) process.exitCode = 1;
}

export interface Plan {
  seed: number;
  /** The index of the first file, and the number of files. */
  first: number;
  runs: number;
  /** Seconds for each kind. */
  seconds: number;
  /** True if the last file is kept. */
  kept: boolean;
}

/** Reads damaged files of a kind, and returns the number of faults. */
export async function fuzz(
  kind: string,
  target: Target,
  { seed, first, runs, seconds, kept }: Plan,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "fuzz-"));
  const samples = await target.samples();
  const end = performance.now() + 1000 * seconds;
  const counts = { read: 0, refused: 0, faults: 0 };
  let path = "";
  for (let i = first; i < first + runs && performance.now() < end; i++) {
    const { file, bytes } = await target.damage(new Random(seed * 2 ** 32 + i), samples);
    path = target.onDisk || kept ? place(folder, file, bytes) : join(folder, file);
    const { fault, refused } = await faultOf(target, bytes, path);
    counts[refused ? "refused" : "read"]++;
    if (fault === null) continue;
    if (++counts.faults <= SHOWN)
      console.log(
        `node test/fuzz.js ${kind} --seed ${seed} --only ${i}\n  ${fault.replaceAll("\n", "\n  ")}`,
      );
  }
  const { read, refused, faults } = counts;
  console.log(`${kind}: ${read + refused} damaged files: ${read} read, ${refused} refused, ${faults} faults`);
  if (kept) console.log(`the file: ${path}`);
  else rmSync(folder, { recursive: true });
  return faults;
}

/** A whole number of at least 0. Throws a UsageError. */
function whole(flag: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value >= 2 ** 20 * 1000)
    throw new UsageError(`${flag}: expected a whole number, got ${text}`);
  return value;
}

const command = new Command("fuzz")
  .description("Feeds damaged files to everything that reads files from elsewhere")
  .argument("[kind...]", `kinds of files: ${Object.keys(TARGETS).join(", ")} (default: all)`)
  .option("--runs <n>", "damaged files of each kind", "2000")
  .option("--minutes <n>", "go on for so many minutes instead")
  .option("--seed <n>", "seed of the damage", "1")
  .option("--only <i>", "one file alone, which is kept");

if (isMain(import.meta.url)) process.exitCode = await runCommand<Flags>(command, main);
