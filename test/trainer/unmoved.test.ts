// Trained weights do not move by a bit while code is rearranged: unmoved.json holds their SHA-256 by driver.
//   PROTOKD_UNMOVED=all node test/run.js unmoved       with `npm start` too, which takes minutes
//   PROTOKD_UNMOVED=record node test/run.js unmoved    writes the values, `npm start`'s too

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
// All that is the project's: what drives the page.
import { chromiumPath, launch, open, serve } from "../support/browser.ts";
import { downloaded, fill, heard, PHANTOM, SETTINGS, told, watch } from "../support/pageTraining.ts";

const root = join(import.meta.dirname, "../..");
const TABLE = join(import.meta.dirname, "unmoved.json");
const [BEST, LATEST, METRICS] = [
  "checkpoint_best.safetensors",
  "checkpoint_latest.safetensors",
  "metrics.jsonl",
];
const STAGES = [
  ["teacher", "teacher"],
  ["student", "student_t1ce_protokd"],
] as const; // the page's, one after the other, for it hands out the last one's training
const wish = process.env["PROTOKD_UNMOVED"];
const recording = wish === "record";
const SAFE = { PROTOKD_TUNING: "off", PROTOKD_TOGGLES: "safe" }; // kernels and toggles round differently

/** Fingerprints by what has them, such as "teacher best". */
type Prints = Record<string, string>;
type Table = Record<string, Record<string, Prints>>;

const folder = mkdtempSync(join(tmpdir(), "unmoved-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const table = existsSync(TABLE) ? (JSON.parse(readFileSync(TABLE, "utf8")) as Table) : {};
const { driver, half } = examine();
const test = suite("unmoved");

if (!driver) skip("no adapter");
else if (!table[driver] && !recording) skip(`no values of ${driver}`);
else {
  test.before(async () => {
    const like = ["--version", "1", "--cases", "8", "--size", "20", "--seed", "5"];
    const made = await run("phantom", ["--out", "data", ...like]);
    assert.is(made.code, 0, made.output);
    const ids = (numbers: number[]) => numbers.map((n) => `PHANTOM_00${n}`);
    const split = { train: ids([1, 2, 3, 4, 5, 6]), val: ids([7]), test: ids([8]) };
    writeFileSync(join(folder, "split.json"), JSON.stringify(split));
  });

  test("a teacher and its student with ProtoKD", async () => {
    await trained("plain", ["--stage", "student"], ["teacher", "student_t1ce_protokd"]);
  });

  test("batch norm, as the published code has all", async () => {
    const flags = ["--stage", "student", "--parity", "--crop", "brain"]; // a phantom is too small for its own
    await trained("parity", flags, ["teacher", "student_t1ce_protokd"]);
    const config = readFileSync(join(folder, "parity", "run", "teacher", "config.json"), "utf8");
    assert.match(config, /"norm": "batch"/);
  });

  test("deep supervision at 4 levels", async () => {
    const flags = ["--stage", "student", "--levels", "4", "--deep-supervision"];
    await trained("deep supervision", flags, ["teacher", "student_t1ce_protokd"]);
  });

  if (half)
    test("half precision, and pixel-wise distillation", async () => {
      const flags = ["--stage", "student", "--method", "kd", "--precision", "f16"];
      await trained("f16", flags, ["teacher", "student_t1ce_kd"]);
    });
  else skip("f16: the adapter has no shader-f16");

  test("little memory, SGD whose gradients are clipped, and nnU-Net's augmentation", async () => {
    const flags = ["--stage", "teacher", "--low-memory", "--optimizer", "sgd", "--lr", "0.01", "--clip", "1"];
    const sampling = ["--augment", "nnunet", "--foreground", "0.33", "--best-by", "ema"];
    await trained("low memory, sgd", [...flags, ...sampling], ["teacher"]);
  });

  test("a student alone, killed with kill -9 and resumed, ends as one that was not", async () => {
    const flags = ["--stage", "student", "--method", "none", "--modality", "flair", "--epochs", "6"];
    flags.push("--save-every", "1", "--lr", "0.01"); // at which the last network is not the best
    const stage = "student_flair";
    const whole = await trained("whole", flags, [stage]);
    const metrics = join(folder, "killed", "run", stage, METRICS);
    const killed = await run("train", [...common("killed/run"), ...flags], async (kill, ended) => {
      while (!ended() && !statSync(metrics, { throwIfNoEntry: false })?.size) await nap(5);
      kill("SIGKILL");
    });
    assert.is(killed.signal, "SIGKILL", killed.output);
    const resumed = await trained("killed", [...flags, "--resume"], [stage]);
    assert.match(resumed.output, /resuming after [1-9]\d* steps?, in epoch [1-6]/);
    assert.equal(resumed.prints, whole.prints);
    assert.not(whole.prints[`${stage} best`] === whole.prints[`${stage} network`]);
  });

  if (!chromiumPath) skip("page: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
  else
    test("a teacher and its student of the page, resumed on the command line", async () => {
      const [site, browser] = [await serve(), await launch()];
      try {
        const scenario = `page in Chromium ${browser.version()}`; // which brings its own driver
        if (!recording && !table[driver]![scenario]) return skip(`${scenario}: no values`);
        const { page } = await open(await browser.newContext(), `${site.url}#train`);
        await watch(page);
        const prints: Prints = {};
        for (const [stages, stage] of STAGES) {
          const since = (await told(page)).length;
          await fill(page, { ...SETTINGS, filters: 2, levels: 3, stages });
          if (stages === "student") await page.selectOption("#teacher", { label: "teacher (trained here)" });
          await page.click("#train-start");
          await heard(page, "^Done", since); // at a fixed step, where a pause comes at any
          const { bytes } = await downloaded(page, new RegExp(`${stage}'s training`));
          const best = await downloaded(page, new RegExp(`${stage}'s best`));
          writeFileSync(join(folder, `${stage}_training.safetensors`), bytes);
          writeFileSync(join(folder, `${stage}.safetensors`), best.bytes);
          const found = { best: list(tensorsOf(best.bytes)), ...ofState(bytes) };
          Object.assign(prints, named(`${stage} in the page`, found));
        }
        const { cases, size, seed } = PHANTOM;
        const like = ["--version", "1", "--cases", `${cases}`, "--size", `${size}`, "--seed", `${seed}`];
        const made = await run("phantom", ["--out", "of-page", ...like]);
        assert.is(made.code, 0, made.output);
        for (const [, stage] of STAGES) {
          const flags = ["--data", "of-page", "--out", "carried", "--workers", "0"];
          flags.push(
            "--resume-from",
            `${stage}_training.safetensors`,
            "--epochs",
            String(SETTINGS.epochs + 1),
          );
          if (stage !== "teacher") flags.push("--teacher", "teacher.safetensors");
          const { code, output } = await run("train", flags);
          assert.is(code, 0, output);
          assert.match(output, /resuming after 14 steps, in epoch 3/);
          Object.assign(prints, ofStage(join(folder, "carried", stage)));
        }
        compare(scenario, prints);
      } finally {
        await browser.close();
        await site.close();
      }
    });

  if (wish !== "all" && !recording) skip("npm start: set PROTOKD_UNMOVED=all");
  else
    test("npm start", async () => {
      const { code, output } = await run("start", []);
      assert.is(code, 0, output);
      const prints: Prints = {};
      for (const stage of ["teacher", "student_t1ce", "student_t1ce_protokd"])
        Object.assign(prints, ofStage(join(folder, "runs", "phantom", stage)));
      compare("npm start", prints);
    });

  test.after(() => {
    if (recording) writeFileSync(TABLE, `${JSON.stringify(table, null, 2)}\n`);
  });
}

/**
 * The driver in words, with what of the processor a software driver compiles for; null without an adapter.
 */
function examine(): { driver: string | null; half: boolean } {
  const { stdout } = spawnSync(process.execPath, [join(root, "cli", "doctor.js"), "--json"], {
    encoding: "utf8",
    cwd: folder,
    env: { ...process.env, ...SAFE },
  });
  const start = stdout.indexOf("{");
  const { adapter } = (start < 0 ? {} : JSON.parse(stdout.slice(start))) as {
    adapter?: { description: string; device: string; features: string[] } | null;
  };
  if (!adapter) return { driver: null, half: false };
  const info = existsSync("/proc/cpuinfo") ? readFileSync("/proc/cpuinfo", "utf8") : "";
  const flags = new Set(/^flags\s*:(.*)$/m.exec(info)?.[1]?.trim().split(/\s+/));
  const compiledFor = ["avx", "avx2", "avx512f", "f16c", "fma"].filter((flag) => flags.has(flag));
  const node = `node ${process.versions.node.split(".")[0]}`; // whose Math makes the phantom
  const driver = [adapter.description, adapter.device, process.arch, ...compiledFor, node].join("; ");
  return { driver, half: adapter.features.includes("shader-f16") };
}

/** Small, and the same for all. */
function common(out: string): string[] {
  const data = ["--data", "data", "--split", "split.json", "--out", out, "--seed", "3", "--workers", "0"];
  const size = ["--patch", "16", "--levels", "3", "--filters", "2", "--batch", "2"];
  return [...data, ...size, "--epochs", "2", "--validate-every", "1"];
}

/**
 * Trains, and compares what the stages are then. Each scenario has a folder of its own around its run, for a
 * student looks for a teacher in the runs beside. Later flags override common ones.
 */
async function trained(scenario: string, flags: string[], stages: string[]) {
  const out = join(scenario.replaceAll(/\W+/g, "-"), "run");
  const { code, output } = await run("train", [...common(out), ...flags]);
  assert.is(code, 0, output);
  const prints: Prints = {};
  for (const stage of stages) Object.assign(prints, ofStage(join(folder, out, stage)));
  compare(scenario, prints);
  return { output, prints };
}

type Kill = (signal: NodeJS.Signals) => void;

/** Runs a command in the folder; `meanwhile` can kill it. */
async function run(
  command: string,
  flags: string[],
  meanwhile: (kill: Kill, ended: () => boolean) => Promise<void> = () => Promise.resolve(),
) {
  const child = spawn(process.execPath, [join(root, "cli", `${command}.js`), ...flags], {
    cwd: folder,
    env: { ...process.env, ...SAFE },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data: Buffer) => (output += data.toString()));
  const close = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  await meanwhile(
    (signal) => child.kill(signal),
    () => child.exitCode !== null,
  );
  const [code, signal] = await close;
  return { code, signal, output };
}

/** Compares with the values of before, or takes them down. */
function compare(scenario: string, prints: Prints): void {
  if (recording) (table[driver!] ??= {})[scenario] = prints;
  else assert.equal(prints, table[driver!]![scenario], scenario);
}

/** The prints of a stage's folder: its best network, and its last state. */
function ofStage(path: string): Prints {
  const best = list(tensorsOf(readFileSync(join(path, BEST))));
  return named(basename(path), { best, ...ofState(readFileSync(join(path, LATEST))) });
}

/** The prints of a training's state: the network, and the optimizer's moments, whatever their names. */
function ofState(bytes: Buffer): Prints {
  const tensors = tensorsOf(bytes);
  const other = /^(optimizer\.|own\/|role\/)/;
  const moments = tensors.filter(({ name }) => name.startsWith("optimizer") && !/\bguard\b/.test(name));
  const prints = moments.map(({ shape, data }) => sha256(`${shape}\0`, data)).sort();
  return { network: list(tensors.filter(({ name }) => !other.test(name))), moments: sha256(prints.join()) };
}

function named(what: string, prints: Prints): Prints {
  return Object.fromEntries(Object.entries(prints).map(([name, print]) => [`${what} ${name}`, print]));
}

interface Stored {
  name: string;
  /** Like "8,1,3,3,3". */
  shape: string;
  data: Buffer;
}

/** The fingerprint of tensors in the order of their names. */
function list(tensors: readonly Stored[]): string {
  assert.ok(tensors.length > 0);
  return sha256(...tensors.flatMap(({ name, shape, data }) => [`${name}\0${shape}\0`, data]));
}

/** The tensors of a safetensors file, by their names. */
function tensorsOf(bytes: Buffer): Stored[] {
  const begin = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString("utf8", 8, begin)) as Record<
    string,
    { shape: number[]; data_offsets: [from: number, to: number] }
  >;
  return Object.keys(header)
    .filter((name) => name !== "__metadata__")
    .sort()
    .map((name) => {
      const { shape, data_offsets } = header[name]!;
      const [from, to] = data_offsets;
      return { name, shape: shape.join(), data: bytes.subarray(begin + from, begin + to) };
    });
}

function sha256(...parts: (string | Buffer)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

function skip(why: string): void {
  console.log(`SKIPPED: unmoved: ${why}`);
}

function nap(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

test.run();
