// Every number that a user can set has a range, which help states and errors name; a training that memory
// does not hold is refused before a case is read.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { described, flagOf, trainCommand } from "../../cli/stages/trainFlags.ts";
import { checkSettings } from "../../trainer/settings/check.ts";
import { ROWS } from "../../trainer/settings/settings.ts";
import { helpOfCommands } from "../../docs/generate.ts";
import { run } from "../support/command.ts";
import { parsePatch } from "../../model/settings/kinds.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";

const test = suite("ranges");
const folder = mkdtempSync(join(tmpdir(), "ranges-"));
test.after(() => rmSync(folder, { recursive: true }));

const numbers = ROWS.filter(([, { range, flag }]) => range && flag !== false);

test("a number one step outside its range is refused, in a file and as a flag, with the range named", () => {
  assert.ok(numbers.length > 40);
  const command = trainCommand().exitOverride();
  command.configureOutput({ writeErr: () => undefined });
  for (const [name, { range, expected, limits }] of numbers) {
    const { min, max, step } = range!;
    const beyond = step === 1 ? 1 : 1e-6 * max;
    for (const value of [min - beyond, max + beyond, 1e300, NaN]) {
      const [problem = "accepted"] = checkSettings({ [name]: value }).problems;
      assert.ok(problem.startsWith(`${name}: expected ${expected}, got `), `${name} = ${value}: ${problem}`);
      assert.throws(
        () => command.parse([`--${flagOf(name)}=${value}`], { from: "user" }),
        (error: Error) => error.message.includes(limits!),
        `--${flagOf(name)} ${value}`,
      );
    }
    const inside = step === 1 ? [min, max] : [min + (max - min) / 2];
    for (const value of inside) assert.equal(checkSettings({ [name]: value }).problems, [], name);
  }
});

test("a patch and the times have ranges too", () => {
  assert.throws(() => parsePatch("2000,2000,2000"), /--patch: .* 1 to 1024 voxels each, got 2000,2000,2000/);
  assert.throws(() => parsePatch("8,,8"), /1 to 1024/);
  assert.equal(parsePatch("1024"), [1024, 1024, 1024]);
  const wrong = { patch: [8, 8, 1025], maxTime: "8761h", saveEvery: "1000000001" };
  const { problems } = checkSettings(wrong);
  assert.is(problems.length, 3, problems.join("; "));
  assert.equal(checkSettings({ maxTime: "8760h", saveEvery: "1000000000" }).problems, []);
});

test("the help of every number says its range, of settings and of all other options", async () => {
  for (const [name, row] of numbers) assert.ok(described(name, row).includes(row.limits!), name);
  const numeric = /^ {2}--\S+ <(?:n|x|share|rate|GiB|voxels|d,h,w|time|interval)>.*(?:\n {6,}.*)*/gm;
  for (const [command, help] of await helpOfCommands())
    for (const [option] of help.matchAll(numeric)) {
      const text = option.replace(/\s+/g, " ");
      assert.match(text, /\d to \d|above 0, at most 1|between 0 and 1|at most \d/, `${command}: ${text}`);
    }
});

test("a training that does not fit in memory is refused before a case is read", async () => {
  const data = join(folder, "data");
  await makePhantom({ out: data, cases: 6, size: 16, seed: 1, version: 1, report: () => undefined });
  writeFileSync(join(data, "PHANTOM_001", "PHANTOM_001_t1.nii.gz"), "no volume"); // exit 3 where it is read
  const flags = ["--stage", "teacher", "--data", data, "--out", join(folder, "run"), "--filters", "2"];
  const small = ["--levels", "2", "--batch", "1", "--patch", "16"];
  const refused = (...more: string[]) => run("train", ...flags, ...small, ...more);
  assert.is(refused().status, 3);
  for (const [more, status, text] of [
    [["--patch", "1024", "--batch", "64"], 2, /main memory.*smaller --batch or --patch/],
    [["--patch", "64", "--gpu-memory", "0.001"], 4, /GPU memory, --gpu-memory allows 1\.0 MiB/],
  ] as const) {
    const { status: code, stderr } = refused(...more);
    assert.is(code, status, stderr);
    assert.match(stderr, text);
  }
});

test.run();
