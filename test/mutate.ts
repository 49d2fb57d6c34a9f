// npm run mutate [name ...]: tests the tests. It makes small wrong versions of every shader and op, with a
// flipped sign, a bound that is off by one or a missing barrier, and runs the engine's tests on each until
// one fails. A version that
// passes all tests survives: a test is missing, or the version computes the same, for a reason in
// survivors.json.
//
//   npm run mutate -- conv3d tape      only files with these names or paths
//   npm run mutate -- --sample 5       five versions of every file, always the same
//
// Exits with 1 where a version survives without a reason, or one with a reason no longer survives.

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { Command } from "commander";
import { isMain, runCommand } from "../cli/terminal/command.ts";
import { UsageError } from "../model/settings/errors.ts";
import { Random } from "../engine/autograd/random.ts";
import type { Mutation } from "./mutate/mutation.ts";
import { onLanes, type Outcome } from "./mutate/pool.ts";
import { mutateScript } from "./mutate/script.ts";
import { makeShadow, root, testFiles } from "./mutate/shadow.ts";
import { mutateShader } from "./mutate/wgsl.ts";
import type { Mutant, Recorded } from "./mutate/worker.ts";

interface Flags {
  sample?: string;
  jobs: string;
}

/** The most tests of other ops that a shader's mutant has to pass. */
const ENOUGH = 24;

/**
 * Mutants that no test can tell from the original, by file: function, line and change of each, with a reason.
 */
type Survivors = readonly {
  reason: string;
  /** True where threads race, so that the mutant survives only by chance. */
  chance?: boolean;
  mutants: Record<string, [where: string, line: string, change: string][]>;
}[];

async function main({ sample, jobs }: Flags): Promise<void> {
  const mutants = choose(command.args, sample === undefined ? Infinity : positive("--sample", sample)).map(
    (mutation, id): Mutant => ({ ...mutation, id }),
  );
  const { folder, parent } = makeShadow(mutants);
  process.on("exit", () => rmSync(parent, { recursive: true, force: true }));
  const lanes = { folder, lanes: positive("--jobs", jobs) };
  try {
    const recorded = (await onLanes(lanes, testFiles(), (lane, file) => lane.record(file))).flat();
    const failing = recorded.filter(({ failure }) => failure);
    for (const { file, title, failure } of failing) console.error(`${file}: ${title}: ${failure}`);
    if (failing.length)
      throw new Error(`mutate: ${failing.length} tests fail without a mutant: fix them first`);
    console.log(`${mutants.length} mutants, ${recorded.length} tests`);
    const killers = new Map<string, string>(); // the tests that killed the last mutant of each function
    const verdicts = await onLanes(lanes, mutants, async (lane, mutant) => {
      const place = `${mutant.file} ${mutant.where}`;
      const tests = testsOf(mutant, mutants, recorded, killers.get(place));
      const { outcome, by } = tests.length
        ? await lane.try(mutant, tests)
        : { outcome: "survived" as const, by: null };
      if (by) killers.set(place, keyOf(by));
      if (outcome === "survived") console.log(`survived: ${mutant.file}:${mutant.line}: ${mutant.change}`);
      return outcome;
    });
    report(mutants, verdicts, sample === undefined);
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** The mutants of the files with these names, or of all files; at most `sample` of a file. */
function choose(names: readonly string[], sample: number): Mutation[] {
  const list = (folder: string, ending: string) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(ending))
      .sort()
      .map((name) => `${folder}/${name}`);
  const modules = [
    "autograd/tape",
    "convolution/convolution",
    "convolution/families",
    "convolution/geometry",
    "convolution/halving",
    "convolution/plain",
    "convolution/row",
    "convolution/same",
    "ops/common/labels",
    "ops/common/product",
    "optim/optimizers",
  ].map((name) => `engine/${name}.ts`);
  const files = [...list("shaders", ".wgsl"), ...list("engine/ops", ".ts"), ...modules];
  const known = new Set([...files.map(nameOf), ...files]);
  for (const name of names) {
    if (!known.has(name))
      throw new UsageError(
        `mutate: no shader, op or engine module is named ${name}: ` +
          `there are ${[...new Set(files.map(nameOf))].join(", ")}`,
      );
  }
  return files
    .filter((file) => names.length === 0 || names.includes(nameOf(file)) || names.includes(file))
    .flatMap((file) => {
      const code = readFileSync(join(root, file), "utf8");
      const all = file.endsWith(".wgsl") ? mutateShader(file, code) : mutateScript(file, code);
      if (all.length <= sample) return all;
      const picked = new Set(new Random(1).shuffle([...all.keys()]).slice(0, sample));
      return all.filter((_, i) => picked.has(i));
    });
}

/**
 * The tests that run the code of a mutant, those first whose pipelines take least to compile again; the test
 * that killed the last mutant there comes second.
 */
function testsOf(
  { id, file, where }: Mutant,
  mutants: readonly Mutant[],
  recorded: readonly Recorded[],
  killer?: string,
): Recorded[] {
  const isShader = file.endsWith(".wgsl");
  const entry = `${basename(file)}/${where} `; // or the name of a function that several entry points call
  const isEntry = recorded.some(({ pipelines }) => pipelines.some((label) => label.startsWith(entry)));
  const changed = isEntry ? entry : `${basename(file)}/`;
  const siblings = new Set(mutants.filter((mutant) => mutant.file === file).map((mutant) => mutant.id));
  const runs = ({ pipelines, reached }: Recorded) => {
    if (isShader) return pipelines.some((label) => label.startsWith(changed));
    return where === "static" ? reached.some((other) => siblings.has(other)) : reached.includes(id);
  };
  const costs = costsOf(recorded);
  const cost = ({ pipelines }: Recorded) =>
    pipelines.filter((label) => label.startsWith(changed)).reduce((sum, label) => sum + costs.get(label)!, 0);
  const times = new Map<string, number>();
  const isNews = ({ title, pipelines }: Recorded) => {
    const labels = pipelines.filter((label) => label.startsWith(changed));
    for (const label of labels) times.set(label, (times.get(label) ?? 0) + 1);
    return (
      !isShader ||
      title.startsWith(`${nameOf(file)}, `) ||
      labels.some((label) => times.get(label)! <= ENOUGH)
    );
  };
  const tests = recorded
    .filter(runs)
    .sort((a, b) => cost(a) - cost(b) || a.milliseconds - b.milliseconds)
    .filter(isNews);
  const last = tests.findIndex((test) => keyOf(test) === killer);
  if (last > 1) tests.splice(1, 0, ...tests.splice(last, 1));
  return tests;
}

/**
 * An upper bound for the compilation of each pipeline, in milliseconds: the time of the first test that ran
 * it.
 */
function costsOf(recorded: readonly Recorded[]): Map<string, number> {
  const costs = new Map<string, number>();
  for (const { pipelines, compiled, milliseconds } of recorded) {
    for (const label of pipelines) costs.set(label, costs.get(label) ?? 0);
    for (const label of compiled) {
      costs.set(label, Math.max(costs.get(label) ?? 0, milliseconds / compiled.length));
    }
  }
  return costs;
}

/** The name of a file: conv3d for shaders/conv3d.wgsl and engine/ops/conv3d.ts. */
function nameOf(file: string): string {
  return basename(file).replace(/\..*$/, "");
}

function keyOf({ file, index }: { file: string; index: number }): string {
  return `${file} ${index}`;
}

/** Prints the table by file and the mutants that need a test or a reason. */
function report(mutants: readonly Mutant[], verdicts: readonly Outcome[], whole: boolean): void {
  const survivors = JSON.parse(
    readFileSync(new URL("mutate/survivors.json", import.meta.url), "utf8"),
  ) as Survivors;
  const reasons = new Map<string, { chance: boolean }>();
  for (const { chance = false, mutants } of survivors)
    for (const [file, list] of Object.entries(mutants))
      for (const place of list) reasons.set([file, ...place].join("\n"), { chance });
  const keyOfMutant = ({ file, where, source, change }: Mutation) => [file, where, source, change].join("\n");

  const files = [...new Set(mutants.map(({ file }) => file))];
  const columns = ["killed", "invalid", "timed out", "with a reason", "survived"];
  const width = Math.max(...files.map((file) => file.length));
  const row = (name: string, cells: readonly (string | number)[]) =>
    console.log(name.padEnd(width) + cells.map((cell) => String(cell).padStart(15)).join(""));
  const count = (list: readonly number[]) => {
    const counts = columns.map(() => 0);
    for (const i of list) {
      const explained = verdicts[i] === "survived" && reasons.has(keyOfMutant(mutants[i]!));
      counts[columns.indexOf(explained ? "with a reason" : verdicts[i]!)]!++;
    }
    return counts;
  };
  row("", columns);
  for (const file of files) row(file, count([...mutants.keys()].filter((i) => mutants[i]!.file === file)));
  row("all", count([...mutants.keys()]));

  const survived = mutants.filter((_, i) => verdicts[i] === "survived");
  const unexplained = survived.filter((mutant) => !reasons.has(keyOfMutant(mutant)));
  const keys = new Set(survived.map(keyOfMutant));
  const gone = [...reasons].filter(([key, { chance }]) => {
    return whole && !chance && files.includes(key.split("\n")[0]!) && !keys.has(key);
  });
  if (unexplained.length) console.log("\nsurvived without a reason in test/mutate/survivors.json:");
  for (const { file, line, where, source, change } of unexplained)
    console.log(`  ${file}:${line}: ${JSON.stringify([where, source, change])}`);
  if (gone.length) console.log("\nin test/mutate/survivors.json, but does not survive:");
  for (const [key] of gone) console.log(`  ${key.replace(/\n/g, "  |  ")}`);
  if (unexplained.length || gone.length) process.exitCode = 1;
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new UsageError(`${option}: expected a whole number from 1, got ${text}`);
  return value;
}

const command = new Command("mutate")
  .description("Runs the engine's tests on small wrong versions of every shader and op.")
  .argument("[name...]", "shaders, ops and modules of the engine")
  .option("--sample <n>", "the most versions of a file")
  .option("--jobs <n>", "processes at a time", String(availableParallelism()));

if (isMain(import.meta.url)) process.exitCode = await runCommand<Flags>(command, main);
