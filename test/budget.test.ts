// What one step costs, in numbers that do not depend on the machine: the phantom's student with ProtoKD.
//
// A change that moves them fails here, so that none moves them unnoticed. Where it was meant to, copy the
// actual numbers from the failure into BUDGET, and say in the commit what they were.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../cli/gpu.ts";
import { Random } from "../engine/index.ts";
import { METHODS } from "../model/methods/index.ts";
import { Params } from "../model/params.ts";
import { type Network, type TrainBatch, Trainer } from "../model/trainer.ts";
import type { VnetConfig } from "../model/vnet.ts";

const BUDGET = {
  /** Calls of kernels in a step. */
  calls: 627,
  /** The most bytes ever in use: parameters of both networks, Adam's state, activations, gradients. */
  peakBytes: 83_749_312,
  /** Pipelines compiled before the second step, where subgroups have eight lanes; no later step compiles any. */
  pipelines: 42,
  /** Bytes in use between steps. */
  bytes: 47_299_184,
};

const PATCH = [32, 32, 32] as const;

test("a step of the phantom's student costs what it did", async () => {
  const device = await openDevice(); // of its own, whose counters nothing else moves
  const config = (modalities: number): VnetConfig => {
    return { modalities, classes: 4, filters: 8, levels: 5, norm: "instance" };
  };
  const network = (modalities: number): Network => {
    return { params: new Params(device, { seed: modalities }), config: config(modalities) };
  };
  const trainer = new Trainer({
    ...{ device, network: network(1), teacher: network(4), method: METHODS["protokd"]! },
    ...{ channels: [2], patch: PATCH, epochs: 1, stepsPerEpoch: 3, next: () => batch },
  });
  const at: { calls: number; bytes: number; pipelines: number }[] = [];
  for await (const { type } of trainer.run()) {
    const { dispatches: calls, bytes, pipelines } = device;
    if (type === "step") at.push({ calls, bytes, pipelines: pipelines.size });
  }
  const [first, second, third] = at;
  const actual = {
    calls: third!.calls - second!.calls,
    peakBytes: device.peakBytes,
    pipelines: first!.pipelines,
    bytes: first!.bytes,
  };
  assert.equal(actual, BUDGET);
  assert.is(second!.calls - first!.calls, actual.calls);
  assert.is(third!.bytes, first!.bytes);
  assert.is(third!.pipelines, first!.pipelines);
});

const random = new Random(1);
const voxels = 2 * PATCH[0] * PATCH[1] * PATCH[2];
const batch: TrainBatch = {
  images: Float32Array.from({ length: 4 * voxels }, () => random.normal()),
  label: Uint8Array.from({ length: voxels }, () => random.integer(4)),
  cases: ["one", "two"],
};

test.run();
