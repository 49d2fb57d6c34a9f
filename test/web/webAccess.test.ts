// Accessibility of the page: every control has a name and is reached by keyboard, and everything fits on a
// small screen.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Page } from "playwright-core";
import { chromiumPath, open, shows, type Visit, visit } from "../support/browser.ts";

const CONTROLS = "button, input, select, summary, a[href], canvas[tabindex]";

const test = suite("webAccess");
let opened: Visit;
let page: Page;

if (!chromiumPath)
  console.log("SKIPPED: webAccess: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    opened = await visit("", {
      viewport: { width: 360, height: 740 },
      colorScheme: "dark",
      permissions: ["clipboard-read", "clipboard-write"],
    });
    ({ page } = opened);
    await page.click("#example");
    await page.waitForSelector("#panes canvas");
    await page.click("#cases summary");
  });
  test.after(async () => {
    await opened.close();
  });

  for (const tab of ["segment", "train"]) {
    test(`${tab}: every control has a name, and the Tab key reaches it, with a frame around it`, async () => {
      await page.click(`#tab-${tab}`);
      assert.equal(await nameless(page), []);
      const expected = await page
        .locator(CONTROLS)
        .evaluateAll((all) =>
          all
            .filter((e) => e.checkVisibility() && !e.matches(":disabled") && (e as HTMLElement).tabIndex >= 0)
            .map((e) => e.outerHTML),
        );
      assert.ok(expected.length > 8);
      await page.evaluate(() => {
        getSelection()?.removeAllRanges();
        (document.activeElement as HTMLElement).blur();
        document.body.tabIndex = -1;
        document.body.focus();
      });
      const met = new Set<string>();
      const unseen: string[] = [];
      for (let i = 0; i < expected.length + 5; i++) {
        await page.keyboard.press("Tab");
        const { html, seen } = await focused(page);
        met.add(html);
        if (!seen) unseen.push(html);
      }
      assert.equal(
        expected.filter((html) => !met.has(html)),
        [],
        "not reached",
      );
      assert.equal(unseen, [], "no frame");
    });

    test(`${tab}: at 360 pixels nothing has to be scrolled sideways`, async () => {
      await page.click(`#tab-${tab}`);
      assert.equal(await sticksOut(page), []);
    });
  }

  test("the arrow keys change the tab, and the select changes the view", async () => {
    await page.focus("#tab-train");
    await page.keyboard.press("ArrowRight");
    assert.is(await page.getAttribute("#tab-segment", "aria-selected"), "true");
    await page.getByLabel("View", { exact: true }).selectOption("axial");
    assert.is(await page.textContent("#alerts"), "");
  });

  test("the benchmark runs to its end without wrong results, and its table can be copied", async () => {
    const bench = await open(opened.context, `${opened.site.url}bench.html`);
    await bench.page.selectOption("#size", { index: 0 });
    await bench.page.fill("#filter", "no such op");
    await bench.page.click("#start");
    await shows(bench.page, "#alerts", /no case has "no such op" in its name; the ops are conv3d/);
    await bench.page.fill("#filter", "3³, 64 to 64");
    await bench.page.click("#start");
    await shows(bench.page, "#status", /^Done: 3 rows, none wrong, time by (timestamps|wall)\.$/);
    assert.equal(await nameless(bench.page), []);
    assert.equal(await sticksOut(bench.page), []);
    await bench.page.click("#copy");
    await shows(bench.page, "#status", /Copied/);
    const [about, empty, ...lines] = (await bench.page.evaluate(() => navigator.clipboard.readText())).split(
      "\n",
    );
    assert.match(about!, /swiftshader.*tiny.*Chrom/i);
    assert.is(empty, "");
    assert.is(lines.length, 2 + 3);
    for (const line of lines) assert.match(line, /^\|( [^|]* \|){8}$/);
    const times = lines.slice(2).map((line) => Number(line.split(" | ")[3]));
    for (const ms of times) assert.ok(ms > 0, lines.join("\n"));
    assert.equal(bench.errors, []);
    await bench.page.close();
  });
}

/** Controls without a name for screen readers. */
async function nameless(on: Page): Promise<string[]> {
  const session = await on.context().newCDPSession(on);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  const roles =
    /^(button|textbox|combobox|checkbox|slider|spinbutton|tab|link|progressbar|DisclosureTriangle)$/;
  const found = nodes
    .filter(({ ignored, role, name }) => !ignored && roles.test(String(role?.value)) && !name?.value)
    .map(({ role, nodeId }) => `${String(role?.value)} ${nodeId}`);
  assert.ok(nodes.some(({ role }) => roles.test(String(role?.value))));
  return found;
}

/** The element with the focus; `seen` is true if a frame shows it. */
function focused(on: Page): Promise<{ html: string; seen: boolean }> {
  return on.evaluate(() => {
    const element = document.activeElement ?? document.body;
    const framed = [element, element.parentElement ?? element].some(
      (e) => getComputedStyle(e).outlineStyle !== "none" && parseFloat(getComputedStyle(e).outlineWidth) >= 2,
    );
    return { html: element.outerHTML, seen: element === document.body || framed };
  });
}

/** Elements beyond the window's right side, outside of a scroll area. */
function sticksOut(on: Page): Promise<string[]> {
  return on.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    return [...document.querySelectorAll("body *")]
      .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > clientWidth + 1)
      .map((e) => e.outerHTML.slice(0, 120));
  });
}

test.run();
