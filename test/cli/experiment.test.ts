// The report of an experiment: its table and tests against numbers worked out by hand, its notes on too few
// cases or seeds, and the files made from finished stages (here invented ones with known predictions).

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { stageName, type TrainConfig } from "../../trainer/settings/config.ts";
import { csv } from "../../cli/files/csv.ts";
import { scorePairs, writeSummary } from "../../cli/prediction/evaluation.ts";
import { EXPERIMENT, writeExperiment } from "../../cli/report/experimentReport.ts";
import { experimentCsv, formatExperiment } from "../../cli/report/experimentTable.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { trainedFrom, writeModelCard } from "../../cli/report/modelCard.ts";
import { costOf } from "../../cli/report/reportCurves.ts";
import { differences, worstSlice } from "../../cli/report/slices.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { experiment, type ExperimentRun } from "../../trainer/experiments/experiment.ts";
import type { Summary } from "../../model/scoring/summary.ts";

const test = suite("experiment");
const folder = mkdtempSync(join(tmpdir(), "experiment-"));
test.after(() => rmSync(folder, { recursive: true }));

/** A run whose cases score the given Dice in all regions, and 10 (1 - Dice) mm. */
function run(method: string, modality: string | null, seed: number, dice: (number | null)[]): ExperimentRun {
  const perCase = dice.map((value, i) => {
    const scores = { Dice: value, HD95: value === null ? null : 10 * (1 - value) };
    return { case: `case ${i}`, metrics: { WT: scores, TC: scores, ET: scores } };
  });
  return {
    method,
    modality,
    seed,
    summary: { convention: "brats", metric_per_case: perCase } as unknown as Summary,
  };
}

const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-12, `${a} is not ${b}`);

test("a row is the mean over cases, then mean and deviation over seeds; the mean column is that of regions", () => {
  const { rows } = experiment([run("none", "t1", 0, [0.2, 0.4]), run("none", "t1", 1, [0.6, 0.6])]);
  const [row] = rows;
  assert.equal([row!.seeds, row!.cases, rows.length], [[0, 1], 2, 1]);
  for (const column of ["WT", "mean"] as const) {
    near(row!.scores.Dice[column].mean, 0.45);
    near(row!.scores.Dice[column].deviation, Math.sqrt(2) * 0.15);
    near(row!.scores.HD95[column].mean, 5.5);
  }
  const { low, high } = row!.interval.Dice; // of cases at 0.4 and 0.5
  assert.ok(Math.abs(low - 0.4) < 1e-9 && Math.abs(high - 0.5) < 1e-9, `${low} to ${high}`);
});

test("methods are compared case by case, seeds averaged first; p is exact and corrected over modalities", () => {
  const gains = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06];
  const same = (dice: number) => gains.map(() => dice);
  const better = gains.map((gain) => 0.4 + gain);
  const runs = ["t1", "t2"].flatMap((modality, m) => [
    run("none", modality, 0, same(0.5)),
    run("none", modality, 1, same(0.3)),
    run("kd", modality, 0, better),
    run("protokd", modality, 0, m === 1 ? [0.4 - gains[0]!, ...better.slice(1)] : better),
  ]);
  const { comparisons, notes } = experiment(runs);
  const dice = comparisons.filter(({ measure, against }) => measure === "Dice" && against === "none");
  assert.equal(
    dice.map(({ modality, cases, exact }) => [modality, cases, exact]),
    [
      ["t1", 6, true],
      ["t2", 6, true],
    ],
  );
  near(dice[0]!.difference, 0.035);
  near(dice[0]!.p, 2 / 64);
  near(dice[1]!.p, 4 / 64);
  near(dice[0]!.holm, 4 / 64);
  near(dice[1]!.holm, 4 / 64);
  assert.ok(dice[0]!.interval.low > 0.01 && dice[0]!.interval.high < 0.06);
  const equal = comparisons.find(
    ({ modality, measure, against }) => modality === "t1" && measure === "Dice" && against === "kd",
  );
  assert.equal([equal!.p, equal!.difference], [1, 0]);
  const distance = comparisons.find(({ measure, against }) => measure === "HD95" && against === "none");
  near(distance!.difference, -0.35);
  assert.match(notes.join(" "), /corrected by Holm over 2 modalities/);
  assert.match(notes.join(" "), /not the same in all rows: 0, 1; 0/);
});

test("notes warn of too few cases and of a single seed, and only of these", () => {
  const small = experiment([
    run("none", "t1", 0, [0.1, 0.2]),
    run("protokd", "t1", 0, [0.2, 0.4]),
  ]).notes.join("\n");
  assert.match(small, /One seed: .* unknown/);
  assert.match(small, /2 test cases are too few: even if all of them agreed, p would be 0\.50 at least/);
  const many = Array.from({ length: 12 }, (_, i) => i / 20);
  const runs = [0, 1, 2].flatMap((seed) => [run("none", "t1", seed, many), run("protokd", "t1", seed, many)]);
  const large = experiment(runs).notes.join("\n");
  assert.not.match(large, /too few|One seed|hardly/);
  assert.match(large, /one modality: nothing to correct/);
});

test("the folds of a cross validation are one run over all their cases; an undefined score removes no other", () => {
  const folds = [run("none", "t1", 0, [0.2, null]), run("none", "t1", 0, [])];
  folds[1]!.summary.metric_per_case = run("none", "t1", 0, [0, 0, 0.8]).summary.metric_per_case.slice(2);
  const [row] = experiment(folds).rows;
  assert.equal([row!.seeds, row!.cases], [[0], 3]);
  near(row!.scores.Dice.WT.mean, 0.5);
  assert.ok(Number.isNaN(row!.scores.Dice.WT.deviation));
});

test("runs scored by different conventions are refused", () => {
  const other = run("kd", "t1", 0, [1]);
  other.summary.convention = "protokd";
  assert.throws(
    () => experiment([run("none", "t1", 0, [1]), other]),
    /by one convention, got brats, protokd/,
  );
});

test("the text has a line per row, with deviations if there are several seeds; the CSV has a number per field", () => {
  const result = experiment([
    run("teacher", null, 0, [0.75, 0.85]),
    run("none", "t1", 0, [0.5, 0.25]),
    run("protokd", "t1", 0, [0.625, 0.5]),
  ]);
  const lines = formatExperiment(result).split("\n");
  assert.match(lines[0]!, /^modality +method +Dice WT +TC +ET +mean +HD95 \(mm\) WT/);
  assert.match(lines[1]!, /^all four +teacher +0\.800 +0\.800 +0\.800 +0\.800 +2\.0/);
  assert.match(
    lines.join("\n"),
    /^t1 +ProtoKD - alone +Dice, mean +\+0\.188 +\+0\.125 to \+0\.250 +2 +0\.500 +0\.500$/m,
  );
  const table = experimentCsv(result, [null, null, null]).trim().split("\n");
  const [head, first] = table.map((line) => line.split(","));
  assert.is(head!.length, first!.length);
  assert.equal([first![head!.indexOf("Dice_WT")], first![head!.indexOf("Dice_WT_sd")]], ["0.8", ""]);
  assert.is(csv([["a,b", 'say "x"', null, NaN, 0]]), '"a,b","say ""x""",,,0\n');
});

test("a stage's cost: seconds per step without validation, and the most memory", () => {
  const epoch = (n: number, seconds: number, gpuBytes: number, validated = false) => ({
    epoch: n,
    step: 10 * n,
    seconds,
    rate: 1,
    losses: {},
    gpuBytes,
    ...(validated && { validation: { WT: 1, TC: 1, ET: 1, mean: 1 } }),
  });
  const cost = costOf({ metrics: [epoch(1, 2, 5), epoch(2, 90, 9, true), epoch(3, 3, 7)] });
  assert.equal(cost, { parameters: null, epochs: 3, steps: 30, perStep: 0.25, seconds: 95, gpuBytes: 9 });
  assert.equal(costOf({ metrics: [] }).perStep, null);
});

test("differences are missed, false, or of the wrong class; the worst slice has the most, or is null without any", () => {
  const label = Uint8Array.from([0, 1, 1, 0, 2, 3, 0, 0]);
  const map = differences(label, Uint8Array.from([0, 1, 0, 3, 1, 3, 2, 0]));
  assert.equal([...map], [0, 0, 1, 2, 3, 0, 2, 0]);
  assert.is(worstSlice([map], [2, 2, 2]), 0);
  assert.is(worstSlice([map, Uint8Array.from([0, 0, 0, 0, 1, 1, 1, 1])], [2, 2, 2]), 1);
  assert.is(worstSlice([new Uint8Array(8)], [2, 2, 2]), null);
});

test("finished stages give a page, experiment.json and experiment.csv, without any absolute path", async () => {
  const data = join(folder, "data");
  await makePhantom({ out: data, cases: 5, size: 16, seed: 3 });
  const split = join(folder, "split.json");
  const cases = [1, 2, 3, 4, 5].map((n) => `PHANTOM_00${n}`);
  writeFileSync(split, JSON.stringify({ train: [cases[0]], val: [cases[1]], test: cases.slice(2) }));
  const configs: TrainConfig[] = [];
  for (const seed of [0, 1]) {
    for (const flags of [
      { stage: "student", modality: "t1ce", method: "protokd" },
      { stage: "student", modality: "t1ce", method: "none" },
      { stage: "teacher" },
    ] as const) {
      const config = await resolveConfig({
        ...flags,
        data,
        split,
        seed,
        out: join(folder, "run", `seed_${seed}`),
      });
      await invent(config, cases.slice(2));
      configs.push(config);
    }
  }
  const text = await writeExperiment(join(folder, "run"), configs, ["A <note>."]);
  assert.match(text, /^all four +teacher +1\.000 ±0\.000/m);
  assert.match(text, /^t1ce +alone/m);

  const read = (name: string) => readFileSync(join(folder, "run", name), "utf8");
  const json = JSON.parse(read(EXPERIMENT.json)) as Record<string, unknown> & {
    stages: Record<string, unknown>[];
  };
  assert.equal(
    json.stages.map(({ folder: at, method, seed, seconds }) => [at, method, seed, seconds]),
    [
      ["seed_0/teacher", "teacher", 0, 6],
      ["seed_1/teacher", "teacher", 1, 6],
      ["seed_0/student_t1ce", "none", 0, 6],
      ["seed_1/student_t1ce", "none", 1, 6],
      ["seed_0/student_t1ce_protokd", "protokd", 0, 6],
      ["seed_1/student_t1ce_protokd", "protokd", 1, 6],
    ],
  );
  assert.is(read(EXPERIMENT.csv).trim().split("\n").length, 1 + 3);
  const page = read(EXPERIMENT.report);
  const { document } = parseHTML(page);
  const rows = [...document.querySelectorAll("table")[0]!.querySelectorAll("tbody tr")];
  assert.equal(
    rows.map((row) => [...row.children].slice(0, 3).map((cell) => cell.textContent)),
    [
      ["all four", "teacher", "1.000 ±0.000"],
      ["t1ce", "alone", rows[1]!.children[2]!.textContent],
      ["", "ProtoKD", "1.000 ±0.000"],
    ],
  );
  assert.match(document.body.textContent!, /A <note>\./);
  const captions = [...document.querySelectorAll("figcaption")].map((caption) => caption.textContent!);
  assert.ok(captions.includes("t1ce, alone: differences"), "where the wrong one differs");
  assert.not.ok(captions.includes("teacher: differences"), "the teacher is right everywhere");
  for (const name of Object.values(EXPERIMENT)) assert.not.ok(read(name).includes(folder), name);
});

test("a model card describes the network, its data and scores, and that it is not a medical device", async () => {
  const config = await resolveConfig({
    stage: "student",
    modality: "t1ce",
    method: "none",
    data: join(folder, "data"),
    out: join(folder, "run", "seed_0"),
  });
  const at = join(config.out, stageName(config));
  const split = { train: ["a", "b"], val: ["c"], test: ["d", "e", "f"], layout: "brats", labels: "brats" };
  writeFileSync(join(at, FILES.split), JSON.stringify(split));
  await writeModelCard(config);
  const card = readFileSync(join(at, FILES.card), "utf8");
  const { mean } = JSON.parse(readFileSync(join(at, FILES.summary), "utf8")) as Summary;
  for (const words of [
    "# student_t1ce\n",
    "Not a medical device",
    "| training | 2 |\n| validation | 1 |\n| test | 3 |",
    "2 epochs (2 steps of 2 patches) in 6.0 s; adam, learning rate 0.003 (poly), seed 0.",
    "On 3 test cases",
    `| Dice | ${mean.WT.Dice.toFixed(3)} (`,
    "3 test cases: too few",
    "Its only input is t1ce",
    "| filters | 8 |",
  ])
    assert.ok(card.includes(words), words);
  assert.match(card, /used neither for training nor to choose the best epoch/);
  writeFileSync(join(at, FILES.split), JSON.stringify({ ...split, val: split.test })); // a fold
  await writeModelCard(config);
  assert.match(readFileSync(join(at, FILES.card), "utf8"), /on which its best epoch was chosen too/);
  assert.not.ok(card.includes(folder), "no absolute path");
  assert.not.match(card, /undefined|NaN|null \|.*HD95/);
});

test("a model card says which networks taught, and by which paper", async () => {
  const words = async (flags: TrainFlags) => trainedFrom(await resolveConfig({ stage: "student", ...flags }));
  assert.is(await words({ method: "none" }), "from labels alone");
  const source = "Wang et al., ICASSP 2023 (arXiv 2303.09830)";
  const taught = await words({ method: "protokd" });
  assert.is(taught, `from labels and the network of teacher (method: protokd; ${source})`);
  const itself = await words({ method: "kd", modality: "any", teacher: "self" });
  assert.match(itself, /^from labels and its own predictions from every contrast of a case \(method: kd; /);
  assert.match(await words({ method: "barlow" }), /^from labels, together with a teacher network \(/);
  const frozen = await words({ method: "barlow", barlowTeacher: "frozen" });
  assert.match(frozen, /^from labels and the network of teacher \(method: barlow; /);
});

/** Writes a finished stage whose predictions are right, but for those of a student alone for one case. */
async function invent(config: TrainConfig, cases: readonly string[]): Promise<void> {
  const at = join(config.out, stageName(config));
  const predictions = join(at, FILES.predictions);
  mkdirSync(predictions, { recursive: true });
  for (const [i, id] of cases.entries()) {
    const wrong = config.stage === "student" && config.method === "none" && i === 0;
    const source = join(config.data, wrong ? cases[1]! : id);
    cpSync(join(source, `${wrong ? cases[1] : id}_seg.nii.gz`), join(predictions, `${id}.nii.gz`));
  }
  const losses = { total: 1, dice: 0.5 };
  const records = [1, 2].map((epoch) => ({ epoch, step: epoch, seconds: 3, rate: 1e-3, losses }));
  writeFileSync(join(at, FILES.metrics), records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  const pairs = cases.map((id) => ({
    case: id,
    prediction: join(predictions, `${id}.nii.gz`),
    reference: join(config.data, id, `${id}_seg.nii.gz`),
  }));
  const folders = { predictions, references: config.data };
  await writeSummary(join(at, FILES.summary), await scorePairs({ pairs, folders, labels: "brats" }));
}

test.run();
