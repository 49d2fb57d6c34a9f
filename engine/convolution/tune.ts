// Chooses the kernel of each family by trying its candidates on the device. A candidate that does not run, or
// disagrees with the plain kernel on small volumes, is dropped. The fastest of the others wins. This takes
// some seconds, mostly to compile, so callers keep the choice.

import type { Device } from "../gpu/device.ts";
import { GpuError } from "../gpu/errors.ts";
import type { Vec3 } from "../gpu/grid.ts";
import { Random } from "../autograd/random.ts";
import { free, scope, type Tensor, tensor } from "../autograd/tensor.ts";
import { gather, pair, scatter } from "./convolution.ts";
import { FAMILIES, type Family, FAMILY_NAMES } from "./families.ts";
import type { Choice } from "./row.ts";
import { candidates, defaultTuning, plainTuning, type Tuning } from "./tuning.ts";

/** Operands to try kernels on: x [1,C,...size], y [1,C,...outSize], weight [C,C,K,K,K]. */
interface Trial {
  x: Tensor;
  y: Tensor;
  weight: Tensor;
  size: Vec3;
  outSize: Vec3;
}

const CHECKED = [
  { channels: 9, size: [4, 6, 10] }, // not a multiple of any tile
  { channels: 9, size: [2, 6, 12] }, // rows of whole quads of voxels
  { channels: 9, size: [6, 4, 4] }, // planes of at most 4x4
] as const;
const TIMED = [
  { channels: 16, size: [16, 32, 32] }, // a network spends most time on such volumes
  { channels: 64, size: [6, 8, 8] }, // few voxels, which hardly fill a GPU
] as const;

const TOLERANCE = 1e-5; // float32 rounds sums of a thousand terms so much differently in another order
const WORTH = 0.97; // of the default's time: a smaller gain may be chance
const SAMPLE_MS = 10;
const SAMPLES = 3;
const MOST_CALLS = 200;

/** Measures how long a call takes. Tests replace it. */
export type Timer = (device: Device, run: () => void) => Promise<number>;

/** Returns the fastest kernels that agree with the plain ones. It leaves `device.tuning` as it is. */
export async function tune(device: Device, timer: Timer = milliseconds): Promise<Tuning> {
  const before = device.tuning;
  const chosen: Record<Family, Choice> = { ...defaultTuning(device) };
  try {
    for (const family of FAMILY_NAMES) chosen[family] = await fastest(device, family, timer);
  } finally {
    device.tuning = before;
  }
  return chosen;
}

/** The fastest right candidate of a family, while all other families run their defaults. */
async function fastest(device: Device, family: Family, timer: Timer): Promise<Choice> {
  const all = candidates(device)[family];
  let best = all[0]!;
  let least = Infinity;
  const select = (choice: Choice) => {
    device.tuning = { ...defaultTuning(device), [family]: choice };
  };
  const small = CHECKED.map((shape) => trial(device, shape, family));
  const large = TIMED.map((shape) => trial(device, shape, family));
  try {
    select(plainTuning(device)[family]);
    const expected = await values(family, small);
    for (const candidate of all) {
      select(candidate);
      try {
        if (!agree(await values(family, small), expected)) continue;
        let time = 0;
        for (const shape of large) time += await timer(device, () => void run(family, shape));
        if (time >= least) continue;
        least = candidate === all[0] ? WORTH * time : time;
        best = candidate;
      } catch (error) {
        if (!(error instanceof GpuError) || error.kind === "lost") throw error;
      }
    }
  } finally {
    for (const { x, y, weight } of [...small, ...large]) [x, y, weight].forEach(free);
  }
  return best;
}

function trial(device: Device, shape: { channels: number; size: Vec3 }, family: Family): Trial {
  const { channels, size } = shape;
  const { kernel, stride, padding } = FAMILIES[family].geometry;
  const outSize = size.map((edge) => (edge + 2 * padding - kernel) / stride + 1) as unknown as Vec3;
  const random = new Random(1);
  const draw = (...shape: number[]) => {
    const elements = shape.reduce((a, b) => a * b, 1);
    return tensor(
      device,
      shape,
      Float32Array.from({ length: elements }, () => random.normal()),
    );
  };
  return {
    x: draw(1, channels, ...size),
    y: draw(1, channels, ...outSize),
    weight: draw(channels, channels, kernel, kernel, kernel),
    size,
    outSize,
  };
}

/** Runs each kernel of a family once. */
function run(family: Family, { x, y, weight, size, outSize }: Trial): Readonly<Record<string, Tensor>> {
  const { geometry, tables } = FAMILIES[family];
  const results: Record<string, Tensor> = {};
  if (tables.gather) results["small"] = gather(x, weight, null, outSize, geometry);
  if (tables.scatter && tables.scatter !== tables.gather)
    results["large"] = scatter(y, weight, null, size, geometry);
  if (tables.pair) results["weight"] = pair(y, x, geometry);
  return results;
}

async function values(family: Family, on: readonly Trial[]): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const trial of on) {
    const tensors = Object.values(scope(() => run(family, trial)));
    for (const result of tensors) all.push(await result.read());
    tensors.forEach(free);
  }
  return all;
}

function agree(got: readonly Float32Array[], expected: readonly Float32Array[]): boolean {
  return got.every((result, i) => {
    const difference = Math.hypot(...result.map((value, j) => value - expected[i]![j]!));
    return difference <= TOLERANCE * Math.hypot(...expected[i]!);
  });
}

/** Milliseconds of one call by wall clock, in the shortest of some samples of many calls each. */
async function milliseconds(device: Device, run: () => void): Promise<number> {
  const sample = async (calls: number) => {
    await device.gpu.queue.onSubmittedWorkDone();
    const started = performance.now();
    for (let i = 0; i < calls; i++) scope(run);
    device.flush();
    await device.gpu.queue.onSubmittedWorkDone();
    device.check();
    return (performance.now() - started) / calls;
  };
  await sample(1); // compiles
  const calls = Math.ceil(Math.min(MOST_CALLS, SAMPLE_MS / Math.max(await sample(1), 1e-3)));
  let least = Infinity;
  for (let i = 0; i < SAMPLES; i++) least = Math.min(least, await sample(calls));
  return least;
}
