// nnU-Net's way to train: --recipe nnunet has all of it, flags and files override its parts.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { resolveConfig, trainCommand } from "../../cli/stages/trainFlags.ts";
import { DEFAULTS, differences, NNUNET, teacherOf } from "../../trainer/settings/config.ts";
import type { TrainConfig } from "../../trainer/settings/settings.ts";
import { failure, trainQuietly } from "../support/quietly.ts";

const test = suite("recipe");
const folder = mkdtempSync(join(tmpdir(), "recipe-"));
test.after(() => rmSync(folder, { recursive: true }));

const ELSEWHERE = { data: join(folder, "elsewhere"), out: folder };
const EXPECTED = {
  augment: "nnunet",
  foreground: 0.33,
  deepSupervision: true,
  optimizer: "sgd",
  lr: 0.01,
  weightDecay: 3e-5,
  clip: 12,
  bestBy: "ema",
};

test("--recipe nnunet stands for nnU-Net v2's defaults, and for nothing else; paper for the defaults", async () => {
  for (const flags of [
    { stage: "teacher" },
    { stage: "student" },
    { stage: "student", method: "none" },
  ] as const) {
    const plain = await resolveConfig({ ...ELSEWHERE, ...flags });
    const nnunet = await resolveConfig({ ...ELSEWHERE, ...flags, recipe: "nnunet" });
    assert.equal(differences(plain, nnunet).sort(), Object.keys(EXPECTED).sort());
    assert.equal({ ...nnunet, ...EXPECTED, momentum: 0.99, schedule: "poly" }, nnunet);
    assert.equal(await resolveConfig({ ...ELSEWHERE, ...flags, recipe: "paper" }), plain);
  }
  const small = await resolveConfig({ stage: "teacher", out: folder, recipe: "nnunet" });
  assert.is(small.lr, 0.01, "on the phantom too");
  assert.equal(
    differences(teacherOf(await resolveConfig({ stage: "student", recipe: "nnunet" })), small),
    [],
  );
});

test("a flag or a file overrides its part of the recipe and no other", async () => {
  const flags = { ...ELSEWHERE, stage: "student", recipe: "nnunet" } as const;
  const all = await resolveConfig(flags);
  for (const key of Object.keys(NNUNET) as (keyof typeof NNUNET)[]) {
    const meant = { [key]: DEFAULTS[key] };
    assert.equal(differences(await resolveConfig({ ...flags, ...meant }), all), [key]);
    const config = join(folder, "settings.json");
    writeFileSync(config, JSON.stringify({ recipe: "nnunet", ...meant }));
    const { recipe: _, ...plain } = flags;
    assert.equal(differences(await resolveConfig({ ...plain, config }), all), [key]);
  }
});

test("--parity beside it, too few levels and another name are refused; help shows its values", async () => {
  const message = async (flags: object) =>
    (await failure(() => resolveConfig({ ...ELSEWHERE, stage: "teacher", recipe: "nnunet", ...flags })))
      .message;
  assert.is(await message({ parity: true }), "--parity, --recipe nnunet: use one of them, not both");
  assert.is(
    await message({ levels: 3 }),
    "--deep-supervision: expected at least 4 levels, got 3, for --recipe nnunet: use --levels 4 or more, or " +
      "--no-deep-supervision",
  );
  assert.is(
    (await resolveConfig({ stage: "teacher", recipe: "nnunet", levels: 3, deepSupervision: false })).levels,
    3,
  );
  const barlow = { stage: "student", recipe: "paper", method: "barlow", levels: 3 } as const;
  assert.match(await message(barlow), /got 3, for --method barlow: use --levels 4 or more, or --no-deep/);
  assert.match(await message({ ...barlow, deepSupervision: true }), /expected at least 4 levels, got 3$/);
  const config = join(folder, "wrong.json");
  writeFileSync(config, '{"recipe": "nnu"}');
  assert.match(await message({ config }), /recipe: expected one of paper, nnunet, got "nnu"/);
  const help = trainCommand().helpInformation();
  assert.match(help.replace(/\s+/g, " "), /optimizer \(default: adam; nnunet: sgd\)/);
});

test("a teacher and a student of it train with the recipe, and config.json has its values", async () => {
  const data = join(folder, "data");
  await makePhantom({ out: data, cases: 3, size: 24, seed: 5 });
  const [train, val, held] = [1, 2, 3].map((n) => [`PHANTOM_00${n}`]);
  writeFileSync(join(data, "split.json"), JSON.stringify({ train, val, test: held }));
  const tiny = { patch: "16", levels: 4, filters: 2, batch: 1, epochs: 1, validateEvery: 1, workers: 0 };
  const flags = { ...tiny, data, out: join(folder, "run"), recipe: "nnunet" } as const;
  await trainQuietly({ ...flags, stage: "teacher" });
  await trainQuietly({ ...flags, stage: "student", method: "protokd" });
  for (const stage of ["teacher", "student_t1ce_protokd"]) {
    const read = (file: string) => readFileSync(join(flags.out, stage, file), "utf8");
    const config = JSON.parse(read(FILES.config)) as Record<string, unknown>;
    assert.equal({ ...config, ...EXPECTED }, config);
    assert.not.ok("recipe" in config);
    const { losses } = JSON.parse(read(FILES.metrics).trim()) as { losses: Record<string, number> };
    assert.ok(Object.values(losses).length > 0 && Object.values(losses).every(Number.isFinite));
  }
});

test("a teacher has its student's norm, except where that is the method's own default", () => {
  const student = { ...DEFAULTS, norm: "batch" } as TrainConfig;
  assert.is(teacherOf({ ...student, method: "kd" }).norm, "batch");
  assert.is(teacherOf({ ...student, method: "wsd" }).norm, "instance");
});

test.run();
