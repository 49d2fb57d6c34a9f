// The signals of version 2's tissues, in units of white matter, in the order t1, t2, t1ce, flair. They are
// chosen so that the histograms of the finished images come near those of real scans: BraTS 2021, 21 cases at
// 2 mm. bench/likeness.ts holds what was measured there, and compares.

import type { Random } from "../../engine/autograd/random.ts";
import { bell } from "./draw.ts";

/** The mean over cases, the deviation between cases, and the deviation within a case (texture). */
type Spread = { mean: number[]; between: number[]; within: number[] };

const FLUID = { mean: [0.5, 2.9, 0.5, 0.48], between: [0.1, 0.6, 0.1, 0.17] };
const GREY = { mean: [0.8, 1.4, 0.84, 1.12], between: [0.06, 0.14, 0.06, 0.06] };
const OEDEMA: Spread = {
  mean: [0.82, 1.72, 0.74, 1.62],
  between: [0.06, 0.17, 0.08, 0.18],
  within: [0.055, 0.15, 0.065, 0.12],
};
const NECROSIS: Spread = {
  mean: [0.71, 2.08, 0.69, 1.52],
  between: [0.14, 0.42, 0.14, 0.33],
  within: [0.05, 0.16, 0.09, 0.1],
};
const RIM: Spread = {
  mean: [0.79, 1.67, 1.62, 1.4],
  between: [0.1, 0.22, 0.18, 0.26],
  within: [0.05, 0.14, 0.2, 0.11],
};
const LESION = [-0.1, 0.6, -0.08, 0.45]; // added to white matter
const VESSEL = [0.05, -0.2, 1.1, -0.1]; // added to anything

/** One tissue of a case: its signal and the deviation of its texture, for t1, t2, t1ce, flair. */
export type Tone = { signal: number[]; texture: number[] };

/** The tissues of a case; white matter's signal is 1. */
export type Signals = {
  fluid: number[];
  grey: number[];
  oedema: Tone;
  necrosis: Tone;
  rim: Tone;
  lesion: number[];
  vessel: number[];
};

/** Draws the signals of a case. T1 and T1ce go together, and T2 and FLAIR, as they do in patients. */
export function drawSignals(random: Random): Signals {
  const fluid = varied(random, FLUID.mean, FLUID.between);
  const grey = varied(random, GREY.mean, GREY.between);
  return {
    fluid,
    grey,
    oedema: toneOf(random, OEDEMA),
    necrosis: toneOf(random, NECROSIS),
    rim: toneOf(random, RIM),
    lesion: LESION,
    vessel: VESSEL,
  };
}

function toneOf(random: Random, { mean, between, within }: Spread): Tone {
  return { signal: varied(random, mean, between), texture: within };
}

// Draws one value per contrast. T1 and T1ce, and T2 and FLAIR, correlate by 0.55 (measured: 0.45 to 0.72).
function varied(random: Random, mean: number[], deviation: number[]): number[] {
  const pairs = [bell(random), bell(random)];
  return mean.map((value, m) => value + deviation[m]! * (0.74 * pairs[m % 2]! + 0.67 * bell(random)));
}
