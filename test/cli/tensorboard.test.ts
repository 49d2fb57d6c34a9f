// TensorBoard's event files, read by an independent reader and, if Python has it, by TensorBoard itself.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode } from "fast-png";
import { parseHTML } from "linkedom";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { progressSvg } from "../../cli/report/progressChart.ts";
import { rasterise } from "../../cli/report/rasterise.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { metricsCsv } from "../../cli/report/metricsCsv.ts";
import { lossScalars, StageLog } from "../../cli/report/stageLog.ts";
import { crc32c, EventFile } from "../../cli/report/tensorboard.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import type { TrainEvent } from "../../trainer/loop/trainer.ts";
import { type Read, readEvents } from "../support/eventFiles.ts";

const test = suite("tensorboard");
const folder = mkdtempSync(join(tmpdir(), "tensorboard-"));
test.after(() => rmSync(folder, { recursive: true }));

test("CRC-32C is that of RFC 3720's examples", () => {
  assert.is(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  assert.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.is(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
  assert.is(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
});

test("a file has its version, a session's start, then the scalars in order, also of large steps", async () => {
  const file = await EventFile.begin(join(folder, "own"), 7, 1_700_000_000_250);
  file.scalars(
    8,
    [
      { tag: "loss/löss", value: 0.5 },
      { tag: "b", value: -1.25e-3 },
    ],
    1_700_000_001_000,
  );
  file.scalars(5_000_000_000, [{ tag: "b", value: NaN }], 1_700_000_002_000);
  file.scalars(9, []);
  await file.flush();
  assert.match(file.path, /events\.out\.tfevents\.1700000000\.250\.protokd\.[\da-f]{12}$/);
  const events = readEvents(file.path);
  assert.equal(
    events.map(({ time, step, version, status, scalars }) => ({ time, step, version, status, scalars })),
    [
      { time: 1_700_000_000.25, step: 0, version: "brain.Event:2", status: undefined, scalars: [] },
      { time: 1_700_000_000.25, step: 7, version: undefined, status: 1, scalars: [] },
      {
        time: 1_700_000_001,
        step: 8,
        version: undefined,
        status: undefined,
        scalars: [
          ["loss/löss", 0.5],
          ["b", Math.fround(-1.25e-3)],
        ],
      },
      {
        time: 1_700_000_002,
        step: 5_000_000_000,
        version: undefined,
        status: undefined,
        scalars: [["b", NaN]],
      },
    ],
  );
});

const records: EpochRecord[] = [1, 2, 3].map((epoch) => ({
  epoch,
  step: 10 * epoch,
  seconds: 2,
  rate: 1e-3 / epoch,
  waited: 0.25,
  skipped: 0,
  losses: { total: 3 / epoch, crossEntropy: 2 / epoch, dice: 1 / epoch, kd: 0.5, prototype: 0.25 },
  ...(epoch === 2 && { validation: { WT: 0.75, TC: 0.5, ET: 0.25, mean: 0.5 }, average: 0.5 }),
}));

test("a training writes events, a CSV and pictures; a resumed one continues them", async () => {
  const at = join(folder, "stage");
  const options = { title: "student <t1>", batch: 4 };
  const first = await beginLog(at, records.slice(0, 0), 0, options);
  await note(first, records[0]!);
  await note(first, records[1]!);
  await first.close();
  const second = await beginLog(at, records.slice(0, 1), 10, options); // killed in epoch 2
  await note(second, records[1]!);
  await note(second, records[2]!);
  await second.close();

  const files = readdirSync(join(at, FILES.tensorboard)).sort();
  assert.is(files.length, 2);
  const [before, after] = files.map((name) => readEvents(join(at, FILES.tensorboard, name)));
  assert.is(
    after!.find(({ status }) => status === 1)!.step,
    11,
    "values of later steps in the first file are void",
  );
  assert.equal(values(before!, "loss/loss"), [
    [1, 0.5],
    [10, 0.5],
    [20, 0.5],
  ]);
  assert.equal(values(after!, "epoch_loss/loss"), [
    [20, 1.5],
    [30, 1],
  ]);
  assert.equal(values(before!, "val/dice_co"), [[20, 0.5]]);
  assert.equal(values(after!, "train/samples_per_second"), [
    [20, 20],
    [30, 20],
  ]);
  assert.equal(values(after!, "train/seconds_waited_for_data"), [
    [20, 0.25],
    [30, 0.25],
  ]);

  const lines = readFileSync(join(at, FILES.csv), "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(","));
  assert.equal(lines.length, 4, "no epoch twice");
  const column = (name: string) => lines.slice(1).map((line) => line[lines[0]!.indexOf(name)]);
  assert.equal(column("epoch"), ["1", "2", "3"]);
  assert.equal(column("losses.crossEntropy"), ["2", "1", "0.6666666666666666"]);
  assert.equal(column("validation.mean"), ["", "0.5", ""]);

  const { width, height, data, channels } = decode(readFileSync(join(at, FILES.progress)));
  assert.equal([width, height, channels], [1164, 918, 4]);
  assert.ok(dark(data, width, [30, 20, 400, 30]) > 500, "the title can be read");
  assert.match(readFileSync(join(at, FILES.progressSvg), "utf8"), "student &lt;t1&gt;: epoch 3, step 30");
});

test("progress.svg has four charts with names and fixed colours, and inherits nothing from a page", () => {
  const svg = progressSvg("a", records)!;
  const { document } = parseHTML(`<body>${svg}</body>`);
  const texts = [...document.querySelectorAll("text")].map((element) => element.textContent);
  for (const words of [
    "Loss",
    "Validation Dice",
    "Seconds per epoch",
    "Learning rate",
    "kd",
    "moving average",
  ])
    assert.ok(texts.includes(words), words);
  assert.not.match(svg, /var\(|currentColor|inherit|NaN/);
  assert.is(progressSvg("a", []), null);
});

test("text is drawn in the bundled font", async () => {
  const svg = (text: string) =>
    `<svg xmlns="http://www.w3.org/2000/svg" width="60" height="20" font-family="Open Sans"><text x="2" y="15">${text}</text></svg>`;
  const [with_, without] = await Promise.all([svg("Dice"), svg("")].map((text) => rasterise(text, 2)));
  const [some, none] = [with_!, without!].map((png) => decode(png));
  assert.equal([some!.width, some!.height], [120, 40]);
  assert.ok(dark(some!.data, 120, [0, 0, 120, 40]) > 100);
  assert.is(dark(none!.data, 120, [0, 0, 120, 40]), 0);
});

test("terms have the published code's tags, others their own name; a CSV has a column for every value", () => {
  assert.equal(lossScalars({ total: 3, kd: 1, other: 2 }), [
    { tag: "loss/loss", value: 3 },
    { tag: "loss/kd_loss", value: 1 },
    { tag: "loss/other", value: 2 },
  ]);
  assert.equal(lossScalars({ crossEntropy: 1, dice: 2 }).at(-1), { tag: "loss/seg_loss", value: 3 });
  const broken = { ...records[0]!, losses: { total: null as unknown as number } }; // NaN, once it was JSON
  const [head, line] = metricsCsv([broken, records[1]!])
    .split("\n")
    .map((text) => text.split(","));
  assert.is(line![head!.indexOf("losses.total")], "");
  assert.is(line![head!.indexOf("average")], "", "and a column that only later epochs have");
});

const python = ["/usr/bin/python3", "python3"].find(
  (command) => spawnSync(command, ["-c", "import tensorboard"]).status === 0,
);
if (!python) console.log("SKIPPED: event files are read by TensorBoard: no python3 with tensorboard");
else {
  test("TensorBoard reads them, and prefers the later file for a step that two files have", async () => {
    const at = join(folder, "python");
    const options = { title: "a", batch: 1 };
    const first = await beginLog(at, [], 0, options);
    await note(first, records[0]!);
    await note(first, { ...records[1]!, losses: { total: 9 } });
    await first.close();
    const second = await beginLog(at, records.slice(0, 1), 10, options);
    await note(second, records[1]!);
    await second.close();
    const script = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]); events.Reload()
print(json.dumps([[e.step, e.value] for e in events.Scalars("epoch_loss/loss")]))`;
    const { stdout, stderr } = spawnSync(python, ["-c", script, join(at, FILES.tensorboard)], {
      encoding: "utf8",
    });
    assert.equal(JSON.parse(stdout || stderr), [
      [10, 3],
      [20, 1.5],
    ]);
  });
}

test.run();

/** Begins a log in a folder whose metrics.jsonl holds the epochs so far. */
async function beginLog(
  at: string,
  before: EpochRecord[],
  step: number,
  options: { title: string; batch: number },
) {
  const events = await EventFile.begin(at, 0); // makes the folder; the file itself is not needed
  rmSync(events.path);
  writeFileSync(join(at, FILES.metrics), before.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return StageLog.begin(at, step, options);
}

/** Notes the events of an epoch of ten steps. */
async function note(log: StageLog, record: EpochRecord): Promise<void> {
  for (let step = record.step - 9; step <= record.step; step++) {
    const event = {
      type: "step",
      epoch: record.epoch,
      step,
      steps: 30,
      losses: { total: 0.5 },
      lr: 1e-3,
    } as const;
    await log.note(event);
  }
  await log.note({ type: "epoch", record, best: false } satisfies TrainEvent);
}

function values(events: Read[], tag: string): [number, number][] {
  return events.flatMap(({ step, scalars }) =>
    scalars.flatMap(([name, value]) => (name === tag ? [[step, value] as [number, number]] : [])),
  );
}

/** Dark pixels within [left, top, width, height] of an RGBA picture. */
function dark(
  data: ArrayLike<number>,
  width: number,
  [left, top, w, h]: [number, number, number, number],
): number {
  let count = 0;
  for (let y = top; y < top + h; y++)
    for (let x = left; x < left + w; x++) if (data[4 * (y * width + x)]! < 128) count++;
  return count;
}
