// The choice among networks of fixed contrasts and those that take any, whose validated score depends on the
// subset.

import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FILES } from "../../cli/files/stageFolder.ts";
import type { ModelUse } from "../../cli/files/models.ts";
import { type Candidate, choose, readCandidates, validatedDice } from "../../cli/prediction/candidates.ts";
import { MODALITIES, type Modality } from "../../data/datasets/datasets.ts";
import { failure, silenced } from "../support/quietly.ts";
import { storeStage } from "../support/storedRun.ts";

const test = suite("any candidates");
const folder = mkdtempSync(join(tmpdir(), "any-candidates-"));
const run = join(folder, "run");
const read = (...paths: string[]) => readCandidates(paths, ({ card }: { card: ModelUse | null }) => card!);
const chosen = (candidates: readonly Candidate[], ...available: Modality[]) => {
  const found = choose(candidates, available);
  return found && [found.candidate.name, found.sees.join("+"), found.why];
};

test.before(async () => {
  const subsets = { t1: 0.3, t1ce: 0.6, "t1ce+flair": 0.7, "t1+t2+t1ce+flair": 0.75 };
  await storeStage(run, { name: "student_any", modalities: [...MODALITIES], any: true, subsets, dice: 0.99 });
  await storeStage(run, { name: "student_t1", modalities: ["t1"], dice: 0.4 });
  await storeStage(run, { name: "student_t1ce", modalities: ["t1ce"], dice: 0.5 });
  await storeStage(run, { name: "student_t2", modalities: ["t2"], dice: 0.1 });
  await storeStage(run, { name: "teacher", modalities: [...MODALITIES], dice: 0.8 });
});
test.after(() => rmSync(folder, { recursive: true }));

test("the network that sees most of what is there; between equals the score with these contrasts", async () => {
  const candidates = await read(run);
  const why = (text: string) => `Dice in validation ${text}`;
  for (const [available, name, sees, reason] of [
    [["t1"], "student_t1", "t1", why("0.400; student_any 0.300")],
    [["t1ce"], "student_any", "t1ce", why("0.600; student_t1ce 0.500")],
    [["t2"], "student_t2", "t2", why("0.100; student_any unknown")],
    [["flair"], "student_any", "flair", "the only one that these allow"],
    [["t1", "t1ce"], "student_any", "t1+t1ce", "it sees t1, t1ce"],
    [MODALITIES, "teacher", "t1+t2+t1ce+flair", why("0.800; student_any 0.750")],
  ] as const)
    assert.equal(chosen(candidates, ...available), [name, sees, reason]);
  assert.is(chosen(candidates), null);
});

test("a network that takes any of two contrasts sees those of them that are there", async () => {
  const two = join(folder, "two");
  await storeStage(two, { name: "student_any", modalities: ["t1ce", "flair"], any: true });
  const candidates = await read(two);
  assert.equal(chosen(candidates, ...MODALITIES), ["student_any", "t1ce+flair", "the only one given"]);
  assert.equal(chosen(candidates, "t1", "flair"), ["student_any", "flair", "the only one given"]);
  assert.is(chosen(candidates, "t1", "t2"), null);
});

test("several networks: each of them must see something, and fixed ones all of theirs", async () => {
  const [mixed] = await read(
    join(run, "student_t1"),
    join(run, "student_any"),
    join(folder, "two", "student_any"),
  );
  const sees = (...available: Modality[]) => choose([mixed!], available)?.sees.join("+") ?? null;
  assert.is(sees("t1", "flair"), "t1+flair");
  assert.is(sees("t1", "t2", "t1ce"), "t1+t2+t1ce");
  assert.is(sees("t1", "t2"), null, "the network of two sees nothing");
  assert.is(sees("t2", "flair"), null, "student_t1 needs t1");
  const [both] = await read(join(run, "student_t1ce"), join(run, "student_any"));
  assert.is(validatedDice(both!, ["t1ce"]), 0.55);
  assert.is(validatedDice(both!, ["t1", "t1ce"]), null);
});

test("scores of another checkpoint do not count; a damaged file is refused by name, with a remedy", async () => {
  const stage = join(folder, "scored", "student_any");
  const stored = {
    name: "student_any",
    modalities: [...MODALITIES],
    any: true,
    subsets: { t1: 0.3 },
  } as const;
  const path = await storeStage(join(folder, "scored"), { ...stored, modalities: [...MODALITIES] });
  const score = async () => validatedDice((await read(stage))[0]!, ["t1"]);
  assert.is(await score(), 0.3);
  const { subsets: _, ...other } = stored;
  await storeStage(join(folder, "scored"), { ...other, modalities: [...MODALITIES], seed: 2 });
  let now: number | null = 0;
  const said = await silenced(async () => (now = await score()));
  assert.is(now, null);
  assert.match(
    said.join("\n"),
    /subset_scores.json: has the scores of another checkpoint than .*: not used$/,
  );
  const scores = join(stage, FILES.subsetScores);
  for (const damage of [
    () => appendFileSync(scores, "}"),
    () => writeFileSync(scores, JSON.stringify({ checkpoint: path, cases: [], subsets: { "t1+pet": {} } })),
  ]) {
    damage();
    const { name, message } = await failure(score);
    assert.is(name, "CheckpointError");
    assert.match(
      message.replaceAll(folder, ""),
      /^\/scored\/student_any\/subset_scores.json: expected the scores that train.js writes, .*: restore it, or remove it: its network then/,
    );
  }
  rmSync(scores);
  assert.is(await score(), null);
});

test.run();
