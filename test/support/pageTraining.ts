// A training in the page as a user starts and watches it, and the same one in Node without a stop.

import type { Modality } from "../../data/datasets/source.ts";
import { rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import * as assert from "uvu/assert";
import type { Page } from "playwright-core";
import { openDataset } from "../../data/datasets/datasets.ts";
import { phantomSource } from "../../data/phantom/files.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import type { Study } from "../../web/segment/segmentation.ts";
import type { FrozenNetwork } from "../../trainer/loop/members.ts";
import { Stage } from "../../trainer/stages/stage.ts";
import type { TrainConfig } from "../../trainer/settings/settings.ts";
import type { TrainingState } from "../../trainer/loop/state.ts";
import { loadStage, samplersOf, type StageCases } from "../../web/train/loadStage.ts";
import { stagesOf } from "../../web/train/pageSettings.ts";
import type { TrainSettings } from "../../web/train/trainProtocol.ts";
import { device } from "./gradcheck.ts";

/** Two epochs of seven steps that a software adapter takes in seconds. */
export const SETTINGS = {
  stages: "both",
  modality: "t1ce",
  method: "protokd",
  teacher: null,
  epochs: 2,
  batch: 1,
  patch: [16, 16, 16],
  filters: 4,
  levels: 2,
  lr: 0.0005,
  seed: 5,
  validateEvery: 2,
} as const satisfies TrainSettings;
export const PHANTOM = { cases: 10, size: 16, seed: 1 };
const CLOSE = 1e-4; // of the loss: drivers and kernels round differently, and Adam carries it on
const SMALL = 1e-3; // terms below it are all rounding

/** The phantom that the page's form makes of PHANTOM. */
export async function phantomStudy(): Promise<Study> {
  const { cases, size, seed } = PHANTOM;
  const source = phantomSource({ seed, cases, size: [size, size, size] });
  return { source, dataset: await openDataset(source) };
}

/** Fills the form. */
export async function fill(
  page: Page,
  {
    stages,
    modality,
    method,
    ...settings
  }: Omit<TrainSettings, "patch"> & Required<Pick<TrainSettings, "patch">>,
): Promise<void> {
  for (const [id, value] of Object.entries({ stages, modality, method }))
    await page.selectOption(`#${id}`, value);
  const { teacher: _, ...numbers } = settings;
  const fields = {
    ...numbers,
    patch: numbers.patch.join(),
    phantomCases: PHANTOM.cases,
    phantomSize: PHANTOM.size,
  };
  for (const [id, value] of Object.entries(fields)) await page.fill(`#${id}`, String(value));
}

/** Keeps all that the status says from now on, for told(). */
export async function watch(page: Page): Promise<void> {
  await page.evaluate(() => {
    const status = document.querySelector("#train-status")!;
    const lines: [time: number, text: string][] = [];
    Object.assign(window, { told: lines });
    new MutationObserver(() => lines.push([performance.now(), status.textContent])).observe(status, {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });
}

/** The status texts since watch(), each with its time in ms. */
export function told(page: Page): Promise<[time: number, text: string][]> {
  return page.evaluate(() => (window as unknown as { told: [number, string][] }).told);
}

/**
 * Waits until the status has said something like the pattern, in the line numbered `since` or a later one,
 * and gives what the pattern's group caught of it. Throws what the page complains of before.
 */
export async function heard(page: Page, pattern: string, since = 0): Promise<string> {
  const wait = page.waitForFunction(
    ([text, from]) => {
      const { told: lines } = window as unknown as { told: [number, string][] };
      const found = lines.slice(from).flatMap(([, line]) => new RegExp(text).exec(line) ?? []);
      const alert = document.querySelector(".alert")?.textContent;
      return found.length ? { caught: found[1] ?? "" } : alert ? { alert } : false;
    },
    [pattern, since] as const,
    { timeout: 60_000 },
  );
  const result = (await (await wait).jsonValue()) as { caught: string } | { alert: string };
  if ("alert" in result) throw new Error(result.alert);
  return result.caught;
}

/** Waits until a step of this number, or a later one, has been told of since that line. */
export async function reach(page: Page, step: number, since = 0): Promise<void> {
  await page.waitForFunction(
    ([least, from]) => {
      const { told: lines } = window as unknown as { told: [number, string][] };
      return lines.slice(from).some(([, line]) => Number(/: step (\d+) of/.exec(line)?.[1]) >= least);
    },
    [step, since] as const,
    { timeout: 60_000 },
  );
}

/** Pauses the training after so many steps or a few more, which saves it; the step that was saved. */
export async function pauseAfter(page: Page, step: number, since = 0): Promise<number> {
  await reach(page, step, since);
  const from = (await told(page)).length;
  await page.click("#train-pause");
  return Number(await heard(page, ": step (\\d+) of .*paused and saved", from));
}

/** Waits until the status is like the pattern; throws what the page complains of before. */
export async function status(page: Page, pattern: string): Promise<void> {
  const wait = page.waitForFunction(
    (text) =>
      new RegExp(text).test(document.querySelector("#train-status")!.textContent) ||
      document.querySelector(".alert")?.textContent,
    pattern,
    { timeout: 120_000 },
  );
  const alert = await (await wait).jsonValue();
  if (typeof alert === "string") throw new Error(alert);
}

/** Waits for the page's message of an error. */
export async function complaint(page: Page): Promise<string> {
  await page.waitForSelector(".alert", { timeout: 120_000 });
  return (await page.textContent("#alerts")) ?? "";
}

/** The last step that the status has told of since watch(). */
export async function stepNow(page: Page): Promise<number> {
  const steps = (await told(page)).flatMap(([, text]) => /: step (\d+) of/.exec(text)?.[1] ?? []);
  return Number(steps.at(-1));
}

/** The bytes of what a button downloads, and the name that it proposes. */
export async function downloaded(page: Page, button: RegExp): Promise<{ bytes: Buffer; name: string }> {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: button }).click(),
  ]);
  const path = await download.path();
  const bytes = await readFile(path);
  rmSync(path);
  return { bytes, name: download.suggestedFilename() };
}

/** A stage's epochs in the page's storage. */
export function history(page: Page, stage: string): Promise<EpochRecord[]> {
  return page.evaluate(async (name) => {
    let folder = await navigator.storage.getDirectory();
    for (const part of ["protokd", "run", name]) folder = await folder.getDirectoryHandle(part);
    const file = await (await folder.getFileHandle("history.json")).getFile();
    return JSON.parse(await file.text()) as EpochRecord[];
  }, stage);
}

/** The epochs of all stages in Node, without a stop, by their names. */
export async function trainInNode(
  settings: TrainSettings,
  study: Study,
): Promise<Record<string, EpochRecord[]>> {
  const records: Record<string, EpochRecord[]> = {};
  const stages: Stage[] = [];
  let teacher: FrozenNetwork | null = null;
  for (const [name, config] of stagesOf(settings)) {
    const cases = await loadStage(study, config, teacher ? [seenBy(teacher)] : []);
    const stage = await stageOf(study, config, { teacher, cases });
    stages.push(stage);
    records[name] = [];
    for await (const event of stage.trainer.run())
      if (event.type === "epoch") records[name].push(event.record);
    const { spec, params } = stage.trainer.learner.deployed;
    teacher = { spec, values: await params.read() };
  }
  for (const stage of stages) stage.free();
  return records;
}

/** A stage as the page makes it, on the tests' device. */
export async function stageOf(
  study: Study,
  config: TrainConfig,
  more: { teacher?: FrozenNetwork | null; cases?: StageCases; state?: TrainingState | null } = {},
): Promise<Stage> {
  const { teacher = null, state = null } = more;
  const cases = more.cases ?? (await loadStage(study, config, teacher ? [seenBy(teacher)] : []));
  return new Stage(device, {
    config,
    modalities: cases.modalities,
    validation: cases.validation,
    ...samplersOf(cases, config, state),
    labels: study.dataset.convention,
    frozen: () => teacher!,
    state: state && { ...state, path: "state" },
  });
}

/**
 * Asserts that the losses of the epochs are the same, each to 1e-4 of its total; returns the largest
 * difference so, and the largest of a term above 1e-3 relative to the term itself.
 */
export function assertSameLosses(
  found: readonly EpochRecord[],
  expected: readonly EpochRecord[],
  what: string,
): { ofTotal: number; ofTerm: number } {
  assert.equal(
    found.map(({ epoch, step }) => ({ epoch, step })),
    expected.map(({ epoch, step }) => ({ epoch, step })),
  );
  let [ofTotal, ofTerm] = [0, 0];
  for (const [i, { epoch, losses }] of expected.entries()) {
    assert.equal(Object.keys(found[i]!.losses), Object.keys(losses));
    for (const [name, value] of Object.entries(losses)) {
      const got = found[i]!.losses[name]!;
      const off = Math.abs(got - value);
      ofTotal = Math.max(ofTotal, off / losses["total"]!);
      if (value > SMALL) ofTerm = Math.max(ofTerm, off / value);
      assert.ok(
        off <= CLOSE * losses["total"]!,
        `${what}, epoch ${epoch}, ${name}: ${got}, expected ${value}`,
      );
    }
  }
  return { ofTotal, ofTerm };
}

/** The modalities that a network sees, as its card names them. */
function seenBy({ spec }: FrozenNetwork): { modalities: Modality[] } {
  return { modalities: [...spec.modalities] as Modality[] };
}
