// The page's second half in a real browser: it trains, is stopped, goes on after a reload to what Node gives
// without a stop, and what it keeps is a file that Node resumes.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { decodeTraining } from "../../trainer/loop/state.ts";
import { configOf } from "../../web/train/pageSettings.ts";
import { chromiumPath, type Visit, visit } from "../support/browser.ts";
import {
  assertSameLosses,
  complaint,
  downloaded,
  fill,
  history,
  phantomStudy,
  stageOf,
  SETTINGS,
  status,
  trainInNode,
} from "../support/pageTraining.ts";

const test = suite("webTrain");
let opened: Visit;

if (!chromiumPath)
  console.log("SKIPPED: webTrain: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    opened = await visit("#train");
  });
  test.after(async () => {
    await opened.close();
  });

  test("a training is stopped, kept over a reload, and goes on to its end with a lower loss", async () => {
    const { page } = opened;
    await fill(page, SETTINGS);
    await page.click("#train-start");
    await status(page, "teacher: step (9|1\\d) of 14");
    await page.click("#train-stop");
    assert.match(await complaint(page), /Stopped.*teacher: saved after \d+ steps/s);
    await page.reload();
    await page.waitForSelector("html[data-ready=true]", { timeout: 60_000 });
    assert.match((await page.textContent("#kept-text")) ?? "", /teacher: (9|1\d) steps/);
    await page.click("#kept-go");
    await status(page, "^Done");
    const records = await history(page, "teacher");
    assert.equal(
      records.map(({ epoch }) => epoch),
      [1, 2],
    );
    assert.ok(records[1]!.losses["total"]! < 0.99 * records[0]!.losses["total"]!, JSON.stringify(records));
    assert.equal(opened.errors, []);
  });

  test("the losses are those of Node on the same seed, of the teacher and of the student with ProtoKD", async () => {
    const expected = await trainInNode(SETTINGS, await phantomStudy());
    assert.is(Object.keys(expected).length, 2);
    for (const [stage, records] of Object.entries(expected)) {
      const { ofTotal, ofTerm } = assertSameLosses(await history(opened.page, stage), records, stage);
      const most = `${ofTotal.toExponential(1)} of the total, ${ofTerm.toExponential(1)} of a term above 1e-3`;
      console.log(`  ${stage}: losses in the browser and in Node differ by at most ${most}`);
    }
  });

  test("the kept training is a file that Node resumes, and the trained networks can be used", async () => {
    const { page } = opened;
    const { bytes, name } = await downloaded(page, /student_t1ce_protokd's training/);
    const state = await decodeTraining(bytes, name);
    assert.is(state.position.epoch, SETTINGS.epochs + 1);
    const longer = configOf("student", { ...SETTINGS, epochs: 3, method: "none" });
    const stage = await stageOf(await phantomStudy(), longer, { state });
    const steps: number[] = [];
    for await (const event of stage.trainer.run()) if (event.type === "step") steps.push(event.step);
    assert.is(steps[0], 2 * stage.stepsPerEpoch + 1);
    assert.is(steps.length, stage.stepsPerEpoch);
    stage.free();
    await page.click("#tab-segment");
    assert.match((await page.textContent("#models")) ?? "", /student_t1ce_protokd \(trained here\)/);
  });

  test("a file that is no training is refused by name", async () => {
    const { page } = opened;
    await page.click("#tab-train");
    await page.setInputFiles("#train-from", {
      name: "x.safetensors",
      mimeType: "",
      buffer: Buffer.from("hello"),
    });
    assert.match(await complaint(page), /x\.safetensors/);
    assert.is((await history(page, "teacher")).length, SETTINGS.epochs, "what was kept is still there");
    assert.equal(opened.errors, []);
  });
}

test.run();
