// The device: its errors reach the caller, it keeps to its limits, and it cuts its work into submissions
// short enough for watchdogs.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import {
  conv3d,
  Device,
  fill,
  free,
  GpuError,
  type GpuErrorKind,
  grad,
  instanceNorm,
  keep,
  meanSquaredError,
  relu,
  scope,
  Sgd,
  Tensor,
  tensor,
} from "../../engine/index.ts";
import { shader } from "../../engine/gpu/shader.ts";
import { close, device, random } from "../support/gradcheck.ts";

/** The GpuError that `run` throws. */
async function gpuError(run: () => unknown): Promise<{ kind: GpuErrorKind; message: string }> {
  try {
    await run();
  } catch (error) {
    if (error instanceof GpuError) return error;
    throw error;
  }
  throw new Error("expected a GpuError, got none");
}

const values = (on: Device, shape: readonly number[], seed: number) =>
  tensor(on, shape, random(shape, { seed }).data);

test("the next read throws an error in a shader, with kind, file and line; the device works on", async () => {
  const own = await openDevice();
  const x = tensor(own, [2], [1, 2]);
  const code = `@group(0) @binding(0) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn forward() {
  y[0] = 1u;
}
`;
  const module = own.gpu.createShaderModule({ label: "broken.wgsl", code });
  own.gpu.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "forward" } });
  const { kind, message } = await gpuError(() => x.read());
  assert.is(kind, "validation");
  assert.match(message, "shaders/broken.wgsl:5:8 error: cannot assign 'u32' to 'f32'");
  assert.match(message, "y[0] = 1u;");
  assert.equal([...(await x.read())], [1, 2]);
});

test("the next read refuses a kernel that reads what it writes", async () => {
  const own = await openDevice();
  const x = tensor(own, [2], [1, 2]);
  const add = await shader("add");
  add.forward({ a: x, b: x, y: x }, 2);
  const { kind, message } = await gpuError(() => x.read());
  assert.is(kind, "validation");
  assert.match(message, /includes writable usage and another usage/);
});

test("a tensor too large for a binding is refused at once, with size, limit and advice", async () => {
  const own = await openDevice({ limits: "default" });
  const before = own.bytes;
  const { kind, message } = await gpuError(() => new Tensor(own, [2, 16, 96, 128, 128]));
  assert.is(kind, "out-of-memory");
  assert.is(
    message,
    "a tensor of 192 MiB exceeds this adapter's largest binding, 128 MiB: " +
      "choose a smaller patch, batch or number of filters",
  );
  assert.is(own.bytes, before);
});

test("after the device is lost, every read throws that error", async () => {
  const own = await openDevice();
  const x = tensor(own, [2], [1, 2]);
  const reading = gpuError(() => relu(x).read());
  own.gpu.destroy();
  for (const read of [reading, gpuError(() => x.read()), gpuError(() => tensor(own, [1], [1]).item())]) {
    const { kind, message } = await read;
    assert.is(kind, "lost");
    assert.match(message, /^the GPU was lost: ./);
  }
});

test("written values do not overtake the commands recorded before", async () => {
  const x = tensor(device, [2], [1, 2]);
  const y = relu(x);
  x.write([3, 4]);
  assert.equal([...(await y.read())], [1, 2]);
  assert.equal([...(await x.read())], [3, 4]);
});

test("a buffer can be handed out again within a submission", async () => {
  const x = tensor(device, [1000], Array(1000).fill(1));
  const before = device.bytes;
  let sum: Tensor = fill(device, [1000], 0);
  for (let i = 1; i <= 20; i++)
    sum = scope(() =>
      plus(
        scope(() => fill(device, [1000], i)),
        sum,
      ),
    );
  const got = await scope(() => plus(x, sum)).read();
  assert.ok(got.every((value) => value === 211));
  assert.ok(device.bytes - before < 30 * 4000);
});

const { forward } = await shader("add");

function plus(a: Tensor, b: Tensor): Tensor {
  const y = new Tensor(a.device, a.shape);
  forward({ a, b, y }, y.size);
  return y;
}

test("trim() destroys the buffers that wait in the pool", async () => {
  const own = await openDevice();
  const x = keep(tensor(own, [4], [-1, 0, 1, 2]));
  scope(() => void relu(relu(x)));
  own.trim();
  assert.is(own.bytes, 16);
  assert.equal([...(await relu(x).read())], [0, 0, 1, 2]);
});

test("many small dispatches take several submissions, each with its own uniforms", async () => {
  const own = await openDevice();
  const before = own.submissions;
  const tensors = Array.from({ length: 2100 }, (_, i) => fill(own, [1], i));
  assert.is(own.submissions - before, 2, "two full ones, of 1024 each, while the third is recorded");
  for (const i of [0, 1023, 1024, 2047, 2048, 2099]) assert.is(await tensors[i]!.item(), i);
});

/** The numbers that a step computes: a convolution, a norm, a loss, their gradients, an optimizer. */
async function step(on: Device): Promise<number[]> {
  const x = values(on, [2, 3, 6, 8, 10], 1);
  const target = values(on, [2, 9, 6, 8, 10], 2);
  const weight = keep(values(on, [9, 3, 3, 3, 3], 3));
  const [scale, shift] = [keep(values(on, [9], 4)), keep(values(on, [9], 5))];
  const optimizer = new Sgd([weight, scale, shift]);
  const loss = scope(() => {
    const { loss, grads } = grad(optimizer.params, () =>
      meanSquaredError(relu(instanceNorm(conv3d(x, weight), scale, shift)), target),
    );
    optimizer.step(grads, 0.1);
    return loss;
  });
  const numbers = [await loss.item()];
  for (const t of optimizer.params) numbers.push(...(await t.read()));
  [x, target, loss, ...optimizer.params].forEach(free);
  return numbers;
}

test("a step within WebGPU's least limits, without subgroups, agrees with other steps", async () => {
  const least = await step(await openDevice({ limits: "default" }));
  // A convolution without subgroups sums in another order.
  close(least, await step(device), 1e-6, "loss and parameters");
});

test("a call of more work than a submission may hold is cut into pieces, with the same bits", async () => {
  const own = await openDevice();
  own.budget = 20_000; // operations: less than most of these calls declare
  const [calls, submissions] = [own.dispatches, own.submissions];
  const cut = await step(own);
  assert.ok(own.submissions - submissions > own.dispatches - calls, "more submissions than calls");
  assert.equal(cut, await step(device));
});

test("calls that share a submission do not exceed its budget together", () => {
  const x = tensor(device, [100], Array(100).fill(1));
  device.flush();
  const before = device.submissions;
  const work = 4 * 2 * x.size; // what an elementwise op declares
  device.budget = 5 * work;
  try {
    scope(() => {
      for (let i = 0; i < 50; i++) relu(x);
    });
  } finally {
    device.budget = null;
  }
  device.flush();
  assert.is(device.submissions - before, 10);
});

test("a listener hears of opened devices, buffers, dispatches and phases", async () => {
  const opened: Device[] = [];
  const listener = (device: Device) => void opened.push(device);
  Device.opened.add(listener);
  const own = await openDevice();
  Device.opened.delete(listener);
  await openDevice();
  assert.equal(opened, [own]);

  const heard: string[] = [];
  own.listener = {
    buffer: ({ size }) => heard.push(`${size} bytes`),
    work: (operations) => heard.push(`${operations} operations`),
    dispatch: (label, pipeline, groups) =>
      heard.push(`${label} ${pipeline === own.pipelines.get(pipeline.label)} ${groups}`),
    phase: (name) => heard.push(`phase ${name}`),
  };
  own.phase = "forward";
  free(fill(own, [5], 1));
  free(fill(own, [8], 1));
  assert.is(own.phase, "forward");
  const call = (bytes: number, operations: number) => [
    `${bytes} bytes`,
    `${operations} operations`,
    "fill.wgsl/forward true 1,1,1",
  ];
  assert.equal(heard, ["phase forward", ...call(32, 20), ...call(32, 32)]);
});

test("the budget follows the measured rate", async () => {
  const own = await openDevice();
  const start = own.budget;
  const [x, weight] = [values(own, [1, 16, 16, 32, 32], 1), values(own, [16, 16, 3, 3, 3], 2)];
  for (let i = 0; i < 3; i++) await scope(() => conv3d(x, weight)).read();
  assert.is.not(own.budget, start);
  assert.ok(own.budget > 1e6);
});

test.run();
