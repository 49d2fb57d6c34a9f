// node cli/study.js: a small study is killed, goes on in two processes, and ends with the evidence of one
// that was never stopped; bad files are refused; the page shows the verdicts.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { forestChart } from "../../cli/report/forestChart.ts";
import { STUDY, writeStudy } from "../../cli/report/studyReport.ts";
import { resumeCommand } from "../../cli/terminal/stopSignals.ts";
import { reportedArms } from "../../trainer/experiments/study.ts";
import { STUDIES } from "../../trainer/experiments/studySizes.ts";
import { runCli } from "../support/studyCommand.ts";
import { invented } from "../support/studies.ts";

const test = suite("study command");
const folder = mkdtempSync(join(tmpdir(), "study-"));
const config = join(folder, "tiny.json");
test.before(() => {
  const tiny = {
    size: "minute",
    name: "tiny",
    sets: [{ phantom: { seed: 7, size: 16, train: 2, val: 1, test: 2 } }],
    settings: {
      epochs: 2,
      validateEvery: 1,
      patch: [16, 16, 16],
      levels: 2,
      filters: 2,
      batch: 2,
      workers: 0,
      saveEvery: "1",
    },
  };
  writeFileSync(config, JSON.stringify(tiny));
});
test.after(() => rmSync(folder, { recursive: true }));

const flags = (name: string) => [
  ...["--config", config, "--out", join(folder, name), "--evidence", join(folder, `${name} evidence`)],
];

/** The records of a study by their names, without their times. */
function evidence(name: string): Record<string, unknown> {
  const path = join(folder, `${name} evidence`);
  return Object.fromEntries(
    readdirSync(path)
      .sort()
      .map((file) => {
        const text = readFileSync(join(path, file), "utf8");
        assert.not.match(text, new RegExp(folder), "no path of this machine");
        return [file, { ...(JSON.parse(text) as object), seconds: 0 }];
      }),
  );
}

test("a study that is killed goes on in two processes, to the evidence of one that was not", async () => {
  const whole = await runCli("study", flags("whole"));
  assert.is(whole.code, 0, whole.output);
  assert.match(whole.output, /kd, Hinton − none +t1ce {2}\S+ points \(.*\): /);
  assert.match(whole.output, /kd with all its weights 0 has the weights of the baseline, bit for bit/);

  const killed = await runCli("study", flags("killed"), (output) =>
    /kd, Hinton.*[^]*epoch 1\/2/.test(output),
  );
  assert.is(killed.signal, "SIGKILL", killed.output);
  const before = Object.keys(evidence("killed")).length;
  assert.ok(before >= 1 && before < Object.keys(evidence("whole")).length, `${before} arms`);
  const both = [runCli("study", flags("killed")), runCli("study", flags("killed"))];
  for (const { code, output } of await Promise.all(both)) assert.is(code, 0, output);
  assert.equal(evidence("killed"), evidence("whole"));
});

test("a stopped study says the command that resumes it, which is the same one", () => {
  const argv = ["node", "/somewhere/cli/study.js", "--size", "hour"];
  assert.is(resumeCommand(argv), "node cli/study.js --size hour");
});

test("in a fresh clone, with the evidence alone, no arm is trained again", async () => {
  const moved = [
    "--config",
    config,
    "--out",
    join(folder, "fresh"),
    "--evidence",
    join(folder, "whole evidence"),
  ];
  const { code, output } = await runCli("study", moved);
  assert.is(code, 0, output);
  assert.match(output, /(\d+) of \1 arms finished before/);
  assert.not.match(output, /epoch/);
  const page = (name: string) => readFileSync(join(folder, name, STUDY.table), "utf8");
  assert.is(page("fresh"), page("whole"));
});

test("damaged evidence, a bad file, and data without splits are refused", async () => {
  const bad = join(folder, "bad.json");
  const refused = async (content: string, more: string[] = []) => {
    writeFileSync(bad, content);
    const { code, output } = await runCli("study", ["--config", bad, "--out", join(folder, "bad"), ...more]);
    return `${code} ${output}`;
  };
  assert.match(await refused("{"), /^2 --config .*bad.json: expected a study as JSON.*not valid JSON/);
  assert.match(
    await refused('{"seeds": [0, 0]}'),
    /^2 --config .*bad.json: seeds: 0 is there twice: remove one/,
  );
  assert.match(
    await refused('{"seeds": 1, "sise": 2}'),
    /^2 --config .*bad.json: 2 mistakes:\n {2}seeds: .*\n {2}sise/,
  );
  assert.match(
    await refused('{"sets": [{"split": null}]}'),
    /^2 --data: the study's data sets are splits of a folder/,
  );
  const phantom = { version: 9, seed: 1, size: 16, train: 1, val: 1, test: 2 };
  assert.match(
    await refused(JSON.stringify({ sets: [{ phantom }] })),
    /^2 phantom: expected version .*, got 9/,
  );
  const unknown = { entries: [{ name: "a", method: "kd", settings: { prototypeWeight: 1 } }] };
  assert.match(
    await refused(JSON.stringify({ ...(JSON.parse(readFileSync(config, "utf8")) as object), ...unknown })),
    /2 a, t1ce: --prototype-weight: none of the methods kd uses it/,
  );
  const damaged = join(folder, "damaged evidence");
  mkdirSync(damaged);
  for (const file of readdirSync(join(folder, "whole evidence"))) writeFileSync(join(damaged, file), "{}");
  const { code, output } = await runCli("study", flags("damaged"));
  assert.is(code, 3, output);
  assert.match(output, /none-t1ce-seed-0-\w+\.json: expected the record of a study's arm .*delete it/);
});

test("the page has each verdict, the plots, and in red a method whose weights of 0 change a bit", async () => {
  const study = STUDIES.hour;
  const finished = invented(reportedArms(study), 12, ({ name }) => (name === "kd, Hinton" ? 0.2 : 0));
  const changed = finished.find(({ arm }) => arm.name === "protokd, weights 0")!;
  changed.record = { ...changed.record, weights: "1".repeat(64) };
  const out = join(folder, "page");
  const text = await writeStudy(out, {
    study,
    finished,
    command: "node cli/study.js --size hour",
    notes: ["A note."],
  });
  assert.match(text, /kd, Hinton − none .*: helps\n/);
  const { document } = parseHTML(readFileSync(join(out, STUDY.report), "utf8"));
  assert.is(document.querySelectorAll("section svg").length, 3);
  assert.match(
    document.querySelector("ul")!.textContent,
    /kd, Hinton, t1ce: helps \(\+\d+\.\d points, 95 % interval/,
  );
  assert.equal(
    [...document.querySelectorAll(".alarm")].map(({ textContent }) => textContent),
    [
      "protokd with all its weights 0 differs from the baseline: its differences above are not those of its terms.",
    ],
  );
  const json = JSON.parse(readFileSync(join(out, STUDY.json), "utf8")) as { format: string; rows: unknown[] };
  assert.equal([json.format, json.rows.length], ["protokd study 1", 7]);
  assert.match(
    readFileSync(join(out, STUDY.table), "utf8"),
    /^### Study: hour\n\n`node cli\/study.js --size hour`\n\n\| comp/,
  );
  assert.is(forestChart([], "points"), null);
});

test.run();
