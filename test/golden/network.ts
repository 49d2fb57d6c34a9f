// The whole network against PyTorch: features, logits, gradient, and the losses of the first steps of
// training.
//
// A deep network's gradient is not a smooth function of its rounding. A unit within 1e-6 of zero may be on in
// one arithmetic and off in the other (ReLU's switch), and where all of a voxel's features are near zero the
// cosine's gradient grows as 1/‖f‖: either moves the gradient of all parameters by 1e-3, and Adam's division
// by √v carries that into the next steps' losses. Which draws meet such a voxel is luck, in PyTorch's float32
// as in ours. So beside the comparison with PyTorch there is one that does not depend on luck, with a float64
// network of our own (test/support/reference/vnet.ts):
//
//   1. float64 gives PyTorch's gradient, and its losses at each of three steps: so it is right;
//   2. each single operation of ours, at our own values, agrees with float64;
//   3. our gradient of all parameters, and each loss, agree with float64's at our own values, at each step;
//   4. the steps of our optimizer on our gradients agree with float64.
//
// Where 1 to 4 hold, and units that rounding switched have been found, a larger distance of gradient or
// losses from PyTorch is that of two roundings: it is reported, with the number of those units.

import { relativeError } from "../support/gradcheck.ts";
import type { Float64Vnet } from "../support/reference/vnet.ts";
import type { NetworkCase } from "./folder.ts";
import type { Measure } from "./operations.ts";
import { Adam64, float64, Float64Training, GpuTraining, lossesOf, type Step, weightsOf } from "./training.ts";

export interface NetworkMeasures {
  /** Held, always. */
  measures: Measure[];
  /** Distances from PyTorch that rounding may enlarge: held unless such rounding has been found. */
  fragile: Measure[];
  /** Units that ReLU switches otherwise than float64 does, and voxels whose features are nearly zero. */
  causes: { switched: number; vanishing: number; units: number };
  /** The largest distance of a loss from PyTorch, step by step after the third: ours, its float32's. */
  later: { step: number; error: number; float32: number }[];
}

/** Steps of training that are held; later ones are reported. */
const STEPS = 3;

export function holds({ measures, fragile, causes }: NetworkMeasures): boolean {
  const within = ({ error, allowed }: Measure) => error <= allowed;
  return measures.every(within) && (fragile.every(within) || causes.switched + causes.vanishing > 0);
}

/** Trains a golden network for `steps` steps, at least three. */
export async function measureNetwork(golden: NetworkCase, steps = STEPS): Promise<NetworkMeasures> {
  const gpu = new GpuTraining(golden);
  const truth = new Float64Training(golden);
  const result: NetworkMeasures = {
    measures: await measureForward(golden, gpu),
    fragile: [],
    causes: { switched: 0, vanishing: 0, units: 0 },
    later: [],
  };
  const { measures, fragile } = result;
  const start = float64(weightsOf(golden, "student"));
  const replayed = float64(weightsOf(golden, "student"));
  const adam = new Adam64(replayed, golden);
  for (let step = 1; step <= Math.max(steps, STEPS); step++) {
    const expected = golden.history[step - 1];
    if (!expected) throw new Error(`golden: ${golden.norm} norm has no losses of step ${step}`);
    const distances = (made: Step) =>
      lossesOf(made).map(([name, value]) => [name, Math.abs(value / expected[name] - 1)] as const);
    if (step > STEPS) {
      const error = Math.max(...distances(await gpu.step()).map(([, distance]) => distance));
      const float32 = Math.max(...Object.values(golden.float32.history[step - 1]!));
      result.later.push({ step, error, float32 });
      continue;
    }

    const params = float64(await gpu.student.read());
    const own = truth.at(params, await gpu.teacherOutput(), await gpu.operations());
    const exact = truth.forward(params);
    const ours = await gpu.step();
    const theirs = truth.step();

    measures.push({ what: `single operations, step ${step}`, error: own.pass.worstError, allowed: 1e-6 });
    const losses = Math.max(...lossesOf(ours).map(([name, value]) => Math.abs(value / own.losses[name] - 1)));
    measures.push({ what: `losses at our own values, step ${step}`, error: losses, allowed: 5e-6 });
    const gradient = relativeError(flat(ours, gpu.names), flat(own, gpu.names));
    measures.push({ what: `gradient at our own values, step ${step}`, error: gradient, allowed: 3e-5 });
    const apart = Math.max(...distances(theirs).map(([, distance]) => distance));
    measures.push({ what: `float64's losses from PyTorch's, step ${step}`, error: apart, allowed: 1e-6 });

    if (step === 1) {
      const want = gpu.names.flatMap((name) => [...golden.tensors[`${golden.norm}.grad.${name}`]!.data]);
      const far = (made: Step) => relativeError(flat(made, gpu.names, golden.every), want.map(Number));
      measures.push({ what: "float64's gradient from PyTorch's", error: far(theirs), allowed: 1e-6 });
      fragile.push({ what: "gradient", error: far(ours), allowed: 3e-4 });
    }
    for (const [name, distance] of distances(ours)) {
      const drift = Math.max(...golden.float32.history.slice(0, STEPS).map((h) => h[name]));
      const allowed = Math.max(5e-6, 10 * drift);
      fragile.push({ what: `${name} of step ${step}`, error: distance, allowed });
    }
    count(result.causes, own.pass, exact);
    adam.step(ours.gradient);
    if (step < STEPS) continue;
    const moved = (values: Record<string, ArrayLike<number>>) =>
      gpu.names.flatMap((name) => Array.from(values[name]!, (v, i) => v - start[name]![i]!));
    measures.push({
      what: "what three steps of Adam did",
      error: relativeError(moved(float64(await gpu.student.read())), moved(replayed)),
      allowed: 2e-4, // differences of float32 values near 1
    });
  }
  return result;
}

async function measureForward(golden: NetworkCase, gpu: GpuTraining): Promise<Measure[]> {
  const [teacher, student] = [await gpu.teacherOutput(), await gpu.output()];
  const measure = (what: string, got: Float32Array, name: string): Measure => {
    const want = golden.tensors[`${golden.norm}.${name}`]!.data;
    return { what, error: relativeError(sample(got, golden.every), Array.from(want, Number)), allowed: 2e-5 };
  };
  return [
    measure("teacher's logits", teacher.logits, "teacher_logits"),
    measure("features", student.features, "student_features"),
    measure("logits", student.logits, "student_logits"),
  ];
}

/** A gradient as one vector; of each parameter every so many values. */
function flat({ gradient }: Step, names: readonly string[], every = 1): number[] {
  return names.flatMap((name) => sample(gradient[name]!, every));
}

function sample(values: ArrayLike<number>, every: number): number[] {
  return Array.from({ length: Math.ceil(values.length / every) }, (_, i) => values[i * every]!);
}

/** Where our rounding decides: `own` has our values, `exact` float64's at the same parameters. */
function count(causes: NetworkMeasures["causes"], own: Float64Vnet, exact: Float64Vnet): void {
  for (const [i, values] of own.activations.entries()) {
    const other = exact.activations[i]!;
    causes.units += values.length;
    values.forEach((value, j) => (causes.switched += value > 0 === other[j]! > 0 ? 0 : 1));
  }
  const [a, b] = [lengths(own), lengths(exact)];
  const usual = Math.sqrt(b.reduce((sum, length) => sum + length ** 2, 0) / b.length);
  b.forEach((length, v) => {
    const near = length < 1e-3 * usual && Math.abs(a[v]! - length) > 1e-3 * length;
    causes.vanishing += near ? 1 : 0;
  });
}

/** ‖f‖ of every voxel. */
function lengths({ features: { shape, data } }: Float64Vnet): Float64Array {
  const [N, F, ...size] = shape as [number, number, ...number[]];
  const voxels = size.reduce((a, b) => a * b, 1);
  const squares = new Float64Array(N * voxels);
  data.forEach((value, i) => {
    const n = Math.floor(i / (F * voxels));
    squares[n * voxels + (i % voxels)]! += value ** 2;
  });
  return squares.map(Math.sqrt);
}
