// Chooses the kernels of each family by trying its candidates on the device. A candidate that does not run,
// or disagrees with the plain kernel on small volumes, is dropped. The fastest of the others wins, for each
// class of calls (classes.ts). This takes some seconds, much of it to compile, so callers keep the choice.

import type { Device } from "../gpu/device.ts";
import { GpuError } from "../gpu/errors.ts";
import type { Vec3 } from "../gpu/grid.ts";
import { Random } from "../autograd/random.ts";
import { free, scope, type Tensor, tensor } from "../autograd/tensor.ts";
import { className, SHAPES, type Sum, type Tuned } from "./classes.ts";
import { gather, pair, scatter } from "./convolution.ts";
import { FAMILIES, type Family, FAMILY_NAMES, sumsOf } from "./families.ts";
import type { Choice } from "./row.ts";
import { milliseconds, type Timer } from "./stopwatch.ts";
import { candidates, defaultTuning, plainTuning, type Tuning } from "./tuning.ts";

/** A sum, and operands to try kernels on: large [1,C,...largeSize], small [1,C,...], weight [C,C,K,K,K]. */
interface Trial {
  sum: Sum;
  large: Tensor;
  small: Tensor;
  weight: Tensor;
  largeSize: Vec3;
  smallSize: Vec3;
}

const CHECKED = [
  { channels: 9, size: [4, 6, 10] }, // not a multiple of any tile
  { channels: 9, size: [2, 6, 12] }, // rows of whole quads of voxels
  { channels: 9, size: [6, 4, 4] }, // planes of at most 4x4
] as const;

const TOLERANCE = 1e-5; // float32 rounds sums of a thousand terms so much differently in another order
const WORTH = 0.97; // of the default's time: a smaller gain may be chance
const PERIOD = 4099; // operands repeat so many random values: drawing all of them takes longer than a trial

/** Returns the fastest kernels that agree with the plain ones. It leaves `device.tuning` as it is. */
export async function tune(device: Device, timer: Timer = milliseconds(device)): Promise<Tuning> {
  const before = device.tuning;
  const chosen: Record<Family, Tuned> = { ...defaultTuning(device) };
  try {
    for (const family of FAMILY_NAMES) chosen[family] = await fastest(device, family, timer);
  } finally {
    device.tuning = before;
  }
  return chosen;
}

/** The fastest right candidate for each class of a family's calls: one for all, if it is the same. */
async function fastest(device: Device, family: Family, timer: Timer): Promise<Tuned> {
  const right = await rightOnes(device, family);
  const classes: Record<string, Choice> = {};
  for (const sum of sumsOf(family)) {
    for (const shape of SHAPES) {
      const trial = trialOf(device, family, sum, shape.typical);
      classes[className(sum, shape)] = await fastestOn(device, family, trial, right, timer);
      [trial.large, trial.small, trial.weight].forEach(free);
      device.trim();
    }
  }
  const [first, ...others] = Object.values(classes);
  return others.every((choice) => choice === first) ? first! : classes;
}

/** The fastest of some candidates on one trial; the first, unless another is faster by more than chance. */
async function fastestOn(
  device: Device,
  family: Family,
  trial: Trial,
  all: readonly Choice[],
  timer: Timer,
): Promise<Choice> {
  let best = all[0]!;
  let least = Infinity;
  for (const candidate of all) {
    select(device, family, candidate);
    const time = await timer(() => void run(family, trial), least).catch(ignored);
    if (time === null || time >= least) continue;
    least = candidate === all[0] ? WORTH * time : time;
    best = candidate;
  }
  return best;
}

/** The candidates of a family that run here and agree with the plain kernel, the default first. */
async function rightOnes(device: Device, family: Family): Promise<Choice[]> {
  const trials = CHECKED.flatMap((shape) => sumsOf(family).map((sum) => trialOf(device, family, sum, shape)));
  const right: Choice[] = [];
  try {
    select(device, family, plainTuning(device)[family]);
    const expected = await values(family, trials);
    for (const candidate of candidates(device)[family]) {
      select(device, family, candidate);
      const got = await values(family, trials).catch(ignored);
      if (got && agree(got, expected)) right.push(candidate);
    }
  } finally {
    for (const { large, small, weight } of trials) [large, small, weight].forEach(free);
  }
  return right;
}

/** Sets the kernel of one family, and the default of all others. */
function select(device: Device, family: Family, choice: Choice): void {
  device.tuning = { ...defaultTuning(device), [family]: choice };
}

/** Null for a kernel that does not run; throws what ends the device, and all other errors. */
function ignored(error: unknown): null {
  if (error instanceof GpuError && error.kind !== "lost") return null;
  throw error;
}

/** Operands for a sum of so many channels, with a large grid of this size. */
function trialOf(
  device: Device,
  family: Family,
  sum: Sum,
  { channels, size }: { channels: number; size: Vec3 },
): Trial {
  const { kernel, stride, padding } = FAMILIES[family].geometry;
  const smallSize = size.map((edge) => (edge + 2 * padding - kernel) / stride + 1) as unknown as Vec3;
  const random = new Random(1);
  const drawn = Float32Array.from({ length: PERIOD }, () => random.normal());
  const draw = (...shape: number[]) => {
    const elements = shape.reduce((a, b) => a * b, 1);
    return tensor(
      device,
      shape,
      Float32Array.from({ length: elements }, (_, i) => drawn[i % PERIOD]!),
    );
  };
  return {
    sum,
    large: draw(1, channels, ...size),
    small: draw(1, channels, ...smallSize),
    weight: draw(channels, channels, kernel, kernel, kernel),
    largeSize: size,
    smallSize,
  };
}

function run(family: Family, { sum, large, small, weight, largeSize, smallSize }: Trial): Tensor {
  const { geometry } = FAMILIES[family];
  if (sum === "gather") return gather(large, weight, null, smallSize, geometry);
  if (sum === "scatter") return scatter(small, weight, null, largeSize, geometry);
  return pair(small, large, geometry);
}

async function values(family: Family, on: readonly Trial[]): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const trial of on) {
    const result = scope(() => run(family, trial));
    all.push(await result.read());
    free(result);
  }
  return all;
}

function agree(got: readonly Float32Array[], expected: readonly Float32Array[]): boolean {
  return got.every((result, i) => {
    const difference = length(result.map((value, j) => value - expected[i]![j]!));
    return difference <= TOLERANCE * length(expected[i]!);
  });
}

/** The Euclidean length. */
function length(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
