// Batches made in threads: the same bits whatever their number, from any batch on, and one clear error when
// one dies.

import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Reading } from "../../cli/files/dataWorkers.ts";
import { folderSource } from "../../cli/files/folderSource.ts";
import { loadRecordedCases } from "../../cli/files/loadCases.ts";
import { type LoaderOptions, openLoader } from "../../cli/files/loader.ts";
import { Room } from "../../cli/files/room.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES, SOMETIMES } from "../../cli/files/stageFolder.ts";
import { openDataset } from "../../data/datasets/datasets.ts";
import type { CaseRecord } from "../../data/datasets/manifest.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { type Batch, PatchSampler } from "../../data/sampling/patches.ts";
import { type Case, PREPARATION } from "../../data/preparation/preprocess.ts";
import { MODALITIES, type Dataset } from "../../data/datasets/source.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import { take as drawn } from "../support/batches.ts";
import { problemsOf } from "../support/fixtures.ts";
import { trainQuietly } from "../support/quietly.ts";

const test = suite("loader");
const folder = mkdtempSync(join(tmpdir(), "protokd-loader-"));
const data = join(folder, "phantom");
let dataset: Dataset;
let reading: Reading;
let cases: Case[];

test.before(async () => {
  await makePhantom({ out: data, cases: 3, size: 16, seed: 2, report: () => undefined });
  dataset = await openDataset(await folderSource(data));
  reading = { data, dataset, modalities: MODALITIES, preparation: PREPARATION };
  cases = (await readAll(0)).map((one) => one.case as Case);
});
test.after(() => rmSync(folder, { recursive: true }));

/** Reads all cases, with room for `most` bytes of them in memory. */
function readAll(workers: number, { files = dataset.cases, most = 1e9 } = {}) {
  const cache = { room: new Room(most), folder: null, more: 0 };
  return loadRecordedCases(reading, [{ files, cache }], () => workers);
}

/** The error that `act` ends in. */
const failure = (act: () => Promise<unknown>): Promise<Error> =>
  act().then(
    () => new Error("nothing failed"),
    (error: Error) => error,
  );
const options = { patch: [8, 9, 10], batch: 2, seed: 5, augment: "nnunet", foreground: 0.5 } as const;

/** So many batches of a loader, and its state before the last. */
async function take(count: number, more: Partial<LoaderOptions> & { workers: number }) {
  const loader = await openLoader(cases, { ...options, ...more });
  try {
    const batches: Batch[] = [];
    for (let i = 1; i < count; i++) batches.push(await loader.next());
    const state = loader.state();
    batches.push(await loader.next());
    return { batches, state };
  } finally {
    await loader.close();
  }
}

test("0, 1 and 3 threads give the same bits as the sampler, from a state too", async () => {
  const sampler = new PatchSampler(cases, options);
  const expected = await drawn(sampler, 9);
  for (const workers of [0, 1, 3]) {
    const { batches, state } = await take(9, { workers });
    assert.equal(batches, expected, `${workers} workers`);
    assert.equal(state, { batches: 8, cases: 3 }, "what was taken, not what was made ahead");
    const later = await take(4, { workers: 3 - workers, state: { batches: 5, cases: 3 } });
    assert.equal(later.batches, expected.slice(5), `on with ${3 - workers}`);
  }
  assert.not.equal((await take(2, { workers: 1, seed: 6 })).batches, expected.slice(0, 2));
});

test("cases are read in threads as in the main one, into memory that is shared, with what their files were", async () => {
  const one = await readAll(0);
  const two = await readAll(2);
  assert.equal(two, one);
  assert.ok(two.every((found) => (found.case as Case).images.buffer instanceof SharedArrayBuffer));
  const { id, images, label } = one[0]!.record;
  const path = images["t1ce"]!.path;
  const bytes = readFileSync(join(data, path));
  const volume = await readNifti(bytes, path);
  const sha = async (values: BufferSource) =>
    Buffer.from(await crypto.subtle.digest("SHA-256", values)).toString("hex");
  assert.equal(images["t1ce"], {
    path,
    bytes: bytes.length,
    sha256: await sha(bytes),
    voxels: await sha(volume.data as BufferSource),
    shape: [16, 16, 16],
    spacing: volume.spacing.toReversed(),
    affine: volume.affine,
    channel: 0,
  });
  assert.equal(
    [id, Object.keys(images), label?.path],
    [dataset.cases[0]!.id, [...MODALITIES], dataset.cases[0]!.label],
  );
});

test("the problems of all cases come in one message, in their order, by threads too", async () => {
  const broken = dataset.cases.map((files, i) => ({ ...files, ...(i !== 1 && { label: `no_${i}.nii.gz` }) }));
  const told = (workers: number) => problemsOf(() => readAll(workers, { files: broken }));
  const alone = await told(0);
  assert.is(alone.length, 2);
  assert.match(alone[0]!, /^case Phantom_\d+: no_0.nii.gz: expected a file/i);
  assert.equal(await told(2), alone);
});

test("a thread that dies ends the run with one clear error, whether it was working or not", async () => {
  const threads: Worker[] = [];
  const listen = (worker: Worker) => void threads.push(worker);
  process.on("worker", listen);
  const loader = await openLoader(cases, { ...options, workers: 2 });
  try {
    assert.is(threads.length, 2);
    await loader.next();
    threads[1]!.ref(); // an idle one does not keep the process alive until it has ended
    await threads[1]!.terminate();
    const error = await failure(async () => {
      for (let i = 0; i < 20; i++) await loader.next();
    });
    assert.match(error.message, /^a thread that loads data stopped: it ended with code 1: .*fewer --workers/);
    assert.is((await failure(() => loader.next())).message, error.message, "and so with every call after it");
  } finally {
    process.off("worker", listen);
    await loader.close();
  }
});

test("what fails in a thread is the error that the main one would give", async () => {
  const impossible = { ...options, patch: [1e5, 1e5, 1e5] as [number, number, number] };
  const told = async (workers: number) => {
    const loader = await openLoader(cases, { ...impossible, workers });
    const error = await failure(async () => loader.next());
    await loader.close();
    return [error.name, error.message];
  };
  const alone = await told(0);
  assert.is(alone[0], "RangeError");
  assert.equal(await told(1), alone);
  assert.match(
    (await problemsOf(() => openLoader([], { ...options, workers: 1 })))[0]!,
    /expected at least one case/,
  );
});

test("a fold is trained to the same bits by 0 and 2 threads, tested on what it held out, and written down", async () => {
  const [a, b, c] = dataset.cases.map(({ id }) => id) as [string, string, string];
  const folds = [
    { train: [a, b], val: [c] },
    { train: [b, c], val: [a] },
  ];
  const split = join(folder, "splits_final.json");
  writeFileSync(split, JSON.stringify(folds));
  const small = { filters: 2, levels: 2, patch: "8", batch: 2, epochs: 2 } as const;
  const varied = { augment: "nnunet", foreground: 0.5, split, fold: 1 } as const;
  const run = async (workers: number) => {
    const out = join(folder, `run${workers}`);
    await trainQuietly({ ...small, ...varied, stage: "teacher", data, out, workers });
    return join(out, "teacher");
  };
  const [alone, threads] = [await run(0), await run(2)];
  const tensors = (stage: string) =>
    decodeSafetensors(readFileSync(join(stage, FILES.latest)), stage).tensors;
  assert.equal(tensors(threads), tensors(alone));
  const json = <T>(name: string) => JSON.parse(readFileSync(join(alone, name), "utf8")) as T;
  assert.equal(json(SOMETIMES.folds), folds);
  assert.equal(readdirSync(join(alone, FILES.predictions)), [`${a}.nii.gz`]);
  const { cases: recorded } = json<{ cases: CaseRecord[] }>(FILES.manifest);
  assert.equal(
    recorded.map(({ id }) => id),
    [b, c, a],
  );
  const path = join(data, recorded[0]!.label!.path);
  const digest = await crypto.subtle.digest("SHA-256", readFileSync(path));
  assert.is(recorded[0]!.label!.sha256, Buffer.from(digest).toString("hex"));
});

test("the same scan under two names, in two sets, stops a run before it begins", async () => {
  const twice = join(folder, "twice");
  await makePhantom({ out: twice, cases: 2, size: 16, seed: 3, report: () => undefined });
  const [first, second] = (await openDataset(await folderSource(twice))).cases;
  copyFileSync(join(twice, first!.images.flair!.path), join(twice, second!.images.flair!.path));
  const out = join(folder, "leak");
  const [problem] = await problemsOf(() => trainQuietly({ stage: "teacher", data: twice, out }));
  assert.match(
    problem!,
    new RegExp(`^cases .*${first!.id}.* are the same scan: .*flair.* have the same voxels`),
  );
  assert.not(existsSync(out));
});

test.run();
