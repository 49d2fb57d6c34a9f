// Tests of the norms that the rows of cases cannot make: many chunks, running statistics, given moments,
// errors.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { batchNorm, batchNormEval, batchNormEvalRelu, batchNormRelu } from "../../engine/ops/batchNorm.ts";
import { instanceNorm, instanceNormRelu } from "../../engine/ops/instanceNorm.ts";
import { add } from "../../engine/ops/add.ts";
import { fill } from "../../engine/ops/fill.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { record, vjp } from "../../engine/autograd/tape.ts";
import { free, type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import { type Array64, close, device, random, TOLERANCE } from "../support/gradcheck.ts";
import * as reference from "../support/reference/norms.ts";

const upload = ({ shape, data }: Array64) => tensor(device, shape, data);
const vector = (...values: number[]): Array64 => ({
  shape: [values.length],
  data: Float64Array.from(values),
});
const running = () => ({ mean: upload(vector(0, 0)), variance: upload(vector(1, 1)) });

const weight = vector(2, -1);
const bias = vector(0.5, 3);

for (const { op, run, expected } of [
  { op: "instanceNorm", run: instanceNorm, expected: reference.instanceNorm },
  {
    op: "batchNorm",
    run: (x: Tensor, w: Tensor, b: Tensor) => batchNorm(x, w, b, running()),
    expected: reference.batchNorm,
  },
]) {
  test(`${op} merges several chunks of a row whose mean is 1000 standard deviations`, async () => {
    const shape = [2, 2, 20, 21, 22]; // 9,240 voxels: two chunks, the second a short one
    const x = random(shape, { offset: 1000 });
    const dy = random(shape, { seed: 9 });
    const [tx, tw, tb] = [x, weight, bias].map(upload) as [Tensor, Tensor, Tensor];
    const { output, grads } = vjp([tx, tw, tb], () => run(tx, tw, tb), upload(dy));
    close(await output.read(), expected(x, weight, bias).data, TOLERANCE, "value");

    const slope = (data: Float64Array, i: number, step = 1e-4) => {
      const value = data[i]!;
      const at = (v: number) => {
        data[i] = v;
        return expected(x, weight, bias).data.reduce((sum, y, j) => sum + y * dy.data[j]!, 0);
      };
      const difference = at(value + step) - at(value - step);
      data[i] = value;
      return difference / (2 * step);
    };
    const dx = await grads[0]!.read();
    const places = [0, 1, 1023, 1024, 8191, 8192, 9239, 9240, 18479, 18480, 27720, 36959];
    const got = places.map((i) => dx[i]!);
    const want = places.map((i) => slope(x.data, i));
    close(got, want, TOLERANCE, "gradient of x at the ends of rows and chunks");
    const sums = [weight, bias].map(({ data }) => [slope(data, 0), slope(data, 1)]);
    close(await grads[1]!.read(), sums[0]!, TOLERANCE, "gradient of weight");
    close(await grads[2]!.read(), sums[1]!, TOLERANCE, "gradient of bias");
  });
}

test("batchNorm of a channel with NaN or Infinity leaves its running statistics unchanged", async () => {
  for (const bad of [NaN, Infinity]) {
    const x = tensor(device, [2, 2, 1, 1, 2], [1, bad, 3, 4, 5, 6, 7, 9]);
    const statistics = running();
    batchNorm(x, upload(vector(1, 1)), upload(vector(0, 0)), statistics);
    const [mean, variance] = [await statistics.mean.read(), await statistics.variance.read()];
    assert.equal([mean[0], variance[0]], [0, 1]);
    assert.ok(mean[1]! > 0.1 && variance[1]! > 1, "those of the other channel move");
  }
});

test("batchNorm moves the running statistics, and batchNormEval uses them", async () => {
  const x = random([3, 2, 2, 3, 5], { scale: 2, offset: 5 });
  const statistics = running();
  const mean = [0, 0];
  const variance = [1, 1];
  for (let step = 0; step < 2; step++) {
    batchNorm(upload(x), upload(weight), upload(bias), statistics);
    for (const [c, batch] of reference.batchMoments(x).entries()) {
      mean[c] = 0.9 * mean[c]! + 0.1 * batch.mean;
      variance[c] = 0.9 * variance[c]! + (0.1 * batch.variance * 90) / 89;
    }
  }
  close(await statistics.mean.read(), mean, TOLERANCE, "running mean");
  close(await statistics.variance.read(), variance, TOLERANCE, "running variance");
  const y = batchNormEval(upload(x), upload(weight), upload(bias), statistics);
  const expected = reference.batchNormEval(x, weight, bias, vector(...mean), vector(...variance));
  close(await y.read(), expected.data, TOLERANCE, "evaluation");
});

test("the gradients of a norm repeat bit for bit, and no bytes are left", async () => {
  const x = upload(random([2, 2, 20, 21, 22]));
  const [w, b] = [weight, bias].map(upload) as [Tensor, Tensor];
  const before = device.bytes;
  const runs: number[][] = [];
  for (let i = 0; i < 2; i++) {
    const { output, grads } = vjp([x, w, b], () => instanceNorm(x, w, b), x);
    const read = await Promise.all([output, ...grads].map((t) => t.read()));
    runs.push(read.flatMap((values) => [...values]));
    [output, ...grads].forEach(free);
  }
  assert.equal(runs[0], runs[1]);
  assert.is(device.bytes, before);
});

test("statistics are merged from given moments, of any chunks and shifts", async () => {
  const values = random([2, 2, 1, 5, 7], { offset: 100 });
  const x = upload(values);
  // Chunks of 0, 20, 0 and 15 voxels. Only the count of an empty chunk may matter.
  const chunks = [0, 1, 2, 3].flatMap((row) =>
    [
      { from: 0, to: 0, shift: 3e38 },
      { from: 0, to: 20, shift: 99 },
      { from: 20, to: 20, shift: NaN },
      { from: 20, to: 35, shift: 102 },
    ].flatMap(({ from, to, shift }) => {
      const part = values.data.subarray(35 * row + from, 35 * row + to);
      if (part.length === 0) return [0, shift, NaN, NaN];
      const mean = part.reduce((sum, value) => sum + (value - shift) / part.length, 0);
      return [part.length, shift, mean, part.reduce((sum, value) => sum + (value - shift - mean) ** 2, 0)];
    }),
  );
  const moments = tensor(device, [2, 2, 4, 4], chunks);
  const [w, b] = [weight, bias].map(upload) as [Tensor, Tensor];
  const calls = device.dispatches;
  const y = instanceNorm(x, w, b, { moments });
  assert.is(device.dispatches - calls, 2);
  close(await y.read(), reference.instanceNorm(values, weight, bias).data, TOLERANCE, "value");
  const together = batchNorm(x, w, b, running(), { moments });
  close(await together.read(), reference.batchNorm(values, weight, bias).data, TOLERANCE, "batch norm");

  const rectified = reference.instanceNorm(values, weight, bias).data.map((value) => Math.max(value, 0));
  close(await instanceNormRelu(x, w, b, { moments }).read(), rectified, TOLERANCE, "with a ReLU");
  const inBatch = reference.batchNorm(values, weight, bias).data.map((value) => Math.max(value, 0));
  close(
    await batchNormRelu(x, w, b, running(), { moments }).read(),
    inBatch,
    TOLERANCE,
    "batch, with a ReLU",
  );

  moments.write(new Float32Array(64).fill(1));
  const wrong = await instanceNorm(x, w, b, { moments }).read();
  assert.ok(
    wrong.some((value, i) => Math.abs(value - reference.instanceNorm(values, weight, bias).data[i]!) > 1),
  );
  free(moments);
  assert.throws(() => instanceNorm(x, w, b, { moments }), /was freed/);
  close(await instanceNorm(x, w, b).read(), await y.read(), TOLERANCE, "without moments");
});

test("moments of another tensor's shape are refused", () => {
  const x = upload(random([2, 2, 1, 1, 3]));
  const [w, b] = [weight, bias].map(upload) as [Tensor, Tensor];
  for (const shape of [
    [1, 2, 4, 4],
    [2, 3, 4, 4],
    [2, 2, 4, 3],
    [2, 2, 4],
    [2, 2, 4, 4, 1],
  ]) {
    const options = { moments: upload(random(shape)) };
    const message = new RegExp(`: expected moments \\[2,2,chunks,4\\], got \\[${shape}\\]$`);
    assert.throws(() => instanceNorm(x, w, b, options), message);
    assert.throws(() => instanceNormRelu(x, w, b, options), message);
    assert.throws(() => batchNorm(x, w, b, running(), options), message);
    assert.throws(() => batchNormRelu(x, w, b, running(), options), message);
  }
});

interface Fused {
  run: (x: Tensor, w: Tensor, b: Tensor, averages: ReturnType<typeof running>, skip: Tensor) => Tensor;
  calls: number;
  groups: number;
}
const fused: Record<string, Fused> = {
  instanceNormRelu: { run: (x, w, b, _, skip) => instanceNormRelu(x, w, b, { skip }), calls: 2, groups: 4 },
  batchNormRelu: { run: (x, w, b, r, skip) => batchNormRelu(x, w, b, r, { skip }), calls: 4, groups: 2 },
  batchNormEvalRelu: {
    run: (x, w, b, r, skip) => batchNormEvalRelu(x, w, b, r, { skip }),
    calls: 2,
    groups: 2,
  },
};

for (const [op, { run, calls, groups }] of Object.entries(fused)) {
  test(`${op} calls ${calls} kernels, 3 backward, and the tape holds only x and the statistics`, () => {
    const [x, skip] = [1, 2].map((seed) => upload(random([2, 2, 4, 5, 7], { seed }))) as [Tensor, Tensor];
    const [w, b] = [weight, bias].map(upload) as [Tensor, Tensor];
    const averages = running();
    const before = { calls: device.dispatches, bytes: device.bytes };
    let after = before;
    let holds: number[] = [];
    const f = () => {
      const y = run(x, w, b, averages, skip);
      after = { calls: device.dispatches, bytes: device.bytes };
      holds = [x, skip, y].map(({ storage }) => storage.holds);
      return y;
    };
    const { output, grads } = vjp([x, w, b, skip], f, skip);
    assert.is(after.calls - before.calls, calls);
    assert.is(device.dispatches - after.calls, 3);
    assert.is(after.bytes - before.bytes, 4 * output.size + 16 * groups);
    assert.equal(holds, [1, 0, 0]);
    assert.is(grads[3], skip, "the skip's gradient is dy itself");
    [output, ...grads.slice(0, 3)].forEach(free);
  });
}

test("the result that the pullbacks of a node share is computed once, and freed after the last", async () => {
  const [a, b] = [upload(vector(1, 2)), upload(vector(3, 4))];
  const shared: Tensor[] = [];
  const pullback = (_: Tensor, reduced: Tensor) => add(reduced, reduced);
  const reduce = (dy: Tensor) => (shared[shared.length] = add(dy, dy));
  const op = () =>
    record(
      fill(device, [2], 0),
      [
        [a, pullback],
        [b, pullback],
      ],
      [],
      reduce,
    );
  const { grads } = vjp([a, b], op, upload(vector(1, 2)));
  assert.is(shared.length, 1);
  assert.throws(() => shared[0]!.buffer, /was freed/);
  assert.equal([...(await grads[1]!.read())], [4, 8]);
});

test("norms name the tensor whose shape is wrong", () => {
  const x = upload(random([2, 2, 1, 1, 3]));
  const three = upload(vector(1, 2, 3));
  const two = upload(vector(1, 2));
  assert.throws(() => instanceNorm(x, three, two), /^instanceNorm: expected weight \[2\], got \[3\]$/);
  assert.throws(
    () => batchNorm(x, two, two, { mean: two, variance: three }),
    /batchNorm: expected variance \[2\], got \[3\]/,
  );
  assert.throws(() => instanceNorm(two, two, two), /expected x \[N,C,\.\.\.\], got \[2\]/);
  assert.throws(() => softmax(two), /softmax: expected \[N,C,\.\.\.\], got \[2\]/);
});

test("batchNorm refuses one value per channel, and batchNormEval accepts it", async () => {
  const x = upload(random([1, 2, 1, 1, 1]));
  const [w, b] = [weight, bias].map(upload) as [Tensor, Tensor];
  assert.throws(
    () => batchNorm(x, w, b, running()),
    /expected more than one value per channel.*\[1,2,1,1,1\]/,
  );
  assert.is((await batchNormEval(x, w, b, running()).read()).length, 2);
});

test.run();
