// A training in the page on a folder of the user's, taken up again with that folder alone, and one that the
// command line began: the page resumes it with its file's settings.

import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { folderSource } from "../../cli/files/folderSource.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { openDataset } from "../../data/datasets/datasets.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { decodeTraining, encodeTraining } from "../../trainer/loop/state.ts";
import { chromiumPath, type Visit, visit } from "../support/browser.ts";
import {
  assertSameLosses,
  complaint,
  fill,
  heard,
  history,
  pauseAfter,
  SETTINGS,
  told,
  trainInNode,
  watch,
} from "../support/pageTraining.ts";
import { silenced, trainQuietly } from "../support/quietly.ts";

const folder = mkdtempSync(join(tmpdir(), "web-train-files-"));
const [data, other, out] = ["cases", "others", "run"].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
const stage = join(out, "teacher");
const TEACHER = { ...SETTINGS, stages: "teacher", epochs: 8, lr: 0.0001 } as const;

const test = suite("webTrainFiles");
let opened: Visit;

if (!chromiumPath)
  console.log("SKIPPED: webTrainFiles: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    await silenced(() => makePhantom({ out: data, cases: 10, size: 18, seed: 5 }));
    await silenced(() => makePhantom({ out: other, cases: 10, size: 18, seed: 6 }));
    opened = await visit("#train");
  });
  test.after(async () => {
    rmSync(folder, { recursive: true });
    await opened.close();
  });

  test("a folder of one's own is trained on; after a reload the page wants it again, and takes no other", async () => {
    const { page } = opened;
    await watch(page);
    await fill(page, TEACHER);
    await page.selectOption("#data", "files");
    await page.setInputFiles("#train-folder", data);
    await page.waitForSelector("#train-cases details");
    assert.match((await page.textContent("#train-cases summary")) ?? "", /10 cases, 50 files/);
    await page.click("#train-start");
    await pauseAfter(page, 8);
    await page.click("#train-stop");
    const kept = Number(/saved after (\d+) steps/.exec(await complaint(page))?.[1]);
    await page.reload();
    await page.waitForSelector("html[data-ready=true]");
    await watch(page);
    await page.click("#kept-go");
    assert.match(await complaint(page), /files are needed again: choose the folder cases below/);
    await page.setInputFiles("#train-folder", other);
    await page.waitForFunction(() =>
      /^.*others: is not/.test(document.querySelector("#alerts")!.textContent),
    );
    assert.match(
      await complaint(page),
      /others: is not the folder.*PHANTOM_\d+_\w+\.nii\.gz: expected \d+ bytes, got \d+ bytes.*choose the folder cases/s,
    );
    await page.setInputFiles("#train-folder", data);
    assert.is(Number(await heard(page, "resuming after (\\d+)$")), kept);
    await heard(page, "^Done");
    const source = await folderSource(data);
    const expected = await trainInNode(TEACHER, { source, dataset: await openDataset(source) });
    assertSameLosses(await history(page, "teacher"), expected["teacher"]!, "teacher");
    assert.equal(opened.errors, []);
  });

  test("the command line's file goes on in the page, with the file's settings in the form", async () => {
    const { page } = opened;
    const flags = { filters: 2, levels: 3, batch: 1, epochs: 3, lr: 2e-4, seed: 4, validateEvery: 2 };
    const patch = [16, 8, 16] as const;
    const early = readEarly();
    await trainQuietly({ ...flags, patch, stage: "teacher", data, out, saveEvery: "1", workers: 0 });
    const lines = readFileSync(join(stage, "metrics.jsonl"), "utf8").trim().split("\n");
    const metrics = lines.map((line) => JSON.parse(line) as EpochRecord);
    const since = (await told(page)).length;
    await page.setInputFiles("#train-from", { name: FILES.latest, mimeType: "", buffer: await early });
    const after = Number(await heard(page, "resuming after (\\d+)$", since));
    assert.ok(after > 0 && after < 21, `${after} of 21`);
    const shown = Object.fromEntries(
      await Promise.all(Object.keys(flags).map(async (id) => [id, Number(await page.inputValue(`#${id}`))])),
    ) as typeof flags;
    assert.equal(shown, flags);
    assert.is(await page.inputValue("#patch"), "16,8,16");
    assert.is(await page.inputValue("#stages"), "teacher");
    await heard(page, "^Done", since);
    const found = await history(page, "teacher");
    assert.ok(found.length > 0);
    assertSameLosses(found, metrics.slice(-found.length), "teacher");
    assert.match((await page.textContent("#models")) ?? "", /teacher \(trained here\)/);
  });

  test("what the page cannot train with is named, and the form and what is kept stay as they are", async () => {
    const { page } = opened;
    const kept = await history(page, "teacher");
    const bytes = readFileSync(join(stage, FILES.latest));
    const asked = await changed(bytes, "x.safetensors", { epochs: 99, split: "mine.json", optimizer: "sgd" });
    await page.setInputFiles("#train-from", asked);
    assert.match(
      await complaint(page),
      /x\.safetensors: was trained with split "mine\.json", where this page knows .*The command line can resume it/s,
    );
    assert.is(await page.inputValue("#epochs"), "3");
    await page.setInputFiles("#train-from", { name: FILES.latest, mimeType: "", buffer: bytes });
    await page.waitForFunction(() => /latest/.test(document.querySelector("#alerts")!.textContent));
    assert.match(await complaint(page), /latest\.safetensors: has been trained for all of its 3 epochs/);
    assert.equal(await history(page, "teacher"), kept);
    assert.equal(opened.errors, []);
  });
}

/** The command line's checkpoint as it is when the first epoch has been written down. */
async function readEarly(): Promise<Buffer> {
  const begun = () => statSync(join(stage, "metrics.jsonl"), { throwIfNoEntry: false })?.size;
  while (!begun()) await new Promise((resolve) => setTimeout(resolve, 5));
  return readFileSync(join(stage, FILES.latest));
}

/** The command line's file as if it had been trained with other settings. */
async function changed(file: Buffer, name: string, settings: object) {
  const { metadata, ...state } = await decodeTraining(file, name);
  const { format, card, config } = metadata as { format: string; card: string; config: string };
  const asked = { ...(JSON.parse(config) as object), ...settings };
  const bytes = await encodeTraining(state, { format, card, config: JSON.stringify(asked) });
  return { name, mimeType: "", buffer: Buffer.from(bytes) };
}

test.run();
