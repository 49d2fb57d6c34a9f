// Chooses among the kernels of each kind of convolution by trying them on the device. A candidate that disagrees with
// the plain kernel on a small volume, or does not run, is out; of the others the one that takes the least time wins.
// Some seconds, most of which is compiling: a choice is worth keeping.

import { gather, type Geometry, pair, scatter } from "./convolution.ts";
import type { Device } from "../gpu/device.ts";
import { GpuError } from "../gpu/errors.ts";
import { Random } from "../autograd/random.ts";
import type { Vec3 } from "../gpu/grid.ts";
import { free, scope, type Tensor, tensor } from "../autograd/tensor.ts";
import { candidates, defaultTuning, PLAIN, type Tuning } from "./tuning.ts";

/** What a family's candidates are tried on. */
interface Trial {
  x: Tensor;
  y: Tensor;
  weight: Tensor;
  size: Vec3;
}
type Run = (trial: Trial) => Readonly<Record<string, Tensor>>;

const SAME: Geometry = { kernel: 3, stride: 1, padding: 1 };
const HALVING: Geometry = { kernel: 2, stride: 2, padding: 0 };

const FAMILIES: Readonly<Record<keyof Tuning, { kernel: number; run: Run }>> = {
  forward: {
    kernel: 3,
    run: ({ x, weight, size }) => ({ y: gather(x, weight, null, size, SAME) }),
  },
  weightGradient: { kernel: 3, run: ({ x, y }) => ({ dweight: pair(y, x, SAME) }) },
  halving: {
    kernel: 2,
    run: ({ x, weight, size }) => {
      const half = size.map((edge) => edge / 2) as unknown as Vec3;
      const small = gather(x, weight, null, half, HALVING);
      return { small, large: scatter(small, weight, null, size, HALVING), dweight: pair(small, x, HALVING) };
    },
  },
};

const CHECKED = { channels: 9, size: [4, 6, 10] } as const; // no multiple of any tile
const TIMED = [
  { channels: 16, size: [16, 32, 32] }, // where a network spends its time
  { channels: 64, size: [6, 8, 8] }, // and where few voxels make it hard to fill a GPU
] as const;

const TOLERANCE = 1e-5; // float32's rounding of sums of a thousand terms, in another order
const WORTH = 0.97; // of the default's time: what is less of a gain is left to chance
const SAMPLE_MS = 10;
const SAMPLES = 3;
const MOST_CALLS = 200;

/** How long a call takes; replaced where a test says how long. */
export type Timer = (device: Device, run: () => void) => Promise<number>;

/** The fastest kernels that compute what the plain ones do. What `device.tuning` says stays. */
export async function tune(device: Device, timer: Timer = milliseconds): Promise<Tuning> {
  const before = device.tuning;
  const chosen = defaultTuning(device.lanes);
  try {
    for (const family of Object.keys(FAMILIES) as (keyof Tuning)[]) {
      await choose(device, chosen, family, timer);
    }
  } finally {
    device.tuning = before;
  }
  return chosen;
}

/** Replaces chosen[family] where another candidate is better. */
async function choose<Family extends keyof Tuning>(
  device: Device,
  chosen: Tuning,
  family: Family,
  timer: Timer,
): Promise<void> {
  const all = candidates(device.lanes)[family];
  const { kernel, run } = FAMILIES[family];
  const select = (candidate: Tuning[Family]) => {
    device.tuning = { ...defaultTuning(device.lanes), [family]: candidate };
  };
  const small = trial(device, CHECKED, kernel);
  const large = TIMED.map((shape) => trial(device, shape, kernel));
  try {
    select(PLAIN[family] as Tuning[Family]);
    const expected = await values(run, small);
    let least = Infinity;
    for (const candidate of all) {
      select(candidate);
      try {
        if (!agree(await values(run, small), expected)) continue;
        let time = 0;
        for (const shape of large) time += await timer(device, () => void run(shape));
        if (time >= least) continue;
        least = candidate === all[0] ? WORTH * time : time;
        chosen[family] = candidate;
      } catch (error) {
        if (!(error instanceof GpuError) || error.kind === "lost") throw error;
      }
    }
  } finally {
    for (const { x, y, weight } of [small, ...large]) [x, y, weight].forEach(free);
  }
}

function trial(device: Device, { channels, size }: { channels: number; size: Vec3 }, kernel: number): Trial {
  const random = new Random(1);
  const draw = (shape: number[]) => {
    const elements = shape.reduce((a, b) => a * b, 1);
    return tensor(
      device,
      shape,
      Float32Array.from({ length: elements }, () => random.normal()),
    );
  };
  const volume = [1, channels, ...size];
  return {
    x: draw(volume),
    y: draw(volume),
    weight: draw([channels, channels, kernel, kernel, kernel]),
    size,
  };
}

async function values(run: Run, on: Trial): Promise<Float32Array[]> {
  const tensors = Object.values(scope(() => run(on)));
  const all: Float32Array[] = [];
  for (const result of tensors) all.push(await result.read());
  tensors.forEach(free);
  return all;
}

function agree(got: readonly Float32Array[], expected: readonly Float32Array[]): boolean {
  return got.every((result, i) => {
    const difference = Math.hypot(...result.map((value, j) => value - expected[i]![j]!));
    return difference <= TOLERANCE * Math.hypot(...expected[i]!);
  });
}

/** Of one call, by the clock on the wall: the least of some samples, each of as many calls as take a while. */
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
