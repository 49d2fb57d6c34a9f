// Events of a segmentation in the page: it is cancelled, its similarity maps are shown, the GPU is lost.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Page } from "playwright-core";
import { putBox } from "../../data/preparation/crop.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { FEATURES } from "../../model/losses/losses.ts";
import { forward } from "../../model/networks/network.ts";
import { imageOf, predict } from "../../model/inference/predict.ts";
import { similarityMaps } from "../../model/inference/similarity.ts";
import { chromiumPath, saved, shows, type Visit, visit } from "../support/browser.ts";
import { openExample } from "../support/example.ts";
import { device } from "../support/gradcheck.ts";

const test = suite("webSegment");
let opened: Visit;

if (!chromiumPath)
  console.log("SKIPPED: webSegment: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    opened = await visit("", { viewport: { width: 1280, height: 900 } });
    await chooseStudent(opened.page);
  });
  test.after(async () => {
    await opened.close();
  });

  test("a cancelled segmentation stops with a message, and can be started again", async () => {
    const { page, errors } = opened;
    await page.click("#run");
    assert.ok(await page.isDisabled("#example"), "the images cannot be changed meanwhile");
    await shows(page, "#status", /compiling|segmenting/);
    await page.click("#cancel");
    await shows(page, "#alerts", /Stopped/);
    assert.is(await page.textContent("#status"), "");
    assert.ok(await page.isHidden("#results"));
    assert.ok(await page.isDisabled("#cancel"));
    await page.click("#run");
    await shows(page, "#status", /^Done/);
    assert.is(await page.textContent("#alerts"), "");
    assert.equal(errors, []);
  });

  test("similarity maps are shown and downloaded, with Node's values between -1 and 1", async () => {
    const { page, errors } = opened;
    const expected = await similarityOfExample();
    for (const [name, map] of [
      ["enhancing tumour", expected[1]!],
      ["oedema", expected[3]!],
    ] as const) {
      await page.getByLabel("Overlay", { exact: true }).selectOption({ label: `similarity: ${name}` });
      const button = page.getByRole("button", { name: `Download example student's similarity: ${name}` });
      await button.waitFor({ timeout: 120_000 });
      const { data } = await readNifti(await saved(page, button), "download");
      assert.is(data.length, map.length);
      let worst = 0;
      for (let v = 0; v < map.length; v++) worst = Math.max(worst, Math.abs(data[v]! - map[v]!));
      console.log(`  ${name}: the page's cosines and Node's differ by ${worst.toExponential(1)} at most`);
      assert.ok(worst <= 1e-3, `${name}: ${worst}`);
      const [least, most] = data.reduce(
        ([a, b], value) => [Math.min(a!, value), Math.max(b!, value)],
        [1, -1],
      );
      assert.ok(least! >= -1 - 1e-6 && most! <= 1 + 1e-6 && most! - least! > 0.5, `${least} to ${most}`);
    }
    assert.equal(errors, []);
  });

  test("a lost GPU is replaced once, and the images come back; the second loss is an error", async () => {
    const { page } = opened;
    const crash = await opened.browser.newBrowserCDPSession();
    const lose = () => crash.send("Browser.crashGpuProcess").catch(() => undefined); // there is no answer
    await page.click("#run");
    await shows(page, "#status", /segmenting/);
    await lose();
    await shows(page, "#status", /GPU was lost; starting again/);
    await shows(page, "#status", /^Done/);
    assert.is(await page.textContent("#alerts"), "");
    await page.waitForSelector("#panes canvas");

    await page.click("#run");
    await shows(page, "#status", /segmenting/);
    await lose();
    await shows(page, "#status", /GPU was lost; starting again/);
    await shows(page, "#status", /segmenting/);
    await lose();
    await shows(page, "#alerts", /The GPU was lost twice.*Close other programs/s);

    await page.click("#run");
    await shows(page, "#status", /^Done/);
    assert.is(await page.textContent("#alerts"), "");
  });

  test("segmenting continues in a hidden tab, which gets no animation frames", async () => {
    const page = await opened.context.newPage();
    await page.addInitScript(() => {
      window.requestAnimationFrame = () => 0;
    });
    await page.goto(opened.site.url);
    const until = (selector: string, text: string) =>
      page.waitForFunction(
        ({ selector, text }) => document.querySelector(selector)?.textContent.startsWith(text),
        { selector, text },
        { polling: 200, timeout: 120_000 }, // the default would wait for frames
      );
    await until("html[data-ready=true] #panes", "");
    await page.evaluate(() => {
      document.getElementById("example")!.click();
      document.querySelector<HTMLInputElement>("#models input")!.click(); // the teacher
    });
    await until("#panes figcaption", "PHANTOM_001");
    await page.evaluate(() => document.getElementById("run")!.click());
    await until("#status", "Done: PHANTOM_001");
    assert.is(await page.textContent("#alerts"), "");
    await page.close();
  });
}

/** Opens the example with the student alone. */
async function chooseStudent(page: Page): Promise<void> {
  await page.click("#example");
  await page.locator("#models label", { hasText: "example teacher" }).locator("input").uncheck();
  await page.waitForSelector("#panes canvas");
}

/** The similarity maps of the example by its student, in Node. */
async function similarityOfExample(): Promise<Float32Array[]> {
  const { prepared, network, card } = await openExample();
  const image = imageOf(prepared);
  const label = await predict(device, image, {
    window: card.patch,
    weighting: card.window,
    classes: 4,
    network: (x) => forward(network, x, { mode: "eval" }).logits,
  });
  const maps = await similarityMaps(device, image, {
    window: card.patch,
    label,
    classes: 4,
    features: (x) => forward(network, x, { mode: "eval", taps: [FEATURES] }).taps[FEATURES]!,
  });
  network.params.free();
  const { size, source, images, background } = prepared; // with one channel, the student's
  return maps.map((map) => {
    const whole = new Float32Array(source.size[0] * source.size[1] * source.size[2]);
    const head = map.map((value, v) => (images[v] === (background?.[0] ?? 0) ? 0 : value));
    putBox(head, whole, source.size, { size, offset: source.offset });
    return whole;
  });
}

test.run();
