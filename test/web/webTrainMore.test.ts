// A training in the page as it is watched, paused, hidden, cut off by a crash of the tab, and discarded.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkSettings } from "../../trainer/settings/check.ts";
import { decodeTraining } from "../../trainer/loop/state.ts";
import { chromiumPath, open, type Visit, visit } from "../support/browser.ts";
import {
  assertSameLosses,
  complaint,
  downloaded,
  fill,
  heard,
  history,
  pauseAfter,
  phantomStudy,
  reach,
  SETTINGS,
  stepNow,
  told,
  trainInNode,
  watch,
} from "../support/pageTraining.ts";

const STEPS_PER_EPOCH = 7;
const TEACHER = { ...SETTINGS, stages: "teacher", epochs: 8, lr: 0.0001, validateEvery: 1 } as const;
const UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

const test = suite("webTrainMore");
let opened: Visit;

if (!chromiumPath)
  console.log("SKIPPED: webTrainMore: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    opened = await visit("#train");
  });
  test.after(async () => {
    await opened.close();
  });

  test("nnU-Net's recipe fills the form's fields, and is refused for a network of few levels", async () => {
    const { page } = opened;
    const shown = async () => [await page.inputValue("#augment"), await page.inputValue("#lr")];
    const before = await shown();
    await page.selectOption("#recipe", "nnunet");
    assert.equal(await shown(), ["nnunet", "0.01"]);
    await page.fill("#levels", "3");
    await page.click("#train-start");
    assert.match(await complaint(page), /Levels: expected at least 4 for nnU-Net's deep supervision, got 3/);
    await page.selectOption("#recipe", "paper");
    assert.equal(await shown(), before);
  });

  test("while it trains, its loss, samples a second, GPU memory, curves and a slice are shown", async () => {
    const { page } = opened;
    await watch(page);
    await fill(page, TEACHER);
    await page.click("#train-start");
    const step = await pauseAfter(page, STEPS_PER_EPOCH + 1); // what is shown stays so
    const parameters = Number(
      (await heard(page, "teacher: ([\\d,]+) parameters, 56 steps")).replaceAll(",", ""),
    );
    const names = await page.locator("#train-numbers dt").allTextContents();
    const values = await page.locator("#train-numbers dd").allTextContents();
    assert.equal(names, ["loss", "samples a second", "left", "GPU memory"]);
    const [loss, rate, left, memory] = values as [string, string, string, string];
    assert.ok(Number(loss) > 0.5 && Number(loss) < 5, loss);
    assert.ok(Number(rate) > 0, rate);
    assert.match(left, /^\d+ min$/);
    const [amount, unit] = memory.split(" ") as [string, string];
    const bytes = Number(amount) * UNITS[unit]!;
    assert.ok(bytes > 3 * 4 * parameters && bytes < 2 ** 30, `${memory}: weights and two moments at least`);

    const chart = page.locator(".chart", { hasText: "losses by step" });
    await page.waitForFunction(
      (points) =>
        document.querySelector(".chart polyline")?.getAttribute("points")?.split(" ").length === points,
      step,
    );
    const spoken = (await chart.locator("svg").getAttribute("aria-label")) ?? "";
    assert.ok(
      Math.abs(Number(/total ([\d.]+)/.exec(spoken)?.[1]) / Number(loss) - 1) < 0.01,
      `${spoken}; ${loss}`,
    );
    assert.is(await chart.locator("polyline").count(), 3, "total, crossEntropy, dice");
    const inside = await chart.locator("polyline").evaluateAll((lines) =>
      lines.every((line) => {
        const points = (line.getAttribute("points") ?? "")
          .split(" ")
          .map((text) => text.split(",").map(Number));
        return points.every(([x, y]) => x! >= 0 && x! <= 480 && y! >= 0 && y! <= 170);
      }),
    );
    assert.ok(inside, "every point is in the picture");

    const pictures = await page.locator("#slices canvas").evaluateAll((all) =>
      (all as HTMLCanvasElement[]).map((canvas) => ({
        shown: canvas.getBoundingClientRect().toJSON() as DOMRect,
        pixels: [...canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height).data],
      })),
    );
    assert.is(pictures.length, 3);
    const [image, , label] = pictures.map(({ pixels }) => pixels) as [number[], number[], number[]];
    const coloured = (pixels: number[]) =>
      pixels.filter((value, i) => i % 4 === 0 && value !== pixels[i + 2]).length;
    assert.is(coloured(image), 0, "the image is grey");
    assert.ok(new Set(image).size > 20, "and not of one grey");
    assert.ok(coloured(label) > 0, "the label's classes are coloured");
    for (const { shown } of pictures) assert.ok(shown.width > 90 && shown.width === pictures[0]!.shown.width);
  });

  test("while it is paused no step is taken; what was saved is a file with its settings", async () => {
    const { page } = opened;
    const [lines, step] = [await told(page), await stepNow(page)];
    const times = lines
      .filter(([, text]) => /: step \d+ of \d+, epoch \d+$/.test(text))
      .map(([time]) => time);
    const pace = Math.max(...times.slice(1).map((time, i) => time - times[i]!));
    const { bytes, name } = await downloaded(page, /teacher's training/);
    const { position, metadata } = await decodeTraining(bytes, name);
    assert.is((position.epoch - 1) * STEPS_PER_EPOCH + position.done, step);
    const config = JSON.parse(metadata["config"]!) as Record<string, unknown>;
    const { stages: _s, teacher: _t, ...said } = TEACHER;
    for (const [key, value] of Object.entries({ ...said, stage: "teacher", method: "none", modality: null }))
      assert.equal(config[key], value, key);
    assert.equal(checkSettings(config).problems, [], "the command line knows them all");
    await page.waitForFunction((until) => performance.now() > until, lines.at(-1)![0] + 3 * pace);
    assert.equal(await told(page), lines);
    await page.click("#train-pause");
    await reach(page, step + 1, lines.length);
  });

  test("a tab that crashes is offered its training again, which ends as one that never stopped", async () => {
    const { page } = opened;
    const crashed = new Promise((resolve) => page.on("crash", resolve));
    const session = await opened.context.newCDPSession(page);
    const last = await stepNow(page);
    session.send("Page.crash").catch(() => {}); // nothing is left to answer
    await crashed;
    await page.close();
    opened = { ...opened, ...(await open(opened.context, `${opened.site.url}#train`)) };
    const text = (await opened.page.textContent("#kept-text")) ?? "";
    const kept = Number(/teacher: (\d+) steps/.exec(text)?.[1]);
    assert.ok(kept > STEPS_PER_EPOCH && kept < last + 8, `${text}; ${last}`);
    await watch(opened.page);
    await opened.page.click("#kept-go");
    assert.is(Number(await heard(opened.page, "resuming after (\\d+)$")), kept);
    assert.is(await opened.page.inputValue("#epochs"), "8", "the form has the kept training's settings");
    await heard(opened.page, "^Done");
    const expected = (await trainInNode(TEACHER, await phantomStudy()))["teacher"]!;
    assertSameLosses(await history(opened.page, "teacher"), expected, "teacher");
    assert.equal(opened.errors, []);
  });

  test("it goes on in a tab that is not shown: no step waits for a timer or a frame of page or worker", async () => {
    const { page } = opened;
    let since = (await told(page)).length;
    await page.fill("#epochs", "60");
    await page.click("#train-start");
    await reach(page, 1, since);
    const still = () =>
      void Object.assign(globalThis, {
        setTimeout: () => 0,
        setInterval: () => 0,
        requestAnimationFrame: () => 0,
        requestIdleCallback: () => 0,
      });
    assert.is(page.workers().length, 1);
    await Promise.all([page.evaluate(still), page.workers()[0]!.evaluate(still)]); // what browsers hold back
    since = (await told(page)).length;
    const before = await stepNow(page);
    const late = performance.now() + 60_000;
    while ((await stepNow(page)) < before + 2 * STEPS_PER_EPOCH)
      assert.ok(
        performance.now() < late,
        `no more than ${(await told(page)).length - since} lines in a minute`,
      );
    await page.click("#train-stop");
    assert.match(await complaint(page), /saved after/);
    await page.reload(); // which brings timers back
    await page.waitForSelector("html[data-ready=true]");
  });

  test("a saved training is deleted only after a second click, and then truly", async () => {
    const { page } = opened;
    await page.click("#kept-drop");
    assert.match(
      (await page.textContent("#discard")) ?? "",
      /Delete the saved training.*teacher: \d+ steps\. This deletes it/s,
    );
    await page.click("#discard-no");
    await page.click("#kept-drop");
    await page.keyboard.press("Escape");
    await page.click("#train-start"); // which would take its place
    assert.match((await page.textContent("#discard-text")) ?? "", /Starting a new one deletes it/);
    await page.click("#discard-no");
    await page.reload();
    await page.waitForSelector("html[data-ready=true]");
    assert.ok(await page.isVisible("#kept"), "it is still there");
    await page.click("#kept-drop");
    await page.click("#discard-yes");
    await page.waitForSelector("#kept", { state: "hidden" });
    await page.reload();
    await page.waitForSelector("html[data-ready=true]");
    assert.not.ok(await page.isVisible("#kept"));
    assert.not.match((await page.textContent("#models")) ?? "", /trained here/);
    assert.equal(opened.errors, []);
  });
}

test.run();
