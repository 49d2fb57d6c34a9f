// The published code's choices where they differ from ours: --parity has them all, and each changes a run.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DEFAULTS, differences, PARITY, parity, teacherOf } from "../../trainer/settings/config.ts";
import { evaluateFolders } from "../../cli/prediction/evaluation.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { trainStage } from "../../cli/stages/stage.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { resolveConfig, trainCommand, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { MODALITIES, openDataset } from "../../data/datasets/datasets.ts";
import { writeNifti, type Vec3 } from "../../data/nifti/nifti.ts";
import { PatchSampler } from "../../data/sampling/patches.ts";
import { loadCase, type LoadOptions } from "../../data/check/loadCase.ts";
import { type Case, uncrop } from "../../data/preparation/preprocess.ts";
import { take } from "../support/batches.ts";
import { device } from "../support/gradcheck.ts";
import { IDENTITY, problemsOf, sourceOf, volumeFile } from "../support/fixtures.ts";
import { tensorsOf } from "../support/published/weights.ts";
import { failure, silenced, trainQuietly } from "../support/quietly.ts";
import { events, of } from "../support/training.ts";

const test = suite("parity");
const folder = mkdtempSync(join(tmpdir(), "parity-"));
const data = join(folder, "data");

test.before(async () => {
  await makePhantom({ out: data, cases: 5, size: 24, seed: 5 });
  const [val, held, ...train] = [1, 2, 3, 4, 5].map((n) => `PHANTOM_00${n}`);
  writeFileSync(join(data, "split.json"), JSON.stringify({ train, val: [val], test: [held] }));
});
test.after(() => rmSync(folder, { recursive: true }));

const ELSEWHERE = { data: join(folder, "elsewhere"), out: folder };

test("--parity stands for all of the published code's choices, and for nothing else", async () => {
  const published = {
    norm: "batch",
    background: "shifted",
    crop: "published",
    padding: "zero",
    offsets: "exclusive",
    lastBatch: "short",
    validateEvery: 1,
    validateFrom: 251,
    scoring: "crop",
    convention: "protokd",
    window: "uniform",
    postprocessing: "none",
  };
  const students = [{}, { prototypeWeight: 0 }].map(
    (more) => [{ stage: "student", ...more }, "constant"] as const,
  );
  const alone = [{ stage: "student", method: "none" }, null] as const;
  for (const [flags, schedule] of [[{ stage: "teacher" }, null] as const, alone, ...students]) {
    const plain = await resolveConfig({ ...ELSEWHERE, ...flags });
    const all = await resolveConfig({ ...ELSEWHERE, ...flags, parity: true });
    const expected = { ...published, ...(schedule && { schedule }) };
    assert.equal(differences(plain, all).sort(), Object.keys(expected).sort());
    assert.equal({ ...all, ...expected }, all);
    assert.is(plain.schedule, "poly");
  }
});

test("a flag overrides its part of --parity and no other; each part has a flag", async () => {
  const flags = { ...ELSEWHERE, stage: "student", parity: true } as const;
  const all = await resolveConfig(flags);
  const options = new Map(trainCommand().options.map((option) => [option.attributeName(), option]));
  for (const [key, value] of Object.entries(parity(all))) {
    const meant = { ...DEFAULTS, validateEvery: 10 }[key as keyof typeof PARITY];
    assert.not.equal(meant, value, key);
    assert.equal(differences(await resolveConfig({ ...flags, [key]: meant }), all), [key]);
    const { argChoices } = options.get(key)!;
    if (argChoices) assert.ok(argChoices.includes(String(meant)) && argChoices.includes(String(value)), key);
  }
});

test("the teacher that a student of --parity needs is the published one: its rate decays", async () => {
  const student = await resolveConfig({ ...ELSEWHERE, stage: "student", parity: true });
  const teacher = await resolveConfig({ ...ELSEWHERE, stage: "teacher", parity: true });
  assert.equal(differences(teacherOf(student), teacher), []);
  assert.is(teacher.schedule, "poly");
});

test("a first epoch to validate that never comes is refused", async () => {
  const error = await failure(() => resolveConfig({ stage: "teacher", epochs: 3, validateFrom: 4 }));
  assert.is(error.message, "--validate-from: expected at most the 3 epochs, got 4");
});

/** A run in which every choice matters: its patch is longer than the brain, and cases do not fill batches. */
const RUN = {
  stage: "teacher",
  data,
  patch: "32,16,16",
  levels: 2,
  filters: 2,
  batch: 2,
  epochs: 4,
  lr: 0.01,
  background: "shifted",
  validateEvery: 1,
} as const satisfies TrainFlags;

test("each choice alone changes what a run ends with, the crop what it takes", async () => {
  const base = await outcome("base", RUN);
  assert.equal(await outcome("again", RUN), base);
  const given = { ...RUN } as Record<string, unknown>;
  for (const [key, value] of Object.entries({ ...parity({ method: "protokd", epochs: RUN.epochs }) })) {
    if (key === "crop") continue;
    const other =
      given[key] === value ? { ...DEFAULTS, validateEvery: 9 }[key as keyof typeof PARITY] : value;
    const ended = await outcome(key, { ...RUN, [key]: other });
    if (key !== "postprocessing") assert.not.equal(ended, base, key);
    const chosen = existsSync(join(folder, key, "teacher", FILES.postprocessing));
    assert.is(chosen, key !== "postprocessing", "chosen by the validation cases, unless parity has none");
  }
  const refused = await failure(() => trainQuietly({ ...RUN, crop: "published", out: join(folder, "crop") }));
  assert.match(refused.message, /case PHANTOM_003: expected at least 216x216x145 voxels for the published/);
});

test("the convention of a run is that of its summary", () => {
  const summary = (out: string) => readFileSync(join(folder, out, "teacher", FILES.summary), "utf8");
  const named = (out: string) => (JSON.parse(summary(out)) as { convention: string }).convention;
  assert.equal([named("base"), named("convention")], ["brats", "protokd"]);
});

test("the learning rate stays, or decays", async () => {
  const rates = async (schedule: "poly" | "constant") =>
    of(await events({ epochs: 3, stepsPerEpoch: 1, optimizer: { schedule } }), "step").map(({ lr }) => lr);
  assert.equal(await rates("constant"), [1e-2, 1e-2, 1e-2]);
  assert.equal(
    (await rates("poly")).map((rate) => rate.toFixed(6)),
    [1, 2 / 3, 1 / 3].map((left) => (1e-2 * left ** 0.9).toFixed(6)),
  );
});

test("validation begins with the epoch it should, and the last one always has it", async () => {
  const validated = async (options: { validateEvery: number; validateFrom: number }) => {
    const validate = () => Promise.resolve({ WT: 0, TC: 0, ET: 0, mean: 0 });
    const seen = of(await events({ epochs: 8, stepsPerEpoch: 1, validate, ...options }), "epoch");
    return seen.flatMap(({ record }) => (record.validation ? [record.epoch] : []));
  };
  assert.equal(await validated({ validateEvery: 1, validateFrom: 3 }), [3, 4, 5, 6, 7, 8]);
  assert.equal(await validated({ validateEvery: 3, validateFrom: 4 }), [6, 8]);
  assert.equal(await validated({ validateEvery: 1, validateFrom: 9 }), [8]);
});

test("offsets without the last: it is drawn only where it is the only one", async () => {
  const volume = caseOf("a", [5, 3, 4]);
  const corners = async (offsets: "inclusive" | "exclusive") => {
    const plain = { augment: "none", seed: 1, batch: 1, offsets } as const;
    const sampler = new PatchSampler([volume], { patch: [3, 3, 3], ...plain });
    const seen = (await take(sampler, 100)).map(({ images }) => images[0]!);
    return [...new Set(seen)].sort((a, b) => a - b);
  };
  const at = (z: number, x: number) => 12 * z + x; // the voxel's value is its index; y has one place
  assert.equal(await corners("exclusive"), [at(0, 0), at(1, 0)]);
  assert.equal(await corners("inclusive"), [at(0, 0), at(0, 1), at(1, 0), at(1, 1), at(2, 0), at(2, 1)]);
});

test("a short last batch ends the epoch: all of its cases, each once", async () => {
  const cases = ["a", "b", "c", "d", "e"].map((id) => caseOf(id, [2, 2, 2]));
  const sampler = new PatchSampler(cases, { patch: [2, 2, 2], batch: 2, seed: 1, lastBatch: "short" });
  assert.is(sampler.batchesPerEpoch, 3);
  for (let epoch = 0; epoch < 3; epoch++) {
    const batches = await take(sampler, 3);
    assert.equal(
      batches.map(({ images, label, cases }) => [images.length, label.length, cases.length]),
      [2, 2, 1].map((n) => [8 * n, 8 * n, n]),
    );
    assert.equal(batches.flatMap(({ cases }) => cases).sort(), ["a", "b", "c", "d", "e"]);
  }
});

test("the fixed crop is [5:145, 24:216, 24:216], and statistics are the whole brain's", async () => {
  const size: Vec3 = [145, 216, 216];
  const value = (z: number, y: number, x: number) =>
    z > 100 && y < 60 && x < 40 ? 1 + ((z + y + x) % 5) : 0;
  const label = (z: number, y: number, x: number) => (z === 144 && y === 24 && x > 20 && x < 30 ? 4 : 0);
  const loaded = await load({ t1: await volumeFile(size, value), seg: await volumeFile(size, label) });
  assert.equal(loaded.size, [140, 192, 192]);
  assert.equal(loaded.source.offset, [5, 24, 24]);

  const brain: number[] = [];
  for (let z = 0; z < 145; z++) {
    for (let y = 0; y < 60; y++) for (let x = 0; x < 40; x++) if (value(z, y, x)) brain.push(value(z, y, x));
  }
  const mean = brain.reduce((sum, v) => sum + v, 0) / brain.length;
  const deviation = Math.sqrt(brain.reduce((sum, v) => sum + (v - mean) ** 2, 0) / brain.length);
  const at = (z: number, y: number, x: number) => loaded.images[((z - 5) * 192 + y - 24) * 192 + x - 24]!;
  for (const [z, y, x] of [
    [101, 24, 24],
    [144, 59, 39],
    [5, 24, 24],
    [144, 215, 215],
  ] as const) {
    assert.ok(Math.abs(at(z, y, x) - (value(z, y, x) - mean) / deviation) < 1e-6, `${z},${y},${x}`);
  }
  const back = uncrop(loaded.label!, loaded);
  assert.is(back.length, 145 * 216 * 216);
  const found = [...back.keys()].filter((i) => back[i]);
  const kept = [24, 25, 26, 27, 28, 29].map((x) => (144 * 216 + 24) * 216 + x); // 21 to 23 lie outside
  assert.equal(found, kept);
});

test("a volume without room for the fixed crop is refused, with what takes it", async () => {
  const small = await volumeFile([9, 8, 7], (z, y, x) => 1 + z + y * x);
  const seg = await volumeFile([9, 8, 7], (_, __, x) => x % 3);
  const expected = "case a: expected at least 216x216x145 voxels for the published code's crop, got 7x8x9";
  assert.equal(await problemsOf(() => load({ t1: small, seg })), [
    `${expected}: use --crop brain, which accepts any size`,
  ]);
});

test("padding is more background, or 0 whatever the background is", async () => {
  const t1 = await volumeFile([4, 4, 4], (z) => (z < 2 ? 1 + z : 0));
  const seg = await volumeFile([4, 4, 4], () => 0);
  const around = async (padding: "background" | "zero") => {
    const loaded = await load({ t1, seg }, { crop: "brain", padding });
    const options = { patch: [4, 4, 4] as Vec3, batch: 1, seed: 1, augment: "none" } as const;
    return (await new PatchSampler([loaded], options).next()).images[0];
  };
  assert.equal([await around("background"), await around("zero")], [-3, 0]); // mean 1.5, deviation 0.5
});

test("scores within boxes are those of what lies in them", async () => {
  const [predictions, references] = [join(folder, "predictions"), join(folder, "references")];
  await makeLabels(predictions, [4, 4, 0, 0, 0, 0]);
  await makeLabels(references, [4, 0, 0, 0, 4, 4]);
  const boxes = new Map([["a", { size: [1, 1, 3] as Vec3, offset: [0, 0, 1] as Vec3 }]]);
  const counts = async (options: object) => {
    const summary = await evaluateFolders({ predictions, references, labels: "brats", ...options });
    const { TP, FP, FN, TN } = summary.mean.ET;
    return [TP, FP, FN, TN];
  };
  assert.equal(await counts({}), [1, 1, 2, 2]);
  assert.equal(await counts({ boxes }), [0, 1, 0, 2]);
  assert.equal(await counts({ boxes: new Map() }), [1, 1, 2, 2]);
});

test.run();

/** The end of a run as text: weights, epochs without their times, scores. */
async function outcome(name: string, flags: TrainFlags): Promise<string> {
  const out = join(folder, name);
  const config = await resolveConfig({ ...flags, out });
  await silenced(() => trainStage(() => Promise.resolve(device), config));
  const read = (file: string) => readFileSync(join(out, "teacher", file), "utf8");
  const epochs = read(FILES.metrics).replace(/"(seconds|waited)":[^,}]*/g, "");
  const scores = read(FILES.summary)
    .replaceAll(out, "")
    .replace(/"seconds": [^,\n]*/g, "");
  const values = Object.entries(tensorsOf(join(out, "teacher", FILES.best)));
  return JSON.stringify([
    values.map(([key, { data }]) => [key, [...(data as Float32Array)]]),
    epochs,
    scores,
  ]);
}

/** A case of one modality whose voxels are their indices. */
function caseOf(id: string, size: Vec3): Case {
  const voxels = size[0] * size[1] * size[2];
  return {
    id,
    size,
    channels: ["t1"],
    convention: "brats",
    label: new Uint8Array(voxels),
    images: Float32Array.from({ length: voxels }, (_, i) => i),
    source: { size, offset: [0, 0, 0], spacing: [1, 1, 1], header: new Uint8Array() },
  };
}

/** The case a, as the published code makes it unless told otherwise. */
async function load(
  files: Record<"t1" | "seg", Uint8Array>,
  options: Partial<LoadOptions> = {},
): Promise<Case> {
  const source = sourceOf({ "a/a_t1.nii.gz": files.t1, "a/a_seg.nii.gz": files.seg });
  const dataset = await openDataset(source);
  const { background, crop, padding } = PARITY;
  const given = { labels: true, background, crop, padding, ...options };
  return loadCase(source, dataset, dataset.cases[0]!, [MODALITIES[0]], given);
}

async function makeLabels(path: string, values: number[]): Promise<void> {
  const file = await writeNifti({
    data: Uint8Array.from(values),
    size: [1, 1, values.length],
    affine: IDENTITY,
  });
  mkdirSync(path);
  writeFileSync(join(path, "a.nii.gz"), file);
}
