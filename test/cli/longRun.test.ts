// A training of 200,000 epochs: the work at an epoch's end does not grow, and no chart or table ends it.

import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lossChart, rateChart, stagesChart, validationChart } from "../../cli/report/charts.ts";
import { metricsCsv } from "../../cli/report/metricsCsv.ts";
import { StageLog } from "../../cli/report/stageLog.ts";
import { BusyError, lockFolder } from "../../cli/files/lock.ts";
import { readRecords } from "../../cli/files/ownFiles.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { append, largest, smallest } from "../../engine/values.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { EpochHistory, thinned } from "../../trainer/loop/thinned.ts";
import { failure, silenced } from "../support/quietly.ts";

const test = suite("longRun");
const root = mkdtempSync(join(tmpdir(), "long-run-"));
test.after(() => rmSync(root, { recursive: true }));

const LONG = 200_000;
const SHORT = 1000;

/** An epoch of ProtoKD; every fiftieth is validated. */
function record(epoch: number): EpochRecord {
  const dice = 0.9 - 1 / (1 + epoch);
  const validation = { WT: dice, TC: dice / 2, ET: dice / 3, mean: dice / 1.6 };
  return {
    epoch,
    step: 3 * epoch,
    seconds: 1.5,
    rate: 1e-3,
    losses: { total: 1 + 1 / epoch, crossEntropy: 1 / epoch, dice: 0.5, kd: 1e-4, prototype: 0.06 },
    waited: 0,
    skipped: 0,
    gpuBytes: 1e6,
    ...(epoch % 50 === 0 && { validation, average: dice }),
  };
}

const records = (count: number) => Array.from({ length: count }, (_, i) => record(i + 1));
const line = (epoch: number) => `${JSON.stringify(record(epoch))}\n`;

/** A stage's folder after so many epochs. */
function folderAfter(name: string, epochs: number): string {
  const folder = join(root, name);
  mkdirSync(folder);
  const lines = Array.from({ length: epochs }, (_, i) => line(i + 1));
  writeFileSync(join(folder, FILES.metrics), lines.join(""));
  return folder;
}

const begin = (folder: string, epochs: number) =>
  StageLog.begin(folder, 3 * epochs, { title: "student", batch: 1 });

/** Ends an epoch as a training does; the log comes before the line of metrics.jsonl. */
async function end(log: StageLog, folder: string, epoch: number): Promise<void> {
  await log.note({ type: "epoch", record: record(epoch), best: false });
  appendFileSync(join(folder, FILES.metrics), line(epoch));
}

/** Bytes that this process has written to files, by the kernel's count; null elsewhere than on Linux. */
function written(): number | null {
  if (process.platform !== "linux") return null;
  return Number(/^wchar: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))![1]);
}

/** Goes on after so many epochs: the bytes that the ends of ten epochs write, and the table's growth. */
async function goOn(name: string, epochs: number) {
  const folder = folderAfter(name, epochs);
  const log = await begin(folder, epochs);
  const [table, before] = [statSync(join(folder, FILES.csv)), written()];
  for (let i = 1; i <= 10; i++) await end(log, folder, epochs + i);
  const [grown, after] = [statSync(join(folder, FILES.csv)), written()];
  await log.close();
  assert.is(grown.ino, table.ino, "the table is the same file: rows were added");
  const svg = statSync(join(folder, FILES.progressSvg)).size;
  return { folder, rows: grown.size - table.size, bytes: before === null ? null : after! - before, svg };
}

test("ten epochs after 200,000 write about as many bytes as ten after 1,000", async () => {
  const [early, late] = [await goOn("early", SHORT), await goOn("late", LONG)];
  assert.ok(late.rows < 1.2 * early.rows, `${late.rows} and ${early.rows} bytes of rows`);
  assert.ok(late.svg < 5 * early.svg && late.svg < 1e6, `pictures of ${early.svg} and ${late.svg} bytes`);
  if (late.bytes === null) return console.log("SKIPPED: bytes written: no /proc/self/io");
  assert.ok(late.bytes < 5e6, `${early.bytes} and ${late.bytes} bytes written`);
  assert.is(readFileSync(join(late.folder, FILES.csv), "utf8").trim().split("\n").length, 1 + LONG + 10);
});

test("charts of 200,000 epochs of five terms are drawn, in a bounded size", () => {
  const all = records(LONG);
  for (const draw of [lossChart, rateChart, validationChart]) {
    const svg = draw(all)!.svg;
    assert.ok(svg.length < 500_000, `${draw.name}: ${svg.length}`);
    assert.not.match(svg, /NaN/);
  }
  assert.ok(stagesChart([{ title: "one", metrics: all }])!.svg.length < 100_000);
});

test("a short run's history is whole, a long one's evenly spaced, with its first, its last and validations", () => {
  assert.equal(thinned(records(2000)), records(2000));
  const [history, all] = [new EpochHistory(), 30_000];
  for (let epoch = 1; epoch <= all; epoch++) history.add(record(epoch));
  const epochs = history.records.map(({ epoch }) => epoch);
  assert.ok(epochs.length < 5000, `${epochs.length}`);
  assert.equal([epochs[0], epochs.at(-1)], [1, all]);
  assert.is(history.records.filter(({ validation }) => validation).length, all / 50);
  assert.equal(
    epochs,
    [...new Set(epochs)].sort((a, b) => a - b),
  );
  const few = thinned(Array.from({ length: 4001 }, (_, i) => i));
  assert.equal([few.length, few[1], few.at(-1)], [1001, 4, 4000]);
});

test("metrics.csv is the same whether a run was stopped, cut within a row, or neither", async () => {
  const whole = folderAfter("whole", 0);
  const log = await begin(whole, 0);
  for (let epoch = 1; epoch <= 120; epoch++) await end(log, whole, epoch);
  await log.close();
  const text = readFileSync(join(whole, FILES.csv), "utf8");
  assert.is(text, metricsCsv(records(120)));

  const cut = folderAfter("cut", 0);
  for (let epoch = 1, current = await begin(cut, 0); epoch <= 120; epoch++) {
    await end(current, cut, epoch);
    if (epoch % 40 !== 0) continue;
    await current.close();
    appendFileSync(join(cut, FILES.csv), "1,2,3"); // as a crash within an append leaves it
    current = await begin(cut, epoch);
  }
  assert.is(readFileSync(join(cut, FILES.csv), "utf8"), text);
});

test("a picture, table or event file that fails is a warning, once, and the training goes on", async () => {
  const folder = folderAfter("failing", 3);
  for (const name of [FILES.progressSvg, FILES.csv]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, FILES.tensorboard), "a file in place of a folder");
  const lines = await silenced(async () => {
    const log = await begin(folder, 3);
    for (let epoch = 4; epoch <= 8; epoch++) await end(log, folder, epoch);
    await log.close();
  });
  assert.is(lines.length, 3, lines.join("\n"));
  for (const name of [FILES.progressSvg, FILES.csv, FILES.tensorboard])
    assert.ok(
      lines.some((one) => one.includes(`${join(folder, name)}: no longer updated (`)),
      `${name}: ${lines.join("\n")}`,
    );
  rmSync(join(folder, FILES.csv), { recursive: true });
  await silenced(async () => end(await begin(folder, 8), folder, 9));
  assert.is(readFileSync(join(folder, FILES.csv), "utf8"), metricsCsv(records(9)), "whole again");
});

test("a folder that another process took over still ends the training", async () => {
  const folder = folderAfter("taken", 1);
  const unlock = await lockFolder(folder);
  const log = await begin(folder, 1);
  const [lock] = readdirSync(folder).filter((name) => name.startsWith("lock."));
  writeFileSync(join(folder, lock!), JSON.stringify({ pid: 1, host: "elsewhere" }));
  assert.instance(await failure(() => end(log, folder, 2)), BusyError);
  await unlock();
});

test("a damaged line of metrics.jsonl is skipped with one warning, one that a crash cut without", async () => {
  const folder = folderAfter("damaged", 4);
  const path = join(folder, FILES.metrics);
  const lines = readFileSync(path, "utf8").split("\n");
  const reading = async (text: string) => {
    writeFileSync(path, text);
    let epochs: number[] = [];
    const said = await silenced(async () => {
      for (let i = 0; i < 2; i++) epochs = (await readRecords(folder)).map(({ epoch }) => epoch);
    });
    return { epochs, said };
  };
  assert.equal(await reading(lines.join("\n").slice(0, -20)), { epochs: [1, 2, 3], said: [] });
  const { epochs, said } = await reading([lines[0], "{", '{"epoch":"x"}', lines[3], ""].join("\n"));
  assert.equal(epochs, [1, 4]);
  assert.is(said.length, 1);
  assert.match(said[0]!, /metrics\.jsonl: 2 lines, from 2 on: damaged: charts and tables are made without$/);
});

test("the helpers of long lists are those of short ones", () => {
  const long = Array.from({ length: 300_000 }, (_, i) => i - 7);
  assert.equal([smallest(long), largest(long)], [-7, 299_992]);
  assert.equal([smallest([]), largest([]), largest([], 0), smallest([3], 2)], [Infinity, -Infinity, 0, 2]);
  assert.ok(Number.isNaN(largest([1, NaN, 2])) && Number.isNaN(smallest([NaN])));
  const list = [1];
  append(list, long);
  assert.is(list.length, 300_001);
});

test.run();
