// What each method minimises, by its terms.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { tensor } from "../../engine/index.ts";
import { PROTOKD, type Terms } from "../../model/losses/losses.ts";
import { METHODS } from "../../model/methods/index.ts";
import { device, random, randomLabels } from "../support/gradcheck.ts";

const size = [2, 3, 2] as const;

/** Features and logits of a batch of two. */
function output(seed: number) {
  const values = (channels: number) => {
    const { shape, data } = random([2, channels, ...size], { seed });
    return tensor(device, shape, data);
  };
  return { features: values(3), logits: values(4) };
}

const { shape, data } = randomLabels([2, ...size], 4);
const label = tensor(device, shape, data);

test("kd is ProtoKD without its prototypes, none is neither", async () => {
  const [student, teacher] = [output(1), output(2)];
  const termsOf = async (name: string) => {
    const terms: Terms = METHODS[name]!.terms(
      student,
      METHODS[name]!.teacher ? teacher : null,
      label,
      PROTOKD,
    );
    const read = Object.entries(terms).map(
      async ([term, [weight, scalar]]) => [term, [weight, await scalar.item()]] as const,
    );
    return Object.fromEntries(await Promise.all(read));
  };
  const { prototype, ...taught } = await termsOf("protokd");
  assert.ok(prototype![1] > 0);
  assert.ok(taught["kd"]![1] > 0);
  assert.equal(await termsOf("kd"), taught);
  const { kd: _, ...plain } = taught;
  assert.equal(await termsOf("none"), plain);
});

test("a method that needs a teacher says so", () => {
  for (const method of Object.values(METHODS).filter(({ teacher }) => teacher))
    assert.throws(() => method.terms(output(1), null, label, PROTOKD), /needs a teacher's output/);
});

test.run();
