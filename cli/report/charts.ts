// Training curves as SVG text, drawn by Observable Plot on a document of linkedom: no browser, no network.
// Colours are CSS variables of the page (--series-1...), so that one drawing serves light and dark themes.

import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { largest, smallest } from "../../engine/values.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { thinned } from "../../trainer/loop/thinned.ts";
import { DICE } from "../../model/methods/method.ts";
import { type Region, REGION_NAMES } from "../../model/scoring/regions.ts";

/** A chart and the names of its lines, in the order of the colours. */
export interface Chart {
  title: string;
  svg: string;
  series: string[];
}

/** One value of one line at one epoch. */
interface Point {
  epoch: number;
  value: number;
  series: string;
}

/** Losses by term over epochs, on a logarithmic axis where all are positive; null without a finite one. */
export function lossChart(records: readonly EpochRecord[]): Chart | null {
  const terms = [...new Set(records.flatMap(({ losses }) => Object.keys(losses)))];
  const points = terms.flatMap((series) =>
    records.map(({ epoch, losses }) => ({ epoch, value: losses[series] ?? NaN, series })),
  );
  const seen = points.filter(({ value }) => Number.isFinite(value) && value !== 0);
  const values = seen.map(({ value }) => value);
  const logarithmic = smallest(values) > 0 && largest(values) > 10 * smallest(values);
  return draw("Loss", logarithmic ? seen : points, {
    y: logarithmic ? { type: "log", ticks: 4 } : { zero: true },
  });
}

/**
 * Numbers that nothing minimises over epochs: those whose names begin alike ("teacherWeight/t1") share a
 * chart.
 */
export function observedCharts(records: readonly EpochRecord[]): Chart[] {
  const names = new Set(records.flatMap(({ observed }) => Object.keys(observed ?? {})));
  const groups = new Set([...names].map((name) => name.split("/")[0]!));
  return [...groups].flatMap((group) => {
    const points = [...names]
      .filter((name) => name.startsWith(`${group}/`))
      .flatMap((name) =>
        records.map(({ epoch, observed }) => {
          return { epoch, value: observed?.[name] ?? NaN, series: name.slice(group.length + 1) };
        }),
      );
    return draw(`${wordsOf(group)} (mean of an epoch, not a loss)`, points, { y: { zero: true } }) ?? [];
  });
}

/** A name such as teacherWeight in words: "Teacher weight". */
function wordsOf(name: string): string {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}

/** Validation Dice of each region over the validated epochs; null without one. */
export function validationChart(records: readonly EpochRecord[]): Chart | null {
  const points = REGION_NAMES.flatMap((series) =>
    records.flatMap(({ epoch, validation }) =>
      validation ? [{ epoch, value: validation[series], series }] : [],
    ),
  );
  return draw(`Validation ${scoreOf(records)}`, points, { y: { domain: [0, 1] } });
}

/** Validation Dice of each region, their mean, and its moving average, as nnU-Net shows it. */
export function progressDiceChart(records: readonly EpochRecord[]): Chart | null {
  const points = [...REGION_NAMES, "mean", "moving average"].flatMap((series) =>
    records.flatMap(({ epoch, validation, average }) => {
      const value = series === "moving average" ? average : validation?.[series as Region | "mean"];
      return value === undefined ? [] : [{ epoch, value, series }];
    }),
  );
  return draw(`Validation ${scoreOf(records)}`, points, { y: { domain: [0, 1] } });
}

/** Seconds of each epoch, validation included. */
export function secondsChart(records: readonly EpochRecord[]): Chart | null {
  const points = records.map(({ epoch, seconds }) => ({ epoch, value: seconds, series: "seconds" }));
  return draw("Seconds per epoch", points, { y: { zero: true } });
}

/** Learning rate over epochs. */
export function rateChart(records: readonly EpochRecord[]): Chart | null {
  const points = records.map(({ epoch, rate }) => ({ epoch, value: rate, series: "rate" }));
  return draw("Learning rate", points, { y: { zero: true } });
}

/** The mean validation score of several stages over epochs, a line each; null where they have two scores. */
export function stagesChart(
  stages: readonly { title: string; metrics: readonly EpochRecord[] }[],
): Chart | null {
  const points = stages.flatMap(({ title, metrics }) =>
    metrics.flatMap(({ epoch, validation }) =>
      validation ? [{ epoch, value: validation.mean, series: title }] : [],
    ),
  );
  const [score, ...others] = new Set(stages.map(({ metrics }) => scoreOf(metrics)));
  if (others.length) return null;
  return draw(`Mean validation ${score} by stage`, points, {
    y: { domain: [0, 1] },
    width: 720,
    height: 260,
  });
}

/** Mean scores over epochs of a study's arms, a line each. */
export function curvesChart(
  title: string,
  curves: readonly { title: string; points: readonly { epoch: number; mean: number }[] }[],
): Chart | null {
  const points = curves.flatMap((curve) =>
    curve.points.map(({ epoch, mean }) => ({ epoch, value: mean, series: curve.title })),
  );
  return draw(title, points, { y: { domain: [0, 1] }, width: 720, height: 260 });
}

function draw(
  title: string,
  points: readonly Point[],
  { y, width = 360, height = 220 }: { y: Plot.ScaleOptions; width?: number; height?: number },
): Chart | null {
  const finite = points.filter(({ value }) => Number.isFinite(value));
  if (finite.length === 0) return null;
  const series = [...new Set(finite.map((point) => point.series))];
  const shown = series.flatMap((name) => thinned(finite.filter((point) => point.series === name)));
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const style = { x: "epoch", y: "value", z: "series", stroke: "series" } as const;
  const svg = Plot.plot({
    document,
    width,
    height,
    marginLeft: 48,
    marginRight: 12,
    marginTop: 12,
    marginBottom: 32,
    style: { background: "none", color: "inherit", fontFamily: "inherit", fontSize: "11px" },
    x: {
      label: "epoch",
      labelArrow: "none",
      labelAnchor: "right",
      tickFormat: "d",
      ticks: epochTicks(finite),
    },
    y: { label: null, ticks: 4, tickFormat: short, ...y },
    color: { type: "ordinal", domain: series, range: series.map((_, i) => `var(--series-${(i % 7) + 1})`) },
    marks: [
      Plot.gridY({ ticks: 4, strokeOpacity: 0.12 }),
      Plot.line(shown, { ...style, strokeWidth: 1.75, strokeLinejoin: "round" }),
      ...(isSparse(finite, series) ? [Plot.dot(shown, { ...style, fill: "series", r: 2 })] : []),
    ],
  });
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title} over epochs`);
  return { title, svg: svg.outerHTML, series };
}

/** A number in few digits: 0.001, 1e-4. */
function short(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(Number(value.toPrecision(3)));
}

/** Whole epochs only, at most six of them. */
function epochTicks(points: readonly Point[]): number[] {
  const epochs = points.map(({ epoch }) => epoch);
  const [first, last] = [smallest(epochs), largest(epochs)];
  const steps = [0, 1, 2, 3, 4, 5].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));
  const apart = steps.find((size) => (last - first) / size <= 5) ?? last;
  const ticks = Array.from({ length: 7 }, (_, i) => (Math.floor(first / apart) + i) * apart);
  return ticks.filter((epoch) => epoch >= first && epoch <= last);
}

/** True if the points are so few that a line alone would not show them. */
function isSparse(points: readonly Point[], series: readonly string[]): boolean {
  return points.length <= 20 * series.length;
}

/** The name of the score that the records were validated by. */
export function scoreOf(records: readonly EpochRecord[]): string {
  return records.find(({ validation }) => validation)?.score ?? DICE.name;
}
