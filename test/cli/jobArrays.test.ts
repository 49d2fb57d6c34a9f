// The job scripts of docs/how-to/job-arrays.md, run by a shell with a scheduler's variables: which trainings
// they start, and that they resume a stopped one. Instead of training, `node` and `srun` print their
// arguments.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FILES } from "../../cli/files/stageFolder.ts";
import { trainCommand } from "../../cli/stages/trainFlags.ts";

const page = readFileSync(new URL("../../docs/how-to/job-arrays.md", import.meta.url), "utf8");
const blocks = (language: string) =>
  Array.from(page.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm")), ([, text]) => text!);
const folder = mkdtempSync(join(tmpdir(), "jobs-"));

const test = suite("job arrays");
test.after(() => rmSync(folder, { recursive: true }));

/** The arguments of the training that a script starts, in a folder that holds these states. */
function started(script: string, env: Record<string, string>, states: readonly string[] = []): string {
  const cwd = mkdtempSync(join(folder, "job-"));
  for (const state of states) {
    mkdirSync(join(cwd, state), { recursive: true });
    writeFileSync(join(cwd, state, FILES.latest), "");
  }
  const stubs = 'node() { echo "$@"; }\nsrun() { "$@"; }\nexec() { "$@"; }\n';
  const text = stubs + script.replaceAll("/runs/", "runs/"); // the cluster's volume is a folder here
  const { status, stdout, stderr } = spawnSync("bash", ["-u", "-c", text], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  assert.is(status, 0, stderr);
  const [command, ...flags] = stdout.trim().split(" ");
  assert.is(command, "cli/train.js");
  trainCommand().exitOverride().parse(flags, { from: "user" }); // throws for an unknown flag
  return flags.join(" ");
}

test("Slurm: five teachers, one per fold, that resume", () => {
  const [teachers] = blocks("sh").filter((text) => text.includes("job-name=teacher"));
  const env = { SLURM_ARRAY_TASK_ID: "3" };
  const flags = "--stage teacher --data BraTS2021 --fold 3 --out runs/brats/fold_3";
  assert.is(started(teachers!, env), flags);
  assert.is(started(teachers!, env, ["runs/brats/fold_3/teacher"]), `${flags} --resume`);
  assert.is(started(teachers!, env, ["runs/brats/fold_2/teacher"]), flags);
});

test("Slurm: twenty students, four per fold, that resume", () => {
  const [students] = blocks("sh").filter((text) => text.includes("job-name=students"));
  assert.match(students!, /--array=0-19$/m);
  const all = Array.from({ length: 20 }, (_, i) => started(students!, { SLURM_ARRAY_TASK_ID: String(i) }));
  const wanted = [0, 1, 2, 3, 4].flatMap((fold) =>
    ["t1", "t2", "t1ce", "flair"].map(
      (name) =>
        `--stage student --modality ${name} --data BraTS2021 --fold ${fold} --out runs/brats/fold_${fold}`,
    ),
  );
  assert.equal(all, wanted);
  const begun = ["runs/brats/fold_1/student_t1ce_protokd"];
  assert.is(started(students!, { SLURM_ARRAY_TASK_ID: "6" }, begun), `${wanted[6]} --resume`);
});

test("Slurm: a task whose folder is in use is queued again, and no other that fails", () => {
  const scripts = blocks("sh").filter((text) => text.includes("#SBATCH --array"));
  assert.is(scripts.length, 2);
  for (const script of scripts) {
    for (const code of [0, 2, 75]) {
      const stubs = `srun() { return ${code}; }\nscontrol() { echo "$@"; }\n`;
      const env = { ...process.env, SLURM_ARRAY_TASK_ID: "0", SLURM_JOB_ID: "31" };
      const { status, stdout } = spawnSync("bash", ["-u", "-c", stubs + script], { encoding: "utf8", env });
      assert.equal([status, stdout], [code, code === 75 ? "requeue 31\n" : ""]);
    }
  }
});

test("Kubernetes: 75 starts the pod again, and 2 and 3 end the job", () => {
  const [job] = blocks("yaml");
  const rules = Array.from(job!.matchAll(/action: (\w+), .*values: \[(.*)\]/g), ([, action, codes]) => [
    action,
    codes,
  ]);
  assert.equal(rules, [
    ["FailJob", "2, 3"],
    ["Ignore", "75"],
  ]);
});

test("Kubernetes: a fold per pod, that resumes", () => {
  const [job] = blocks("yaml");
  const script = /^ +- \|\n([^]*?)^ +resources/m.exec(job!)![1]!;
  const env = { JOB_COMPLETION_INDEX: "4" };
  const flags = "--stage teacher --data /data --fold 4 --out runs/fold_4";
  assert.is(started(script, env), flags);
  assert.is(started(script, env, ["runs/fold_4/teacher"]), `${flags} --resume`);
});

test.run();
