// The optimizers against their formulas in float64, with options large enough that every term shows.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { GradientGuard } from "../../engine/optim/gradientGuard.ts";
import { Adam, adamW, type Optimizer, polyRate, Sgd } from "../../engine/optim/optimizers.ts";
import { free, keep, scope, type Tensor, tensor } from "../../engine/autograd/tensor.ts";
import { close, device, random, TOLERANCE } from "../support/gradcheck.ts";

const narrow = await openDevice({ widest: 2 });

interface State {
  parameter: Float64Array;
  moments: Float64Array[];
}

/** One step of an optimizer on a state, in float64. */
type Step = (state: State, gradient: Float64Array, rate: number, step: number) => void;

/** The formulas of Kingma & Ba 2015 and, with `shrinkage`, Loshchilov & Hutter 2019. */
function adamStep({ beta1 = 0.9, beta2 = 0.999, eps = 1e-8, decay = 1e-5, shrinkage = 0 }): Step {
  return ({ parameter, moments: [mean, square] }, gradient, rate, step) => {
    for (let i = 0; i < parameter.length; i++) {
      const g = gradient[i]! + decay * parameter[i]!;
      mean![i] = beta1 * mean![i]! + (1 - beta1) * g;
      square![i] = beta2 * square![i]! + (1 - beta2) * g * g;
      const [m, v] = [mean![i]! / (1 - beta1 ** step), square![i]! / (1 - beta2 ** step)];
      parameter[i]! -= rate * shrinkage * parameter[i]! + (rate * m) / (Math.sqrt(v) + eps);
    }
  };
}

/** The formula of torch.optim.SGD with Nesterov momentum. */
function sgdStep({ momentum = 0.99, decay = 3e-5 }): Step {
  return ({ parameter, moments: [velocity] }, gradient, rate) => {
    for (let i = 0; i < parameter.length; i++) {
      const g = gradient[i]! + decay * parameter[i]!;
      velocity![i] = momentum * velocity![i]! + g;
      parameter[i]! -= rate * (g + momentum * velocity![i]!);
    }
  };
}

const SHAPES = [[2, 3], [300], [1], [5, 7, 11]];

/** Compares three steps of an optimizer with its formula: parameters and moments. */
async function follows(make: (params: Tensor[]) => Optimizer, step: Step, on = device): Promise<void> {
  const states = SHAPES.map((shape, i): State => {
    const parameter = random(shape, { seed: i + 1 }).data;
    return { parameter, moments: [0, 1].map(() => new Float64Array(parameter.length)) };
  });
  const params = states.map(({ parameter }, i) => keep(tensor(on, SHAPES[i]!, parameter)));
  const optimizer = make(params);
  for (let t = 1; t <= 3; t++) {
    const gradients = SHAPES.map((shape, i) => random(shape, { seed: 10 * t + i }));
    const tensors = gradients.map(({ shape, data }) => tensor(on, shape, data));
    optimizer.step(tensors, 0.1 / t);
    for (const [i, state] of states.entries()) step(state, gradients[i]!.data, 0.1 / t, t);
    tensors.forEach(free);
  }
  assert.is(optimizer.steps, 3);
  for (const [i, { parameter, moments }] of states.entries()) {
    // 1 - 0.999, a factor of the second moment, has five digits in float32.
    close(await params[i]!.read(), parameter, TOLERANCE, `parameter ${i}`);
    for (const [k, list] of Object.values(optimizer.moments).entries()) {
      close(await list[i]!.read(), moments[k]!, 5e-5, `moment ${k} of parameter ${i}`);
    }
  }
}

const LARGE = { beta1: 0.8, beta2: 0.7, eps: 0.3, decay: 0.2 };

const FORMULAS: readonly (readonly [name: string, make: (params: Tensor[]) => Optimizer, step: Step])[] = [
  ["Adam", (params) => new Adam(params, LARGE), adamStep(LARGE)],
  ["Adam with its defaults", (params) => new Adam(params), adamStep({})],
  ["AdamW", (params) => adamW(params, LARGE), adamStep({ ...LARGE, decay: 0, shrinkage: LARGE.decay })],
  ["AdamW with its defaults", (params) => adamW(params), adamStep({ decay: 0, shrinkage: 1e-2 })],
  ["SGD", (params) => new Sgd(params, { momentum: 0.6, decay: 0.2 }), sgdStep({ momentum: 0.6, decay: 0.2 })],
  ["SGD with its defaults", (params) => new Sgd(params), sgdStep({})],
];

for (const [name, make, step] of FORMULAS) {
  test(`${name} follows its formula, parameters and moments`, () => follows(make, step));
  test(`${name} follows its formula, two workgroups wide`, () => follows(make, step, narrow));
}

test("parameters that exceed a binding together are stepped in several groups", async () => {
  // The parameters take 24, 1200, 4 and 1540 bytes, and each counts 256 more.
  for (const [bytes, groups] of [
    [3_792, 1],
    [3_791, 2],
    [1_996, 2],
    [1_995, 3],
    [1_795, 3],
  ] as const) {
    const own = await openDevice({ largest: bytes });
    let steps = 0;
    own.listener.dispatch = (label) => void (steps += Number(label === "adam.wgsl/step"));
    await follows((params) => new Adam(params, LARGE), adamStep(LARGE), own);
    assert.is(steps, 3 * groups, `bindings of ${bytes} bytes`);
  }
});

test("an optimizer without parameters is refused", () => {
  for (const make of [() => new Adam([]), () => adamW([]), () => new Sgd([])])
    assert.throws(make, /^optimizer: expected at least one parameter to train, got none$/);
});

test("a parameter of one optimizer is refused by another", () => {
  const [own, shared] = [0, 1].map(() => keep(tensor(device, [2], [1, 2]))) as [Tensor, Tensor];
  const first = new Adam([shared]);
  assert.throws(
    () => new Adam([own, shared]),
    /^pack: tensor 1, \[2\], is a part of another buffer: a parameter belongs to one optimizer$/,
  );
  first.free();
  [own, shared].forEach(free);
});

test("another optimizer can train the parameters of one that was freed", async () => {
  const params = [0, 1].map((i) => keep(tensor(device, [3], [i, 1, 2])));
  const first = new Sgd(params, { momentum: 0, decay: 0 });
  const gradients = [0, 1].map(() => tensor(device, [3], [1, 1, 1]));
  first.step(gradients, 1);
  first.free();
  const second = new Sgd([params[1]!], { momentum: 0, decay: 0 });
  second.step([gradients[1]!], 1);
  assert.equal([...(await params[0]!.read())], [-1, 0, 1]);
  assert.equal([...(await params[1]!.read())], [-1, -1, 0]);
  second.free();
  [...params, ...gradients].forEach(free);
});

test("several optimizers, each under its own guard, step as if each were alone", async () => {
  const sizes = [[5, 300], [4100], [7, 2]];
  const makers = [(p: Tensor[]) => new Adam(p), (p: Tensor[]) => adamW(p), (p: Tensor[]) => new Sgd(p)];
  const groups = sizes.map((group, g) =>
    group.map((size, i) => keep(tensor(device, [size], random([size], { seed: 10 * g + i }).data))),
  );
  const alone = sizes.map((group, g) =>
    group.map((size, i) => keep(tensor(device, [size], random([size], { seed: 10 * g + i }).data))),
  );
  const optimizersOf = (of: Tensor[][]) =>
    makers.map((make, g) => ({ optimizer: make(of[g]!), guard: new GradientGuard(device, { clip: g + 1 }) }));
  const together = optimizersOf(groups);
  const apart = optimizersOf(alone);
  const gradients = (step: number, g: number) =>
    sizes[g]!.map((size, i) => {
      const { data } = random([size], { seed: 1000 * step + 10 * g + i });
      if (step === 1 && g === 1) data[3] = NaN; // this group skips its step, the others do not
      return tensor(device, [size], data);
    });
  for (let step = 0; step < 3; step++)
    for (const [g, { optimizer, guard }] of together.entries())
      optimizer.step(gradients(step, g), 0.1, guard);
  for (const [g, { optimizer, guard }] of apart.entries())
    for (let step = 0; step < 3; step++) optimizer.step(gradients(step, g), 0.1, guard);
  for (const [g, group] of groups.entries()) {
    assert.equal([...(await together[g]!.guard.state.read())], [...(await apart[g]!.guard.state.read())]);
    assert.is((await together[g]!.guard.state.read())[5], g === 1 ? 1 : 0, "steps skipped");
    for (const [i, parameter] of group.entries())
      assert.equal([...(await parameter.read())], [...(await alone[g]![i]!.read())], `group ${g}`);
  }
  for (const { optimizer, guard } of [...together, ...apart]) {
    optimizer.free();
    guard.free();
  }
});

test("a parameter without decay steps as with a decay of 0, and the others with it", async () => {
  const values = [random([5], { seed: 1 }), random([3], { seed: 2 }), random([4], { seed: 3 })];
  const gradients = [random([5], { seed: 4 }), random([3], { seed: 5 }), random([4], { seed: 6 })];
  const made = {
    Adam: (p: Tensor[], o: object) => new Adam(p, o),
    Sgd: (p: Tensor[], o: object) => new Sgd(p, o),
  };
  for (const [name, make] of Object.entries(made)) {
    const steps = async (decay: number, free?: number) => {
      const params = values.map(({ shape, data }) => keep(tensor(device, shape, data)));
      const undecayed = free === undefined ? [] : [params[free]!];
      const optimizer = make(params, { decay, undecayed });
      const grads = gradients.map(({ shape, data }) => tensor(device, shape, data));
      for (let i = 0; i < 3; i++) optimizer.step(grads, 0.1);
      return Promise.all(params.map(async (p) => `${await p.read()}`));
    };
    const [none, all, some] = [await steps(0), await steps(0.5), await steps(0.5, 1)];
    assert.equal(some, [all[0], none[1], all[2]], name);
    assert.is.not(all[1], none[1]);
  }
});

test("freeing an optimizer gives back all its memory, and the parameters stay", async () => {
  for (const make of [(p: Tensor[]) => new Adam(p), (p: Tensor[]) => new Sgd(p)]) {
    const params = [
      keep(tensor(device, [64], Array(64).fill(2))),
      keep(tensor(device, [64], Array(64).fill(3))),
    ];
    const before = device.bytes;
    scope(() => make(params).free());
    assert.is(device.bytes, before);
    assert.equal([...(await params[1]!.read())], Array(64).fill(3));
  }
});

test("the rate falls from its base to 0, by the power", () => {
  assert.is(polyRate(2, 0), 2);
  close(
    [polyRate(2, 0.75), polyRate(2, 0.75, 2), polyRate(2, 1), polyRate(2, 1.5)],
    [2 * 0.25 ** 0.9, 0.125, 0, 0],
    1e-12,
    "rate",
  );
});

test.run();
