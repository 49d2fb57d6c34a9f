// Cases that are read when they are needed: the same bits for any cache, in memory or on disk; never more
// memory than the limit; one clear error for a case that can no longer be read, and nothing lost.

import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Cache, KeptCase, Reading, RecordedCase } from "../../cli/files/dataWorkers.ts";
import {
  CASE_VERSION,
  caseFileName,
  decodeCase,
  encodeCase,
  openCaseFolder,
  readCaseFile,
  writeCaseFile,
} from "../../cli/files/caseFile.ts";
import { folderSource } from "../../cli/files/folderSource.ts";
import { inRun, loadRecordedCases, readAgain } from "../../cli/files/loadCases.ts";
import { openLoader } from "../../cli/files/loader.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { Room } from "../../cli/files/room.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { train } from "../../cli/stages/training.ts";
import { MODALITIES, openDataset } from "../../data/datasets/datasets.ts";
import { sha256 } from "../../data/digest.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import { type Case, PREPARATION } from "../../data/preparation/preprocess.ts";
import { device } from "../support/gradcheck.ts";
import { problemsOf, sourceOf, volumeFile } from "../support/fixtures.ts";
import { failure, silenced } from "../support/quietly.ts";

const folder = mkdtempSync(join(tmpdir(), "case-cache-"));
const data = join(folder, "data");
const test = suite("case cache");
let reading: Reading;

test.before(async () => {
  await makePhantom({ out: data, cases: 5, size: 20, seed: 4, report: () => undefined });
  const { layout, convention } = await openDataset(await folderSource(data));
  reading = { data, dataset: { layout, convention }, modalities: MODALITIES, preparation: PREPARATION };
  const ids = [1, 2, 3, 4, 5].map((n) => `PHANTOM_00${n}`);
  const split = { train: ids.slice(0, 3), val: [ids[3]], test: [ids[4]] };
  writeFileSync(join(folder, "split.json"), JSON.stringify(split));
});
test.after(() => rmSync(folder, { recursive: true }));

/** Reads all cases, with room for `bytes` of them in memory. */
async function readAll(bytes: number, { threads = 0, folder: on = null as string | null, more = 0 } = {}) {
  const { cases: files } = await openDataset(await folderSource(data));
  const cache: Cache = { room: new Room(bytes), folder: on, more };
  const read = await loadRecordedCases(reading, [{ files, cache }], () => threads);
  return { read, left: cache.room.bytes };
}

const isKept = (one: KeptCase): one is Case => !("reading" in one);

/** Settings of a tiny training that uses everything which could depend on the cache. */
const FLAGS = {
  filters: 2,
  levels: 2,
  batch: 2,
  epochs: 2,
  patch: [8, 9, 10],
  validateEvery: 1,
  augment: "nnunet",
  foreground: 0.5,
  stage: "teacher",
  data,
  split: join(folder, "split.json"),
} as const satisfies TrainFlags;

/** Trains into `run` and returns its stage's folder and the lines it printed. */
async function trained(run: string, more: TrainFlags, unfinished: "refuse" | "resume" = "refuse") {
  const config = await resolveConfig({ ...FLAGS, patch: "8,10,12", out: join(folder, run), ...more });
  const lines = await silenced(() => train(() => Promise.resolve(device), config, { unfinished }));
  return { stage: join(folder, run, "teacher"), said: lines.join("\n") };
}

/** The SHA-256 of what a stage ends with: weights, optimizer's state, and the chosen post-processing. */
const printsOf = (stage: string) =>
  Promise.all([FILES.best, FILES.postprocessing].map((name) => sha256(readFileSync(join(stage, name)))));

test("training gives the same bits with any room for cases, any number of threads, and a cache on disk", async () => {
  const all = await trained("all", { workers: 0 });
  assert.match(all.said, /main memory: \d.* of \d.*B, \d.*B for cases/);
  assert.not.match(all.said, /stay in memory/);
  const expected = await printsOf(all.stage);
  const cacheDir = join(folder, "cache");
  const trials: [string, TrainFlags, RegExp][] = [
    ["none", { workers: 0, cache: 0 }, /0 of 4 cases stay in memory .*the other 4 .* from their files/],
    ["some", { workers: 1, cache: 4e-4 }, /[123] of 4 cases stay in memory/],
    ["disk", { workers: 2, cache: 0, cacheDir }, /the other 4 .* are read again from .*cache/],
    ["found", { workers: 1, cache: 0, cacheDir }, /0 of 4/],
  ];
  for (const [name, flags, told] of trials) {
    const { stage, said } = await trained(name, flags);
    assert.match(said, told, name);
    assert.equal(await printsOf(stage), expected, name);
  }
  assert.is(readdirSync(cacheDir).length, 4, "the cases to train and to validate on, once each");
});

test("a run that stopped is resumed with another cache, to the same bits", async () => {
  await trained("resumed", { workers: 0, maxTime: "0.01s" });
  const { stage } = await trained("resumed", { workers: 2, cache: 0 }, "resume");
  assert.equal(await printsOf(stage), await printsOf(join(folder, "all", "teacher")));
});

test("kept cases never take more than the room, and what they take is counted", async () => {
  const { read, left } = await readAll(2 ** 30);
  assert.ok(read.every((one) => isKept(one.case)));
  const bytes = read.map((one) => one.bytes);
  const pages = (of: number[]) => of.reduce((sum, size) => sum + 4096 * Math.ceil(size / 4096), 0);
  assert.is(2 ** 30 - left, pages(bytes));
  for (const threads of [0, 3]) {
    const most = pages(bytes.slice(0, 3));
    const some = await readAll(most, { threads });
    const kept = some.read.filter((one) => isKept(one.case));
    assert.ok(kept.length >= 1 && kept.length < 5);
    assert.is(most - some.left, pages(kept.map((one) => one.bytes)));
  }
  const { read: none } = await readAll(pages(bytes), { more: 2 ** 30 });
  assert.not.ok(
    none.some((one) => isKept(one.case)),
    "positions of foreground count too",
  );
  const room = new Room(10_000);
  assert.equal([room.take(8192), room.take(1), room.bytes], [true, false, 0]);
  const half = new Room(2 ** 20);
  half.leave(2 ** 19);
  half.leave(2 ** 21);
  assert.is(half.bytes, 2 ** 19);
});

test("a case's file holds the whole case, and a damaged one is made again", async () => {
  const on = join(folder, "damaged");
  await openCaseFolder(on);
  const { read } = await readAll(0, { folder: on });
  const recorded = read[0]!.case as RecordedCase;
  const path = join(on, caseFileName(reading, recorded.record));
  const prepared = await readAgain({ ...recorded, folder: null });
  const sound = readFileSync(path);
  assert.equal(await readCaseFile(on, caseFileName(reading, recorded.record)), {
    ...prepared,
    source: { ...prepared.source, header: prepared.source.header.slice() },
  });
  const flipped = Uint8Array.from(sound);
  flipped[flipped.length - 1]! ^= 1;
  for (const [what, bytes] of Object.entries({
    flipped,
    short: sound.subarray(0, sound.length - 8),
    long: Buffer.concat([sound, sound]),
    empty: Buffer.alloc(0),
    other: Buffer.from("text".repeat(100)),
  })) {
    writeFileSync(path, bytes);
    assert.is(decodeCase(readFileSync(path) as Uint8Array<ArrayBuffer>), null, what);
    assert.equal((await readAgain(recorded)).images, prepared.images, what);
    assert.ok(readFileSync(path).equals(sound), what);
  }
});

test("the name of a case's file depends on its files' bytes and on all that prepares them", async () => {
  const { read } = await readAll(0);
  const { record } = read[0]!;
  const name = caseFileName(reading, record);
  assert.is(caseFileName({ ...reading, data: "elsewhere" }, record), name);
  const others: [Partial<Reading>, Partial<typeof record>][] = [
    [{ modalities: ["t1"] }, {}],
    [{ preparation: { ...PREPARATION, background: "shifted" } }, {}],
    [{ dataset: { ...reading.dataset, convention: "msd" } }, {}],
    [{}, { label: { ...record.label!, sha256: "0" } }],
    [{}, { images: { ...record.images, t1: { ...record.images["t1"]!, sha256: "0" } } }],
    [{}, { images: { ...record.images, t1: { ...record.images["t1"]!, channel: 1 } } }],
  ];
  const names = others.map(([how, files]) => caseFileName({ ...reading, ...how }, { ...record, ...files }));
  assert.is(new Set([name, ...names]).size, 1 + others.length);
});

test("a case turned to the run's orientation is the same in memory, from its files and from the disk", async () => {
  const on = join(folder, "turned");
  await openCaseFolder(on);
  const grid = { orientation: "PIR", spacing: [1, 1, 1] } as const;
  const [kept] = (await readAll(2 ** 30, { threads: 1 })).read;
  const [again] = (await readAll(0, { folder: on })).read;
  const { images: memory } = kept!.case as Case;
  const before = Float32Array.from(memory);
  const turned = inRun(kept!, grid) as Case;
  assert.is(turned.images, memory, "in the same memory");
  assert.not.equal(Float32Array.from(memory), before);
  for (const disk of [on, null]) {
    const recorded = inRun(again!, grid) as RecordedCase;
    const { images, label, size, turn } = await readAgain({ ...recorded, folder: disk });
    assert.equal([size, turn], [turned.size, turned.turn]);
    assert.equal([Float32Array.from(turned.images), Uint8Array.from(turned.label!)], [images, label]);
  }
});

test("CASE_VERSION is raised when a case is prepared in another way", async () => {
  const size = [5, 6, 7] as const;
  const t1 = await volumeFile(size, (z, y, x) => (z > 0 && y > 1 ? 1 + ((7 * z + 3 * y + x) % 11) : 0));
  const seg = await volumeFile(size, (z, y) => (z === 2 && y === 3 ? 4 : 0));
  const source = sourceOf({ "a/a_t1.nii.gz": t1, "a/a_seg.nii.gz": seg });
  const dataset = await openDataset(source);
  const options = { labels: true, background: "shifted" } as const;
  const made = await loadCase(source, dataset, dataset.cases[0]!, ["t1"], options);
  const { images, label, size: cropped, background } = made;
  const text = JSON.stringify({ images: [...images], label: [...label!], cropped, background });
  const print = (await sha256(new TextEncoder().encode(text))).slice(0, 16);
  assert.equal([CASE_VERSION, print], [1, "cd9e14ad5dd52e2a"], "another print: raise CASE_VERSION");
});

test("without room on the disk for a case, it is read from its files", async () => {
  const on = join(folder, "full");
  await openCaseFolder(on);
  const { read } = await readAll(0);
  const prepared = await readAgain(read[0]!.case as RecordedCase);
  assert.match((await writeCaseFile(on, "a.case", prepared, { reserve: 1e18 }))!, /^the disk has .* left$/);
  assert.not(existsSync(join(on, "a.case")));
  assert.is(await writeCaseFile(on, "a.case", prepared), null);
  const { mtimeMs } = statSync(join(on, "a.case"));
  assert.is(await writeCaseFile(on, "a.case", prepared), null);
  assert.is(statSync(join(on, "a.case")).mtimeMs, mtimeMs, "written once");
  const taken = join(folder, "split.json"); // a file, where a folder should be
  const error = await failure(() => trained("noFolder", { cacheDir: taken }));
  assert.match(error.message, /^--cache-dir: expected a folder that can be written to, got .*split\.json/);
  const unwritten = await readAll(0, { folder: join(taken, "below") });
  assert.ok(unwritten.read.every((one) => one.unwritten !== null));
  assert.equal(encodeCase(prepared).length, statSync(join(on, "a.case")).size);
});

test("a case that changed or is gone while training runs is one error, in threads too", async () => {
  const { read } = await readAll(0);
  const path = join(data, "PHANTOM_002", "PHANTOM_002_t1ce.nii.gz");
  const kept = join(folder, "kept.nii.gz");
  copyFileSync(path, kept);
  const told = async (workers: number) => {
    const cases = read.map((one) => one.case);
    const loader = await openLoader(cases, { patch: [8, 8, 8], batch: 1, seed: 1, workers });
    try {
      const problems = await problemsOf(async () => {
        for (let i = 0; i < 5; i++) await loader.next();
      });
      const before = loader.state();
      assert.equal(await problemsOf(() => loader.next()), problems, "and so is every call after it");
      assert.equal(loader.state(), before);
      return problems;
    } finally {
      await loader.close();
    }
  };
  const bytes = gunzipSync(readFileSync(path));
  bytes[bytes.length - 3]! ^= 1; // of a voxel
  writeFileSync(path, gzipSync(bytes));
  const changed = /^case PHANTOM_002: PHANTOM_002\/PHANTOM_002_t1ce\.nii\.gz: is another scan .*--resume$/;
  for (const workers of [0, 2]) assert.match((await told(workers))[0]!, changed);
  rmSync(path);
  const gone = /^case PHANTOM_002: PHANTOM_002\/PHANTOM_002_t1ce\.nii\.gz: expected a file .*--resume$/;
  for (const workers of [0, 2]) assert.match((await told(workers))[0]!, gone);
  copyFileSync(kept, path);
});

test("where a case is gone, the steps before are saved; restored, the run ends with the same bits", async () => {
  const path = join(data, "PHANTOM_003", "PHANTOM_003_flair.nii.gz");
  const kept = join(folder, "kept.nii.gz");
  copyFileSync(path, kept);
  const often = { workers: 0, cache: 0, saveEvery: "1000" };
  const out = join(folder, "gone");
  const config = await resolveConfig({ ...FLAGS, patch: "8,10,12", out, ...often });
  let opened = 0; // first for its memory, before the cases are read
  const open = () => {
    if (++opened === 2) rmSync(path);
    return Promise.resolve(device);
  };
  const error = await failure(() => silenced(() => train(open, config)));
  assert.is(error.name, "DataError");
  assert.match(error.message, /^case PHANTOM_003: .*_flair\.nii\.gz: expected a file/);
  copyFileSync(kept, path);
  const { stage } = await trained("gone", { workers: 1, cache: 0, saveEvery: "1000" }, "resume");
  assert.equal(await printsOf(stage), await printsOf(join(folder, "all", "teacher")));
});

test.run();
