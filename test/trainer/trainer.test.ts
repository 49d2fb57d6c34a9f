// Training: a network learns, a run repeats, each network sees its own modalities, and nothing stays behind.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { polyRate } from "../../engine/index.ts";
import { initialise } from "../../model/networks/network.ts";
import { DivergedError } from "../../trainer/loop/diverged.ts";
import { type TrainBatch, Trainer, type TrainEvent } from "../../trainer/loop/trainer.ts";
import { device } from "../support/gradcheck.ts";
import {
  batch,
  events,
  MODALITIES,
  NAMES,
  network,
  of,
  PATCH,
  stream,
  student,
  trained,
  trainer,
  trainOptions,
  VOXELS,
} from "../support/training.ts";

for (const [name, options] of Object.entries({ none: {}, protokd: student() })) {
  test(`method ${name}: on one batch, over and over, every loss falls`, async () => {
    const same = batch(1);
    const steps = of(await events({ ...options, stepsPerEpoch: 15, next: () => same }), "step");
    const [first, last] = [steps[0]!.losses, steps.at(-1)!.losses];
    assert.equal(Object.keys(first).slice(0, 3), ["total", "crossEntropy", "dice"]);
    assert.equal(Object.keys(first).slice(3), name === "none" ? [] : ["kd", "prototype"]);
    for (const term of ["total", "crossEntropy", "dice"]) {
      assert.ok(last[term]! < 0.97 * first[term]!, `${term}: ${first[term]} to ${last[term]}`);
    }
  });
}

test("the logged terms add up, with their weights, to the total", async () => {
  const [step] = of(await events({ ...student(), stepsPerEpoch: 1 }), "step");
  const { total, crossEntropy, dice, kd, prototype } = step!.losses;
  assert.ok(Math.abs(crossEntropy! + dice! + 10 * kd! + 0.1 * prototype! - total!) < 1e-5 * total!);
});

test("a run repeats bit by bit; another seed gives another network", async () => {
  const once = await trained({ ...student(), network: network(1, 1, "batch") });
  const again = await trained({ ...student(), network: network(1, 1, "batch") });
  const other = await trained({ ...student(), network: network(1, 2, "batch") });
  assert.equal(again, once);
  assert.not.equal(other["out_conv.weight"], once["out_conv.weight"]);
});

test("the teacher stays as it is, its running statistics too", async () => {
  const options = student();
  const { params } = options.teacher!;
  const run = trainer(options).run();
  const before = await params.read();
  while (!(await run.next()).done);
  assert.equal(await params.read(), before);
  assert.ok(Object.keys(before).some((name) => name.endsWith("running_mean")));
});

test("ProtoKD with weights of zero is plain supervision, to the bit", async () => {
  const alone = await trained();
  assert.equal(await trained(student({ kdWeight: 0, prototypeWeight: 0, temperature: 10 })), alone);
  assert.not.equal(await trained(student({ kdWeight: 1, prototypeWeight: 0, temperature: 10 })), alone);
  assert.not.equal(await trained(student({ kdWeight: 0, prototypeWeight: 1, temperature: 10 })), alone);
});

for (const [name, options] of Object.entries({
  none: {},
  protokd: student(),
  sgd: { optimizer: { optimizer: "sgd" } } as const,
})) {
  test(`the learning rate decays from epoch to epoch and reaches the optimizer: ${name}`, async () => {
    const optimizer = { lr: 1e-3, ...("optimizer" in options ? options.optimizer : {}) };
    const made = trainer({ ...options, optimizer, epochs: 4, stepsPerEpoch: 1 });
    const used: number[] = [];
    const own = made.learner.groups.get("main")!.optimizer;
    const step = own.step.bind(own);
    own.step = (grads, rate, guard) => {
      if (!device.plan) used.push(rate);
      step(grads, rate, guard);
    };
    const seen: TrainEvent[] = [];
    for await (const event of made.run()) seen.push(event);
    const rates = [0, 1, 2, 3].map((epoch) => polyRate(1e-3, epoch / 4));
    assert.is(rates[0], 1e-3);
    assert.ok(Math.abs(rates[2]! - 1e-3 * 0.5 ** 0.9) < 1e-12);
    assert.equal(
      of(seen, "epoch").map(({ record }) => record.rate),
      rates,
    );
    assert.equal(used, rates);
  });
}

test("the network sees the chosen channels, in their order", async () => {
  const only = (channels: number[]) => {
    const next = stream();
    return (): TrainBatch => {
      const { images, ...rest } = next();
      const part = (n: number, m: number) =>
        images.subarray((n * MODALITIES + m) * VOXELS).subarray(0, VOXELS);
      return {
        ...rest,
        images: Float32Array.from([0, 1].flatMap((n) => channels.flatMap((m) => [...part(n, m)]))),
      };
    };
  };
  for (const channels of [[1], [2, 0]]) {
    const all = channels.map((_, i) => i);
    const net = () => network(channels.length);
    const chosen = await trained({ channels, network: net() });
    const modalities = channels.map((c) => NAMES[c]!);
    assert.equal(chosen, await trained({ channels: all, modalities, network: net(), next: only(channels) }));
    assert.not.equal(chosen, await trained({ channels: all, network: net() }));
  }
});

/** Batches with a NaN in the given ones, counted from 1. */
function spoilt(which: readonly number[]): () => TrainBatch {
  let calls = 0;
  return () => {
    const drawn = batch(10);
    if (which.includes(++calls)) drawn.images[5 + VOXELS] = NaN;
    return drawn;
  };
}

for (const norm of ["instance", "batch"] as const) {
  test(`a step whose loss is not finite changes nothing, is reported, and does not count (${norm} norm)`, async () => {
    const weights = async (stepsPerEpoch: number, which: number[]) => {
      const net = network(1, 1, norm);
      const all = await events({
        network: net,
        stepsPerEpoch,
        next: spoilt(which),
        optimizer: { optimizer: "sgd", schedule: "constant", lr: 0.1 },
      });
      return { all, values: await net.params.read() };
    };
    const [plain, survived] = [await weights(3, []), await weights(5, [2, 4])];
    assert.equal(survived.values, plain.values, "bit for bit as without those batches");
    assert.equal(
      of(survived.all, "skip").map(({ step, cases }) => [step, cases]),
      [2, 4].map((step) => [step, ["case 10", "case 11"]]),
    );
    const [a, b] = [survived, plain].map(({ all }) => of(all, "epoch")[0]!.record);
    assert.equal(a!.losses, b!.losses);
    assert.equal([a!.skipped, b!.skipped], [2, 0]);
  });
}

test("three losses in a row that are not finite end the run and name the cases", async () => {
  const made = trainer({ stepsPerEpoch: 9, next: spoilt([2, 4, 5, 6]) });
  const before = device.bytes;
  const told: string[] = [];
  try {
    for await (const { type } of made.run()) told.push(type);
    assert.unreachable("expected a DivergedError");
  } catch (error) {
    assert.instance(error, DivergedError);
    assert.match(
      (error as Error).message,
      /^step 6: loss not finite in 3 steps in a row \(.*\), the last on cases case 10, case 11; .*: lower/,
    );
  }
  assert.equal(
    told.filter((type) => type === "step" || type === "skip"),
    ["step", "skip", "step", "skip", "skip", "skip"],
  );
  assert.is(device.bytes, before, "nor does it leave bytes behind");
});

test("a step leaves no bytes behind", async () => {
  const made = trainer({ ...student(), network: network(1, 1, "batch"), stepsPerEpoch: 5 });
  const bytes: number[] = [];
  for await (const { type } of made.run()) if (type === "step") bytes.push(device.bytes);
  assert.equal(bytes, Array(5).fill(bytes[0]));
});

test("when training is over, nothing of it stays but the network; when that is freed, nothing at all", async () => {
  for (const optimizer of ["adam", "sgd"] as const) {
    const before = device.bytes;
    const net = network(1, 1, "batch");
    const values = more(() => initialise(device, net, PATCH));
    await events({ network: net, optimizer: { optimizer } });
    assert.ok(device.bytes - before < values + 256 * net.params.tensors.size, "the network, in one buffer");
    assert.ok((await net.params.read())["out_conv.weight"]!.data.every(Number.isFinite));
    net.params.free();
    assert.is(device.bytes, before);
  }
});

/** How many bytes more are in use after `run`. */
function more(run: () => void): number {
  const before = device.bytes;
  run();
  return device.bytes - before;
}

test("a stream without a source is refused before training begins", () => {
  assert.throws(
    () => new Trainer({ ...trainOptions(), sources: {} }),
    /^method none: expected batches of the stream paired, got none$/,
  );
});

test("a network that cannot take the patch is refused before it begins", () => {
  assert.throws(() => trainer({ patch: [8, 8, 6] }), /patch: 3 levels need three multiples of 4/);
});

test.run();
