// The page's second half in a real browser: it trains, is stopped, goes on after a reload to what Node gives without a
// stop, and what it keeps is a file that Node goes on from.

import { readFile } from "node:fs/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Browser, Page } from "playwright-core";
import { openDataset } from "../data/datasets.ts";
import { phantomSource } from "../data/phantomFiles.ts";
import type { EpochRecord } from "../model/records.ts";
import { decodeTraining } from "../model/trainingState.ts";
import { loadStage, Stage, stagesOf } from "../web/stage.ts";
import type { TrainSettings } from "../web/trainProtocol.ts";
import { chromiumPath, launch, open, type Opened, serve, type Site } from "./browser.ts";
import { device } from "./gradcheck.ts";

const SETTINGS: TrainSettings = {
  ...{ stages: "both", modality: "t1ce", method: "protokd", teacher: null },
  ...{
    epochs: 2,
    batch: 1,
    patch: [16, 16, 16],
    filters: 4,
    levels: 2,
    lr: 0.0005,
    seed: 5,
    validateEvery: 2,
  },
};
const PHANTOM = { cases: 10, size: 16, seed: 1 };
const CLOSE = 1e-4; // relative: drivers and kernels round differently, which Adam carries on from step to step

const test = suite("webTrain");
let site: Site;
let browser: Browser;
let opened: Opened;

if (!chromiumPath)
  console.log("SKIPPED: webTrain: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    site = await serve();
    browser = await launch();
    opened = await open(await browser.newContext(), `${site.url}#train`);
  });
  test.after(async () => {
    await browser.close();
    await site.close();
  });

  test("a training is stopped, kept over a reload, and goes on to its end with a lower loss", async () => {
    const { page } = opened;
    const { patch, batch, filters, levels, epochs, lr, seed, validateEvery } = SETTINGS;
    const fields = { phantomCases: PHANTOM.cases, phantomSize: PHANTOM.size, patch: patch[0] };
    for (const [id, value] of Object.entries({
      ...fields,
      batch,
      filters,
      levels,
      epochs,
      lr,
      seed,
      validateEvery,
    })) {
      await page.fill(`#${id}`, String(value));
    }
    await page.click("#train-start");
    await status(page, "teacher: step (9|1\\d) of 14");
    await page.click("#train-stop");
    await page.waitForSelector(".alert");
    assert.match((await page.textContent("#alerts")) ?? "", /Stopped.*teacher: saved after \d+ steps/s);
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
    const expected = await trainInNode();
    let worst = 0;
    for (const [stage, records] of Object.entries(expected)) {
      const found = await history(opened.page, stage);
      assert.is(found.length, records.length);
      for (const [i, { losses }] of records.entries()) {
        for (const [name, value] of Object.entries(losses)) {
          const off = Math.abs(found[i]!.losses[name]! - value) / Math.abs(value);
          worst = Math.max(worst, off);
          assert.ok(
            off <= CLOSE,
            `${stage}, epoch ${i + 1}, ${name}: ${found[i]!.losses[name]}, in Node ${value}`,
          );
        }
      }
    }
    console.log(`  losses in the browser and in Node differ by ${worst.toExponential(1)} at most`);
  });

  test("the kept training is a file that Node goes on from, and the trained networks can be used", async () => {
    const { page } = opened;
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: /student_t1ce_protokd's training/ }).click(),
    ]);
    const state = await decodeTraining(await readFile(await download.path()), download.suggestedFilename());
    assert.is(state.position.epoch, SETTINGS.epochs + 1);
    const cases = await loadStage(
      await study(),
      "student_t1ce_protokd",
      { ...SETTINGS, method: "none" },
      null,
    );
    const longer = { ...SETTINGS, epochs: 3, method: "none" };
    const stage = new Stage(device, {
      name: "student_t1ce_protokd",
      settings: longer,
      cases,
      guide: null,
      state,
    });
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
    await page.waitForSelector(".alert");
    assert.match((await page.textContent("#alerts")) ?? "", /x\.safetensors/);
    assert.is((await history(page, "teacher")).length, SETTINGS.epochs, "what was kept is still there");
    assert.equal(opened.errors, []);
  });
}

async function status(page: Page, pattern: string): Promise<void> {
  const wait = page.waitForFunction(
    (text) =>
      new RegExp(text).test(document.querySelector("#train-status")!.textContent) ||
      document.querySelector(".alert")?.textContent,
    pattern,
    { timeout: 180_000 },
  );
  const alert = await (await wait).jsonValue();
  if (typeof alert === "string") throw new Error(alert);
}

/** What the page's storage says of a stage's epochs. */
function history(page: Page, stage: string): Promise<EpochRecord[]> {
  return page.evaluate(async (name) => {
    let folder = await navigator.storage.getDirectory();
    for (const part of ["protokd", "run", name]) folder = await folder.getDirectoryHandle(part);
    const file = await (await folder.getFileHandle("history.json")).getFile();
    return JSON.parse(await file.text()) as EpochRecord[];
  }, stage);
}

async function study() {
  const { cases, size, seed } = PHANTOM;
  const source = phantomSource({ seed, cases, size: [size, size, size] });
  return { source, dataset: await openDataset(source) };
}

/** The same stages in Node, without a stop. */
async function trainInNode(): Promise<Record<string, EpochRecord[]>> {
  const [teacherName, studentName] = stagesOf(SETTINGS) as [string, string];
  const data = await study();
  const records: Record<string, EpochRecord[]> = { [teacherName]: [], [studentName]: [] };
  const run = async (name: string, guide: ConstructorParameters<typeof Stage>[1]["guide"]) => {
    const cases = await loadStage(data, name, SETTINGS, guide && guide.modalities);
    const stage = new Stage(device, { name, settings: SETTINGS, cases, guide, state: null });
    for await (const event of stage.trainer.run())
      if (event.type === "epoch") records[name]!.push(event.record);
    return { stage, modalities: cases.modalities };
  };
  const teacher = await run(teacherName, null);
  const student = await run(studentName, { network: teacher.stage.network, modalities: teacher.modalities });
  student.stage.free();
  teacher.stage.free();
  return records;
}

test.run();
