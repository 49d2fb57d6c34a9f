// The page checks cases as the command line does: a problem is an error, and warnings stand beside the
// results.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { chromiumPath, shows, type Visit, visit } from "../support/browser.ts";
import { volumeFile } from "../support/fixtures.ts";

const test = suite("webFindings");
let opened: Visit;

if (!chromiumPath)
  console.log("SKIPPED: webFindings: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    opened = await visit();
  });
  test.after(async () => {
    await opened.close();
  });

  test("an image that is not stripped of the skull is segmented, with a warning", async () => {
    const { page, errors } = opened;
    await page.locator("#models label", { hasText: "example teacher" }).locator("input").uncheck();
    const image = await volumeFile([16, 16, 16], (z, y, x) => 1 + z + y * x);
    await choose({ "a_t1ce.nii.gz": image });
    await page.click("#run");
    await shows(page, "#status", /^Done/);
    const list = page.getByRole("list", { name: "Warnings about the case" });
    const lines = await list.locator("li").allTextContents();
    assert.is(lines.length, 1);
    assert.match(lines[0]!, /^case a: t1ce \(a_t1ce\.nii\.gz\): 100 % of the voxels are not 0: is the skull/);
    assert.equal(errors, []);
  });

  test("one scan under the names of four contrasts is refused", async () => {
    const { page } = opened;
    await page.locator("#models label", { hasText: "example teacher" }).locator("input").check();
    const image = await volumeFile([16, 16, 16], (z, y, x) => (z < 12 ? 1 + z + y * x : 0));
    const names = ["t1", "t2", "t1ce", "flair"].map((name) => `a_${name}.nii.gz`);
    await choose(Object.fromEntries(names.map((name) => [name, image])));
    await page.click("#run");
    await shows(page, "#alerts", /a_t1\.nii\.gz and a_t2\.nii\.gz: expected two different scans/);
  });
}

/** Chooses files with the page's button. */
async function choose(files: Readonly<Record<string, Uint8Array>>): Promise<void> {
  const chosen = Object.entries(files).map(([name, bytes]) => {
    return { name, mimeType: "application/gzip", buffer: Buffer.from(bytes) };
  });
  await opened.page.setInputFiles("#files", chosen);
  await opened.page.waitForSelector("#panes canvas");
}

test.run();
