// A network that takes any of its contrasts: the subsets that it draws, the input that it gets, and what it
// learns from others and from itself.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { streamAt, SUBSET } from "../../data/sampling/streams.ts";
import { MODALITIES as CONTRASTS } from "../../data/datasets/source.ts";
import { openDevice } from "../../cli/device/gpu.ts";
import { Params } from "../../model/networks/params.ts";
import { initialise, type Network } from "../../model/networks/network.ts";
import { UploadedBatch } from "../../trainer/loop/batches.ts";
import { type DropWeights, drawSubset } from "../../trainer/loop/drawSubset.ts";
import type { TrainBatch } from "../../trainer/loop/trainer.ts";
import { DEFAULTS, type TrainConfig } from "../../trainer/settings/config.ts";
import { estimate } from "../../trainer/stages/memory.ts";
import { device } from "../support/gradcheck.ts";
import {
  batch,
  events,
  NAMES,
  network,
  of,
  PATCH,
  stream,
  type Trial,
  trained,
  VOXELS,
} from "../support/training.ts";

const ANY: Trial = { any: true, channels: [0, 1, 2] };
const SELF: Trial = { ...ANY, method: "kd", selfTaught: true, settings: { kdWeight: 10, temperature: 2 } };
const NEVER: DropWeights = { t1: 0, t2: 0, flair: 0 };

/** The share of each subset in many draws. */
function sharesOf(there: readonly string[], weights: DropWeights = {}): Record<string, number> {
  const draws = 30_000;
  const found: Record<string, number> = {};
  for (let n = 0; n < draws; n++) {
    const name = drawSubset(streamAt(3, SUBSET, 0, n), there, weights).join("+");
    found[name] = (found[name] ?? 0) + 1 / draws;
  }
  return found;
}

test("every non-empty subset of what is there is drawn equally often", () => {
  const shares = sharesOf(CONTRASTS);
  assert.is(Object.keys(shares).length, 15);
  for (const [name, share] of Object.entries(shares))
    assert.ok(Math.abs(share - 1 / 15) < 0.006, `${name}: ${share}`); // four standard deviations
  assert.equal(Object.keys(sharesOf(["t1ce"])), ["t1ce"]);
});

test("drop weights change how often a contrast is there", () => {
  const shares = sharesOf(["t1", "t1ce"], { t1: 0.2, t1ce: 0.75 });
  // t1 alone .8 · .75 = .6, t1ce alone .2 · .25 = .05, both .8 · .25 = .2, of .85
  const wanted = { t1: 0.6 / 0.85, t1ce: 0.05 / 0.85, "t1+t1ce": 0.2 / 0.85 };
  assert.equal(Object.keys(shares).sort(), Object.keys(wanted).sort());
  for (const [name, share] of Object.entries(wanted))
    assert.ok(Math.abs(shares[name]! - share) < 0.012, `${name}: ${shares[name]}`);
  assert.equal(sharesOf(NAMES, NEVER), { [NAMES.join("+")]: shareOfAll(NAMES) });
});

const shareOfAll = (names: readonly string[]) => Object.values(sharesOf(names, NEVER))[0]!;

/** The input that a network gets of a batch: per sample, each image's first voxel, then each plane's. */
async function inputOf(from: TrainBatch, shown: "drawn" | "every", drawn: readonly string[][]) {
  const uploaded = new UploadedBatch(device, from, {
    patch: PATCH,
    modalities: NAMES,
    draw: (n, there) => there.filter((name) => drawn[n]!.includes(name)),
  });
  const input = uploaded.anyImages(NAMES, shown);
  const values = await input.read();
  uploaded.free();
  assert.equal([...input.shape], [2, 6, ...PATCH]);
  return [0, 1].map((n) =>
    Array.from({ length: 6 }, (_, c) => {
      const channel = values.subarray((6 * n + c) * VOXELS, (6 * n + c + 1) * VOXELS);
      if (c >= 3)
        assert.ok(
          channel.every((value) => value === channel[0]),
          "a plane is constant",
        );
      return channel;
    }),
  );
}

test("the input is the images that are drawn, 0 for the others, and the code that says which", async () => {
  const from = batch(4);
  const image = (n: number, c: number) =>
    from.images.subarray((3 * n + c) * VOXELS, (3 * n + c + 1) * VOXELS);
  const [first, second] = await inputOf(from, "drawn", [["t2"], ["t1", "flair"]]);
  assert.equal(first![1], image(0, 1));
  assert.ok([0, 2].every((c) => first![c]!.every((value) => value === 0)));
  assert.equal(
    first!.slice(3).map((plane) => plane[0]),
    [0, 1, 0],
  );
  assert.equal([second![0], second![2]], [image(1, 0), image(1, 2)]);
  assert.equal(
    second!.slice(3).map((plane) => plane[0]),
    [1, 0, 1],
  );
});

test("with every contrast there the code is all ones; one that a case lacks is never there", async () => {
  const codes = (input: readonly (readonly Float32Array[])[]) =>
    input.map((sample) => sample.slice(3).map((plane) => plane[0]));
  assert.equal(codes(await inputOf(batch(4), "every", [])), [
    [1, 1, 1],
    [1, 1, 1],
  ]);
  const lacking = { ...batch(4), absent: [["t1"], []] };
  lacking.images.fill(NaN, 0, VOXELS); // t1 of the first sample
  assert.equal(codes(await inputOf(lacking, "every", [])), [
    [0, 1, 1],
    [1, 1, 1],
  ]);
  const drawn = await inputOf(lacking, "drawn", [[...NAMES], [...NAMES]]);
  assert.equal(codes(drawn), [
    [0, 1, 1],
    [1, 1, 1],
  ]);
  assert.ok(drawn[0]![0]!.every((value) => value === 0));
});

test("what an absent contrast's image holds changes no bit of a training", async () => {
  const filled = (value: number) => {
    const next = stream();
    return () => {
      const drawn = next();
      drawn.images.fill(value, 0, VOXELS);
      return { ...drawn, absent: [["t1"], []] };
    };
  };
  for (const trial of [ANY, SELF]) {
    const [a, b] = [await trained(of6(trial, filled(0))), await trained(of6(trial, filled(7)))];
    assert.equal(a, b);
  }
  assert.not.equal(
    await trained(of6(ANY, filled(0))),
    await trained(of6(ANY, stream())),
    "the others are seen",
  );
});

test("steps draw different subsets, the same ones each time they run", async () => {
  const losses = async () => {
    const same = batch(1);
    const seen = of(
      await events(of6({ ...ANY, stepsPerEpoch: 4, optimizer: { lr: 0 } }, () => same)),
      "step",
    );
    return seen.map((event) => event.losses["total"]!);
  };
  const [once, again] = [await losses(), await losses()];
  assert.equal(once, again);
  assert.ok(new Set(once).size > 1, `${once}`);
});

test("a network that sees all learns nothing from itself: the bits are those without a teacher", async () => {
  const self = await trained(of6({ ...SELF, dropWeights: NEVER }));
  assert.equal(self, await trained(of6({ ...ANY, dropWeights: NEVER })));
  const dropped = await trained(of6(SELF));
  assert.not.equal(dropped, await trained(of6(ANY)), "with contrasts dropped, its whole pass teaches it");
});

test("its own pass on all contrasts is a constant: kd's gradient is that of a frozen copy's", async () => {
  const step: Partial<Trial> = { stepsPerEpoch: 1 };
  const [self, copy] = [
    await trained(of6({ ...SELF, ...step })),
    await trained(frozenCopy({ ...SELF, ...step })),
  ];
  assert.equal(self, copy);
});

/** The same trial taught by a frozen network of the student's first weights. */
function frozenCopy(trial: Trial): Trial {
  const { selfTaught: _, ...rest } = of6(trial);
  const teacher = network(6);
  initialise(device, teacher, [...PATCH]);
  return { ...rest, teacher, teacherTakesAny: true };
}

/** A trial of a network of 6 channels, on these batches. */
function of6(trial: Trial, next: () => TrainBatch = stream()): Trial {
  const own: Network = network(6);
  return { ...trial, network: own, next };
}

test("takes at most 5 % more memory than a teacher of four contrasts, at full size", async () => {
  const counting = await openDevice();
  const bytes = (settings: Partial<TrainConfig>) => {
    const config = {
      ...DEFAULTS,
      method: "none",
      batch: 2,
      teacherModality: null,
      ...settings,
    } as TrainConfig;
    return estimate(counting, { config, modalities: CONTRASTS, frozen: () => assert.unreachable() as never });
  };
  const teacher = bytes({ stage: "teacher", modality: null });
  const any = bytes({ stage: "student", modality: "any" });
  const ratio = any.peakBytes / teacher.peakBytes;
  assert.ok(ratio > 1 && ratio <= 1.05, `${ratio}`);
  assert.ok(any.pooledBytes / teacher.pooledBytes <= 1.05, `${any.pooledBytes / teacher.pooledBytes}`);
});

test("its parameters have a teacher's names and shapes, but for the first convolution's", () => {
  const shapes = (modalities: number) => {
    const params = new Params(device, { zeros: true });
    const config = { modalities, classes: 4, filters: 4, levels: 3, norm: "instance" } as const;
    initialise(device, { params, config }, [16, 16, 16]);
    const found = Object.fromEntries([...params.tensors].map(([name, { shape }]) => [name, shape.join()]));
    params.free();
    return found;
  };
  const [four, any] = [shapes(4), shapes(8)];
  assert.equal(Object.keys(any), Object.keys(four));
  const differing = Object.keys(four).filter((name) => four[name] !== any[name]);
  assert.is(differing.length, 1);
  assert.equal([four[differing[0]!], any[differing[0]!]], ["4,4,3,3,3", "4,8,3,3,3"]);
});

test.run();
