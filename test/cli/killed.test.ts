// Trainings that are killed, stopped, or run out of disk: their files are whole, and resume to the same bits.

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FILES, SOMETIMES } from "../../cli/files/stageFolder.ts";
import { Random } from "../../engine/autograd/random.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import { encodeSealed } from "../../model/files/seal.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import { command, folder, makeData, type Outcome, result, text, train } from "../support/killing.ts";

const test = suite("killed");
test.before(makeData);
test.after(() => rmSync(folder, { recursive: true }));

const KILLED = [
  {
    what: "a teacher and its student",
    names: ["whole", "killed"],
    flags: ["--stage", "student", "--epochs", "3", "--norm", "batch", "--validate-every", "2"],
    stages: ["teacher", "student_t1ce_protokd"],
    least: 100,
  },
  {
    what: "a pretraining",
    names: ["whole encoder", "killed encoder"],
    flags: ["--stage", "pretrain", "--epochs", "4", "--batch", "2", "--desd-prototypes", "12"],
    stages: ["pretrain_t1ce_desd"],
    least: 50,
  },
  {
    what: "a translator and its critic",
    names: ["whole translator", "killed translator"],
    flags: ["--stage", "student", "--method", "uagan", "--modality", "t1+flair", "--epochs", "3"],
    stages: ["student_each-t1+flair_uagan"],
    least: 50,
  },
] as const;

for (const { what, names, stages, least, ...given } of KILLED) {
  test(`${what}, killed at any moment and resumed: the same tensors at the end`, async () => {
    const flags = [...given.flags, "--save-every", "1"];
    const [uncut, cut] = names;
    const whole = await train(uncut, flags);
    assert.is(whole.code, 0, whole.output);
    const operations = Number(/OPERATIONS (\d+)/.exec(whole.output)![1]);
    assert.ok(operations > least, `${operations} operations on files`);
    const random = new Random(Number(process.env["KILL_SEED"] ?? 3));
    let kills = 0;
    let outcome: Outcome = await train(cut, flags, {
      FAULT_AT: String(1 + random.integer(operations / 2)),
    });
    const said: string[] = [];
    while (outcome.code !== 0) {
      said.push(outcome.output);
      if (outcome.code !== null) {
        assert.match(
          outcome.output,
          /holds no training state to resume: start without --resume/,
          said.join("\n"),
        );
        outcome = await train(cut, flags);
        continue;
      }
      assert.is(outcome.signal, "SIGKILL", said.join("\n"));
      const at = ++kills < 3 ? 1 + random.integer(operations / 3) : 0;
      outcome = await train(cut, [...flags, "--resume"], { FAULT_AT: String(at) });
    }
    assert.ok(kills >= 2, `${kills} kills`);
    for (const stage of stages) {
      const [killed, whole] = [result(cut, stage), result(uncut, stage)];
      for (const key of Object.keys(whole) as (keyof typeof whole)[]) {
        assert.equal(killed[key], whole[key], `${stage}: ${key}: ${said.join("\n")}`);
      }
    }
  });
}

test("a student of several teachers, killed in each phase and resumed, ends in the same tensors", async () => {
  const epochs = ["--epochs", "6", "--save-every", "1", "--validate-every", "1"];
  for (const modality of ["t1", "flair"])
    for (const run of ["students", "students killed"]) {
      const flags = ["--stage", "student", "--method", "none", "--modality", modality, "--epochs", "1"];
      const { code, output } = await train(run, flags);
      assert.is(code, 0, output);
    }
  const flags = ["--stage", "student", "--method", "amtml", "--teachers", "t1,flair", ...epochs];
  await checkPhases(["students", "students killed"], flags, "student_t1ce_amtml");
});

test("a classifier, killed in each phase and resumed, ends in the same tensors", async () => {
  const teacher = join(folder, "whole", "out", "teacher", FILES.best);
  const epochs = ["--epochs", "6", "--save-every", "1", "--validate-every", "1"];
  const flags = ["--stage", "student", "--method", "wsd", "--teacher", teacher, ...epochs];
  await checkPhases(["regions", "regions killed"], flags, "student_t1ce_wsd");
});

/** Trains six epochs in one go, and again with a kill after the first and the fourth, to the same files. */
async function checkPhases([uncut, cut]: [string, string], flags: string[], stage: string): Promise<void> {
  const whole = await train(uncut, flags);
  assert.is(whole.code, 0, whole.output);
  const killAfter = (epoch: number) => (output: string, kill: (signal: NodeJS.Signals) => void) => {
    if (new RegExp(`epoch ${epoch}/6.*\\n`).test(output)) kill("SIGKILL");
  };
  const said: string[] = [];
  for (const epoch of [1, 4]) {
    const resume = epoch > 1 ? ["--resume"] : [];
    const { signal, output } = await train(cut, [...flags, ...resume], {}, killAfter(epoch));
    said.push(output);
    assert.is(signal, "SIGKILL", said.join("\n"));
  }
  const last = await train(cut, [...flags, "--resume"]);
  assert.is(last.code, 0, last.output);
  const [once, killed] = [result(uncut, stage), result(cut, stage)];
  for (const key of Object.keys(once) as (keyof typeof once)[])
    assert.equal(killed[key], once[key], `${key}: ${said.join("\n")}`);
}

test("a prediction, killed at any moment and started again, ends in the same files", async () => {
  const flags = [
    "--model",
    join(folder, "whole", "out"),
    "--input",
    join(folder, "data"),
    "--save-probabilities",
  ];
  const predict = (output: string, more: string[] = [], at = 0) =>
    command("predict", [...flags, "--output", join(folder, output), ...more], { FAULT_AT: String(at) });
  const whole = await predict("predicted");
  assert.is(whole.code, 0, whole.output);
  const operations = Number(/OPERATIONS (\d+)/.exec(whole.output)![1]);
  assert.ok(operations >= 12, `${operations} operations on files`);
  const random = new Random(Number(process.env["KILL_SEED"] ?? 3));
  for (const kill of [1, 2, 3]) {
    const { signal, output } = await predict(
      "cut",
      kill > 1 ? ["--continue"] : [],
      1 + random.integer(operations / 4),
    );
    assert.is(signal, "SIGKILL", output);
  }
  const last = await predict("cut", ["--continue"]);
  assert.is(last.code, 0, last.output);
  const files = (output: string) => readdirSync(join(folder, output)).sort();
  assert.equal(files("cut"), files("predicted"));
  assert.is(files("cut").filter((name) => /^PHANTOM_00\d\.nii\.gz$/.test(name)).length, 4);
  for (const name of files("cut").filter((file) => file.endsWith(".gz"))) {
    assert.equal(
      readFileSync(join(folder, "cut", name)),
      readFileSync(join(folder, "predicted", name)),
      name,
    );
  }
});

test("a signal while there is nothing to save ends a command at once, with its code", async () => {
  const flags = ["--data", join(folder, "data")];
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    const run = await command("check", flags, {}, (_, kill) => kill(signal));
    const ended = run.code ?? (run.signal === signal ? code : null); // a process that takes long to end
    assert.is(ended, code, run.output);
    assert.match(run.output, new RegExp(`${signal}: stopped; finished files are kept`));
  }
});

test("Ctrl-C, SIGTERM, a damaged checkpoint and a full disk leave a run that can be resumed", async () => {
  const flags = ["--stage", "student", "--method", "none", "--epochs", "60", "--save-every", "1"];
  const checkpoint = join(folder, "stopped", "out", "student_t1ce", FILES.latest);
  const state = async () => decodeTraining(readFileSync(checkpoint), FILES.latest);
  const once = (signal: NodeJS.Signals, when: RegExp) => {
    let sent = false;
    return (output: string, kill: (signal: NodeJS.Signals) => void) => {
      if (sent || !when.test(output)) return;
      sent = true;
      kill(signal);
    };
  };

  const interrupted = await train("stopped", flags, {}, once("SIGINT", /compiling/));
  assert.is(interrupted.code, 130, interrupted.output);
  assert.match(interrupted.output, /SIGINT: finishing this step, then saving; press again to stop at once/);
  assert.match(interrupted.output, /stopped by SIGINT and saved, after \d+ steps?, in epoch \d+; to resume:/);
  assert.match(interrupted.output, /\n {2}node cli\/train\.js --data .* --save-every 1 --resume\n/);
  const { epoch, done } = (await state()).position;
  assert.ok(epoch < 60 && 2 * (epoch - 1) + done > 0, `epoch ${epoch}, ${done} steps`);

  const again = await train("stopped", flags);
  assert.is(again.code, 2);
  assert.match(again.output, /holds an unfinished run: resume it with --resume, or choose another --out/);
  const other = await train("stopped", [...flags, "--resume", "--lr", "0.5", "--clip", "12"]);
  assert.is(other.code, 2);
  assert.match(other.output, /differs in .*lr \(0.003 → 0.5\)/);
  assert.match(other.output, /clip \(0 → 12\)/);
  const none = await train("nothing", [...flags, "--resume"]);
  assert.is(none.code, 2);
  assert.match(none.output, /^--resume: .* holds no training state to resume: start without --resume$/m);
  assert.equal(readdirSync(folder).includes("nothing"), false, "nor is a folder left");

  const bytes = readFileSync(checkpoint);
  bytes[bytes.length - 5]! ^= 4;
  writeFileSync(checkpoint, bytes);
  const full = await train("stopped", [...flags, "--resume"], { FULL: FILES.latest });
  assert.is(full.code, 6, full.output);
  assert.match(full.output, /checkpoint_latest.*: damaged: .*: resuming checkpoint_previous/);
  assert.match(
    full.output,
    /checkpoint_latest.*: could not be written \(ENOSPC\): the disk is full: .* intact/,
  );
  assert.ok(await state());
  assert.ok(readdirSync(join(checkpoint, "..")).includes(SOMETIMES.damaged));

  const terminated = await train("stopped", [...flags, "--resume"], {}, once("SIGTERM", /parameters, /));
  assert.is(terminated.code, 143, terminated.output);
  const short = await train("stopped", [...flags, "--resume", "--max-time", "0.01s"]);
  assert.is(short.code, 0, short.output);
  const { position } = await state();
  assert.ok(position.epoch < 60, "its time was up");
  const lines = text("stopped", "student_t1ce", FILES.metrics).trim().split("\n");
  const epochs = lines.map((line) => (JSON.parse(line) as { epoch: number }).epoch);
  const told = position.epoch - 1 + (position.best === null ? 1 : 0); // one that ended early has a line too
  assert.equal(
    epochs,
    Array.from({ length: told }, (_, i) => i + 1),
    "each epoch has one line",
  );
  const finished = await train("stopped", [...flags, "--max-time", "0.01s"]);
  assert.match(finished.output, /already trained with these settings/);
});

test("a loss that stays infinite ends with 5: bad steps are recorded, and the saved tensors are finite", async () => {
  const trainedBefore = join(folder, "whole", "out", "student_t1ce_protokd", FILES.best);
  const { tensors: weights, metadata } = decodeSafetensors(readFileSync(trainedBefore), trainedBefore);
  for (const { data } of Object.values(weights)) if (data.length > 100) (data as Float32Array).fill(3e38);
  const huge = join(folder, "huge.safetensors");
  const { sha256: _, ...notes } = metadata;
  writeFileSync(huge, await encodeSealed(weights, notes));
  const flags = [
    "--stage",
    "student",
    "--method",
    "none",
    "--norm",
    "batch",
    "--epochs",
    "9",
    "--init",
    huge,
  ];
  const { code, output } = await train("exploded", flags);
  assert.is(code, 5, output);
  assert.match(output, /(loss|gradient) not finite in 3 steps in a row .*, the last on cases PHANTOM_00\d/);
  const lines = text("exploded", "student_t1ce", SOMETIMES.badBatches).trim().split("\n");
  const bad = lines.map((line) => JSON.parse(line) as { step: number; cases: string[]; losses: object });
  assert.equal(
    bad.map(({ step }) => step - bad[0]!.step),
    [0, 1, 2],
  );
  for (const { cases, losses } of bad) {
    assert.match(cases.join(), /^PHANTOM_00[12]$/);
    assert.ok(
      Object.values(losses).some((value) => typeof value === "string"),
      JSON.stringify(losses),
    );
  }
  const path = join(folder, "exploded", "out", "student_t1ce", FILES.latest);
  const { tensors } = await decodeTraining(readFileSync(path), path);
  for (const [name, { data }] of Object.entries(tensors))
    if (!name.endsWith("/guard")) assert.ok(data.every(Number.isFinite), name); // whose norm may be infinite
});

test.run();
