// The page trains a student with every method: its form shows the method's own settings, its usual student,
// and a teacher only where the method needs one.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { classifies, METHODS, methodOf, usesStudents, usesTeacher } from "../../model/methods/index.ts";
import { INPUT } from "../../data/preparation/input.ts";
import { decodeClassifier } from "../../model/files/cardParts.ts";
import { settingsIn, taughtMethods } from "../../web/train/pageSettings.ts";
import { chromiumPath, saved, type Visit, visit } from "../support/browser.ts";
import { fill, heard, history, SETTINGS, told, watch } from "../support/pageTraining.ts";

/** One epoch of two steps, for four levels: barlow has deep supervision. */
const TINY = { ...SETTINGS, epochs: 1, batch: 2, filters: 1, levels: 4, validateEvery: 1 } as const;
/** The methods that the page trains: others learn from several students of one run. */
const HERE = Object.keys(METHODS).filter((name) => !usesStudents(name) && !methodOf(name).needsUnlabelled);
const test = suite("webMethods");
let opened: Visit;

test("a method that is taught by default needs a teacher, others by the choice of a setting", () => {
  const names = (list: ReturnType<typeof taughtMethods>) => list.map(({ method }) => method);
  const taught = taughtMethods();
  const always = taught.filter(({ field }) => field === undefined);
  assert.equal(
    names(always),
    Object.keys(METHODS).filter((name) => usesTeacher(name)),
  );
  assert.equal(
    taught.filter(({ field }) => field !== undefined),
    [{ method: "barlow", field: "barlowTeacher", value: "frozen" }],
  );
});

test("a training with several teachers is refused, with the command that resumes it", () => {
  const config = JSON.stringify({ stage: "student", modality: "t1ce", method: "amtml" });
  assert.throws(
    () => settingsIn({ config }, "FILE"),
    /^FILE: was trained with AMTML-KD, which learns from several students .* \(train --resume-from\)\.$/,
  );
});

/** Fills the form for a student of this method, and trains it; the stage's losses in its first epoch. */
async function train(
  name: string,
  stages: "teacher" | "student" = "student",
): Promise<Record<string, number>> {
  const { page } = opened;
  if (stages === "student") await page.selectOption("#method", name);
  if (stages === "student")
    await page.selectOption("#modality", methodOf(name).eachContrast ? "t1ce+flair" : "t1ce");
  await page.selectOption("#stages", stages);
  if (await page.locator("#teacher").isVisible())
    await page.selectOption("#teacher", { label: "teacher (trained here)" });
  const epochs = stages === "student" && methodOf(name).phases ? 2 : 1; // one for each phase
  await page.fill("#epochs", `${epochs}`);
  const from = (await told(page)).length;
  await page.click("#train-start");
  const stage = await heard(page, "^(\\S+): done$", from);
  const records = await history(page, stage);
  assert.is(records.length, epochs, stage);
  return records[0]!.losses;
}

if (!chromiumPath)
  console.log("SKIPPED: webMethods: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    opened = await visit("#train");
    await watch(opened.page);
  });
  test.after(() => opened.close());

  const isShown = (name: string) => opened.page.locator(`#${name}`).isVisible();

  test("a method chooses the student's contrasts until the user does", async () => {
    const { page } = opened;
    const chosen = async (method: string) => {
      await page.selectOption("#method", method);
      return page.inputValue("#modality");
    };
    const seen = [await chosen("barlow"), await chosen("kd"), await chosen("ummkd")];
    assert.equal(seen, ["t1ce+flair", "t1ce", "each"]);
    const { modality: _, method: _method, stages: _stages, ...shared } = TINY;
    await fill(page, { ...shared, modality: "t1ce", method: "protokd", stages: "teacher" });
    await page.fill("#phantomCases", "5");
    assert.is(await chosen("barlow"), "t1ce");
  });

  test("the form shows a method's own settings, and asks for a teacher where it needs one", async () => {
    const { page } = opened;
    await page.selectOption("#method", "kd");
    await page.selectOption("#stages", "both");
    for (const name of HERE) {
      await page.selectOption("#method", name);
      for (const [setting, row] of Object.entries(methodOf(name).settings))
        if (row.page) assert.ok(await isShown(setting), `${name}: ${setting}`);
      const own = usesTeacher(name);
      assert.is(await page.inputValue("#stages"), own ? "both" : "student", name);
      if (own) await page.selectOption("#stages", "student");
      assert.is(await isShown("teacher"), own, name);
      if (own) await page.selectOption("#stages", "both");
    }
    await page.selectOption("#method", "barlow");
    await page.selectOption("#barlowTeacher", "frozen");
    assert.is(await page.inputValue("#stages"), "both");
    await page.selectOption("#barlowTeacher", "joint");
    assert.is(await page.inputValue("#stages"), "student");
    assert.not(await isShown("maskedWeight"), "another method's");
  });

  test("a method that the page cannot train tells why, and cannot be chosen", async () => {
    const { page } = opened;
    const off = page.locator("#method option:disabled");
    assert.equal(await off.allTextContents(), [
      "pseudo-labels: needs scans without labels, on the command line only",
      "AMTML-KD: learns from several students, on the command line only",
    ]);
    assert.is(await page.locator("#method option:enabled").count(), HERE.length);
  });

  test("a slow method can be chosen, and its title says why it is slow", async () => {
    const slow = opened.page.locator("#method option[title]:not([title=''])");
    assert.equal(await slow.allTextContents(), ["UAGAN (slow)"]);
    assert.match((await slow.getAttribute("title"))!, /trains two networks/);
    assert.ok(await slow.isEnabled());
  });

  test("a teacher, and a student by each method; the teacher that barlow trains is a network to choose", async () => {
    const { page } = opened;
    await page.selectOption("#method", "protokd");
    assert.ok((await train("none", "teacher"))["total"]! > 0);
    for (const name of HERE) {
      const losses = await train(name);
      assert.ok(Object.values(losses).every(Number.isFinite), JSON.stringify(losses));
      assert.is(Object.keys(losses).length > 3, name !== "none", `${name}: ${Object.keys(losses).join()}`);
    }
    for (const contrast of ["t1ce", "flair"]) {
      const hasText = `student_${contrast}_ummkd (trained here)`;
      await page.locator("#models label", { hasText }).waitFor({ state: "attached" });
    }
    await page.locator("#train-start:enabled").waitFor();
    const offered = await page.locator("#models label").allTextContents();
    assert.not.ok(offered.some((text) => HERE.filter(classifies).some((name) => text.includes(`_${name}`))));
    await page.selectOption("#method", "kd");
    const teachers = await page.locator("#teacher option").allTextContents();
    assert.ok(
      teachers.some((text) => /_barlow_teacher/.test(text)),
      teachers.join(),
    );
  });

  test("a classifier shows AUC, is downloaded, and is refused where networks segment", async () => {
    const { page } = opened;
    const name = "student_t1ce_wsd";
    await page.selectOption("#method", "wsd");
    await page.selectOption("#stages", "student");
    await page.selectOption("#teacher", { label: "teacher (trained here)" });
    await page.fill("#epochs", "2");
    await page.fill("#phantomCases", "10"); // enough for a validation
    const from = (await told(page)).length;
    await page.click("#train-start");
    await heard(
      page,
      "says which regions a patch shows, and segments nothing. Download its best network",
      from,
    );
    const figure = page.locator("#charts figcaption", { hasText: `${name}: AUC of the validation` });
    await figure.waitFor();
    const charts = (await page.locator("#charts figcaption").allTextContents()).join();
    assert.not.match(charts, /Dice/);
    const button = page.getByRole("button", { name: `Download ${name}'s best network` });
    const buffer = Buffer.from(await saved(page, button));
    const { card } = await decodeClassifier(buffer, name, INPUT);
    assert.equal([card!.stage, card!.modalities], [name, ["t1ce"]]);
    await page.setInputFiles("#checkpoint", { name: `${name}.safetensors`, mimeType: "", buffer });
    await page.waitForFunction(() => /segments nothing/.test(document.querySelector("#alerts")!.textContent));
    assert.match(
      await page.locator("#alerts").innerText(),
      /student_t1ce_wsd\.safetensors: holds a classifier \(student_t1ce_wsd\), .* segments nothing/,
    );
    for (const close of await page.locator(".alert .close").all()) await close.click();
  });
}

test.run();
