// One seed, one adapter, the same bits: in two processes, whatever the time that files and kernels take.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { MODALITIES, openDataset, type Source } from "../../data/datasets/datasets.ts";
import { PatchSampler } from "../../data/sampling/patches.ts";
import { loadCases } from "../../data/check/loadCase.ts";
import { tensor } from "../../engine/autograd/tensor.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import { forward, type Network } from "../../model/networks/network.ts";
import type { Scores } from "../../trainer/loop/trainer.ts";
import { take } from "../support/batches.ts";
import { sourceOf, volumeFile } from "../support/fixtures.ts";
import { device } from "../support/gradcheck.ts";
import { batch, network, PATCH, student, trained } from "../support/training.ts";

const test = suite<{ folder: string }>("determinism");

test.before((context) => {
  context.folder = mkdtempSync(join(tmpdir(), "determinism-"));
});
test.after(({ folder }) => rmSync(folder, { recursive: true }));

const stages = ["teacher", "student_t1ce_protokd"];

test("a teacher and its student are the same bytes from two processes, and others from another seed", async ({
  folder,
}) => {
  await makePhantom({ out: join(folder, "data"), cases: 4, size: 24, seed: 5 });
  writeFileSync(join(folder, "late.js"), LATE);
  train(folder, "one", "--seed", "3");
  train(folder, "two", "--seed", "3");
  train(folder, "other", "--seed", "4");
  const result = (run: string, stage: string, file: string) =>
    readFileSync(join(folder, run, "out", stage, file));
  for (const stage of stages) {
    const [one, two, other] = ["one", "two", "other"].map((run) => state(result(run, stage, FILES.latest)));
    assert.equal(one, two, `${stage}: all that going on needs`);
    assert.not.equal(one, other, `${stage}: of another seed`);
    for (const file of [FILES.best, FILES.split]) {
      const [one, two, other] = ["one", "two", "other"].map((run) => result(run, stage, file));
      assert.ok(one!.equals(two!), `${stage}/${file}`);
      assert.is(one!.equals(other!), file === FILES.split, `${stage}/${file} of another seed`);
    }
    const [id, ...more] = readdirSync(join(folder, "one", "out", stage, FILES.predictions));
    assert.is(more.length, 0);
    const path = join(FILES.predictions, id!);
    assert.ok(result("one", stage, path).equals(result("two", stage, path)), `${stage}/${path}`);
    assert.equal(records(result("one", stage, FILES.metrics)), records(result("two", stage, FILES.metrics)));
  }
  const weights = (run: string) =>
    decodeSafetensors(result(run, "teacher", FILES.best), run).tensors["block_one.conv.0.weight"]!.data;
  assert.not.equal(weights("one"), weights("other"), "it is not the metadata alone that differ");
});

/**
 * Delays every file that the second process reads, those asked for first the most, and its clock runs fast.
 */
const LATE = `import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
const { readFile } = fs.promises;
let wait = 50;
let files = 0;
fs.promises.readFile = async (...parameters) => {
  files++;
  await new Promise((resolve) => setTimeout(resolve, (wait = Math.max(0, wait - 7))));
  return readFile(...parameters);
};
const now = performance.now.bind(performance);
performance.now = () => 1000 * now();
syncBuiltinESMExports();
process.on("exit", () => console.log(files + " files came late"));
`;

/** Trains a student, and its teacher first; a folder of its own hides it from the other runs. */
function train(folder: string, run: string, ...flags: string[]): void {
  const late = run === "two" ? ["--import", pathToFileURL(join(folder, "late.js")).href] : [];
  const least = ["--patch", "16", "--levels", "2", "--filters", "2", "--batch", "2", "--epochs", "2"];
  const script = fileURLToPath(new URL("../../cli/train.js", import.meta.url));
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [
      ...[...late, script, "--stage", "student", "--data", join(folder, "data")],
      ...["--out", join(folder, run, "out"), ...least, ...flags],
    ],
    { encoding: "utf8" },
  );
  assert.is(status, 0, `${stdout}\n${stderr}`);
  assert.is(/(\d\d+) files came late$/m.test(stdout), run === "two", stdout);
}

/** A checkpoint's content without the seconds that it took. */
function state(file: Buffer): unknown {
  const { tensors, metadata } = decodeSafetensors(file, "state");
  const position = { ...(JSON.parse(metadata["training"]!) as object), seconds: 0, waited: 0, total: 0 };
  return { tensors, position, sampler: metadata["sampler"] };
}

/** metrics.jsonl, but for the seconds that an epoch took. */
function records(file: Buffer): unknown[] {
  const lines = file.toString().trim().split("\n");
  return lines.map((line) => ({ ...(JSON.parse(line) as object), seconds: 0, waited: 0 }));
}

test("cases, crops and augmentations are the same whatever the order in which files are listed and come", async () => {
  const files = Object.fromEntries(
    await Promise.all(
      ["a", "b", "c"].flatMap((id, c) =>
        [...MODALITIES, "seg"].map(async (kind, m) => {
          const value = (z: number, y: number, x: number) =>
            kind === "seg" ? (x + c) % 3 : 1 + ((7 * z + 5 * y + 3 * x + 11 * c + 13 * m) % 17);
          return [`${id}/${id}_${kind}.nii.gz`, await volumeFile([5, 6, 7], value)] as const;
        }),
      ),
    ),
  );
  const plain = sourceOf(files);
  const paths = Object.keys(files);
  const orders: Record<string, Source> = {
    plain,
    "the last first": late(plain, paths.toReversed(), (i) => i),
    "shuffled, in no order": late(plain, [...paths.slice(7), ...paths.slice(0, 7)], (i) => (7 * i) % 15),
  };
  const streams = await Promise.all(Object.values(orders).map(batches));
  for (const [i, name] of Object.keys(orders).entries()) assert.equal(streams[i], streams[0], name);
  assert.ok(new Set(streams[0]!.flatMap(({ cases }) => cases)).size === 3);
});

/** A source whose files are listed in this order, and come after a time of their own in ms. */
function late(source: Source, order: readonly string[], wait: (index: number) => number): Source {
  return {
    name: source.name,
    list: () => Promise.resolve([...order]),
    read: async (path) => {
      await new Promise((resolve) => setTimeout(resolve, wait(order.indexOf(path))));
      return source.read(path);
    },
  };
}

async function batches(source: Source) {
  const dataset = await openDataset(source);
  const cases = await loadCases(source, dataset, dataset.cases, MODALITIES, { labels: true });
  const sampler = new PatchSampler(cases, { patch: [4, 4, 4], batch: 2, seed: 3 });
  return take(sampler, 6);
}

test("training gives the same bits however finely its work is cut into submissions", async () => {
  const run = async () => {
    const before = device.submissions;
    const values = await trained({ ...student(), stepsPerEpoch: 3 });
    return { values, submissions: device.submissions - before };
  };
  const whole = await run();
  device.budget = 20_000; // operations
  try {
    const cut = await run();
    assert.ok(cut.submissions > 5 * whole.submissions, `${cut.submissions}, ${whole.submissions}`);
    assert.equal(cut.values, whole.values);
  } finally {
    device.budget = null;
  }
});

test("training gives the same bits whether it validates or not", async () => {
  const validate = async (net: Network): Promise<Scores> => {
    const { images } = batch(7);
    const x = tensor(device, [2, 1, ...PATCH], images.subarray(0, 2 * 512));
    const { logits } = forward(net, x, { mode: "eval" });
    const mean = (await logits.read())[0]!;
    return { WT: mean, TC: mean, ET: mean, mean };
  };
  for (const norm of ["instance", "batch"] as const) {
    const run = (more: object) => trained({ network: network(1, 1, norm), epochs: 2, ...more });
    assert.equal(await run({ validate }), await run({}), norm);
  }
});

test.run();
