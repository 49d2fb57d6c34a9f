// Places that cannot be written to are found before the work, and results are printed even if writing fails.

import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { run, runAsUser } from "../support/command.ts";
import { volumeFile } from "../support/fixtures.ts";
import { storeStage } from "../support/storedRun.ts";

const test = suite("outputs");
const root = mkdtempSync(join(tmpdir(), "outputs-"));
const [predictions, references, closed, phantom] = ["predictions", "references", "closed", "phantom"].map(
  (name) => join(root, name),
) as [string, string, string, string];
const folders = ["--predictions", predictions, "--references", references, "--labels", "brats"];
let model = "";

test.before(async () => {
  for (const folder of [predictions, references, closed]) mkdirSync(folder);
  writeFileSync(join(predictions, "a.nii.gz"), await volumeFile([4, 4, 4], (z) => (z ? 4 : 0)));
  writeFileSync(join(references, "a.nii.gz"), await volumeFile([4, 4, 4], (_, y) => (y ? 4 : 0)));
  await makePhantom({ out: phantom, cases: 1, size: 16, seed: 5 });
  model = await storeStage(join(root, "run"), { name: "teacher", modalities: [...MODALITIES] });
  chmodSync(root, 0o755);
  chmodSync(closed, 0o555);
});
test.after(() => rmSync(root, { recursive: true }));

const commands: Record<string, (output: string) => [string, ...string[]]> = {
  evaluate: (output) => ["evaluate", ...folders, "--output", join(output, "scores.json")],
  export: (output) => ["export", "--model", model, "--output", join(output, "model.onnx")],
  predict: (output) => ["predict", "--model", model, "--input", phantom, "--output", join(output, "p")],
};
for (const [name, command] of Object.entries(commands)) {
  test(`${name} finds an --output that cannot be written to before it works`, () => {
    const { status, stdout, stderr } = runAsUser(...command(closed));
    if (status === null) return console.log(`SKIPPED: outputs of ${name}: no setpriv`);
    assert.is(status, 6, stderr);
    assert.is(stdout, "");
    assert.match(
      stderr,
      /^--output .*closed.*: cannot be written \(EACCES\): writing to it is not permitted/,
    );
    const file = run(...command(join(references, "a.nii.gz")));
    assert.is(file.status, 2, file.stderr);
    assert.match(file.stderr, /--output.*: expected a folder/);
    assert.is(file.stdout, "");
  });
}

test("evaluate prints the scores although the disk is full at the end", () => {
  const script = fileURLToPath(new URL("../../cli/evaluate.js", import.meta.url));
  const limited = ["-c", 'ulimit -f 0; exec "$@"', "sh", process.execPath, script, ...folders];
  const { status, stdout, stderr } = spawnSync("sh", limited, { encoding: "utf8" });
  assert.match(stdout, /^mean of 1 /m);
  assert.not.match(stdout, /written:/);
  assert.is(status, 6, stderr);
  assert.match(stderr, /summary\.json: could not be written \(EFBIG\)/);
  assert.not(existsSync(join(predictions, "summary.json")));
});

test.run();
