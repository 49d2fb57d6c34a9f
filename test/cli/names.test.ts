// Names from files of others: what they hold does not reach the terminal as commands, nor a model card as
// HTML; predictions of two cases never share a file; and many names take time in proportion.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lockFolder } from "../../cli/files/lock.ts";
import { predictFolder } from "../../cli/predict.ts";
import { checkDistinct } from "../../cli/prediction/keptPredictions.ts";
import { modelCard } from "../../cli/report/modelCard.ts";
import { resolveConfig } from "../../cli/stages/trainFlags.ts";
import { systemFault } from "../../cli/terminal/command.ts";
import { emit, jsonText, result, say, speak, visible, warn } from "../../cli/terminal/console.ts";
import { gapsOf } from "../../data/datasets/gaps.ts";
import { type CaseRecord, checkDisjoint } from "../../data/datasets/manifest.ts";
import { patientGroups } from "../../data/datasets/patients.ts";
import { parseSplits } from "../../data/datasets/splits.ts";
import { DataError, grouped } from "../../data/errors.ts";
import { failure, silenced } from "../support/quietly.ts";

const test = suite("names");
const folder = mkdtempSync(join(tmpdir(), "names-"));
test.after(() => rmSync(folder, { recursive: true }));

const cli = fileURLToPath(new URL("../../cli/", import.meta.url));
const EVIL = "case\x1b]0;owned\x07\x9b2J\u202etxt\r.nii";

test("control characters and turned text are visible on the terminal, in every voice", async () => {
  assert.is(visible(EVIL), "case\\x1b]0;owned\\x07\\x9b2J\\u202etxt\\x0d.nii");
  assert.is(visible("two\nlines\tand ü, 脑"), "two\nlines\tand ü, 脑");
  const { error } = console;
  const errors: string[] = [];
  console.error = (line: string) => void errors.push(line);
  try {
    for (const voice of [{}, { quiet: true }, { json: true }]) {
      const lines = await silenced(() => {
        speak(voice);
        say(EVIL);
        warn(EVIL);
        result(EVIL);
        emit("case", { name: EVIL });
        return Promise.resolve();
      });
      assert.ok(lines.length > 0);
      for (const line of [...lines, ...errors]) assert.not.match(line, /(?![\n\t])\p{Cc}|\u202e/u);
    }
  } finally {
    console.error = error;
    speak({});
  }
  assert.is((JSON.parse(jsonText({ name: EVIL })) as { name: string }).name, EVIL);
});

test("everything in cli/ prints through console.ts", () => {
  const files = readdirSync(cli, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  const direct = files.filter((file) =>
    /console\.(log|error|warn|info)\(|std(out|err)\.write\(/.test(readFileSync(join(cli, file), "utf8")),
  );
  assert.equal(
    direct.map((file) => file.replaceAll("\\", "/")),
    ["terminal/console.ts"],
  );
});

test("a model card holds no HTML of a name", async () => {
  const data = join(folder, "a`<img src=x onerror=alert(1)>");
  const config = await resolveConfig({ stage: "teacher", data, out: folder, patients: "^(<b>|.+)-" });
  const split = { train: ["a"], val: [], test: [], layout: "brats", labels: "brats" as const };
  const card = modelCard(config, { config, metrics: [], summary: null } as never, split);
  assert.not.match(card, /<(img|b)\b/);
  assert.match(card, /&lt;img src=x/);
});

test("two cases whose predictions would share a file are refused before the first", () => {
  const of = (...ids: string[]) =>
    ids.map((id) => ({ id, files: [`${id}.nii.gz`, `${id}_probabilities.nii.gz`] }));
  checkDistinct(of("a", "b"));
  for (const [ids, file] of [
    [["a", "a_probabilities"], "a_probabilities.nii.gz"],
    [["B", "b"], "b.nii.gz"],
  ] as const)
    assert.throws(
      () => checkDistinct(of(...ids)),
      (error: Error) =>
        error instanceof DataError &&
        error.message.includes(`cases ${ids[0]} and ${ids[1]}: both would be written to ${file}`),
    );
});

test("one process at a time predicts into a folder", async () => {
  const output = join(folder, "predictions");
  const unlock = await lockFolder(output);
  const open = () => Promise.reject(new Error("a device was opened"));
  const error = await failure(() => predictFolder(open, { model: folder, input: folder, output }));
  assert.is(error.name, "BusyError");
  assert.match(error.message, /predictions: in use by process \d+/);
  await unlock();
  const next = await failure(() => predictFolder(open, { model: folder, input: folder, output }));
  assert.is.not(next.name, "BusyError");
  assert.equal(
    readdirSync(folder).filter((name) => name === "predictions"),
    [],
    "nor is a folder left",
  );
});

test("nothing is left of a lock that was not taken", async () => {
  const place = join(folder, "locked");
  mkdirSync(place);
  const unlock = await lockFolder(place);
  for (let i = 0; i < 3; i++) assert.is((await failure(() => lockFolder(place))).name, "BusyError");
  assert.equal(readdirSync(place), ["lock.1"]);
  writeFileSync(join(place, ".lock.0123456789ab"), "of a killed process");
  await unlock();
  await (
    await lockFolder(place)
  )();
  assert.equal(readdirSync(place), []);
});

test("40,000 cases are checked in seconds", () => {
  const ids = Array.from({ length: 40_000 }, (_, i) => `CASE-${String(i).padStart(5, "0")}-000`);
  const [train, val, test_] = [ids.slice(0, 30_000), ids.slice(30_000, 35_000), ids.slice(35_000)];
  const text = JSON.stringify({ train: [...train, ...train], val, test: test_ });
  const image = (voxels: string) => ({ t1: { path: "x", channel: 0, voxels } });
  const records = ids.map((id) => ({ id, images: image("same") })) as unknown as CaseRecord[];
  const cases = ids.map((id) => ({ id, images: {} }));
  for (const [name, check] of [
    ["a split", () => assert.throws(() => parseSplits(text, "split.json", ids), /is listed twice/)],
    ["scans", () => assert.throws(() => checkDisjoint({ train, val, test: test_ }, records), /same scan/)],
    ["messages", () => assert.ok(grouped(ids.map((id) => `case ${id}: lacks t1`)).length < 9)],
    ["contrasts", () => assert.match(gapsOf(cases, ["t1"]), /^40000 lack t1/)],
    ["patients", () => assert.is(patientGroups(ids, () => "one")[0]!.length, ids.length)],
    ["names", () => checkDistinct(ids.map((id) => ({ id, files: [id] })))],
  ] as const) {
    const before = process.cpuUsage();
    check();
    const { user } = process.cpuUsage(before);
    assert.ok(user < 4e6, `${name}: ${user / 1e6} s`);
  }
});

test("errors of the system have the exit codes of data and of the disk", () => {
  const fault = (code: string, syscall: string) => {
    const { exitCode, message } = systemFault(
      Object.assign(new Error(code), { code, syscall, path: "p" }),
    ) ?? {
      exitCode: 1,
      message: "",
    };
    if (exitCode !== 1) assert.match(message, /^p: could not be (read|written) \(E\w+\): /);
    return exitCode;
  };
  for (const [code, syscall, expected] of [
    ["EACCES", "open", 3],
    ["EACCES", "scandir", 3],
    ["EPERM", "stat", 3],
    ["ENOENT", "open", 3],
    ["EIO", "read", 3],
    ["EROFS", "open", 6],
    ["ENOSPC", "write", 6],
    ["EACCES", "mkdir", 6],
    ["ENOENT", "mkdir", 6],
    ["ENOTDIR", "mkdir", 6],
    ["EROFS", "rename", 6],
    ["EINVAL", "open", 1],
  ] as const)
    assert.is(fault(code, syscall), expected, `${code} ${syscall}`);
});

test.run();
