// Commands whose output nobody reads any more go on to their end, and are saved when they are stopped.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FILES } from "../../cli/files/stageFolder.ts";
import { folder, makeData, result, text, train, type Watch } from "../support/killing.ts";

const test = suite("readers");
test.before(makeData);
test.after(() => rmSync(folder, { recursive: true }));

const STAGE = "teacher";
const EPOCHS = 6;
const flags = ["--stage", STAGE, "--epochs", String(EPOCHS), "--save-every", "1", "--validate-every", "1"];
const epochsOf = (run: string) => text(run, STAGE, FILES.metrics).trim().split("\n").length;

/** Acts once, when the output matches. */
function once(when: RegExp, act: Watch): Watch {
  let done = false;
  return (output, ...rest) => {
    if (done || !when.test(output)) return;
    done = true;
    act(output, ...rest);
  };
}

test("a training whose reader went away trains to its end, and has the same tensors", async () => {
  const whole = await train("whole", flags);
  assert.is(whole.code, 0, whole.output);
  const left = await train(
    "left",
    flags,
    {},
    once(/parameters, /, (_, _kill, leave) => leave()),
  );
  assert.is(left.code, 0, left.output);
  assert.not.match(left.output, new RegExp(`epoch ${EPOCHS}/`));
  const [cut, uncut] = [result("left", STAGE), result("whole", STAGE)];
  for (const key of Object.keys(uncut) as (keyof typeof uncut)[]) assert.equal(cut[key], uncut[key], key);
});

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGHUP", 129],
] as const)
  test(`${signal} after the reader went away: saved, exit code ${code}, and resumed to the same tensors`, async () => {
    const run = `stopped by ${signal}`;
    const stopped = await train(
      run,
      flags,
      {},
      once(/parameters, /, (_, kill, leave) => {
        leave();
        kill(signal);
        if (signal === "SIGHUP") setTimeout(() => kill(signal), 5); // the kernel's and the shell's
      }),
    );
    assert.is(stopped.code, code, stopped.output);
    assert.ok(existsSync(join(folder, run, "out", STAGE, FILES.latest)), "saved");
    assert.not(existsSync(join(folder, run, "out", STAGE, FILES.report)));
    const resumed = await train(run, [...flags, "--resume"]);
    assert.is(resumed.code, 0, resumed.output);
    assert.is(epochsOf(run), EPOCHS);
    const [cut, uncut] = [result(run, STAGE), result("whole", STAGE)];
    for (const key of ["latest", "best", "epochs", "summary"] as const)
      assert.equal(cut[key], uncut[key], key);
  });

test("`2>&1 | head -1` ends no command, and its exit code is its own", () => {
  if (process.platform === "win32") return console.log("SKIPPED: a pipe to head: no sh");
  const script = (name: string) => fileURLToPath(new URL(`../../cli/${name}.js`, import.meta.url));
  const places = `--data '${join(folder, "data")}' --split '${join(folder, "split.json")}'`;
  const least = "--patch 16 --levels 2 --filters 2 --batch 1 --workers 0 --epochs 1";
  for (const [words, code] of [
    [`'${script("train")}' --stage teacher ${places} ${least} --out '${join(folder, "headed")}'`, 0],
    [`'${script("train")}' --stage teacher ${places} --out '${join(folder, "no")}' --epochs none`, 2],
    [`'${script("check")}' --data '${join(folder, "data")}'`, 0],
    [`'${script("check")}' --data '${join(folder, "nowhere")}'`, 3],
  ] as const) {
    const ended = join(folder, "code");
    const line = `{ sleep 0.2; '${process.execPath}' ${words}; echo $? > '${ended}'; } 2>&1 | true`;
    spawnSync("sh", ["-c", line], { env: { ...process.env, PROTOKD_TUNING: "off" } });
    assert.is(Number(readFileSync(ended, "utf8")), code, words);
  }
  assert.ok(existsSync(join(folder, "headed", STAGE, FILES.report)));
});

test("text that is written past the console, as progress bars are, ends no command either", () => {
  if (process.platform === "win32") return console.log("SKIPPED: a closed pipe: no sh");
  const ours = new URL("../../cli/terminal/console.js", import.meta.url).href;
  const script = join(folder, "bars.mjs");
  writeFileSync(
    script,
    `import { outliveReaders } from "${ours}";
outliveReaders();
for (const stream of [process.stdout, process.stderr]) for (let i = 0; i < 3; i++) stream.write("bar");
setTimeout(() => process.exit(7), 50);
`,
  );
  const ended = join(folder, "code");
  const line = `{ sleep 0.2; '${process.execPath}' '${script}'; echo $? > '${ended}'; } 2>&1 | true`;
  spawnSync("sh", ["-c", line]);
  assert.is(Number(readFileSync(ended, "utf8")), 7);
});

test.run();
