// Files dropped on the page with the mouse: cases and folders, and many kinds of wrong files, after which the
// page still works.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { CDPSession } from "playwright-core";
import { phantomFiles } from "../../data/phantom/files.ts";
import { chromiumPath, shows, type Visit, visit } from "../support/browser.ts";
import { STUDENT } from "../support/example.ts";

const test = suite("webDrop");
let folder: string;
let opened: Visit;
let mouse: CDPSession;

if (!chromiumPath)
  console.log("SKIPPED: webDrop: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    folder = await mkdtemp(join(tmpdir(), "protokd-drop-"));
    for (const index of [0, 1]) {
      const files = await phantomFiles({ seed: 9, index, size: [24, 24, 24] });
      for (const [path, bytes] of files) await put(join("set", path), bytes);
    }
    opened = await visit();
    mouse = await opened.context.newCDPSession(opened.page);
  });
  test.after(async () => {
    await opened.close();
    await rm(folder, { recursive: true });
  });

  test("a dropped folder is read with all its files", async () => {
    await drop("set");
    await shows(opened.page, "#cases", /2 cases, 10 files/);
    await opened.page.waitForSelector("#panes canvas");
    assert.equal(await opened.page.getByLabel("Case", { exact: true }).locator("option").allTextContents(), [
      "PHANTOM_001",
      "PHANTOM_002",
    ]);
  });

  test("dropped files of one case are recognised by their names", async () => {
    await drop("set/PHANTOM_001/PHANTOM_001_t1ce.nii.gz", "set/PHANTOM_001/PHANTOM_001_seg.nii.gz");
    await shows(opened.page, "#cases", /1 case, 2 files/);
    const roles = await opened.page
      .locator("#cases td select")
      .evaluateAll((selects) => selects.map((select) => (select as HTMLSelectElement).value));
    assert.equal(roles.sort(), ["label", "t1ce"]);
  });

  test("a dozen kinds of wrong files are named, and the page still segments", async () => {
    const { page, errors } = opened;
    const t1ce = await readFile(join(folder, "set/PHANTOM_001/PHANTOM_001_t1ce.nii.gz"));
    const small = gunzipSync(
      (await phantomFiles({ seed: 9, index: 0, size: [16, 16, 16] })).get(
        "PHANTOM_001/PHANTOM_001_t1ce.nii.gz",
      )!,
    );
    const complex = Buffer.from(small);
    complex.writeInt16LE(32, 70); // the header's data type
    await mkdir(join(folder, "empty"));
    await put("scans/readme.md", "nothing here");
    const wrong: [what: string, name: string, content: Uint8Array | string | null, message: RegExp][] = [
      ["a text", "notes.txt", "hello", /expected NIfTI files.*got notes\.txt/],
      ["an empty folder", "empty", null, /expected NIfTI files.*got nothing/],
      ["a folder without volumes", "scans", null, /expected NIfTI files.*got readme\.md/],
      ["a picture", "brain.png", Uint8Array.of(0x89, 0x50, 0x4e, 0x47), /got brain\.png/],
      ["a DICOM file", "IM0001.dcm", new Uint8Array(300), /got IM0001\.dcm/],
      ["a text named like a volume", "a_t1ce.nii", "hello", /a_t1ce\.nii/],
      ["a text named like a packed volume", "b_t1ce.nii.gz", "hello", /b_t1ce\.nii\.gz/],
      ["an empty file", "c_t1ce.nii", "", /c_t1ce\.nii/],
      ["half a file", "d_t1ce.nii.gz", t1ce.subarray(0, t1ce.length >> 1), /d_t1ce\.nii\.gz.*(damaged|cut)/],
      ["complex numbers", "e_t1ce.nii", complex, /e_t1ce\.nii/],
      ["a text named like a network", "x.safetensors", "hello", /x\.safetensors: not a usable checkpoint/],
      ["half a network", "y.safetensors", (await readFile(STUDENT)).subarray(0, 50_000), /y\.safetensors/],
    ];
    for (const [what, name, content, message] of wrong) {
      if (content !== null) await put(name, content);
      await drop(name);
      await shows(page, "#alerts", message).catch((error: unknown) => {
        throw new Error(`${what}: ${String(error)}`);
      });
      await page.click(".close");
    }

    await put("two/f_t1ce.nii.gz", t1ce);
    await put("two/f_t1ce.nii", small);
    await drop("two");
    await shows(page, "#alerts", /f_t1ce/); // twice the same modality of one case
    await dropText("not a file at all");
    await shows(page, "#alerts", /expected NIfTI files.*got nothing/);
    await put("grids/g_t1ce.nii.gz", t1ce);
    await put("grids/g_t1.nii", small);
    await put("grids/g_t2.nii", small);
    await put("grids/g_flair.nii", small);
    await drop("grids");
    await shows(page, "#cases", /1 case, 4 files/);
    await page.click("#run"); // the volumes have different grids
    await shows(page, "#alerts", /case g.*g_t1/s);

    await page.click("#tab-train");
    await drop("set");
    await shows(page, "#alerts", /choose the tab Segment first/);
    await page.click("#tab-segment");

    await drop("set");
    await shows(page, "#cases", /2 cases, 10 files/);
    await page.locator("#models label", { hasText: "example teacher" }).locator("input").uncheck();
    await page.click("#run");
    await shows(page, "#status", /^Done: 2 cases/);
    assert.is(await page.textContent("#alerts"), "");
    assert.equal(errors, []);
  });
}

async function put(path: string, content: Uint8Array | string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
}

/** Drops files and folders of the test on the page, as if they came from the system's file manager. */
async function drop(...paths: string[]): Promise<void> {
  await dispatch({ items: [], files: paths.map((path) => join(folder, path)), dragOperationsMask: 1 });
}

async function dropText(text: string): Promise<void> {
  await dispatch({ items: [{ mimeType: "text/plain", data: text }], dragOperationsMask: 1 });
}

async function dispatch(data: {
  items: { mimeType: string; data: string }[];
  files?: string[];
  dragOperationsMask: number;
}): Promise<void> {
  const box = (await opened.page.locator("main").boundingBox())!;
  const at = { x: Math.round(box.x + 60), y: Math.round(box.y + 60) };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await mouse.send("Input.dispatchDragEvent", { type, ...at, data });
}

test.run();
