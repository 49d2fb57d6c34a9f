// The choice of a run's model for a case: the one that sees most of its modalities, then the best in
// validation.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Candidate, choose, readCandidates, validatedDice } from "../../cli/prediction/candidates.ts";
import type { ModelUse } from "../../cli/files/models.ts";
import { MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import { failure } from "../support/quietly.ts";
import { storeStage } from "../support/storedRun.ts";

const test = suite("candidates");
const folder = mkdtempSync(join(tmpdir(), "candidates-"));
const run = join(folder, "run");
const ofCard = ({ card }: { card: ModelUse | null }) => card!;
const diceOf = (one: Candidate) => validatedDice(one, one.modalities);
const read = (...paths: string[]) => readCandidates(paths, ofCard);

test.before(async () => {
  await storeStage(run, { name: "teacher", modalities: [...MODALITIES], dice: 0.5 });
  await storeStage(run, { name: "student_t1", modalities: ["t1"], dice: 0.4 });
  await storeStage(run, { name: "student_t1ce", modalities: ["t1ce"], dice: 0.6 });
  await storeStage(run, { name: "student_t1ce_protokd", modalities: ["t1ce"], dice: 0.7 });
  await storeStage(run, { name: "student_flair", modalities: ["flair"] });
  mkdirSync(join(run, "predictions")); // a folder without a checkpoint is not a stage
});
test.after(() => rmSync(folder, { recursive: true }));

test("a case with all four gets the teacher, whatever its Dice; others get the best student in validation", async () => {
  const candidates = await read(run);
  assert.equal(candidates.map((one) => [one.name, diceOf(one)]).sort(), [
    ["student_flair", null],
    ["student_t1", 0.4],
    ["student_t1ce", 0.6],
    ["student_t1ce_protokd", 0.7],
    ["teacher", 0.5],
  ]);
  const chosen = (...available: Modality[]) => {
    const found = choose(candidates, available);
    return found && [found.candidate.name, found.why];
  };
  assert.equal(chosen(...MODALITIES), ["teacher", "it sees t1, t2, t1ce, flair"]);
  const why = "Dice in validation 0.700; student_t1ce 0.600";
  assert.equal(chosen("t1ce", "t2"), ["student_t1ce_protokd", why]);
  assert.equal(chosen("t1", "t1ce", "flair"), [
    "student_t1ce_protokd",
    `${why}, student_t1 0.400, student_flair unknown`,
  ]);
  assert.equal(chosen("t1", "t2"), ["student_t1", "the only one that these allow"]);
  assert.equal(chosen("flair", "t1"), ["student_t1", "Dice in validation 0.400; student_flair unknown"]);
  assert.is(chosen("t2"), null);
  assert.is(chosen(), null);
});

test("a network of two contrasts comes before those of one, and after one of three", async () => {
  const pairs = join(folder, "pairs");
  await storeStage(pairs, { name: "student_t1ce", modalities: ["t1ce"], dice: 0.9 });
  await storeStage(pairs, { name: "student_t1ce+flair_protokd", modalities: ["t1ce", "flair"], dice: 0.4 });
  await storeStage(pairs, { name: "teacher", modalities: ["t1", "t1ce", "flair"], dice: 0.3 });
  const candidates = await read(pairs);
  const chosen = (...available: Modality[]) => choose(candidates, available)?.candidate.name;
  assert.is(chosen("t1ce", "t2"), "student_t1ce");
  assert.is(chosen("t2", "t1ce", "flair"), "student_t1ce+flair_protokd");
  assert.is(chosen(...MODALITIES), "teacher");
});

test("stages' folders and checkpoints are averaged to one model; of several runs, stages of the same name are", async () => {
  const [one] = await read(join(run, "student_t1"));
  assert.equal([one!.name, diceOf(one!), one!.members.length], ["student_t1", 0.4, 1]);
  assert.match(one!.members[0]!.checksum, /^[0-9a-f]{16}$/);
  const both = await read(join(run, "student_t1"), join(run, "student_t1ce", "checkpoint_best.safetensors"));
  assert.is(both.length, 1);
  assert.equal(
    [both[0]!.name, both[0]!.modalities, diceOf(both[0]!)],
    ["student_t1 + student_t1ce", ["t1", "t1ce"], 0.5],
  );

  const seeds = join(folder, "seeds");
  for (const [i, dice] of [0.2, 0.4].entries()) {
    await storeStage(join(seeds, `seed_${i}`), { name: "student_t2", modalities: ["t2"], dice, seed: i + 1 });
  }
  await storeStage(join(seeds, "fold_0"), { name: "teacher", modalities: [...MODALITIES] });
  const found = await read(seeds, run);
  const averaged = found.find(({ name }) => name === "student_t2")!;
  assert.is(averaged.members.length, 2);
  assert.ok(Math.abs(diceOf(averaged)! - 0.3) < 1e-12);
  assert.equal(found.find(({ name }) => name === "teacher")!.members.length, 2);
});

test("a path that is not a model is refused with a remedy", async () => {
  const message = async (...paths: string[]) =>
    (await failure(() => read(...paths))).message.replaceAll(folder, "");
  mkdirSync(join(folder, "empty"));
  assert.match(
    await message(join(folder, "empty")),
    /^\/empty: expected a checkpoint, or the folder of a run .* train one with --out \/empty$/,
  );
  assert.match(await message(join(folder, "nothing")), /^\/nothing: expected a checkpoint, got no file$/);
  assert.match(
    await message(run, join(run, "teacher")),
    /^--model: expected folders of runs, or checkpoints, got both/,
  );
});

test.run();
