// The page's Segment tab in a real browser: it loads, segments the example as Node does without a request,
// and explains what is wrong with files.

import { readFile } from "node:fs/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toClasses } from "../../data/datasets/labels.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { phantomFiles } from "../../data/phantom/files.ts";
import { uncrop } from "../../data/preparation/preprocess.ts";
import { forward } from "../../model/networks/network.ts";
import { imageOf, predict } from "../../model/inference/predict.ts";
import { chromiumPath, launch, open, saved, type Visit, visit } from "../support/browser.ts";
import { openExample, STUDENT } from "../support/example.ts";
import { device } from "../support/gradcheck.ts";

const test = suite("web");
let opened: Visit;

if (!chromiumPath) console.log("SKIPPED: web: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    opened = await visit("", { viewport: { width: 1280, height: 900 } });
  });
  test.after(async () => {
    await opened.close();
  });

  test("the page starts without an error and shows the GPU's name", async () => {
    assert.equal(opened.errors, []);
    assert.match((await opened.page.textContent("#gpu")) ?? "", /swiftshader.*on the CPU.*tensors to/i);
  });

  test("a file that is not a volume, a case or a network is named, and the page still works", async () => {
    const { page } = opened;
    const t1ce = (await phantomFiles({ seed: 9, index: 0, size: [16, 16, 16] })).get(
      "PHANTOM_001/PHANTOM_001_t1ce.nii.gz",
    )!;
    const wrong: [name: string, content: Uint8Array | string, message: RegExp][] = [
      ["notes.txt", "hello", /expected NIfTI files.*got notes\.txt/],
      ["case_t1ce.nii.gz", "hello", /case_t1ce\.nii\.gz/],
      ["case_t1ce.nii", "", /case_t1ce\.nii/],
      ["case_t1ce.nii.gz", t1ce.subarray(0, 900), /case_t1ce\.nii\.gz.*(damaged|cut)/],
      ["x.safetensors", "hello", /x\.safetensors: not a usable checkpoint/],
      ["x.safetensors", (await readFile(STUDENT)).subarray(0, 50_000), /x\.safetensors/],
      ["scan.nii.gz", "hello", /scan\.nii\.gz/],
    ];
    for (const [name, content, message] of wrong) {
      await give(name, content);
      if (name.startsWith("scan")) await page.selectOption("#cases td select", "t1ce");
      await page.waitForFunction(
        (text) => new RegExp(text).test(document.querySelector("#alerts")!.textContent),
        message.source,
      );
      await page.click(".close");
    }
    await give("case_t1ce.nii.gz", t1ce);
    await page.waitForSelector("#panes canvas");
    await page.click("#run"); // with the teacher, which needs all four
    await page.waitForSelector(".alert");
    const text = (await page.textContent("#alerts")) ?? "";
    assert.match(text, /has T1ce, but example teacher needs T1, T2, FLAIR too: choose example student/);
    await page.click(".close");
    assert.equal(opened.errors, []);
  });

  test("the example is segmented as in Node, without a request, and shown", async () => {
    const { page, requests, errors } = opened;
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    requests.length = 0;
    await page.click("#example");
    await page.locator("#models label", { hasText: "example teacher" }).locator("input").uncheck();
    await page.click("#run");
    await page.waitForFunction(() => /^Done/.test(document.querySelector("#status")!.textContent), null, {
      timeout: 120_000,
    });
    const dice = await page.locator("table", { hasText: "Dice" }).locator("tbody td").allTextContents();
    assert.is(dice.length, 3);
    for (const value of dice) assert.ok(Number(value) > 0.5, `Dice ${dice}`);

    const file = await saved(page, page.getByRole("button", { name: /^Download/ }));
    const volume = await readNifti(file, "download");
    const found = toClasses(volume.data, "brats", "download");
    const expected = await predictExample();
    assert.is(found.length, expected.length);
    const different = found.reduce((sum, c, i) => sum + Number(c !== expected[i]), 0);
    assert.ok(different <= 1e-4 * found.length, `${different} of ${found.length} voxels differ from Node's`);
    assert.ok(expected.some((c) => c === 1));
    assert.equal([...requests.filter((url) => !url.startsWith("blob:")), ...errors], []);
  });

  test("after its first load the page opens without a network", async () => {
    await opened.context.setOffline(true);
    const again = await open(opened.context, opened.site.url);
    assert.match((await again.page.textContent("#models")) ?? "", /example student/);
    assert.equal(again.errors, []);
    await again.page.close();
    await opened.context.setOffline(false);
  });

  test("without WebGPU the page names browsers that have it, and still shows images", async () => {
    const without = await launch({ webgpu: false });
    const { page, errors } = await open(await without.newContext(), opened.site.url);
    const text = (await page.textContent("#alerts")) ?? "";
    assert.match(
      text,
      /no usable WebGPU.*Chrome or Edge.*Firefox.*Safari.*chrome:\/\/flags\/#enable-unsafe-webgpu/s,
    );
    await page.click("#example");
    await page.waitForSelector("#panes canvas");
    assert.ok(await page.isDisabled("#run"));
    assert.equal(errors, []);
    await without.close();
  });
}

/** Chooses a file in the page. */
async function give(name: string, content: Uint8Array | string): Promise<void> {
  const input = name.endsWith(".safetensors") ? "#checkpoint" : "#files";
  await opened.page.setInputFiles(input, { name, mimeType: "", buffer: Buffer.from(content) });
}

/** The classes of the example by its student, in Node. */
async function predictExample(): Promise<Uint8Array> {
  const { prepared, network, card } = await openExample();
  const classes = await predict(device, imageOf(prepared), {
    window: card.patch,
    weighting: card.window,
    classes: 4,
    network: (x) => forward(network, x, { mode: "eval" }).logits,
  });
  network.params.free();
  return uncrop(classes, prepared);
}

test.run();
