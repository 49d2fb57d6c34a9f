// Clipping of gradients by their norm, skipping of steps whose gradients are not finite, and loss scaling.

import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  Adam,
  free,
  grad,
  GradientGuard,
  keep,
  Sgd,
  tensor,
  type Tensor,
  weightedSum,
} from "../../engine/index.ts";
import { close, device, random } from "../support/gradcheck.ts";

const upload = (values: ArrayLike<number>) => tensor(device, [values.length], Float32Array.from(values));
const stateOf = async ({ state }: GradientGuard) => {
  const [scale, factor, finite, norm, calm, skipped] = await state.read();
  return { scale, factor, finite, norm, calm, skipped };
};

for (const [name, make] of [
  ["Adam", (p: Tensor) => new Adam([p], { decay: 0 })],
  ["Sgd", (p: Tensor) => new Sgd([p], { decay: 0 })],
] as const) {
  test(`${name} divides by the scale, and skips a step whose gradient is not finite`, async () => {
    const [plain, scaled] = [0, 1].map(() => keep(upload([1, -2, 3]))) as [Tensor, Tensor];
    const [a, b] = [make(plain), make(scaled)];
    const guard = new GradientGuard(device, { scaled: true });
    const gradient = [0.5, 0.25, -1];
    a.step([upload(gradient)], 0.1);
    b.step([upload(gradient.map((g) => 65536 * g))], 0.1, guard);
    const once = [...(await scaled.read())];
    assert.equal(once, [...(await plain.read())]);
    assert.equal(await stateOf(guard), {
      scale: 65536,
      factor: 1 / 65536,
      finite: 1,
      calm: 1,
      skipped: 0,
      norm: Math.fround(Math.sqrt(0.25 + 0.0625 + 1)),
    });

    for (const [i, bad] of [Infinity, -Infinity, NaN].entries()) {
      b.step([upload([1, bad, 1])], 0.1, guard);
      assert.equal([...(await scaled.read())], once);
      const { scale, finite, calm, skipped } = await stateOf(guard);
      assert.equal([scale, finite, calm, skipped], [65536 / 2 ** (i + 1), 0, 0, i + 1]);
      assert.is(await guard.seed.item(), 65536 / 2 ** (i + 1));
    }
    a.step([upload(gradient)], 0.1);
    b.step([upload(gradient.map((g) => 8192 * g))], 0.1, guard);
    // A skipped step counts for Adam's corrections, so that these differ; SGD has no corrections.
    if (name === "Sgd") assert.equal([...(await scaled.read())], [...(await plain.read())]);
    else assert.not.equal([...(await scaled.read())], once);
    [a, b, guard].forEach((made) => made.free());
    [plain, scaled].forEach(free);
  });

  test(`${name} under a guard that changes nothing gives the same bits as without a guard`, async () => {
    const start = random([5000]).data;
    const [plain, guarded] = [0, 1].map(() => keep(upload(start))) as [Tensor, Tensor];
    const [a, b] = [make(plain), make(guarded)];
    const guard = new GradientGuard(device, { clip: 1e6 });
    for (let seed = 2; seed < 5; seed++) {
      const gradient = upload(random([5000], { seed }).data);
      a.step([gradient], 0.1);
      b.step([gradient], 0.1, guard);
    }
    assert.equal([...(await guarded.read())], [...(await plain.read())]);
    const { scale, skipped, calm } = await stateOf(guard);
    assert.equal([scale, skipped, calm], [1, 0, 3]);
    [a, b, guard].forEach((made) => made.free());
    [plain, guarded].forEach(free);
  });
}

test("gradients are clipped by the norm of all of them, as torch.nn.utils.clip_grad_norm_", async () => {
  for (const [size, clip] of [
    [3, 1],
    [4097, 0.5],
    [300_000, 12],
  ] as const) {
    const [one, other] = [random([size]).data, random([7], { seed: 2 }).data];
    const norm = Math.sqrt([...one, ...other].reduce((sum, g) => sum + g * g, 0));
    const guard = new GradientGuard(device, { clip });
    guard.check([upload(one), upload(other)]);
    const state = await stateOf(guard);
    close([state.norm!], [norm], 1e-6, "guard");
    close([state.factor!], [Math.min(1, clip / (norm + 1e-6))], 1e-6, "guard");
    guard.check([upload([clip / 2])]); // within the norm: unchanged
    assert.is((await stateOf(guard)).factor, 1);
    guard.free();
  }
  const scaled = new GradientGuard(device, { clip: 1, scaled: true });
  scaled.check([upload([3 * 65536]), upload([4 * 65536])]);
  const { norm, factor } = await stateOf(scaled);
  close([norm!, factor! * 65536], [5, 0.2], 1e-6, "guard");
  scaled.free();
  assert.throws(
    () => new GradientGuard(device, { clip: -1 }),
    /expected a norm of at least 0 to clip at, got -1/,
  );
});

test("the 1e-6 beside the norm counts for a tiny norm", async () => {
  const guard = new GradientGuard(device, { clip: 1e-6 });
  guard.check([upload([1e-6])]);
  close([(await stateOf(guard)).factor!], [0.5], 1e-6, "guard");
  guard.free();
});

test("Adam treats a clipped gradient as a small one", async () => {
  const [plain, guarded] = [0, 1].map(() => keep(upload([1, -2]))) as [Tensor, Tensor];
  const [a, b] = [new Adam([plain]), new Adam([guarded])];
  const guard = new GradientGuard(device, { clip: 5 });
  for (const [x, y, scale] of [
    [0.6, 0.8, 1],
    [30, 40, 0.1],
  ] as const) {
    a.step([upload([x * scale, y * scale])], 0.1);
    b.step([upload([x, y])], 0.1, guard);
  }
  close(await guarded.read(), [...(await plain.read())], 1e-6, "parameters");
  [a, b, guard].forEach((made) => made.free());
  [plain, guarded].forEach(free);
});

test("NaN of any bits is found, and the largest finite numbers are not taken for it", async () => {
  for (const [bits, finite] of [
    [0x7fc00001, 0],
    [0xff800000, 0],
    [0x7f7fffff, 1],
  ] as const) {
    const guard = new GradientGuard(device);
    guard.check([tensor(device, [1], new Float32Array(Uint32Array.of(bits).buffer))]);
    assert.is((await stateOf(guard)).finite, finite, bits.toString(16));
    guard.free();
  }
});

test("a NaN is found wherever it is", async () => {
  const size = 9000; // more than two chunks
  for (const at of [0, 62, 63, 4095, 4096, 8191, 8999]) {
    const guard = new GradientGuard(device);
    const gradient = new Float32Array(size).fill(3.4e38); // finite, though its square is not
    guard.check([upload(gradient)]);
    assert.is((await stateOf(guard)).finite, 1);
    gradient[at] = NaN;
    for (const order of [0, 1]) {
      const [bad, good] = [upload(gradient), upload([1])]; // a finite one does not hide the other
      guard.check(order ? [bad, good] : [good, bad]);
      assert.is((await stateOf(guard)).finite, 0, `at ${at}`);
    }
    guard.check([upload([1])]);
    const { finite, scale, skipped } = await stateOf(guard);
    assert.equal([finite, scale, skipped], [1, 1, 2]);
    guard.free();
  }
});

test("the scale doubles after 2,000 finite steps in a row, and not beyond 2^24", async () => {
  const guard = new GradientGuard(device, { scaled: true });
  guard.restore([65536, 1, 1, 0, 1998, 5]);
  assert.is(await guard.seed.item(), 65536);
  const one = upload([1]);
  guard.check([one]);
  assert.is((await stateOf(guard)).calm, 1999);
  guard.check([one]);
  const { scale, calm, skipped } = await stateOf(guard);
  assert.equal([scale, calm, skipped], [131072, 0, 5]);
  assert.is(await guard.seed.item(), 131072);
  guard.restore([2 ** 24, 1, 1, 0, 1999, 0]);
  guard.check([one]);
  assert.is((await stateOf(guard)).scale, 2 ** 24);
  guard.free();
});

test("the backward pass starts from the seed", async () => {
  const x = tensor(device, [], [3]);
  const { loss, grads } = grad([x], () => weightedSum([[2, x]]), tensor(device, [], [1024]));
  assert.is(await loss.item(), 6);
  assert.is(await grads[0]!.item(), 2048);
});

test.run();
