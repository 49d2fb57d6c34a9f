// npm run crashes [scene ...]: kills a command before, within and after every operation on its files, or lets
// that operation fail, resumes it, and compares all files with those of a run that nothing disturbed.
//
//   npm run crashes -- --every 10              every tenth operation
//   npm run crashes -- predict --minutes 20    of one scene, until the time is up
//   npm run crashes -- teacher --fault ENOSPC --only 31     one operation again
//
// Exits with 1 if anything was lost, differs, or ended with an exit code that is not documented.

import { rmSync } from "node:fs";
import { basename, join } from "node:path";
import { Command } from "commander";
import * as assert from "uvu/assert";
import { isMain, runCommand } from "../cli/terminal/command.ts";
import { UsageError } from "../model/settings/errors.ts";
import { type Scene, SCENES } from "./fuzz/scenes.ts";
import { folder, makeData } from "./support/killing.ts";

interface Flags {
  every: string;
  minutes?: string;
  fault?: string;
  only?: string;
}

/** A disturbance of an operation: the process is killed there, or the operation throws the system's error. */
const FAULTS = ["before", "within", "after", "ENOSPC", "EIO", "EROFS", "EMFILE"] as const;
export type Fault = (typeof FAULTS)[number];

/** These fail where files are read, too. */
const READING: ReadonlySet<Fault> = new Set(["EIO", "EMFILE"]);

/** Exit codes of a command whose files cannot be read or written. */
const DOCUMENTED = new Set([0, 2, 3, 6, 75]);

const MOST_RESUMES = 3; // of a run that was disturbed once

async function main({ every, minutes, fault, only }: Flags): Promise<void> {
  const names = command.args.length ? command.args : Object.keys(SCENES);
  const unknown = names.filter((name) => !Object.hasOwn(SCENES, name));
  if (unknown.length) throw new UsageError(`${unknown.join()}: expected ${Object.keys(SCENES).join(", ")}`);
  const kinds = FAULTS.filter((kind) => fault === undefined || kind === fault);
  if (!kinds.length) throw new UsageError(`--fault: expected one of ${FAULTS.join(", ")}, got ${fault}`);
  const plan: Plan = {
    kinds,
    first: only === undefined ? 1 : counting("--only", only),
    step: only === undefined ? counting("--every", every) : Infinity,
    seconds: minutes === undefined ? Infinity : (60 * counting("--minutes", minutes)) / names.length,
  };
  await makeData();
  let faults = 0;
  try {
    for (const name of names) faults += await disturb(name, SCENES[name]!, plan);
  } finally {
    rmSync(folder, { recursive: true });
  }
  if (faults) process.exitCode = 1;
}

interface Plan {
  kinds: readonly Fault[];
  /** The first operation that is disturbed, and the distance to the next. */
  first: number;
  step: number;
  /** Seconds for each scene. */
  seconds: number;
}

/** Disturbs a scene at one operation after another, and returns the number of faults. */
async function disturb(name: string, scene: Scene, { kinds, first, step, seconds }: Plan): Promise<number> {
  await scene.prepare?.();
  const undisturbed = `${name} undisturbed`;
  const trials: { kind: Fault; at: number }[] = [];
  for (const reading of [false, true]) {
    const run = `${undisturbed}${reading ? ", reads counted" : ""}`;
    const { code, output } = await scene.start(run, environment("before", 0, reading));
    if (code !== 0) throw new Error(`${run}: ${output}`);
    const operations = Number(/OPERATIONS (\d+)/.exec(output)![1]);
    console.log(`${run}: ${operations} operations on files`);
    for (let at = first; at <= operations; at += step)
      for (const kind of kinds) if (READING.has(kind) === reading) trials.push({ kind, at });
  }
  const expected = scene.result(undisturbed);
  const end = performance.now() + 1000 * seconds;
  let [done, resumed, faults] = [0, 0, 0];
  for (const { kind, at } of trials) {
    if (performance.now() > end) break;
    const run = `${name} ${kind} ${at}`;
    const { problem, resumes } = await trial(scene, run, kind, at, expected);
    rmSync(join(folder, run), { recursive: true, force: true });
    done++;
    resumed += resumes;
    if (problem === null) continue;
    faults++;
    console.log(`node test/crashes.js ${name} --fault ${kind} --only ${at}\n${problem.trimEnd()}`);
  }
  console.log(`${name}: ${done} of ${trials.length} disturbed, ${resumed} times resumed, ${faults} faults`);
  return faults;
}

/** Disturbs a run once, resumes it to its end, and compares its files. `problem` is null if all is well. */
export async function trial(
  scene: Scene,
  run: string,
  kind: Fault,
  at: number,
  expected: unknown,
): Promise<{ problem: string | null; resumes: number }> {
  let outcome = await scene.start(run, environment(kind, at, READING.has(kind)));
  const said = [outcome.output];
  let resumes = 0;
  for (; outcome.code !== 0 && resumes < MOST_RESUMES; resumes++) {
    const { code, output } = outcome;
    if (code !== null && !DOCUMENTED.has(code))
      return { problem: `exit code ${code}\n${said.join("\n")}`, resumes };
    outcome = /no training state to resume/.test(output) ? await scene.start(run) : await scene.resume(run);
    said.push(outcome.output);
  }
  if (outcome.code !== 0) return { problem: `cannot be resumed\n${said.join("\n")}`, resumes };
  try {
    assert.equal(scene.result(run), expected);
    return { problem: null, resumes };
  } catch (error) {
    return { problem: `${(error as Error).message}\n${said.join("\n")}`, resumes };
  }
}

/** The environment of a command that is disturbed: all files of the data and the run count. */
function environment(kind: Fault, at: number, reading: boolean): Record<string, string> {
  const counted = { FAULT: kind, FAULT_AT: String(at), FAULT_PATHS: basename(folder) };
  return { ...counted, ...(reading && { FAULT_READS: "1" }) };
}

/** A whole number of at least 1. Throws a UsageError. */
function counting(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new UsageError(`${flag}: expected a whole number of at least 1, got ${text}`);
  return value;
}

const command = new Command("crashes")
  .description("Kills commands at every operation on their files, resumes them, and compares the results")
  .argument("[scene...]", `${Object.keys(SCENES).join(", ")} (default: all)`)
  .option("--every <n>", "every nth operation", "1")
  .option("--minutes <n>", "stop after so many minutes")
  .option("--fault <kind>", `one of ${FAULTS.join(", ")} (default: all)`)
  .option("--only <n>", "one operation alone");

if (isMain(import.meta.url)) process.exitCode = await runCommand<Flags>(command, main);
