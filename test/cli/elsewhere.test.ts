// Training states from elsewhere: --resume-from takes what makes the numbers from the file, and nothing else.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { settingsIn } from "../../cli/files/imported.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import { beginning } from "../../trainer/loop/position.ts";
import { encodeTraining } from "../../trainer/loop/state.ts";
import { DEFAULTS, portable } from "../../trainer/settings/config.ts";
import { ROWS, type TrainConfig } from "../../trainer/settings/settings.ts";
import { run } from "../support/command.ts";
import { failure } from "../support/quietly.ts";

const test = suite("elsewhere");
const root = mkdtempSync(join(tmpdir(), "elsewhere-"));
test.after(() => rmSync(root, { recursive: true }));

const SECRET = join(root, "secret");
writeFileSync(SECRET, "root:x:0:0:a secret of this machine\n");

/** The settings that name a file or a folder. */
const PATHS = ROWS.filter(([, { argument }]) => argument === "file" || argument === "folder").map(
  ([name]) => name,
);

/** A sealed state with this text as its settings. */
async function stateWith(config: string): Promise<string> {
  const file = join(root, "state.safetensors");
  const state = { tensors: {}, position: beginning(), data: {} };
  writeFileSync(file, await encodeTraining(state, { config }));
  return file;
}

const resolved = async (settings: object, flags: TrainFlags = {}) =>
  resolveConfig({ resumeFrom: await stateWith(JSON.stringify(settings)), data: root, ...flags });

test("places, threads and memory of a file are not taken, the settings of its numbers are", async () => {
  assert.ok(PATHS.length >= 7, PATHS.join());
  const evil = join(root, "evil");
  const theirs = {
    stage: "student",
    method: "kd",
    modality: "t1ce",
    epochs: 7,
    lr: 0.02,
    batch: 3,
    data: evil,
    out: evil,
    teacher: evil,
    init: evil,
    initEncoder: evil,
    cacheDir: evil,
    workers: 500,
    cache: 900,
    gpuMemory: 900,
    lowMemory: true,
    fast: true,
  };
  const config = await resolved(theirs);
  assert.equal([config.epochs, config.lr, config.batch, config.method], [7, 0.02, 3, "kd"]);
  for (const name of PATHS) assert.not.match(String(config[name]), /evil/, name);
  const here = await resolveConfig({ stage: "student", method: "kd", data: root });
  for (const name of ["out", "workers", "cache", "gpuMemory", "lowMemory", "fast"] as const)
    assert.equal(config[name], here[name], name);
  const given = await resolved(theirs, { out: join(root, "mine"), workers: 1, fast: true });
  assert.equal([given.out, given.workers, given.fast], [join(root, "mine"), 1, true], "a user's own are");
});

test("a file that is shared has the path of nothing", () => {
  const config = Object.fromEntries(PATHS.map((name) => [name, `/home/someone/${name}`]));
  const kept = portable({ ...DEFAULTS, ...config } as TrainConfig);
  assert.not.match(JSON.stringify(kept), /someone/);
});

test("a split in a file is not opened, and no text of it is shown", async () => {
  for (const name of ["split", "unlabelled"]) {
    const { message } = await failure(() => resolved({ stage: "teacher", [name]: SECRET }));
    assert.match(message, new RegExp(`was trained with .* "secret", .*: give its path with --${name}$`));
    assert.not.match(message, /root/);
  }
});

test("settings that are not JSON, or no object: exit code 3 with the file's name, and no text of it", async () => {
  for (const text of ["root:x:0:0", '"root"', "[1]", "7", "null", "{", ""]) {
    const { name, message } = await failure(async () => settingsIn(await stateWith(text)));
    assert.is(name, "CheckpointError", text);
    assert.match(message, /^--resume-from .*state\.safetensors: expected its settings as a JSON object/);
    assert.not.match(message, /root:|"root"/);
  }
  const [file, out] = [await stateWith("root:x:0:0"), join(root, "out")];
  const { status, stderr } = run("train", "--resume-from", file, "--data", root, "--out", out);
  assert.is(status, 3, stderr);
  assert.not.match(stderr, /root:/);
  assert.not(existsSync(out));
});

test.run();
