// The pool of buffers: which buffer is used again does not depend on the order in which they were given back.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Pool } from "../../engine/gpu/pool.ts";

interface Fake {
  size: number;
  destroyed: boolean;
  destroy: () => void;
}

function fake(size: number): Fake & GPUBuffer {
  const buffer: Fake = { size, destroyed: false, destroy: () => void (buffer.destroyed = true) };
  return buffer as Fake & GPUBuffer;
}

test("the buffer that came first is the first to go, in whatever order they are given back", () => {
  const pool = new Pool();
  const buffers = [0, 1, 2, 3, 4].map(() => fake(64));
  for (const buffer of buffers) pool.give(buffer);
  const all = () => Array.from({ length: 5 }, () => buffers.indexOf(pool.take(64) as (typeof buffers)[0]));
  assert.equal(all(), [0, 1, 2, 3, 4]);
  for (const order of [
    [4, 3, 2, 1, 0],
    [2, 0, 4, 1, 3],
    [0, 1, 2, 3, 4],
  ]) {
    for (const i of order) pool.give(buffers[i]!);
    assert.equal(all(), [0, 1, 2, 3, 4], order.join());
  }
  assert.is(pool.take(64), undefined);
});

test("only a buffer of exactly the size is used again, and all that wait are destroyed", () => {
  const pool = new Pool();
  const [small, large] = [fake(16), fake(32)];
  pool.give(large);
  pool.give(small);
  assert.is(pool.take(64), undefined);
  assert.is(pool.take(16), small);
  pool.destroy();
  assert.is(pool.take(32), undefined);
  assert.equal([small.destroyed, large.destroyed], [false, true]);
});

test.run();
