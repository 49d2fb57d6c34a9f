// The page pretrains an encoder on a folder without labels, resumes it after a reload as the command line
// resumes its file, keeps the encoder, and begins a student with it.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { folderSource } from "../../cli/files/folderSource.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { INPUT } from "../../data/preparation/input.ts";
import { decodeEncoder } from "../../model/files/cardParts.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { datasetOf, recognise } from "../../web/segment/cases.ts";
import { settingsIn, stagesOf } from "../../web/train/pageSettings.ts";
import type { TrainSettings } from "../../web/train/trainProtocol.ts";
import { chromiumPath, type Visit, visit } from "../support/browser.ts";
import {
  assertSameLosses,
  complaint,
  downloaded,
  fill,
  heard,
  history,
  pauseAfter,
  SETTINGS,
  status,
  told,
  trainInNode,
  watch,
} from "../support/pageTraining.ts";
import { silenced, trainQuietly } from "../support/quietly.ts";

const NAME = "pretrain_t1ce_desd";
const HEADS = { desdHidden: 8, desdEmbedding: 4, desdPrototypes: 12 } as const;
const NUMBERS = { epochs: 6, batch: 2, filters: 2, levels: 3, lr: 0.0001, seed: 5, ...HEADS } as const;
const PRETRAIN = { ...NUMBERS, stages: "pretrain", modality: "t1ce", patch: [16, 16, 16] } as const;
const STUDENT = { ...SETTINGS, stages: "student", method: "none", filters: 2, levels: 3, epochs: 1 } as const;

const folder = mkdtempSync(join(tmpdir(), "web-pretraining-"));
const data = join(folder, "scans");
const test = suite("webPretraining");
let opened: Visit;

test("a pretraining's settings are its method's own, and other stages keep theirs", () => {
  const settings = { ...SETTINGS, ...PRETRAIN, initEncoder: "x", method: "kd" } satisfies TrainSettings;
  const [[name, config] = []] = stagesOf(settings);
  assert.is(name, NAME);
  assert.equal(
    [config!.method, config!.modality, config!.initEncoder, config!.schedule, config!.batch],
    ["desd", "t1ce", null, "cosine", 2],
  );
  const both = stagesOf({ ...settings, stages: "both" });
  assert.equal(
    [...both.values()].map(({ stage, initEncoder }) => [stage, initEncoder]),
    [
      ["teacher", null],
      ["student", "x"],
    ],
  );
  const fold = JSON.stringify({ stage: "pretrain", modality: "t1ce", method: "desd", fold: "all" });
  assert.throws(() => settingsIn({ config: fold }, "FILE"), /^FILE: was trained with fold "all", where/);
});

if (!chromiumPath)
  console.log("SKIPPED: webPretraining: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    await silenced(() => makePhantom({ out: data, cases: 10, size: 18, seed: 5 }));
    for (const id of readdirSync(data).filter((name) => name.startsWith("PHANTOM_")))
      rmSync(join(data, id, `${id}_seg.nii.gz`));
    opened = await visit("#train");
  });
  test.after(async () => {
    rmSync(folder, { recursive: true });
    await opened.close();
  });

  test("the form of a pretraining shows its own settings alone, of contrasts that every case has", async () => {
    const { page } = opened;
    await page.selectOption("#modality", "any");
    await page.selectOption("#recipe", "nnunet");
    await page.selectOption("#stages", "pretrain");
    const shown = await page
      .locator("#fields label:visible")
      .locator("select, input")
      .evaluateAll((all) => all.map(({ id }) => id));
    const sizes = ["epochs", "batch", "patch", "augment", "lr", "maxTime", "seed", "filters", "levels"];
    const heads = ["desdTaps", ...Object.keys(HEADS), "desdNorm", "desdMomentum"];
    const all = ["data", "stages", "modality", "phantomCases", "phantomSize", "affine", ...sizes, ...heads];
    assert.equal(shown.sort(), all.sort());
    assert.is(await page.inputValue("#modality"), "t1ce");
    assert.is(await page.locator("#modality option:enabled").count(), 15);
    const own = () => Promise.all(["augment", "lr", "batch"].map((id) => page.inputValue(`#${id}`)));
    assert.equal(await own(), ["views", "0.001", "2"]);
    await page.selectOption("#stages", "student");
    assert.equal(await own(), ["nnunet", "0.01", "2"]);
    assert.not(await page.isVisible("#initEncoder"), "no encoder is kept yet");
    await page.selectOption("#recipe", "paper");
  });

  test("scans without labels are pretrained on, after a reload to the same losses, as by the command line", async () => {
    const { page } = opened;
    await watch(page);
    await page.selectOption("#stages", "pretrain");
    await page.fill("#patch", "16");
    for (const [id, value] of Object.entries(NUMBERS)) await page.fill(`#${id}`, String(value));
    await page.selectOption("#data", "files");
    await page.setInputFiles("#train-folder", data);
    await page.waitForSelector("#train-cases details");
    await page.click("#train-start");
    const step = await pauseAfter(page, 8);
    const names = await page.locator("#train-numbers dt").allTextContents();
    assert.equal(names.slice(0, 3), ["loss", "entropy/mean", "entropy/sample"]);
    const chart = page.locator(".chart", { hasText: "observed by step" }).locator("svg");
    assert.match((await chart.getAttribute("aria-label")) ?? "", /entropy\/mean [\d.]+, entropy\/sample/);
    assert.match(
      (await page.textContent("#train-findings")) ?? "",
      /a pretraining has no scores to validate or test/,
    );
    assert.not.match(await page.innerText("#train"), /Dice|best network/);
    const latest = await downloaded(page, /'s training/);
    await page.click("#train-stop");
    await complaint(page);
    await page.reload();
    await page.waitForSelector("html[data-ready=true]");
    await watch(page);
    await page.click("#kept-go");
    assert.match(await complaint(page), /files are needed again: choose the folder scans below/);
    await page.setInputFiles("#train-folder", data);
    assert.ok(Number(await heard(page, "resuming after (\\d+)$")) >= step);
    await heard(page, "^Done: a training can begin with the encoder");
    const found = await history(page, NAME);
    const source = await folderSource(data);
    const { rows } = await recognise(source);
    const settings = { ...SETTINGS, ...PRETRAIN, augment: "views" } as const;
    const expected = await trainInNode(settings, { source, dataset: datasetOf(rows, "brats") });
    assertSameLosses(found, expected[NAME]!, NAME);
    assert.equal(Object.keys(found.at(-1)!.observed!), ["entropy/mean", "entropy/sample"]);

    const [file, out] = [join(folder, latest.name), join(folder, "run")];
    writeFileSync(file, latest.bytes);
    await trainQuietly({ resumeFrom: file, data, out, workers: 0 });
    const lines = readFileSync(join(out, NAME, "metrics.jsonl"), "utf8")
      .trim()
      .split("\n");
    const resumed = lines.map((line) => JSON.parse(line) as EpochRecord);
    assertSameLosses(resumed.slice(1), found.slice(-resumed.length + 1), "by the command line");
    await page.setInputFiles("#train-from", { name: latest.name, mimeType: "", buffer: latest.bytes });
    assert.is(Number(await heard(page, "resuming after (\\d+)$", (await told(page)).length)), step);
    assert.equal(opened.errors, []);
  });

  test("the encoder is kept, to download and to begin a student with, where it fits", async () => {
    const { page } = opened;
    await status(page, "^Done");
    await page.reload();
    await page.waitForSelector("html[data-ready=true]");
    await watch(page);
    const before = await history(page, NAME);
    const { bytes, name } = await downloaded(page, new RegExp(`${NAME}: its encoder`));
    const { card, values } = await decodeEncoder(bytes, name, INPUT);
    assert.equal([card!.part, card!.stage, card!.epoch], ["encoder", NAME, NUMBERS.epochs]);
    assert.not.match((await page.textContent("#models")) ?? "", /pretrain/);

    await fill(page, STUDENT);
    await page.selectOption("#initEncoder", NAME);
    await page.fill("#lr", "0");
    const refusal = async (pattern: RegExp) => {
      await page.click("#train-start");
      await page.waitForFunction(
        (text) => new RegExp(text).test(document.querySelector("#alerts")!.textContent),
        pattern.source,
      );
    };
    await page.selectOption("#modality", "flair");
    await refusal(/saw t1ce, and this network sees flair: pretrain without labels on flair, or/);
    await page.selectOption("#modality", "t1ce");
    await page.fill("#filters", "4");
    await refusal(/expected the encoder of .*4 filters.*: set filters to 2/);
    await page.fill("#filters", "2");
    assert.equal(await history(page, NAME), before, "the run before is still there");
    for (const close of await page.locator(".alert .close").all()) await close.click();
    await page.click("#train-start");
    await heard(page, "^Done: the networks");
    const student = await downloaded(page, /best network/);
    const begun = await decodeEncoder(student.bytes, student.name, INPUT);
    for (const [tensor, { data: first }] of Object.entries(values))
      assert.equal([...begun.values[tensor]!.data], [...first], tensor);
    assert.ok(await page.isVisible(`text=${NAME}: its encoder`), "it outlasts its run");
    assert.equal(opened.errors, []);
  });
}

test.run();
