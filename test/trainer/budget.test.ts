// The cost of one step, in numbers that do not depend on the machine: the phantom's student with ProtoKD.
//
// A change that moves them fails here, so that none moves them unnoticed. Where it was meant to, copy the
// actual numbers from the failure into BUDGET, and say in the commit what they were.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { free, Random, scope, softmax, tensor } from "../../engine/index.ts";
import { PROTOKD } from "../../model/losses/losses.ts";
import { Params } from "../../model/networks/params.ts";
import { forward, type Network } from "../../model/networks/network.ts";
import type { TrainBatch } from "../../trainer/loop/trainer.ts";
import { trainer } from "../support/training.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";

const BUDGET = {
  /** Calls of kernels in a step. */
  calls: 378,
  /** The most bytes ever in use: parameters of both networks, Adam's state, activations, gradients. */
  peakBytes: 80_965_104,
  /** Bytes in use when backward begins: what it reads, and what outlives the step. */
  keptBytes: 75_722_832,
  /** Pipelines, where subgroups have eight lanes: all are compiled before the first step. */
  pipelines: 49,
  /** Bytes in use between steps. */
  bytes: 47_300_256,
};

const PATCH = [32, 32, 32] as const;

test("a step of the phantom's student costs what it did, and compiles nothing", async () => {
  const device = await openDevice(); // of its own, whose counters nothing else moves
  const config = (modalities: number): VnetConfig => {
    return { modalities, classes: 4, filters: 8, levels: 5, norm: "instance" };
  };
  const network = (modalities: number): Network => {
    return { params: new Params(device, { seed: modalities }), config: config(modalities) };
  };
  const student = network(1);
  const made = trainer({
    device,
    network: student,
    teacher: network(4),
    method: "protokd",
    settings: { ...PROTOKD },
    channels: [2],
    modalities: ["t1", "t2", "t1ce", "flair"],
    patch: PATCH,
    epochs: 3,
    stepsPerEpoch: 1,
    next: () => batch,
    validate: async () => {
      const x = tensor(device, [1, 1, ...PATCH], new Float32Array(voxels / 2));
      const probabilities = scope(() => softmax(forward(student, x, { mode: "eval" }).logits));
      await probabilities.read();
      [x, probabilities].forEach(free);
      return { WT: 0, TC: 0, ET: 0, mean: 0 };
    },
    validateEvery: 3,
  });
  let keptBytes = 0;
  device.listener.phase = (name) => {
    if (name === "backward") keptBytes = device.bytes;
  };
  const at: { calls: number; bytes: number; pipelines: number }[] = [];
  let compiled = 0;
  for await (const { type } of made.run()) {
    const { dispatches: calls, bytes, pipelines } = device;
    if (type === "step") at.push({ calls, bytes, pipelines: pipelines.size });
    if (type === "compile") compiled = pipelines.size;
  }
  const [first, second, third] = at;
  const actual = {
    calls: third!.calls - second!.calls,
    peakBytes: device.peakBytes,
    keptBytes,
    pipelines: compiled,
    bytes: first!.bytes,
  };
  assert.equal(actual, BUDGET);
  assert.is(second!.calls - first!.calls, actual.calls);
  assert.is(third!.bytes, first!.bytes);
  assert.is(device.pipelines.size, compiled, "neither training nor validation compiles any more");
  assert.ok(actual.peakBytes <= 1.4 * keptBytes, `${actual.peakBytes} bytes at most, ${keptBytes} kept`);
});

const random = new Random(1);
const voxels = 2 * PATCH[0] * PATCH[1] * PATCH[2];
const batch: TrainBatch = {
  images: Float32Array.from({ length: 4 * voxels }, () => random.normal()),
  label: Uint8Array.from({ length: voxels }, () => random.integer(4)),
  cases: ["one", "two"],
};

test.run();
