// The report page and its pictures, from invented numbers: its content, and that it loads no other file.

import { decode } from "fast-png";
import { parseHTML } from "linkedom";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { lossChart, rateChart, stagesChart, validationChart } from "../../cli/report/charts.ts";
import { type Report, renderReport } from "../../cli/report/report.ts";
import { escape } from "../../cli/report/reportPage.ts";
import { CLASS_COLOURS, headWindow, renderSlice } from "../../cli/report/slices.ts";
import { formatSummary } from "../../cli/terminal/table.ts";
import { chooseSlice } from "../../data/preparation/slices.ts";
import { caseMetrics } from "../../model/scoring/metrics.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { summarise } from "../../model/scoring/summary.ts";

const size: Vec3 = [3, 4, 5];
const metrics: EpochRecord[] = [1, 2, 3].map((epoch) => ({
  epoch,
  step: 10 * epoch,
  seconds: 2,
  rate: 1e-3 / epoch,
  losses: { total: 3 / epoch, dice: 0.5 / epoch, proto: 0 },
  ...(epoch === 1 ? {} : { validation: { WT: 0.2 * epoch, TC: 0.5, ET: 0.1, mean: 0.1 * epoch } }),
}));

function labels(): Uint8Array {
  const map = new Uint8Array(60);
  map.set([1, 2, 3], 1 * 20 + 6); // slice 1, row 1, columns 1 to 3
  map[2 * 20] = 3;
  return map;
}

function summary(name: string): ReturnType<typeof summarise> {
  const label = labels();
  const empty = label.map((value) => (value === 1 ? 2 : value));
  const grid = { size, spacing: [1, 1, 1] as Vec3 };
  return summarise([caseMetrics(name, label, label, grid), caseMetrics("bare", empty, empty, grid)]);
}

function sample(name = "case 1"): Report {
  const grey = Float32Array.from({ length: 60 }, (_, i) => i % 20);
  return {
    title: "A run",
    subtitle: "seed 0",
    stages: [
      { title: "Teacher", folder: "teacher", metrics, summary: summary(name) },
      { title: "Student", folder: "student", metrics: metrics.slice(0, 2) },
    ],
    slices: [
      {
        case: name,
        plane: "axial",
        index: 1,
        images: [
          { title: "T1ce", size, grey },
          { title: "label", size, grey, labels: labels() },
        ],
      },
    ],
    configuration: { seed: 0, data: "somewhere" },
    notes: ["A note."],
  };
}

test("the page holds a table of scores, curves as SVG, slices as PNG, a legend and the configuration", () => {
  const { document } = parseHTML(renderReport(sample()));
  const rows = [...document.querySelectorAll("table")[0]!.querySelectorAll("tbody tr")];
  assert.equal(
    rows.map((row) => [...row.children].map((cell) => cell.textContent)),
    [["Teacher", "1.000", "1.000", "1.000", "1.000", "0.0", "0.0", "0.0", "0.0"]],
  );
  assert.is(document.querySelectorAll("svg").length, 1 + 3 + 3, "one of all stages, three of each");
  for (const svg of document.querySelectorAll("svg")) assert.ok(svg.querySelector("path[stroke]"));
  const images = [...document.querySelectorAll("img")].map((image) => image.getAttribute("src")!);
  assert.is(images.length, 2);
  for (const source of images) {
    const png = decode(Buffer.from(source.replace("data:image/png;base64,", ""), "base64"));
    assert.equal([png.width, png.height, png.channels], [5, 4, 3]);
  }
  const text = document.body.textContent!;
  for (const { name } of CLASS_COLOURS) assert.ok(text.includes(name), name);
  for (const words of [
    "seed 0",
    "A note.",
    '"data": "somewhere"',
    "3 epochs, 30 steps, 6.0 s",
    "slice 2 of 3",
  ]) {
    assert.ok(text.includes(words), words);
  }
  assert.ok(text.includes('ET is empty in both maps of 1 (of 2 cases): scored by the convention "brats"'));
});

test("the page loads nothing: no script, link, import or address of any other file", () => {
  const page = renderReport(sample());
  for (const pattern of [/<script/i, /<link/i, /@import/, /url\(/, /(src|href)="(?!data:)/]) {
    assert.not.match(page, pattern);
  }
  assert.match(page, "default-src 'none'");
});

test("text from outside cannot become markup", () => {
  const hostile = `<img src=x onerror="alert('1')">&`;
  const report = sample(hostile);
  const page = renderReport({
    ...report,
    title: hostile,
    subtitle: hostile,
    notes: [hostile],
    configuration: { [hostile]: hostile },
    stages: [
      {
        title: hostile,
        folder: hostile,
        metrics: [{ ...metrics[0]!, losses: { [hostile]: 1 } }],
        summary: summary(hostile),
      },
    ],
  });
  assert.not.match(page, /<img src=x/);
  const { document } = parseHTML(page);
  assert.is(document.querySelectorAll("[onerror]").length, 0);
  assert.is(document.querySelector("h1")!.textContent, hostile);
  assert.is(escape(`<a b="c" d='e'>&`), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
});

test("a run without results gives a page too", () => {
  const page = renderReport({
    title: "Empty",
    stages: [{ title: "a", folder: "a", metrics: [] }],
    slices: [],
    configuration: {},
  });
  assert.match(page, "<h1>Empty</h1>");
  assert.not.match(page, /<svg|<table|<section|NaN|undefined/);
});

test("curves have a line per term without values that are not finite, and are null if no value remains", () => {
  assert.equal(
    lossChart(metrics)!.series,
    ["total", "dice"],
    "a term of zeros has no place on a logarithmic axis",
  );
  assert.equal(validationChart(metrics)!.series, ["WT", "TC", "ET"]);
  assert.equal(
    stagesChart([
      { title: "x", metrics },
      { title: "y", metrics },
    ])!.series,
    ["x", "y"],
  );
  assert.is(validationChart(metrics.slice(0, 1)), null);
  assert.is(rateChart([]), null);
  const broken = metrics.map((record) => ({
    ...record,
    losses: { total: record.epoch === 2 ? NaN : 1, gone: Infinity },
  }));
  const chart = lossChart(broken)!;
  assert.equal(chart.series, ["total"]);
  assert.not.match(chart.svg, /NaN|Infinity/);
});

test("the slice with the largest tumour area is chosen, or the middle one without a tumour", () => {
  assert.is(chooseSlice(labels(), size), 1);
  assert.is(chooseSlice(new Uint8Array(60), size), 1);
  const last = new Uint8Array(60).fill(3, 40);
  assert.is(chooseSlice(last, size), 2);
});

test("a slice's greys span its own range, and classes are drawn over it in three colours", () => {
  const grey = new Float32Array(60).fill(50, 20, 40);
  grey[20] = 0; // air
  grey[21] = 10;
  const whole = { top: 0, bottom: 4, left: 0, right: 5 };
  const pixels = (png: Uint8Array): number[][] => {
    const { data } = decode(png);
    return Array.from({ length: data.length / 3 }, (_, i) => [...data.subarray(3 * i, 3 * i + 3)]);
  };
  const plain = pixels(renderSlice({ size, grey }, 1, whole));
  assert.equal(
    [plain[0], plain[1], plain[9]],
    [
      [0, 0, 0],
      [0, 0, 0],
      [255, 255, 255],
    ],
  );
  const overlaid = pixels(renderSlice({ size, grey, labels: labels() }, 1, whole));
  const colours = [6, 7, 8].map((i) => overlaid[i]!);
  assert.equal(
    colours,
    CLASS_COLOURS.map(({ rgb }) => rgb.map((part) => Math.round(0.6 * part + 0.4 * 255))),
  );
  assert.equal(overlaid[9], plain[9], "the scan is unchanged outside of the classes");
});

test("a slice is cropped to the head, also if that is darker than the air", () => {
  const grey = new Float32Array(60);
  grey[20 + 6] = -2;
  grey[20 + 13] = 1;
  assert.equal(headWindow({ size, grey }, 1), { top: 0, bottom: 4, left: 0, right: 5 }, "with its margin");
  const wide: Vec3 = [1, 100, 100];
  const image = new Float32Array(10000);
  image[50 * 100 + 40] = 1;
  assert.equal(headWindow({ size: wide, grey: image }, 0), { top: 47, bottom: 54, left: 37, right: 44 });
  assert.equal(headWindow({ size, grey: new Float32Array(60) }, 0), { top: 0, bottom: 4, left: 0, right: 5 });
});

test("the terminal's table marks scores that only the convention defines with a star, and explains it below", () => {
  const lines = formatSummary(summary("a")).split("\n");
  assert.match(lines[1]!, /case +WT +TC +ET +mean +WT +TC +ET +mean/);
  assert.match(lines[2]!, /^a +1\.000 +1\.000 +1\.000 +1\.000 +0\.0 +0\.0 +0\.0 +0\.0$/);
  assert.match(lines[3]!, /^bare +1\.000 +1\.000 +1\.000\* +1\.000 +0\.0 +0\.0 +0\.0\* +0\.0$/);
  assert.match(lines.at(-1)!, /^\* ET is empty in both maps of 1 .* one empty Dice 0 and HD95 373\.13 mm$/);
});

test.run();
