// The events of the training loop, and when it validates.

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Network } from "../../model/networks/network.ts";
import type { Scores, TrainEvent } from "../../trainer/loop/trainer.ts";
import { device } from "../support/gradcheck.ts";
import { events, network, of, stream, student, trainer } from "../support/training.ts";

test("events come in order: the start, then for each epoch its steps and itself, with the means of their losses", async () => {
  let clock = 0;
  const draw = stream();
  const next = () => ((clock += 250), draw());
  const all = await events({ epochs: 2, stepsPerEpoch: 2, next, now: () => clock });
  const told = all.map((e) => {
    if (e.type === "start") return `start ${e.parameters}`;
    if (e.type === "compile") return `compile ${e.done}`;
    if (e.type === "step") return `step ${e.epoch} ${e.step}/${e.steps}`;
    if (e.type === "epoch") return `epoch ${e.record.epoch} ${e.record.step}`;
    return e.type === "checkpoint" ? `checkpoint ${e.position.epoch} ${e.position.done}` : e.type;
  });
  const count = of(all, "start")[0]!.parameters;
  assert.equal(
    of(all, "compile").map(({ done }) => done),
    Array.from({ length: of(all, "compile").length }, (_, i) => i),
  );
  assert.equal(
    told.filter((line) => !line.startsWith("compile")),
    [
      `start ${count}`,
      "checkpoint 1 0",
      "step 1 1/4",
      "checkpoint 1 1",
      "step 1 2/4",
      "checkpoint 1 2",
      "epoch 1 2",
      "checkpoint 2 0",
      "step 2 3/4",
      "step 2 4/4",
      "checkpoint 2 2",
      "epoch 2 4",
      "checkpoint 3 0",
    ],
  );
  assert.ok(count > 1000, "all parameters of the network are counted");
  const [a, b] = of(all, "step");
  const [{ record }, later] = of(all, "epoch") as [EpochEvent, EpochEvent];
  const { losses } = record;
  assert.is(later.record.seconds, 0.5);
  assert.equal(Object.keys(losses), Object.keys(a!.losses));
  for (const [term, mean] of Object.entries(losses)) {
    assert.ok(Math.abs(mean - (a!.losses[term]! + b!.losses[term]!) / 2) < 1e-12, term);
  }
});

type EpochEvent = Extract<TrainEvent, { type: "epoch" }>;

/** In which epochs there was a validation, and in which the network was the best so far. */
async function validated(means: number[], validateEvery = 2): Promise<{ due: number[]; best: number[] }> {
  const scores = [...means];
  const net = network(1);
  const validate = (given: Network): Promise<Scores> => {
    assert.is(given.params, net.params);
    const mean = scores.shift()!;
    return Promise.resolve({ WT: mean, TC: mean, ET: mean, mean });
  };
  const epochs = of(
    await events({ network: net, epochs: 5, stepsPerEpoch: 1, validate, validateEvery }),
    "epoch",
  );
  return {
    due: epochs.filter(({ record }) => record.validation).map(({ record }) => record.epoch),
    best: epochs.filter(({ best }) => best).map(({ record }) => record.epoch),
  };
}

test("validation comes when it is due, and after the last epoch; of equal scores the later is the best", async () => {
  assert.equal(await validated([0.3, 0.5, 0.5]), { due: [2, 4, 5], best: [2, 4, 5] });
  assert.equal(await validated([0.5, 0.3, 0.4]), { due: [2, 4, 5], best: [2] });
  assert.equal(await validated([0, 0.1, 0, 0.1, 0.05], 1), { due: [1, 2, 3, 4, 5], best: [1, 2, 4] });
});

test("without validation every epoch is the best so far", async () => {
  assert.equal(
    of(await events({ epochs: 2, stepsPerEpoch: 1 }), "epoch").map(({ best }) => best),
    [true, true],
  );
});

for (const [name, trial] of [
  ["plain", {}],
  ["ProtoKD", student()],
] as const)
  test(`${name}: a step gets the buffers of the one before, and creates no bind group`, async () => {
    const { gpu } = device;
    const create = gpu.createBindGroup.bind(gpu);
    const created: number[] = [];
    let count = 0;
    gpu.createBindGroup = (descriptor) => (count++, create(descriptor));
    try {
      const made = trainer({ ...trial, epochs: 1, stepsPerEpoch: 24 });
      for await (const { type } of made.run()) if (type === "step") created.push(count);
      made.free();
    } finally {
      Reflect.deleteProperty(gpu, "createBindGroup");
    }
    assert.is(created.at(-1), created[12], created.join());
  });

test.run();
