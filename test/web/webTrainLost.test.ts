// The GPU goes away under a training in the page: Chromium's whole GPU process is made to crash, as a driver
// would.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { chromiumPath, type Visit, visit } from "../support/browser.ts";
import {
  assertSameLosses,
  complaint,
  fill,
  heard,
  history,
  pauseAfter,
  phantomStudy,
  reach,
  SETTINGS,
  told,
  trainInNode,
  watch,
} from "../support/pageTraining.ts";

const TEACHER = { ...SETTINGS, stages: "teacher", epochs: 8, lr: 0.0001 } as const;

const test = suite("webTrainLost");
let opened: Visit;

if (!chromiumPath)
  console.log("SKIPPED: webTrainLost: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    opened = await visit("#train");
  });
  test.after(async () => {
    await opened.close();
  });

  test("a lost GPU is made up for from the last checkpoint, to the losses without a loss", async () => {
    const { page } = opened;
    await watch(page);
    await fill(page, TEACHER);
    await page.click("#train-start");
    const kept = await pauseAfter(page, 8);
    const since = (await told(page)).length;
    await page.click("#train-pause");
    await reach(page, kept + 1, since);
    await loseGpu();
    await page.waitForSelector("#train-note:not([hidden])");
    assert.match(
      (await page.textContent("#train-note")) ?? "",
      /teacher: the GPU was lost; training resumes from the last/,
    );
    const from = Number(await heard(page, "resuming after (\\d+)$", since));
    assert.ok(from >= kept, `${from}, kept ${kept}`);
    await heard(page, "^Done", since);
    const expected = await trainInNode(TEACHER, await phantomStudy());
    assertSameLosses(await history(page, "teacher"), expected["teacher"]!, "teacher");
  });

  test("a second loss in a row is reported, and the saved training resumes when the user wants it", async () => {
    const { page } = opened;
    let since = (await told(page)).length;
    await page.click("#train-start");
    const kept = await pauseAfter(page, 4, since);
    since = (await told(page)).length;
    await page.click("#train-pause");
    await reach(page, kept + 1, since);
    await loseGpu();
    const from = Number(await heard(page, "resuming after (\\d+)$", since));
    since = (await told(page)).length;
    await reach(page, from + 1, since);
    await loseGpu();
    assert.match(await complaint(page), /The GPU was lost twice.*Close other programs/s);
    const again = Number(/teacher: (\d+) steps/.exec((await page.textContent("#kept-text")) ?? "")?.[1]);
    assert.ok(again >= kept, `${again}, kept ${kept}`);
    since = (await told(page)).length;
    await page.click("#kept-go");
    assert.is(Number(await heard(page, "resuming after (\\d+)$", since)), again);
    await heard(page, "^Done", since);
  });
}

/** Crashes Chromium's GPU process, with the device that is in it. */
async function loseGpu(): Promise<void> {
  const session = await opened.browser.newBrowserCDPSession();
  await session.send("Browser.crashGpuProcess");
  await session.detach();
}

test.run();
