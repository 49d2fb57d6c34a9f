// The page trains one network for any contrasts, taught by itself, and segments a case of two contrasts with
// it.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { anyOf } from "../../data/datasets/subsets.ts";
import { MODALITIES, type Modality } from "../../data/datasets/source.ts";
import { phantomFiles } from "../../data/phantom/files.ts";
import { stageName } from "../../trainer/settings/config.ts";
import { decodeTraining, encodeTraining } from "../../trainer/loop/state.ts";
import type { Study } from "../../web/segment/segmentation.ts";
import { teacherOf } from "../../web/train/keptRun.ts";
import { withAnyContrasts, withContrasts } from "../../web/train/loadStage.ts";
import { configOf, stagesOf } from "../../web/train/pageSettings.ts";
import type { TrainSettings } from "../../web/train/trainProtocol.ts";
import { chromiumPath, shows, type Visit, visit } from "../support/browser.ts";
import {
  assertSameLosses,
  complaint,
  downloaded,
  fill,
  heard,
  history,
  phantomStudy,
  SETTINGS,
  status,
  trainInNode,
  watch,
} from "../support/pageTraining.ts";
import { failure } from "../support/quietly.ts";

const ALONE = { ...SETTINGS, stages: "student", modality: "any", method: "kd" } as const;
const SELF = { ...ALONE, selfTaught: true } as const;
const STAGE = "student_any_kd_self";
const test = suite("webAnyTraining");
let opened: Visit;

/** The phantom's cases with some contrasts alone. */
async function studyOf(...there: readonly Modality[]): Promise<Study> {
  const { source, dataset } = await phantomStudy();
  const cases = dataset.cases.map((one) => {
    const images = Object.fromEntries(there.map((modality) => [modality, one.images[modality]!]));
    return { ...one, images };
  });
  return { source, dataset: { ...dataset, cases } };
}

test("the stages of a student of any contrasts have the command line's names and settings", () => {
  assert.equal([...stagesOf(SELF).keys()], [STAGE]);
  assert.is(teacherOf(SELF), null, "a network that teaches itself waits for no other");
  const both = {
    ...SELF,
    stages: "both",
    method: "protokd",
    selfTaught: false,
    dropWeights: "t1=0.3",
  } as const;
  const stages = stagesOf(both);
  assert.equal([...stages.keys()], ["teacher", "student_any_protokd"]);
  assert.equal(
    [...stages.values()].map(({ modality, dropWeights, selfTaught }) => [modality, dropWeights, selfTaught]),
    [
      [null, null, false],
      ["any", "t1=0.3", false],
    ],
  );
  assert.is(teacherOf(both), "teacher (trained here)");
  assert.equal(configOf("teacher", SELF).selfTaught, false);
});

test("it takes any of the contrasts that the cases have, and needs two", async () => {
  const two = await studyOf("t1ce", "flair");
  const settings = await withAnyContrasts(two, SELF);
  assert.is(settings.modality, anyOf(["t1ce", "flair"]));
  const config = configOf("student", settings);
  assert.is(stageName(config), "student_any-t1ce+flair_kd_self");
  assert.is(
    (await withContrasts(two, config, [])).notes.join(),
    "the student takes any of t1ce, flair: no case to train on has t1 or t2",
  );
  assert.equal((await withContrasts(await phantomStudy(), configOf("student", SELF), [])).notes, []);
  const { name, message } = await failure(async () => withAnyContrasts(await studyOf("flair"), SELF));
  assert.is(name, "DataError");
  assert.match(message, /expected cases of two contrasts or more, got flair alone/);
});

if (!chromiumPath)
  console.log("SKIPPED: webAnyTraining: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    opened = await visit("#train");
  });
  test.after(async () => {
    await opened.close();
  });

  test("the form offers itself as teacher, and how often contrasts are dropped, to such a student alone", async () => {
    const { page } = opened;
    const teachers = async () =>
      page
        .locator("#teacher option")
        .evaluateAll((all) => all.map((one) => (one as HTMLOptionElement).value));
    assert.not.ok(await page.isVisible("#dropWeights"));
    await page.selectOption("#stages", "student");
    assert.not.ok((await teachers()).includes("self"));
    await page.selectOption("#modality", "any");
    assert.equal(await teachers(), ["example teacher", "self"]);
    assert.ok(await page.isVisible("#dropWeights"));
    await page.selectOption("#method", "none");
    assert.not.ok(await page.isVisible("#teacher"));
    await page.selectOption("#stages", "teacher");
    assert.not.ok(await page.isVisible("#dropWeights"));
  });

  test("weights out of range are refused before anything is trained", async () => {
    const { page } = opened;
    await fill(page, { ...ALONE, method: "none" });
    await page.fill("#dropWeights", "t1=2");
    await page.click("#train-start");
    assert.match(await complaint(page), /do not fit.*Dropped: expected .* below 1, .* got t1=2/s);
    await page.click(".close");
    await page.fill("#dropWeights", "");
  });

  test("it is trained by itself, also over a reload, to the losses of Node", async () => {
    const { page } = opened;
    await fill(page, ALONE);
    await page.selectOption("#teacher", "self");
    await page.click("#train-start");
    await status(page, `${STAGE}: step ([6-9]|1\\d) of 14`);
    await page.click("#train-stop");
    assert.match(await complaint(page), /Stopped.*saved after \d+ steps/s);
    await page.reload();
    await page.waitForSelector("html[data-ready=true]", { timeout: 60_000 });
    await page.click("#kept-go");
    await status(page, "^Done");
    assert.equal([await page.inputValue("#modality"), await page.inputValue("#teacher")], ["any", "self"]);
    const expected = await trainInNode(SELF, await phantomStudy());
    assertSameLosses(await history(page, STAGE), expected[STAGE]!, STAGE);
    assert.equal(opened.errors, []);
  });

  test("its file is resumed with what the student sees and its teacher", async () => {
    const { page } = opened;
    const { bytes, name } = await downloaded(page, new RegExp(`${STAGE}'s training`));
    const { metadata, ...state } = await decodeTraining(bytes, name);
    const { format, card, config } = metadata as { format: string; card: string; config: string };
    const resumed = async (settings: Partial<TrainSettings>) => {
      const asked = JSON.stringify({ ...(JSON.parse(config) as object), ...settings });
      const file = Buffer.from(await encodeTraining(state, { format, card, config: asked }));
      await page.setInputFiles("#train-from", { name, mimeType: "", buffer: file });
    };
    const shown = async () => [await page.inputValue("#modality"), await page.inputValue("#teacher")];
    await fill(page, { ...SETTINGS, modality: "t1" });
    await watch(page);
    await resumed({ epochs: 3 });
    assert.is(await heard(page, "resuming after (\\d+)$"), "14");
    assert.equal(await shown(), ["any", "self"]);
    await heard(page, "^Done");
    assert.is((await history(page, STAGE)).at(-1)!.epoch, 3);
    await resumed({ epochs: 4, modality: "any:t1ce+flair" });
    assert.match(await complaint(page), /of another training/);
    assert.equal(await shown(), ["any:t1ce+flair", "self"]);
    const text = await page.locator("#modality option:checked").textContent();
    assert.is(text, "whatever is there of T1ce and FLAIR");
  });

  test("it segments a case of two contrasts", async () => {
    const { page } = opened;
    await page.click("#tab-segment");
    const trained = page.locator("#models label", { hasText: `${STAGE} (trained here)` });
    assert.match((await trained.textContent()) ?? "", /takes any of T1, T2, T1ce, FLAIR/);
    await trained.locator("input").check();
    for (const box of await page.locator("#models label", { hasText: "example" }).locator("input").all())
      await box.uncheck();
    const files = await phantomFiles({ seed: 9, index: 0, size: [16, 16, 16] });
    const given = MODALITIES.filter((modality) => ["t2", "flair"].includes(modality)).map((modality) => {
      const name = `PHANTOM_001_${modality}.nii.gz`;
      return { name, mimeType: "", buffer: Buffer.from(files.get(`PHANTOM_001/${name}`)!) };
    });
    await page.setInputFiles("#files", given);
    await page.waitForSelector("#panes canvas");
    await page.click("#run");
    await shows(page, "#status", /^Done/);
    await shows(page, "#result-tables", /saw T2, FLAIR;/);
    assert.equal(opened.errors, []);
  });
}

test.run();
