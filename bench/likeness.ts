// npm run bench:likeness -- DIR [DIR ...]: how near the phantom's intensities come to real scans'. Prints,
// beside what was measured on real scans, the mean and deviation of each tissue in each contrast, in units of
// the brain's z-score, and how well a contrast tells two tissues apart: the area under the ROC curve of its
// intensity, 0.5 for not at all, 0 and 1 for perfectly.

import { Command } from "commander";
import { isMain, runCommand } from "../cli/terminal/command.ts";
import { folderSource } from "../cli/files/folderSource.ts";
import { loadRecorded } from "../cli/files/loadCases.ts";
import { MODALITIES, openDataset } from "../data/datasets/datasets.ts";
import { type Case, PREPARATION } from "../data/preparation/preprocess.ts";
import { voxelCount } from "../data/preparation/crop.ts";

/** The tissues, by the network's class. */
const TISSUES = ["healthy", "ET", "NCR", "ED"] as const;
type Tissue = (typeof TISSUES)[number];

/** The pairs of tissues to compare: the area is above 0.5 where the second one is brighter. */
const PAIRS: readonly (readonly [Tissue, Tissue])[] = [
  ["healthy", "NCR"],
  ["healthy", "ED"],
  ["healthy", "ET"],
  ["ED", "ET"],
  ["NCR", "ET"],
  ["NCR", "ED"],
];

/** Measures of a set of cases, for t1, t2, t1ce, flair. */
export interface Likeness {
  cases: number;
  tissues: Record<string, { mean: number[]; deviation: number[] }>;
  pairs: Record<string, number[]>;
}

/** BraTS 2021, 21 cases at 2 mm. */
export const REAL: Likeness = {
  cases: 21,
  tissues: {
    healthy: {
      mean: [-0.02, -0.08, -0.03, -0.15],
      deviation: [1.03, 0.98, 0.98, 0.88],
    },
    ET: {
      mean: [0.2, 0.77, 2.12, 1.63],
      deviation: [0.58, 0.75, 1.2, 0.92],
    },
    NCR: {
      mean: [-0.08, 1.34, 0.03, 1.83],
      deviation: [0.68, 1, 0.8, 1.02],
    },
    ED: {
      mean: [0.3, 0.69, 0.09, 1.62],
      deviation: [0.48, 0.62, 0.53, 0.75],
    },
  },
  pairs: {
    "healthy, NCR": [0.42, 0.88, 0.49, 0.94],
    "healthy, ED": [0.56, 0.81, 0.51, 0.97],
    "healthy, ET": [0.53, 0.81, 0.95, 0.94],
    "ED, ET": [0.45, 0.52, 0.97, 0.51],
    "NCR, ET": [0.64, 0.33, 0.94, 0.43],
    "NCR, ED": [0.69, 0.3, 0.54, 0.41],
  },
};

// Histograms of z-scores: bins of this width, from LOWEST on.
const WIDTH = 0.05;
const LOWEST = -8;
const BINS = 400;
const FEWEST = 30; // voxels of a tissue, for a case to count

/** Returns the measures of a set of cases with labels; each case has the same weight. */
export async function likenessOf(folders: readonly string[]): Promise<Likeness> {
  const histograms = TISSUES.map(() => MODALITIES.map(() => new Float64Array(BINS)));
  let count = 0;
  for (const data of folders) {
    const { layout, convention, cases } = await openDataset(await folderSource(data));
    const reading = {
      data,
      dataset: { layout, convention },
      modalities: MODALITIES,
      preparation: PREPARATION,
    };
    for (const files of cases) addCase(histograms, (await loadRecorded(reading, files)).prepared);
    count += cases.length;
  }
  const tissues = TISSUES.map((tissue, t) => {
    const moments = histograms[t]!.map(momentsOf);
    const [mean, deviation] = (["mean", "deviation"] as const).map((of) => moments.map((one) => one[of]));
    return [tissue, { mean, deviation }];
  });
  const pairs = PAIRS.map(([first, second]) => {
    const [a, b] = [histograms[TISSUES.indexOf(first)]!, histograms[TISSUES.indexOf(second)]!];
    return [`${first}, ${second}`, MODALITIES.map((_, m) => areaBetween(a[m]!, b[m]!))];
  });
  return { cases: count, tissues: Object.fromEntries(tissues), pairs: Object.fromEntries(pairs) } as Likeness;
}

function addCase(histograms: readonly Float64Array[][], { images, label, size }: Case): void {
  const voxels = voxelCount(size);
  const inside = (at: number) => MODALITIES.some((_, m) => images[m * voxels + at] !== 0);
  for (const [t, of] of histograms.entries()) {
    const places: number[] = [];
    for (let at = 0; at < voxels; at++) if (label![at] === t && inside(at)) places.push(at);
    if (places.length < FEWEST) continue;
    for (const [m, histogram] of of.entries()) {
      for (const at of places) {
        const bin = Math.floor((images[m * voxels + at]! - LOWEST) / WIDTH);
        histogram[Math.min(BINS - 1, Math.max(0, bin))]! += 1 / places.length;
      }
    }
  }
}

function momentsOf(histogram: Float64Array): { mean: number; deviation: number } {
  let [weight, sum, squares] = [0, 0, 0];
  for (const [bin, share] of histogram.entries()) {
    const value = LOWEST + (bin + 0.5) * WIDTH;
    weight += share;
    sum += share * value;
    squares += share * value * value;
  }
  const mean = sum / weight;
  return { mean, deviation: Math.sqrt(squares / weight - mean * mean) };
}

/** Returns the probability that a voxel of the second tissue is brighter than one of the first. */
function areaBetween(first: Float64Array, second: Float64Array): number {
  let [below, area, total] = [0, 0, 0];
  for (let bin = 0; bin < BINS; bin++) {
    area += second[bin]! * (below + first[bin]! / 2);
    below += first[bin]!;
    total += second[bin]!;
  }
  return area / (below * total);
}

/** Returns the measures beside those of real scans as Markdown: "real / here" for each contrast. */
export function likenessTable(here: Likeness, real = REAL): string {
  const rows = [
    ["tissue or pair", ...MODALITIES],
    ["---", ...MODALITIES.map(() => "---")],
    ...Object.keys(real.tissues).map((name) => [
      name,
      ...MODALITIES.map((_, m) => {
        const [theirs, ours] = [real, here].map(({ tissues }) => {
          const { mean, deviation } = tissues[name]!;
          return `${mean[m]!.toFixed(2)} ± ${deviation[m]!.toFixed(2)}`;
        });
        return `${theirs} / ${ours}`;
      }),
    ]),
    ...Object.keys(real.pairs).map((name) => [
      name,
      ...MODALITIES.map(
        (_, m) => `${real.pairs[name]![m]!.toFixed(2)} / ${here.pairs[name]![m]!.toFixed(2)}`,
      ),
    ]),
  ];
  const head = `real (BraTS 2021, ${real.cases} cases at 2 mm) / here (${here.cases} cases)`;
  return [head, "", ...rows.map((row) => `| ${row.join(" | ")} |`)].join("\n");
}

if (isMain(import.meta.url)) {
  const program = new Command("likeness")
    .description("Compares the intensities of data sets with those of real scans.")
    .argument("<folders...>", "data sets with labels, of any layout")
    .option("--json", "print the measures alone");
  process.exitCode = await runCommand<{ json?: boolean }>(program, async ({ json }) => {
    const here = await likenessOf(program.args);
    console.log(json ? JSON.stringify(here) : likenessTable(here));
  });
}
