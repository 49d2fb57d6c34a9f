// The output of commands: text, results alone with --quiet, objects alone with --json; and the rate and the
// remaining time of a training.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { Pace } from "../../cli/terminal/progress.ts";
import { run } from "../support/command.ts";

const test = suite("console");
const folder = mkdtempSync(join(tmpdir(), "console-"));
const data = join(folder, "data");
const split = join(folder, "split.json");
test.before(async () => {
  await makePhantom({ out: data, cases: 3, size: 32, seed: 5 });
  const [train, val, last] = [1, 2, 3].map((n) => `PHANTOM_00${n}`);
  writeFileSync(split, JSON.stringify({ train: [train], val: [val], test: [last] }));
});
test.after(() => rmSync(folder, { recursive: true }));

const small = ["--patch", "16", "--levels", "2", "--filters", "2", "--batch", "1", "--epochs", "2"];
const shared = ["--stage", "teacher", "--data", data, "--split", split, "--validate-every", "1", ...small];
const training = (name: string) => [...shared, "--out", join(folder, name)];

test("train --json prints one object a line: the configuration, every epoch, the scores, the report's path", () => {
  const { status, stdout, stderr } = run("train", ...training("json"), "--json");
  assert.equal([status, stderr], [0, ""]);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(
    lines.map(({ type }) => type),
    ["config", "epoch", "epoch", "summary", "end"],
  );
  const [config, first, , summary, end] = lines;
  assert.is((config!["config"] as Record<string, unknown>)["filters"], 2);
  assert.equal([first!["stage"], first!["epoch"], first!["step"]], ["teacher", 1, 1]);
  assert.ok((first!["losses"] as Record<string, number>)["dice"]! > 0);
  assert.ok((first!["gpuBytes"] as number) > 0);
  assert.type((summary!["foreground_mean"] as Record<string, unknown>)["Dice"], "number");
  assert.match(String(end!["report"]), /report\.html$/);
});

test("train --quiet prints the table and the report's path; an error still goes to stderr, with its code", () => {
  const { status, stdout, stderr } = run("train", ...training("quiet"), "--quiet");
  assert.equal([status, stderr], [0, ""]);
  const lines = stdout.trimEnd().split("\n");
  assert.match(lines[0]!, /^ +Dice +HD95/);
  assert.match(lines.at(-1)!, /^report: /);
  assert.is(lines.length, 4);
  const wrong = run("train", ...training("quiet"), "--quiet", "--seed", "3");
  assert.equal([wrong.status, wrong.stdout], [2, ""]);
  assert.match(wrong.stderr, /seed/);
  const both = run("train", ...training("quiet"), "--quiet", "--json");
  assert.is(both.status, 2);
  assert.match(both.stderr, /--quiet.* cannot be used with .*--json/);
});

test("evaluate --json is the summary on one line", () => {
  const predictions = join(folder, "json", "teacher", "predictions");
  const { status, stdout } = run("evaluate", "--predictions", predictions, "--references", data, "--json");
  assert.is(status, 0);
  const { type, metric_per_case: cases } = JSON.parse(stdout) as { type: string; metric_per_case: unknown[] };
  assert.equal([type, cases.length], ["summary", 1]);
});

test("predict --json prints an object per case and one at the end", () => {
  const model = join(folder, "json", "teacher", "checkpoint_best.safetensors");
  const output = join(folder, "predictions");
  const { status, stdout } = run("predict", "--model", model, "--input", data, "--output", output, "--json");
  assert.is(status, 0);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(
    lines.map(({ type }) => type),
    ["case", "case", "case", "end"],
  );
  assert.is(lines[0]!["case"], "PHANTOM_001");
  assert.is(lines[3]!["cases"], 3);
});

test("the pace is that of the last minute, and begins with the first step seen", () => {
  const pace = new Pace();
  pace.step(501, 10_000); // a resumed run
  assert.equal([pace.seconds, pace.left(1000)], [null, null]);
  pace.step(503, 14_000);
  assert.equal([pace.seconds, pace.left(1003)], [2, 1000]);
  for (let step = 504; step <= 700; step++) pace.step(step, 14_000 + 1000 * (step - 503));
  assert.is(pace.seconds, 1, "the slow start is over a minute ago");
  assert.is(pace.left(700), 0);
});

test.run();
