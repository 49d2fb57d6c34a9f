// A batch that is larger than a binding may be runs in parts, with the same result. Batches that cannot be
// cut are refused.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { type Device, grad, GpuError, keep, tensor } from "../../engine/index.ts";
import { FEATURES, PROTOKD, protokdTerms, total } from "../../model/losses/losses.ts";
import { initialise, type Network } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { forwardBatch, samplesTogether } from "../../model/networks/parts.ts";
import type { TrainBatch } from "../../trainer/loop/trainer.ts";
import { close, random, randomLabels } from "../support/gradcheck.ts";
import { events, of } from "../support/training.ts";

const PATCH = [16, 32, 64] as const; // large enough that activations outgrow the partial sums of weights
const BATCH = 3;
const VOXELS = 16 * 32 * 64;
const ACTIVATION = 4 * 8 * VOXELS; // bytes of a sample at full resolution

const images = random([BATCH, 2, ...PATCH], { seed: 3 });
const label = randomLabels([BATCH, ...PATCH], 4);
label.data.forEach((k, i) => (label.data[i] = i < VOXELS && k === 3 ? 0 : k)); // the first lacks a class

function network(device: Device, modalities: number, norm: "batch" | "instance" = "instance"): Network {
  const config = { modalities, classes: 4, filters: 8, levels: 2, norm } as const;
  const made = { params: new Params(device, { seed: modalities }), config };
  initialise(device, made, PATCH);
  return made;
}

/** Losses and gradients of a batch, at most `together` samples at a time. */
async function step(device: Device, together: number): Promise<number[][]> {
  const [student, teacher] = [network(device, 1), network(device, 2, "batch")];
  const x = keep(tensor(device, images.shape, images.data));
  const own = keep(tensor(device, [BATCH, 1, ...PATCH], images.data.slice(0, BATCH * VOXELS)));
  const classes = keep(tensor(device, label.shape, label.data));
  const taps = [FEATURES];
  const guide = forwardBatch(teacher, x, { mode: "eval", taps }, together);
  const { loss, grads } = grad(student.params.trained, () => {
    const output = forwardBatch(student, own, { mode: "train", taps }, together);
    return total(protokdTerms(output, guide, classes, WEIGHTS));
  });
  return Promise.all([loss, ...grads].map(async (t) => [...(await t.read())]));
}

const WEIGHTS = { ...PROTOKD, prototypeWeight: 5 }; // enough to be seen in every gradient

test("losses and gradients are the same whether a batch runs at once, or by ones or twos", async () => {
  const whole = await step(await openDevice(), BATCH);
  for (const together of [1, 2]) {
    const cut = await step(await openDevice({ largest: 2.5 * ACTIVATION }), together);
    assert.is(cut.length, whole.length);
    for (const [i, values] of cut.entries()) {
      const size = Math.hypot(...whole[i]!);
      if (size > 1e-4) close(values, whole[i]!, 2e-5, `${i} at ${together}`); // else rounding alone
    }
  }
});

test("a batch of three trains, and learns, where only two samples fit a binding", async () => {
  const device = await openDevice({ largest: 2.5 * ACTIVATION });
  const next = (): TrainBatch => {
    return {
      images: Float32Array.from(images.data),
      label: Uint8Array.from(label.data),
      cases: ["a", "b", "c"],
    };
  };
  const run = events({
    device,
    next,
    network: network(device, 1),
    teacher: network(device, 2),
    method: "protokd",
    settings: { ...PROTOKD },
    modalities: ["t1", "t2"],
    channels: [0],
    patch: PATCH,
    stepsPerEpoch: 4,
    optimizer: { lr: 2e-2 },
  });
  const steps = of(await run, "step");
  assert.ok(steps.at(-1)!.losses["total"]! < 0.97 * steps[0]!.losses["total"]!);
});

/** The message of the GpuError for a batch that does not fit. */
function refusal(device: Device, network: Network, batch: number): string {
  try {
    samplesTogether(device, [{ ...network, trained: true }], batch, PATCH);
  } catch (error) {
    assert.instance(error, GpuError);
    return (error as Error).message;
  }
  throw new Error("expected a GpuError, got none");
}

test("as many samples run together as fit; where a batch cannot be cut, the error says how many do", async () => {
  const device = await openDevice();
  const [alone, coupled] = [network(device, 1), network(device, 1, "batch")];
  const together = (bytes: number, batch = 4, trained = alone, frozen: readonly Network[] = []) => {
    Object.assign(device, { largest: bytes });
    const others = frozen.map((network) => ({ ...network, trained: false }));
    return samplesTogether(device, [{ ...trained, trained: true }, ...others], batch, PATCH);
  };
  assert.equal(
    [1, 2, 3.9, 4, 9].map((n) => together(n * ACTIVATION, 2)),
    [1, 2, 2, 2, 2],
  );
  assert.equal(
    [2, 3.9, 4].map((n) => together(n * ACTIVATION)),
    [2, 3, 4],
  );
  assert.is(together(4 * ACTIVATION, 4, coupled), 4);
  assert.is(together(3 * ACTIVATION, 4, alone, [coupled]), 3); // a frozen network takes a batch in parts
  Object.assign(device, { largest: 2 * ACTIVATION });
  assert.match(
    refusal(device, coupled, 4),
    /a batch of 4, whose samples batch norm couples, .* at most 2, or instance/,
  );
  assert.match(
    refusal(device, alone, 5),
    /images or logits of a batch of 5 .* 16x32x64 exceed .* 2.0 MiB: .* at most 4$/,
  );
  Object.assign(device, { largest: ACTIVATION - 1 });
  assert.match(refusal(device, alone, 1), /^activations of patches .*: choose a smaller patch/);
});

test.run();
