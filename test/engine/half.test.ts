// Half precision: the rows of every op that takes activations, with f16 activations, against the same op on
// float32 tensors of the same values. Arithmetic is float32 either way: only stored values are rounded.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { cast } from "../../engine/ops/cast.ts";
import { concat } from "../../engine/ops/concat.ts";
import { stack } from "../../engine/ops/stack.ts";
import { vjp } from "../../engine/autograd/tape.ts";
import { free, scope, type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import type { Precision } from "../../engine/gpu/operand.ts";
import { cases } from "../support/cases.ts";
import { close, device, type OpCase, random } from "../support/gradcheck.ts";

const TOLERANCE = 1e-3; // an f16 has 11 bits: rounding once is off by 3e-4 in the mean, at most by 5e-4
const LOOSE: Readonly<Record<string, number>> = { tanh: 5e-3 }; // near 1 its slope 1 - y² has few digits
const ROWS = 3; // of an op
const MOST = 20_000; // elements of a row

/** The names of inputs that may be f16. */
const ACTIVATIONS = [
  "x",
  "a",
  "b",
  "g",
  "skip",
  "style",
  "features",
  "student",
  "teacher",
  "part 0",
  "part 1",
  "part 2",
];

/** The ops that take such inputs. */
const OPS = [
  "conv3d",
  "convTranspose3d",
  "instanceNorm",
  "instanceNormRelu",
  "batchNorm",
  "batchNormRelu",
  "batchNormEval",
  "batchNormEvalRelu",
  "relu",
  "leakyRelu",
  "gelu",
  "sigmoid",
  "tanh",
  "add",
  "multiply",
  "leakyReluSlope",
  "concat",
  "maskChannels",
  "maxPool3d",
  "upsampleNearest",
  "upsampleTrilinear",
  "samples",
  "stack",
  "channelSum",
  "statisticsL2",
  "adain",
  "normaliseChannels",
  "globalAveragePool",
  "channelStatistics",
  "prototypes",
  "classMeans",
  "cosineMaps",
  "prototypeDistance",
  "featureDivergence",
  "channelRows",
];

const missing = device.gpu.features.has("shader-f16") ? null : "the adapter lacks shader-f16";
if (missing) console.log(`SKIPPED: half.test.ts: ${missing}`);
const halfTest: typeof test | typeof test.skip = missing ? test.skip : test;

for (const row of OPS.flatMap(rowsOf)) {
  halfTest(`${row.op}, ${row.name}: as f16`, async () => {
    const [half, wide] = [await outcome(row, "f16"), await outcome(row, "f32")];
    for (const [name, want] of Object.entries(wide))
      close(half[name]!, want, LOOSE[row.op] ?? TOLERANCE, name);
  });
}

test("every op tested in half precision has a row", () => {
  assert.equal(
    OPS.filter((op) => rowsOf(op).length === 0),
    [],
  );
});

halfTest("cast rounds to the nearest f16, an odd number of them too, and back without loss", async () => {
  const values = [1, 1 / 3, 2049, -65504, 2 ** -24, 0, 1e-9];
  const y = scope(() => cast(cast(tensor(device, [values.length], values), "f16"), "f32"));
  assert.equal([...(await y.read())], [1, 0.333251953125, 2048, -65504, 2 ** -24, 0, 0]);
});

halfTest("an f16 takes two bytes, and its gradient is one too", () => {
  const x = cast(tensor(device, [4], [1, 2, 3, 4]), "f16");
  assert.is(x.bytes, 8);
  const { grads } = vjp([x], () => cast(x, "f32"), tensor(device, [4], [1, 2, 3, 4]));
  assert.is(grads[0]!.precision, "f16");
});

halfTest("tensors of both precisions do not mix", () => {
  const x = tensor(device, [2, 2], [1, 2, 3, 4]);
  const half = cast(x, "f16");
  assert.throws(() => stack([x, half]), /^stack: expected parts of one precision, got f32 and f16$/);
  assert.throws(() => concat(x, half), /'b' is f16, others are f32: cast\(\) one of them/);
});

/** Value and gradients of a row in a precision, its activations rounded to f16 first. */
async function outcome(row: OpCase, precision: Precision): Promise<Record<string, Float32Array>> {
  const arrays = Object.entries({ ...row.inputs, ...row.constants });
  const given: Record<string, Tensor> = Object.fromEntries(
    arrays.map(([name, { shape, data }]) => [name, tensor(device, shape, data)]),
  );
  const run = (tensors: Readonly<Record<string, Tensor>>) => {
    const cut = (name: string, t: Tensor) =>
      ACTIVATIONS.includes(name) ? cast(cast(t, "f16"), precision) : t;
    const y = row.run(Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, cut(name, t)])));
    return cast(y, "f32");
  };
  const names = Object.keys(row.inputs);
  const { shape } = scope(() => run(given));
  const data = random(shape, { seed: 99 }).data.map((slope) => Math.round(64 * slope) / 64); // exact in f16
  const { output, grads } = vjp(
    names.map((name) => given[name]!),
    () => run(given),
    tensor(device, shape, data),
  );
  const results: Record<string, Float32Array> = { value: await output.read() };
  for (const [i, name] of names.entries()) results[`gradient of ${name}`] = await grads[i]!.read();
  [output, ...grads, ...Object.values(given)].forEach(free);
  return results;
}

function rowsOf(op: string): OpCase[] {
  const sizeOf = ({ inputs }: OpCase) => Math.max(...Object.values(inputs).map(({ data }) => data.length));
  return cases.filter((row) => row.op === op && sizeOf(row) <= MOST).slice(0, ROWS);
}

test.run();
