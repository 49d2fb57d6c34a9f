// The page trains a student of two contrasts, and segments a case that has these two alone.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ALL_SUBSETS } from "../../data/datasets/subsets.ts";
import { phantomFiles } from "../../data/phantom/files.ts";
import { teacherContrasts } from "../../trainer/settings/teacherContrasts.ts";
import { loadStage, withContrasts } from "../../web/train/loadStage.ts";
import { configOf } from "../../web/train/pageSettings.ts";
import { chromiumPath, type Visit, visit } from "../support/browser.ts";
import { fill, phantomStudy, SETTINGS, status } from "../support/pageTraining.ts";
import { failure } from "../support/quietly.ts";

const test = suite("webSubsets");
let opened: Visit;

test("a teacher of the page sees what the data have, and must see what its student sees", async () => {
  const study = await phantomStudy();
  const teacher = configOf("teacher", SETTINGS);
  assert.equal(await withContrasts(study, teacher, []), { config: teacher, notes: [] });
  const cases = study.dataset.cases.map((one) => {
    const { t2: _, ...images } = one.images;
    return { ...one, images };
  });
  const without = { ...study, dataset: { ...study.dataset, cases } };
  const { config, notes } = await withContrasts(without, teacher, [["t1ce", "flair"]]);
  assert.is(config.teacherModality, "t1+t1ce+flair");
  assert.equal(notes, ["the teacher sees t1, t1ce, flair: no case to train on has t2"]);
  assert.throws(
    () => teacherContrasts(cases, { given: null, students: [["t2"]] }),
    /^no case to train on has t2, which a student sees: \d+ lack t2 \(.*\): choose other students$/,
  );
  const student = configOf("student", { ...SETTINGS, modality: "t1ce+flair" });
  const seen = { modalities: ["t1" as const, "flair" as const] };
  const { message } = await failure(() => loadStage(study, student, [seen]));
  assert.is(message, "expected a teacher that sees t1ce, flair, got one of t1, flair");
});

test("the page trains on cases that lack contrasts as the command line does", async () => {
  const study = await phantomStudy();
  const lacking = (index: number, contrast: "t2" | "t1ce") => {
    const cases = study.dataset.cases.map((one, i) => {
      const { [contrast]: _, ...images } = one.images;
      return i === index ? { ...one, images } : one;
    });
    return { ...study, dataset: { ...study.dataset, cases } };
  };
  const student = configOf("student", { ...SETTINGS, method: "kd", modality: "t1ce+flair" });
  const teacher = { modalities: ["t1", "t2", "t1ce", "flair"] as const };
  const whole = await loadStage(study, student, [{ modalities: [...teacher.modalities] }]);
  const first = study.dataset.cases.findIndex(({ id }) => id === whole.training[0]!.id);
  const load = (contrast: "t2" | "t1ce") =>
    loadStage(lacking(first, contrast), student, [{ modalities: [...teacher.modalities] }]);
  const untaught = await load("t2");
  assert.equal(untaught.training[0]!.absent, ["t2"]);
  assert.ok(untaught.training.slice(1).every((one) => !("absent" in one)));
  assert.match(untaught.warnings[0]!, /^the teacher's terms count for \d of \d cases to train: 1 lacks t2/);
  const unused = await load("t1ce");
  assert.is(unused.training.length, whole.training.length - 1);
  assert.match(unused.warnings.slice(0, 2).join("; "), /not used by this stage: 1 lacks t1ce/);
  assert.not(whole.warnings.some((line) => /lack/.test(line)));
});

if (!chromiumPath)
  console.log("SKIPPED: webSubsets: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    opened = await visit("#train");
  });
  test.after(async () => {
    await opened.close();
  });

  test("the form offers all subsets, and the teachers that see the chosen one", async () => {
    const { page } = opened;
    const values = await page
      .locator("#modality option")
      .evaluateAll((options) => options.map((option) => (option as HTMLOptionElement).value));
    assert.equal(values, [...ALL_SUBSETS, "any", "each"]);
    const text = (await page.locator("#modality option").allTextContents())[9];
    assert.is(text, "T1ce and FLAIR");
    await page.selectOption("#modality", "t1ce+flair");
    assert.match((await page.textContent("#teacher")) ?? "", /example teacher/);
  });

  test("a student of two contrasts is trained, and segments a case of these two", async () => {
    const { page } = opened;
    const flags = {
      stages: "student",
      method: "none",
      modality: "t1ce+flair",
      epochs: 1,
      validateEvery: 1,
    } as const;
    await fill(page, { ...SETTINGS, ...flags });
    await page.click("#train-start");
    await status(page, "^Done");
    await page.click("#tab-segment");
    const trained = page.locator("#models label", { hasText: "student_t1ce+flair (trained here)" });
    assert.match((await trained.textContent()) ?? "", /sees T1ce, FLAIR/);
    await trained.locator("input").check();
    const files = await phantomFiles({ seed: 9, index: 0, size: [16, 16, 16] });
    const given = ["t1ce", "flair"].map((one) => `PHANTOM_001_${one}.nii.gz`);
    await page.setInputFiles(
      "#files",
      given.map((name) => {
        return { name, mimeType: "", buffer: Buffer.from(files.get(`PHANTOM_001/${name}`)!) };
      }),
    );
    await page.waitForSelector("#panes canvas");
    for (const box of await page.locator("#models label", { hasText: "example" }).locator("input").all())
      await box.uncheck();
    await page.click("#run");
    await page.waitForFunction(() => /^Done/.test(document.querySelector("#status")!.textContent), null, {
      timeout: 60_000,
    });
    assert.equal(opened.errors, []);
  });
}

test.run();
