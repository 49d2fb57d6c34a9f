import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { scope, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("weightedSum");

/** A scalar and its weight in a sum. */
export type Term = readonly [weight: number, scalar: Tensor];

const MOST = 7; // terms of a call: with the sum eight buffers, which every adapter can bind

/**
 * The weighted sum of scalars, such as the terms of a loss, added in order: one call adds the first seven,
 * each further call six more to the sum so far. Differentiated by every scalar. Throws where there is no
 * term, a term is no scalar or a weight is not finite.
 */
export function weightedSum(terms: readonly Term[]): Tensor {
  if (!terms.length) throw new Error("weightedSum: expected at least one term, got none");
  for (const [weight, { size, shape }] of terms) {
    if (size !== 1) throw new Error(`weightedSum: expected scalars, got [${shape}]`);
    if (!Number.isFinite(weight)) throw new Error(`weightedSum: expected a finite weight, got ${weight}`);
  }
  return scope(() => {
    let sum = sumOf(terms.slice(0, MOST));
    for (let next = MOST; next < terms.length; next += MOST - 1)
      sum = sumOf([[1, sum], ...terms.slice(next, next + MOST - 1)]);
    return sum;
  });
}

/** The sum of at most seven terms. The first scalar is bound for absent ones, with weight 0. */
function sumOf(terms: readonly Term[]): Tensor {
  const first = terms[0]!;
  const x = (i: number) => (terms[i] ?? first)[1];
  const w = (i: number) => terms[i]?.[0] ?? 0;
  const y = new Tensor(first[1].device, []);
  const scalars = { x0: x(0), x1: x(1), x2: x(2), x3: x(3), x4: x(4), x5: x(5), x6: x(6) };
  const weights = { w0: w(0), w1: w(1), w2: w(2), w3: w(3), w4: w(4), w5: w(5), w6: w(6) };
  kernel.forward({ ...scalars, ...weights, y }, 1);
  const backward = (dy: Tensor) => {
    const dx = () => new Tensor(y.device, []);
    const all = { dx0: dx(), dx1: dx(), dx2: dx(), dx3: dx(), dx4: dx(), dx5: dx(), dx6: dx() };
    kernel.backward({ ...weights, dy, ...all }, 1);
    return all;
  };
  type Gradients = ReturnType<typeof backward>;
  return record(
    y,
    terms.map(([, scalar], i) => [scalar, (_: Tensor, all: Gradients) => all[`dx${i}` as keyof Gradients]]),
    [],
    backward,
  );
}
