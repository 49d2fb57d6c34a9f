import { softCrossEntropy } from "../../../engine/ops/softCrossEntropy.ts";
import { type Array64, type OpCase, random } from "../gradcheck.ts";
import * as reference from "../reference/softTargets.ts";

/** Probabilities in each row, exact in float32. */
export function probabilities(shape: readonly number[], { seed = 2, temperature = 1 } = {}): Array64 {
  const center = { shape: [1, shape[1]!], data: new Float64Array(shape[1]!) };
  const { data } = reference.softTargets(random(shape, { seed }), center, temperature);
  return { shape, data: data.map(Math.fround) };
}

const soft = (
  name: string,
  logits: Array64,
  { temperature = 0.1, q = probabilities(logits.shape) }: { temperature?: number; q?: Array64 } = {},
): OpCase => ({
  op: "softCrossEntropy",
  name,
  inputs: { logits },
  constants: { q },
  run: ({ logits, q }) => softCrossEntropy(logits!, q!, temperature),
  reference: ({ logits, q }) => reference.softCrossEntropy(logits!, q!, temperature),
});

export const softTargets: OpCase[] = [
  soft("seven rows of 13", random([7, 13], { scale: 0.3 })),
  soft("one row", random([1, 5], { scale: 0.3 })),
  soft("one channel", random([5, 1])),
  soft("three rows of 40", random([3, 40], { scale: 0.3 }), { temperature: 1 }),
  soft("rows of more elements than a workgroup has threads", random([3, 201], { scale: 0.3 })),
  soft("more rows than threads", random([131, 3], { scale: 0.3 })),
  soft("sharp targets", random([5, 21], { scale: 0.3 }), {
    q: probabilities([5, 21], { temperature: 0.05 }),
  }),
  soft("targets that sum to 2", random([5, 7]), {
    temperature: 0.5,
    q: { shape: [5, 7], data: probabilities([5, 7]).data.map((p) => 2 * p) },
  }),
  soft("sure predictions that the targets share", sure(0), { temperature: 1, q: peaks(0) }),
  soft("sure predictions of something else", sure(1), { temperature: 1, q: peaks(0) }),
  soft("exponentials that overflow", random([3, 11], { scale: 40, offset: 200 }), { temperature: 1 }),
];

/** Rows of logits with one large element each. */
function sure(shift: number): Array64 {
  const { shape, data } = random([5, 9]);
  for (let n = 0; n < 5; n++) data[9 * n + ((2 * n + shift) % 9)]! += 4;
  return { shape, data: data.map(Math.fround) };
}

/** Rows with all probability in one element each. */
function peaks(shift: number): Array64 {
  const data = new Float64Array(45);
  for (let n = 0; n < 5; n++) data[9 * n + ((2 * n + shift) % 9)] = 1;
  return { shape: [5, 9], data };
}
