// Users' mistakes: each has one clear message, and is found before the device is opened; faults of volumes
// are found when the memory that training takes has been checked.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Existing, train } from "../../cli/stages/training.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import type { Device } from "../../engine/index.ts";
import { encodeSafetensors, type StoredTensor } from "../../model/files/safetensors.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";
import { vnetShapes } from "../../model/networks/layers.ts";
import { run } from "../support/command.ts";
import { IDENTITY, volumeFile } from "../support/fixtures.ts";
import { failure, silenced, trainQuietly } from "../support/quietly.ts";

const test = suite<{ root: string; data: string; out: string }>("bad input");

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), "bad-input-"));
  context.data = join(context.root, "data");
  context.out = join(context.root, "run");
});
test.after.each(({ root }) => rmSync(root, { recursive: true }));

const imageOf = (factor: number) =>
  volumeFile([8, 8, 8], (z, y, x) => (z > 0 ? 100 * factor + ((z * y * x) % 7) : 0));
const image = await imageOf(1);
const label = await volumeFile([8, 8, 8], (z) => [0, 1, 2, 4][z % 4]!);
const whole = {
  t1: image,
  t2: await imageOf(2),
  t1ce: await imageOf(3),
  flair: await imageOf(4),
  seg: label,
};
const uneven = (z: number, y: number, x: number) => 1 + z + y * x;
type CaseContent = Partial<Record<keyof typeof whole, Uint8Array>>;

test("what is wrong with any case, to train, validate or test on, comes in one message", async ({
  data,
  out,
}) => {
  const { t2: _, ...withoutT2 } = whole;
  const { seg: __, ...withoutLabel } = whole;
  const moved = IDENTITY.map((row, i) => (i === 0 ? [1, 0, 0, 5] : row));
  const cases: Record<string, CaseContent> = {
    fine: whole,
    noT2: withoutT2,
    noLabel: withoutLabel,
    shape: { ...whole, t1ce: await volumeFile([8, 8, 9], uneven) },
    affine: { ...whole, flair: await volumeFile([8, 8, 8], uneven, moved) },
    labelShape: { ...whole, seg: await volumeFile([8, 7, 8], () => 1) },
    value: { ...whole, seg: await volumeFile([8, 8, 8], (z) => (z === 1 ? 3 : 0)) },
    text: { ...whole, t1: new TextEncoder().encode("no NIfTI at all") },
    cut: { ...whole, t1: image.subarray(0, image.length >> 1) },
    nan: { ...whole, flair: await volumeFile([8, 8, 8], (z, y, x) => (z === 3 ? NaN : uneven(z, y, x))) },
    zero: { ...whole, t2: await volumeFile([8, 8, 8], () => 0) },
  };
  for (const [id, content] of Object.entries(cases)) writeCase(data, id, content);
  const ids = Object.keys(cases);
  const split = { train: ids.slice(0, 6), val: ids.slice(6, 8), test: ids.slice(8) };
  writeFileSync(join(data, "split.json"), JSON.stringify(split));
  const small = { filters: 2, levels: 2, batch: 1, patch: "8" };
  const error = await refusal(() => trainQuietly({ stage: "teacher", data, out, ...small }));
  assert.is(error.name, "DataError");
  const [heading, ...problems] = error.message.split("\n  ");
  assert.is(heading, "9 problems in the data:", "a teacher does not use the case without T2");
  const expected = [
    /^case noLabel: expected a label, got none$/,
    /^case shape: expected one shape, got t1 \(.*\) 8x8x8, .*t1ce \(.*\) 9x8x8, .*: resample them to one grid$/,
    /^case affine: flair \(.*\): expected the affine of t1 .* moves a corner by 5\.00 mm: the shapes agree, so perhaps only its header is wrong: .* use --affine image, .* register or resample/,
    /^case labelShape: expected one shape, got t1 .*, label \(.*\) 8x7x8: resample them to one grid$/,
    /^case value: label \(.*\): expected labels 0, 1, 2, 4 \(brats\), got .*3 \(64 voxels\).* use --labels/,
    /^case text: text\/text_t1\.nii\.gz: /,
    /^case cut: cut\/cut_t1\.nii\.gz: /,
    /^case nan: flair \(.*\): expected finite voxels, got 64 that are NaN or infinite: export it again$/,
    /^case zero: t2 \(.*\): expected an image, got zero in every voxel: remove the file$/,
  ];
  assert.is(problems.length, expected.length);
  problems.forEach((problem, i) => assert.match(problem, expected[i]!));
  assert.not(existsSync(out), "nothing is written");
});

test("no folder, an empty one, and one of other files have messages of their own", async ({
  root,
  data,
  out,
}) => {
  const of = async () => (await refusal(() => trainOn({ stage: "teacher", data, out }))).message;
  assert.match(await of(), /data: expected a folder, got nothing$/);
  mkdirSync(data);
  assert.match(await of(), /data: expected <case>\/<case>_t1\.nii\.gz .* got an empty folder$/);
  writeFileSync(join(data, "notes.txt"), "");
  assert.match(await of(), /got 1 files \(notes\.txt\.\.\.\)$/);
  writeFileSync(join(data, "CASE_0000.nii.gz"), "");
  assert.match(
    await of(),
    /expected a dataset\.json that names the channels, got CASE_0000\.nii\.gz without one: add/,
  );
  assert.equal(readdirSync(root), ["data"]);
});

test("a split that names unknown cases, or one twice, or another file, is refused", async ({
  root,
  data,
  out,
}) => {
  for (const id of ["a", "b", "c"]) writeCase(data, id, whole);
  const split = join(root, "split.json");
  const of = async (content: string) => {
    writeFileSync(split, content);
    const error = await refusal(() => trainOn({ stage: "teacher", data, out, split }));
    assert.is(error.name, "DataError");
    return error.message;
  };
  const unknown = await of(JSON.stringify({ train: ["a", "x"], val: ["y"], test: ["a"] }));
  for (const line of ["case x is not in", "case y is not in", "case a is listed twice"]) {
    assert.ok(unknown.includes(`split.json: ${line}`), unknown);
  }
  assert.match(
    await of('{"train": []}'),
    /split\.json: expected \{"train": .* with case ids, or a list of these, one per fold/,
  );
  assert.match(await of("train: a"), /split\.json: expected \{"train"/);
});

test("a patch that the network cannot divide is refused with what it can", async ({ data, out }) => {
  const of = (flags: Partial<TrainFlags>) =>
    refusal(() => resolveConfig({ stage: "teacher", data, out, ...flags }));
  const odd = await of({ patch: "96,100,96" });
  assert.is(odd.name, "UsageError");
  assert.match(odd.message, /^--patch: 5 levels need three multiples of 16, .* got 96,100,96$/);
  assert.match((await of({ patch: "16", levels: 5 })).message, /not all 16 themselves, got 16,16,16$/);
  assert.match(
    (await of({ patch: "32,32" })).message,
    /^--patch: expected D,H,W or one edge, 1 to 1024 voxels each, got 32,32$/,
  );
});

test("options that contradict each other are refused", async () => {
  const teacher = await refusal(() => resolveConfig({ stage: "teacher", modality: "t1" }));
  assert.is(teacher.name, "UsageError");
  assert.match(teacher.message, /--stage teacher: learns from labels/);
  const alone = await refusal(() => resolveConfig({ stage: "student", method: "none", teacher: "file" }));
  assert.match(alone.message, /--teacher: the method none uses no teacher/);
  const idle = await refusal(() => resolveConfig({ stage: "student", method: "kd", prototypeWeight: 1 }));
  assert.is(idle.name, "UsageError");
  assert.match(idle.message, /--prototype-weight: the method kd does not use it/);
});

test("another file in place of a teacher is refused with its file's name and why", async ({
  root,
  data,
  out,
}) => {
  const teacher = join(root, "teacher.safetensors");
  const of = async (content?: Uint8Array) => {
    if (content) writeFileSync(teacher, content);
    const error = await refusal(() =>
      trainOn({ ...SMALL, patch: "16", stage: "student", data, out, teacher }),
    );
    assert.ok(error.message.includes(teacher), error.message);
    return `${error.name}: ${error.message.replaceAll(teacher, "FILE")}`;
  };
  const file = (metadata: Record<string, string>, network = CARD.network) =>
    encodeSafetensors(weights(network), metadata);
  const card = (changes: Partial<typeof CARD>) =>
    file({ format: "protokd 1", card: JSON.stringify({ ...CARD, ...changes }) }, changes.network);
  assert.is(await of(), "CheckpointError: FILE: expected a checkpoint, got no file");
  assert.match(
    await of(new TextEncoder().encode("hello")),
    /^CheckpointError: FILE: not a usable checkpoint/,
  );
  assert.match(await of(card({}).subarray(0, -2)), /^CheckpointError: FILE: not a usable checkpoint/);
  const one = { one: { shape: [1], data: new Float32Array(1) } };
  assert.match(
    await of(encodeSafetensors(one, {})),
    /^CheckpointError: FILE: expected the tensors of ProtoKD/,
  );
  assert.match(
    await of(file({ format: "protokd 2" })),
    /^CheckpointError: FILE: expected the format "protokd 2"/,
  );
  const norm = "group" as "instance";
  const group = card({ network: { ...CARD.network, norm } });
  assert.match(
    await of(group),
    /^CheckpointError: FILE: describes an unknown network: network\.norm: .*"group"/,
  );
  assert.match(
    await of(file({ format: "protokd 1", card: "{" })),
    /^CheckpointError: FILE: describes an unknown network/,
  );
  const single = card({ modalities: ["t1"], network: { ...CARD.network, modalities: 1 } });
  assert.is(
    await of(single),
    "UsageError: --teacher FILE: expected a network of several modalities, got one of t1",
  );
  assert.match(
    await of(card({ background: "shifted" })),
    /^UsageError: .* with --background shifted: give it/,
  );
  const flat = card({ network: { ...CARD.network, levels: 6 }, patch: [64, 64, 64] });
  assert.match(await of(flat), /^UsageError: --teacher FILE: patch: 6 levels need three multiples of 32/);
});

test("an --out that holds another run, or an unfinished one, is refused; other files always", async (context) => {
  const { data, out } = context;
  const config = await resolveConfig({ ...SMALL, stage: "teacher", data, out });
  const folder = join(out, "teacher");
  const metrics = join(folder, "metrics.jsonl");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, filters: 4, data: "elsewhere" }));
  writeFileSync(metrics, "{}\n");
  const of = () => refusal(() => trainOn({ ...SMALL, stage: "teacher", data, out }));
  const other = await of();
  assert.is(other.name, "UsageError");
  assert.match(
    other.message,
    /teacher: holds another run, which differs in data \(.*\), filters \(4 → \d+\): .* choose another --out/,
  );
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(metrics, "");
  assert.match(
    (await of()).message,
    /teacher: holds an unfinished run: resume it with --resume, or choose another --out; --overwrite would/,
  );

  rmSync(join(folder, "config.json"));
  const replace = { finished: "replace", unfinished: "replace" } as const;
  const foreign = await refusal(() => trainOn({ ...SMALL, stage: "teacher", data, out }, replace));
  assert.match(
    foreign.message,
    /teacher: holds metrics\.jsonl, but no run: choose another --out, for nothing here is deleted/,
  );
  assert.ok(existsSync(metrics));
});

test("an unknown option gets the nearest one and exit code 2, bad data get 3, without a stack", ({
  data,
  out,
}) => {
  const unknown = run("train", "--stage", "student", "--modalty", "t1");
  assert.is(unknown.status, 2);
  assert.match(unknown.stderr, /unknown option '--modalty'\n\(Did you mean --modality\?\)/);
  mkdirSync(data);
  const empty = run("train", "--stage", "teacher", "--data", data, "--out", out);
  assert.is(empty.status, 3);
  assert.match(empty.stderr, /^data: expected .* got an empty folder$/);
});

test.run();

const SMALL = { patch: "8", levels: 2, filters: 2, batch: 1, epochs: 1 } as const;

const NETWORK: VnetConfig = { modalities: 4, classes: 4, filters: 2, levels: 2, norm: "instance" };

const CARD = {
  network: NETWORK,
  modalities: ["t1", "t2", "t1ce", "flair"],
  patch: [8, 8, 8],
  labels: "brats",
  background: "zero",
  stage: "teacher",
  epoch: 1,
  step: 1,
  seed: 0,
};

/** Zeros for every tensor of a network. */
function weights(network: VnetConfig): Record<string, StoredTensor> {
  const zeros = (shape: readonly number[]) => new Float32Array(shape.reduce((a, b) => a * b, 1));
  return Object.fromEntries(
    [...vnetShapes(network)].map(([name, shape]) => [name, { shape, data: zeros(shape) }]),
  );
}

/** Trains as the command does, without a device. */
async function trainOn(flags: TrainFlags, existing?: Existing): Promise<void> {
  const open = (): Promise<Device> => {
    throw new Error("a device was opened");
  };
  await train(open, await resolveConfig(flags), existing);
}

function writeCase(data: string, id: string, content: CaseContent): void {
  mkdirSync(join(data, id), { recursive: true });
  for (const [suffix, bytes] of Object.entries(content))
    writeFileSync(join(data, id, `${id}_${suffix}.nii.gz`), bytes);
}

/** The error that `act` ends in; what it prints is not shown. */
async function refusal(act: () => Promise<unknown>): Promise<Error> {
  let error = new Error("nothing was refused");
  await silenced(async () => (error = await failure(act)));
  return error;
}
