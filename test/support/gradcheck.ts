// Compares kernels with a float64 reference on the same float32 inputs. The reference is differentiated by
// central differences, where step 1e-4 is exact to about 1e-9; the GPU's results never are. Errors are
// relative:
// ||got - want|| / ||want||.

import * as assert from "uvu/assert";
import { Random } from "../../engine/autograd/random.ts";
import { vjp } from "../../engine/autograd/tape.ts";
import { type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import { openDevice } from "../../cli/device/gpu.ts";

export const device = await openDevice();

export interface Array64 {
  shape: readonly number[];
  data: Float64Array;
}

/** One configuration of one op. */
export interface OpCase<Names extends string = string> {
  /** The name of the op's function. */
  op: string;
  /** The special feature of this row. */
  name: string;
  /** The inputs that are differentiated. */
  inputs: Record<Names, Array64>;
  /** Inputs that are not: labels, a teacher's logits. */
  constants?: Record<string, Array64>;
  run: (tensors: Record<Names | string, Tensor>) => Tensor;
  reference: (arrays: Record<Names | string, Array64>) => Array64;
  /** The largest relative error; a larger one than the default needs a reason beside it. */
  tolerance?: number;
  /** The step of the central differences; smaller near a kink. */
  step?: number;
}

export const TOLERANCE = 5e-6;

/** Repeatable standard normal values, exact in float32. */
export function random(shape: readonly number[], { seed = 1, scale = 1, offset = 0 } = {}): Array64 {
  const generator = new Random(seed);
  const data = new Float64Array(shape.reduce((a, b) => a * b, 1));
  for (let i = 0; i < data.length; i++) data[i] = Math.fround(generator.normal() * scale + offset);
  return { shape, data };
}

/** Repeatable class labels 0 … classes-1, as [N, D, H, W]. */
export function randomLabels(shape: readonly number[], classes: number, seed = 7): Array64 {
  const generator = new Random(seed);
  return {
    shape,
    data: Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => generator.integer(classes)),
  };
}

/** Compares the value and all gradients of a case, with a random cotangent, with the reference. */
export async function check(c: OpCase, on = device): Promise<void> {
  const { inputs, constants = {}, tolerance = TOLERANCE } = c;
  const { value, cotangent, gradients } = expectedOf(c);
  const tensors = Object.fromEntries(
    Object.entries({ ...inputs, ...constants }).map(([k, { shape, data }]) => [k, tensor(on, shape, data)]),
  );
  const params = gradients.map(({ name }) => tensors[name]!);
  const { output, grads } = vjp(params, () => c.run(tensors), tensor(on, cotangent.shape, cotangent.data));
  assert.equal([...output.shape], [...value.shape], `${c.op}, ${c.name}: shape`);
  close(await output.read(), value.data, tolerance, "value");
  for (const [i, { name, picked, slopes }] of gradients.entries()) {
    const got = await grads[i]!.read();
    close(
      picked.map((j) => got[j]!),
      slopes,
      tolerance,
      `gradient of ${name}`,
    );
  }
}

/** The reference's results for a row. */
interface Expected {
  value: Array64;
  cotangent: Array64;
  /** The slopes of <value, cotangent> along the picked elements of each input. */
  gradients: { name: string; picked: number[]; slopes: number[] }[];
}

const known = new WeakMap<OpCase, Expected>(); // several devices check the same rows

function expectedOf(c: OpCase): Expected {
  const expected = known.get(c) ?? computeExpected(c);
  known.set(c, expected);
  return expected;
}

function computeExpected({ inputs, constants = {}, reference, step = 1e-4 }: OpCase): Expected {
  const arrays = { ...inputs, ...constants };
  const value = reference(arrays);
  const cotangent = random(value.shape, { seed: 99 });
  const gradients = Object.entries(inputs).map(([name, { data }]) => {
    const picked = pick(data.length);
    const slopes = picked.map((j) => {
      const middle = data[j]!;
      const at = (v: number) => {
        data[j] = v;
        return dot(reference(arrays).data, cotangent.data);
      };
      const slope = (at(middle + step) - at(middle - step)) / (2 * step);
      data[j] = middle;
      return slope;
    });
    return { name, picked, slopes };
  });
  return { value, cotangent, gradients };
}

/**
 * All indices below n; for a large n a few repeatable ones and the last: each costs two runs of the
 * reference.
 */
function pick(n: number): number[] {
  const indices = Array.from({ length: n }, (_, i) => i);
  const partials = Math.min(MOST_PARTIALS, Math.ceil(WORK / n));
  if (n <= partials) return indices;
  return [n - 1, ...new Random(n).shuffle(indices.slice(0, -1)).slice(0, partials - 1)];
}

const MOST_PARTIALS = 200;
const WORK = 2 ** 18; // elements that the reference visits for one gradient, or about twice as many

/** Fails unless ||actual - expected|| / ||expected|| <= tolerance. */
export function close(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  assert.is(actual.length, expected.length, `${what}: length`);
  const error = relativeError(actual, expected);
  if (!(error <= tolerance)) {
    const i = worst(actual, expected);
    assert.unreachable(
      `${what}: relative error ${error.toExponential(1)} > ${tolerance}; ` +
        `worst at [${i}]: ${actual[i]}, expected ${expected[i]}`,
    );
  }
}

/** ||actual - expected|| / ||expected||. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  return Math.sqrt(difference / Math.max(norm, 1e-24));
}

function worst(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let at = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    if (!(error <= Math.abs(actual[at]! - expected[at]!))) at = i;
  }
  return at;
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
