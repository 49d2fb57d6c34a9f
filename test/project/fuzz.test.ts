// The fuzzers and the crashes: a short run of every kind of file, and that both notice what they look for.

import { rmSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DataError } from "../../data/errors.ts";
import { Random } from "../../engine/index.ts";
import { trial } from "../crashes.ts";
import { damageBytes, damageJson } from "../fuzz/damage.ts";
import { faultOf } from "../fuzz/faults.ts";
import type { Scene } from "../fuzz/scenes.ts";
import { place, TARGETS } from "../fuzz/targets.ts";
import { fuzz } from "../fuzz.ts";
import { folder } from "../support/killing.ts";
import { silenced } from "../support/quietly.ts";

const test = suite("fuzz");
test.after(() => rmSync(folder, { recursive: true }));

const RUNS = 400;

for (const [kind, target] of Object.entries(TARGETS))
  test(`${RUNS} damaged ${target.about}: each is read, or refused by an error that names it`, async () => {
    const plan = { seed: 11, first: 0, runs: RUNS, seconds: Infinity, kept: false };
    let faults = 0;
    const lines = await silenced(async () => (faults = await fuzz(kind, target, plan)));
    assert.is(faults, 0, lines.join("\n"));
  });

test("a whole file of every kind is read", async () => {
  for (const { samples, read } of Object.values(TARGETS))
    for (const { file, bytes } of await samples()) await read(bytes, place(folder, file, bytes));
});

test("equal seeds damage equally, and every file is damaged somehow", () => {
  const bytes = Uint8Array.from({ length: 500 }, (_, i) => i);
  let same = 0;
  for (let seed = 0; seed < 200; seed++) {
    const damaged = () => damageBytes(new Random(seed), bytes, bytes);
    assert.equal(damaged(), damaged());
    if (damaged().length === bytes.length && damaged().every((byte, i) => byte === bytes[i])) same++;
    const json = () => damageJson(new Random(seed), { a: [1, { b: 2 }] }, { c: 3 });
    assert.is(json(), json());
  }
  assert.ok(same < 5, `${same} of 200 files are not damaged`);
});

test("the fuzzer notices a foreign error, one without the file's name, much memory and a changed prototype", async () => {
  const faultIn = async (read: () => Promise<number>) =>
    (await faultOf({ read }, new Uint8Array(1), "/tmp/x.nii")).fault;
  assert.is(await faultIn(() => Promise.resolve(1)), null);
  assert.is(await faultIn(() => Promise.reject(new DataError("x.nii: damaged"))), null);
  assert.match((await faultIn(() => Promise.reject(new TypeError("x.nii is not iterable"))))!, /TypeError/);
  assert.match((await faultIn(() => Promise.reject(new DataError("damaged"))))!, /does not name the file/);
  const large: Uint8Array[] = [];
  const grow = () => Promise.resolve(large.push(new Uint8Array(400 << 20).fill(1)));
  assert.match((await faultIn(grow))!, /took \d+ MiB, 64 are allowed/);
  const pollute = () => Promise.resolve(Object.assign(Object.prototype, { polluted: 1 }) && 1);
  try {
    assert.match((await faultIn(pollute))!, /changed the prototype/);
  } finally {
    Reflect.deleteProperty(Object.prototype, "polluted");
  }
});

test("the crashes notice an undocumented exit code, a run that cannot be resumed, and other files", async () => {
  const outcome = (code: number | null) => Promise.resolve({ code, signal: null, output: "" });
  const scene = (codes: (number | null)[], files: string): Scene => ({
    start: () => outcome(codes.shift()!),
    resume: () => outcome(codes.shift()!),
    result: () => files,
  });
  const problem = async (codes: (number | null)[], files = "same") =>
    (await trial(scene(codes, files), "run", "before", 1, "same")).problem;
  assert.is(await problem([0]), null);
  assert.is(await problem([null, 6, 0]), null);
  assert.match((await problem([1]))!, /exit code 1/);
  assert.match((await problem([null, 1]))!, /exit code 1/);
  assert.match((await problem([null, null, null, null]))!, /cannot be resumed/);
  assert.match((await problem([null, 0], "other"))!, /Expected/);
});

test.run();
