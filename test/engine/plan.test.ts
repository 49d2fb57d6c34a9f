// Planned kernels are compiled side by side before they run; planning itself computes nothing.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { compile, type Device, GpuError, plan, relu, scope, tensor } from "../../engine/index.ts";
import { initialise } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { device as shared } from "../support/gradcheck.ts";
import { events, of, student } from "../support/training.ts";

/** The numbers of kernels compiled so far, as compile() yields them. */
async function compiled(device: Device, run: () => void): Promise<number[]> {
  const reported: number[] = [];
  for await (const done of compile(device, plan(device, run))) reported.push(done);
  return reported;
}

test("a plan runs no kernel, and its kernels are compiled before they run", async () => {
  const device = await openDevice();
  const x = tensor(device, [3], [-1, 0, 1]);
  const forward = () => scope(() => relu(relu(x)));
  const before = device.dispatches;
  assert.equal(await compiled(device, () => void forward()), [1], "one pipeline, however often it is called");
  assert.is(device.dispatches, before);
  const { size } = device.pipelines;
  assert.equal([...(await forward().read())], [0, 0, 1]);
  assert.is(device.pipelines.size, size);
  assert.equal(await compiled(device, () => void forward()), [], "nor is it compiled again");
});

test("a plan that throws has ended, and a plan within a plan is refused", () => {
  assert.throws(() => plan(shared, () => plan(shared, () => {})), /^plan: expected one plan at a time/);
  assert.is(shared.plan, null);
});

test("tensors of a plan have buffers, and give them back", () => {
  const before = shared.bytes;
  plan(shared, () => scope(() => void relu(tensor(shared, [1000], Array(1000).fill(1)))));
  assert.is(shared.bytes, before);
});

test("a kernel that does not compile ends with a GpuError that names file and line", async () => {
  const device = await openDevice();
  const module = device.gpu.createShaderModule({
    label: "broken.wgsl",
    code: "fn f() -> f32 { return 1u; }",
  });
  const descriptor = { layout: "auto", compute: { module, entryPoint: "f" } } as const;
  const layout = device.bindings.layout({ buffers: [], uniform: null });
  try {
    for await (const done of compile(device, new Map([["broken", { descriptor, layout }]])))
      assert.unreachable(`${done}`);
    assert.unreachable("expected a GpuError");
  } catch (error) {
    assert.instance(error, GpuError);
    assert.match((error as Error).message, /broken\.wgsl/);
  }
});

test("planning a network creates its parameters, as running it does", async () => {
  const config = { modalities: 1, classes: 4, filters: 2, levels: 3, norm: "instance" } as const;
  const params = new Params(shared, { seed: 1 });
  initialise(shared, { params, config }, [8, 8, 8]);
  const values = await params.read();
  assert.ok(values["out_conv.weight"]!.data.some((value) => value !== 0));
  params.free();
});

test("training reports each kernel that it compiles, before the first step", async () => {
  const device = await openDevice();
  const config = (modalities: number, norm: "batch" | "instance") => {
    return { modalities, classes: 4, filters: 2, levels: 3, norm };
  };
  const all = await events({
    ...student(),
    device,
    network: { params: new Params(device, { seed: 1 }), config: config(1, "instance") },
    teacher: { params: new Params(device, { seed: 2 }), config: config(3, "batch") },
  });
  const reported = of(all, "compile");
  const { kernels } = reported[0]!;
  assert.ok(kernels > 20);
  assert.equal(
    reported.map(({ done }) => done),
    Array.from({ length: kernels + 1 }, (_, i) => i),
  );
  assert.is(
    all.findIndex(({ type }) => type === "step") > all.findLastIndex(({ type }) => type === "compile"),
    true,
  );
});

test.run();
