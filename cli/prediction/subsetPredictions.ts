// Checks, predicts and scores the pairs of case and network of a table of fifteen.

import { join } from "node:path";
import { DataError, grouped } from "../../data/errors.ts";
import { bytesText, type Device } from "../../engine/index.ts";
import { say, warn } from "../terminal/console.ts";
import { predictionProgress } from "../terminal/progress.ts";
import { evaluatePair } from "./evaluation.ts";
import { labelFile } from "./labelFiles.ts";
import { predictedCase, uploadAll } from "./predictedCase.ts";
import { checkCases, type Load, type PlannedCase } from "./predictionPlan.ts";
import type { Settings } from "./predictionRecord.ts";
import { writeWhole } from "./predictions.ts";
import { predictionsOf, resultName, type SubsetResults } from "./subsetResults.ts";

/** A pair of case and network, and all that its result depends on. */
export interface Pair extends PlannedCase {
  key: string;
}

/** Reads and checks the cases with their labels. Throws one DataError with all problems. */
export async function checkPairs(todo: readonly Pair[], load: Load): Promise<void> {
  const checked = await checkCases(todo, (id, use, checks) =>
    load(id, use, { ...checks, labels: true, millimetres: true }),
  );
  const problems = new Set(checked.bad.flatMap((one) => one.problems));
  if (problems.size) throw new DataError([...problems]);
  grouped(checked.warnings).forEach(warn);
}

/** How to predict pairs, and where their results go. */
export interface Work {
  load: Load;
  results: SubsetResults;
  /** The path of each case's label inside the data set. */
  labelOf: ReadonlyMap<string, string>;
  data: string;
  out: string;
  settings: Settings;
}

/** Predicts and scores the pairs network by network, so that one network at a time is on the device. */
export async function predictPairs(device: Device, todo: readonly Pair[], work: Work): Promise<void> {
  const progress = predictionProgress(todo.length);
  const started = performance.now();
  try {
    for (const candidate of new Set(todo.map((pair) => pair.candidate))) {
      const networks = await uploadAll(device, candidate);
      try {
        for (const pair of todo) {
          if (pair.candidate !== candidate) continue;
          const name = `${pair.id}, ${resultName(pair)}`;
          const begun = performance.now();
          const report = (done: number, all: number) => progress.window(name, done, all);
          const { load, settings } = work;
          const predicted = await predictedCase(device, pair, networks, { load, ...settings, report });
          const seconds = await scorePair(pair, predicted, { ...work, begun });
          progress.written(name, seconds, predicted.windows);
        }
      } finally {
        for (const { params } of networks) params.free();
      }
    }
  } finally {
    progress.stop();
  }
  const seconds = (performance.now() - started) / 1000;
  say(
    `${todo.length} predictions in ${seconds.toFixed(1)} s, at most ${bytesText(device.peakBytes)} on the GPU`,
  );
}

/** Writes a label map, scores it, and keeps the result. Returns the seconds since `begun`. */
async function scorePair(
  pair: Pair,
  { first, classes, windows }: Awaited<ReturnType<typeof predictedCase>>,
  { results, labelOf, data, out, settings, begun }: Work & { begun: number },
): Promise<number> {
  const { id, key } = pair;
  const network = resultName(pair);
  const folder = join(out, predictionsOf(network));
  await writeWhole(folder, first, classes, settings.labels);
  const files = {
    case: id,
    prediction: join(folder, labelFile(id)),
    reference: join(data, labelOf.get(id)!),
  };
  const metrics = await evaluatePair(files, settings.labels, {
    affine: settings.affine,
    note: () => undefined,
  });
  const seconds = Number(((performance.now() - begun) / 1000).toFixed(3));
  await results.add({ case: id, network, key, seconds, windows, metrics });
  return seconds;
}
