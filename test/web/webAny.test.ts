// The page segments with a network that takes any of its contrasts.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MODALITIES, type Modality } from "../../data/datasets/source.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { phantomFiles } from "../../data/phantom/files.ts";
import { chromiumPath, saved, shows, type Visit, visit } from "../support/browser.ts";
import { label, nifti, predictQuietly } from "../support/predicting.ts";
import { storeStage } from "../support/storedRun.ts";

const ID = "PHANTOM_001";
const TITLES = { t1: "T1", t2: "T2", t1ce: "T1ce", flair: "FLAIR" } as const;
const folder = mkdtempSync(join(tmpdir(), "web-any-"));
let images: ReadonlyMap<string, Uint8Array>;
let opened: Visit;
const test = suite("webAny");

const fileName = (modality: Modality) => `${ID}_${modality}.nii.gz`;
const bytesOf = (modality: Modality) => images.get(`${ID}/${fileName(modality)}`)!;

/** Stores a network that takes any of some contrasts, and opens it in the page. */
async function openNetwork(name: string, modalities: readonly Modality[], seed: number): Promise<string> {
  const path = await storeStage(folder, {
    name,
    modalities: [...modalities],
    any: true,
    seed,
    card: { patch: [16, 16, 16] },
  });
  const file = { name: `${name}.safetensors`, mimeType: "", buffer: readFileSync(path) };
  await opened.page.setInputFiles("#checkpoint", file);
  await opened.page.locator("#models label", { hasText: file.name }).waitFor();
  return path;
}

/** Gives the page a case with these contrasts. */
async function give(there: readonly Modality[]): Promise<void> {
  const files = there.map((modality) => {
    return { name: fileName(modality), mimeType: "", buffer: Buffer.from(bytesOf(modality)) };
  });
  await opened.page.setInputFiles("#files", files);
  await shows(opened.page, "#cases summary", new RegExp(`1 case, ${there.length} file`));
}

/** The labels that the page predicts of a case with these contrasts. */
async function segmented(there: readonly Modality[]): Promise<Uint8Array> {
  const { page } = opened;
  await give(there);
  await page.click("#run");
  await shows(page, "#status", /^Done/);
  const saw = there.map((modality) => TITLES[modality]).join(", ");
  assert.match((await page.textContent("#result-tables")) ?? "", new RegExp(`student_any: saw ${saw};`));
  const file = await saved(page, page.getByRole("button", { name: "Download student_any's labels" }));
  return Uint8Array.from((await readNifti(file, "download")).data);
}

/** The labels that predict.js writes for the same files. */
async function predicted(model: string, there: readonly Modality[]): Promise<Uint8Array> {
  const [input, output] = [mkdtempSync(join(folder, "case-")), mkdtempSync(join(folder, "predicted-"))];
  mkdirSync(join(input, ID));
  for (const modality of there) writeFileSync(join(input, ID, fileName(modality)), bytesOf(modality));
  await predictQuietly({ model, input, output });
  return Uint8Array.from((await nifti(label(output, ID))).data);
}

if (!chromiumPath) console.log("SKIPPED: webAny: no Chromium; install one, or name it with PROTOKD_CHROMIUM");
else {
  test.before(async () => {
    images = await phantomFiles({ seed: 9, index: 0, size: [20, 20, 20] });
    opened = await visit("", { viewport: { width: 1280, height: 900 } });
  });
  test.after(async () => {
    await opened.close();
    rmSync(folder, { recursive: true });
  });

  test("a case with any two contrasts dropped is segmented, as predict.js segments it", async () => {
    const model = await openNetwork("student_any", MODALITIES, 3);
    const text = await opened.page.locator("#models label", { hasText: "student_any" }).textContent();
    assert.match(text ?? "", /takes any of T1, T2, T1ce, FLAIR/);
    const pairs = MODALITIES.flatMap((a, i) => MODALITIES.slice(i + 1).map((b) => [a, b] as const));
    assert.is(pairs.length, 6);
    const found: Uint8Array[] = [];
    for (const there of pairs) {
      found.push(await segmented(there));
      const expected = await predicted(model, there);
      assert.is(found.at(-1)!.length, expected.length);
      const different = found.at(-1)!.reduce((sum, c, v) => sum + Number(c !== expected[v]), 0);
      assert.ok(
        different <= 1e-4 * expected.length,
        `${there.join("+")}: ${different} of ${expected.length}`,
      );
    }
    assert.is(new Set(found.map(String)).size, 6, "each pair has a prediction of its own");
    assert.equal(opened.errors, []);
  });

  test("its similarity maps of such a case can be saved", async () => {
    const { page, errors } = opened;
    await page.getByLabel("Overlay", { exact: true }).selectOption({ label: "similarity: background" });
    const button = page.getByRole("button", { name: "Download student_any's similarity: background" });
    const { data } = await readNifti(await saved(page, button), "download");
    assert.ok(data.every((value) => value >= -1 - 1e-6 && value <= 1 + 1e-6));
    assert.ok(data.some((value) => value !== 0));
    assert.equal(errors, []);
  });

  test("a case with none of its contrasts is refused, with a network that sees the most of it", async () => {
    const { page } = opened;
    await openNetwork("student_any-t1ce", ["t1ce", "flair"], 4);
    await give(["t1", "t2"]);
    await page.click("#run");
    await shows(
      page,
      "#alerts",
      /case \S+: has T1, T2, but student_any-t1ce\.safetensors needs at least one of T1ce, FLAIR: choose student_any\.safetensors/,
    );
    await page.click(".close");
    await give(["t1", "t1ce"]);
    await page.click("#run");
    await shows(page, "#result-tables", /student_any-t1ce: saw T1ce;/);
    assert.equal(opened.errors, []);
  });
}

test.run();
