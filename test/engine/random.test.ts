// The only source of random numbers. Its sequence may never change: a seed promises the same run.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Random } from "../../engine/autograd/random.ts";

const COUNT = 20_000;
const draws = (random: Random, count = COUNT) => Array.from({ length: count }, () => random.next());
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

test("a seed gives the same numbers for ever", () => {
  const bits = (seed: number) => draws(new Random(seed), 4).map((value) => value * 2 ** 32);
  assert.equal(bits(0), [3300212312, 1743954244, 207519241, 3716241083]);
  assert.equal(bits(1), [2308299391, 1950625580, 354034397, 661219729]);
  assert.equal(bits(-7), [1328027616, 3270597760, 2867069521, 3480873000]);
  assert.equal(bits(2 ** 40 + 1), [1195542500, 2120688680, 3144692002, 4204309469]);
});

test("seeds that differ only above 32 bits, or in sign, give other numbers", () => {
  const first = [1, -1, 2 ** 32 + 1, 2 ** 33 + 1].map((seed) => new Random(seed).next());
  assert.is(new Set(first).size, first.length);
});

test("a seed that is not an integer is refused", () => {
  for (const seed of [0.5, NaN, Infinity, 2 ** 53]) {
    assert.throws(() => new Random(seed), /Random: the seed must be an integer, got/);
  }
});

test("a restored state continues where it was taken", () => {
  const random = new Random(5);
  draws(random, 10);
  random.normal();
  const state = JSON.parse(JSON.stringify(random.state())) as number[];
  const went = [random.next(), random.normal(), random.integer(100)];
  const other = new Random(6);
  other.restore(state);
  assert.equal([other.next(), other.normal(), other.integer(100)], went);
  assert.throws(() => other.restore([1, 2, 3]), /a state has 4 integers, got 3/);
});

test("next() is uniform in 0 to 1, without 1", () => {
  const values = draws(new Random(2));
  assert.ok(values.every((value) => value >= 0 && value < 1));
  assert.ok(Math.abs(mean(values) - 0.5) < 0.01);
  assert.ok(Math.abs(mean(values.map((value) => (value - 0.5) ** 2)) - 1 / 12) < 0.003);
});

test("integer(n) gives 0 to n-1, each about as often, and nothing else", () => {
  const random = new Random(3);
  const counts = new Map<number, number>();
  for (let i = 0; i < COUNT; i++) {
    const value = random.integer(5);
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  assert.equal([...counts.keys()].sort(), [0, 1, 2, 3, 4]);
  for (const count of counts.values()) assert.ok(Math.abs(count - COUNT / 5) < 200, `${count}`);
  assert.is(random.integer(1), 0);
});

test("normal() has the mean 0, the variance 1 and the tails of a normal deviate", () => {
  const random = new Random(4);
  const values = Array.from({ length: COUNT }, () => random.normal());
  assert.ok(values.every(Number.isFinite));
  assert.ok(Math.abs(mean(values)) < 0.02);
  assert.ok(Math.abs(mean(values.map((value) => value ** 2)) - 1) < 0.03);
  assert.ok(Math.abs(mean(values.map((value) => value ** 4)) - 3) < 0.25);
  assert.ok(Math.abs(mean(values.map((value) => (Math.abs(value) > 1.96 ? 1 : 0))) - 0.05) < 0.005);
});

test("shuffle() permutes in place, and brings every item to every place", () => {
  const random = new Random(5);
  const items = [0, 1, 2, 3];
  assert.is(random.shuffle(items), items);
  const places = new Set<string>();
  for (let i = 0; i < 200; i++) {
    random.shuffle(items);
    assert.equal([...items].sort(), [0, 1, 2, 3]);
    items.forEach((item, place) => places.add(`${item} at ${place}`));
  }
  assert.is(places.size, 16);
  assert.equal(random.shuffle([]), []);
});

test.run();
