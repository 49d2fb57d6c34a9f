// Reverse-mode differentiation over a tape that exists only while grad() runs its function.
//
// The tape is in execution order, so read backwards it is a topological order: at a node, every
// consumer of its output has been handled, and the gradient of that output is complete. Once the
// node's own pullbacks have run, nothing can need its tensors again, and the holds it took when
// it was recorded are released: activations are recycled as the sweep passes them.

import { shader } from "../gpu/shader.ts";
import { adopt, free, hold, release, scope, Tensor } from "./tensor.ts";

const { forward: add } = await shader("add");
const { forward: fill } = await shader("fill");

/** What the pullbacks of an op share: one tensor, or several by name. */
type Reduced = Tensor | Readonly<Record<string, Tensor>>;

/** A tensor an op read, and how a gradient of the op's output becomes a gradient of that tensor. */
export type Input<R extends Reduced = Tensor> = readonly [
  x: Tensor,
  pullback: (dy: Tensor, reduced: R) => Tensor,
];

/** Of an op with several outputs: the gradients of all of them become one of that tensor. */
export type JointInput<R extends Reduced = Tensor> = readonly [
  x: Tensor,
  pullback: (dys: readonly Tensor[], reduced: R) => Tensor,
];

interface Node {
  outputs: readonly Tensor[];
  inputs: readonly JointInput<Reduced>[];
  saved: readonly Tensor[];
  reduce: (dy: Tensor) => Reduced;
}

interface Tape {
  /** None where only what the ops read is of interest. */
  nodes: Node[] | null;
  tracked: Set<Tensor>;
  /** What ops have read, where there are no nodes. */
  read: Set<Tensor>;
}

let tape: Tape | null = null;
let repeating = false;

/** Whether what runs is a repetition, for the backward pass, of what has run before: see recompute(). */
export function isRepetition(): boolean {
  return repeating;
}

/**
 * Declares how `output` was computed. `saved` are the tensors whose values the pullbacks read: these
 * live until the backward pass has read them, and nothing else does. What several pullbacks need of dy,
 * `reduce` computes: it runs once, its result is every pullback's second argument, and is then let go, but
 * for the tensors in it that pullbacks return: those are gradients.
 */
export function record<R extends Reduced = Tensor>(
  output: Tensor,
  inputs: readonly Input<R>[],
  saved: readonly Tensor[] = [],
  reduce?: (dy: Tensor) => R,
): Tensor {
  const joint = inputs.map(([x, pullback]): JointInput<Reduced> => {
    return [x, ([dy], reduced) => pullback(dy!, reduced as R)];
  });
  push({ outputs: [output], inputs: joint, saved, reduce: reduce ?? ((dy) => dy) });
  return output;
}

/** Likewise of an op with several outputs. A pullback is given a gradient of each, 0 of those that nothing used. */
export function recordAll(
  outputs: readonly Tensor[],
  inputs: readonly JointInput<Reduced>[],
  saved: readonly Tensor[] = [],
): void {
  push({ outputs, inputs, saved, reduce: (dy) => dy });
}

function push(node: Node): void {
  const tracked = tape && node.inputs.map(([x]) => x).filter((x) => tape!.tracked.has(x));
  if (!tape || !tracked?.length) return;
  for (const output of node.outputs) tape.tracked.add(output);
  if (!tape.nodes) return tracked.forEach((x) => tape!.read.add(x));
  node.saved.forEach(hold);
  tape.nodes.push(node);
}

/**
 * f(), of which the backward pass is to find nothing: there f runs a second time, and then backwards, so that of all
 * that it makes only its result, which must be new, takes memory until then. f must do the same each time, bit by bit,
 * and read nothing but `inputs`, which are held, and what the program keeps. An op that changes what it reads, as batch norm does its
 * running statistics, does so only where isRepetition() is false. Without a tape, scope(f).
 */
export function recompute(inputs: readonly Tensor[], f: () => Tensor): Tensor {
  if (!tape?.nodes) return scope(f);
  const outer = tape;
  const { tracked } = outer;
  const probe: Tape = (tape = { nodes: null, tracked: new Set(tracked), read: new Set() });
  let output: Tensor;
  try {
    output = scope(f);
  } finally {
    tape = outer;
  }
  const sources = [...probe.read].filter((x) => tracked.has(x));
  const reduce = (dy: Tensor): Record<number, Tensor> => ({ ...repeat(sources, f, dy) });
  const pullback = (i: number) => (_: Tensor, gradients: Record<number, Tensor>) => gradients[i]!;
  return record(
    output,
    sources.map((x, i) => [x, pullback(i)]),
    inputs.flatMap((x) => (x.moments?.storage.buffer ? [x, x.moments] : [x])),
    reduce,
  );
}

/** The gradients of ⟨f(), cotangent⟩ with respect to `sources`, f running as a repetition. */
function repeat(sources: readonly Tensor[], f: () => Tensor, cotangent: Tensor): Tensor[] {
  const again = () => {
    repeating = true;
    try {
      return f();
    } finally {
      repeating = false;
    }
  };
  const start = (output: Tensor) => {
    free(output); // what reads it has its values already
    return hold(cotangent);
  };
  return pull(sources, again, start, (x) => filled(x, 0)).grads;
}

/** The scalar `f()` and its gradients with respect to `params`, in order; times the scalar `seed`, if there is one. */
export function grad(
  params: readonly Tensor[],
  f: () => Tensor,
  seed: Tensor | null = null,
): { loss: Tensor; grads: Tensor[] } {
  const { output, grads } = pull(params, f, (loss) => {
    if (loss.size !== 1) throw new Error(`grad: the function must return a scalar, got [${loss.shape}]`);
    return seed ? hold(seed) : take(filled(loss, 1));
  });
  return { loss: output, grads };
}

/**
 * The gradients of the scalar `f()` with respect to `sources`, in order, times the scalar `seed` if there is one; 0 for a
 * source that `f()` does not depend on.
 */
export function partials(
  sources: readonly Tensor[],
  f: () => Tensor,
  seed: Tensor | null = null,
): readonly Tensor[] {
  const start = (loss: Tensor) => (seed ? hold(seed) : take(filled(loss, 1)));
  return pull(sources, f, start, (x) => filled(x, 0)).grads;
}

/** `f()` of any shape, and the gradients of ⟨f(), cotangent⟩ with respect to `params`. */
export function vjp(params: readonly Tensor[], f: () => Tensor, cotangent: Tensor) {
  return pull(params, f, (output) => {
    if (`${output.shape}` === `${cotangent.shape}`) return hold(cotangent);
    throw new Error(`vjp: the function returned [${output.shape}], the cotangent is [${cotangent.shape}]`);
  });
}

/** `absent` is the gradient of what the output does not depend on. */
function pull(
  params: readonly Tensor[],
  f: () => Tensor,
  start: (output: Tensor) => Tensor,
  absent: (p: Tensor, i: number) => Tensor = missing,
) {
  if (tape) throw new Error("grad: already recording; higher-order derivatives are not supported");
  const nodes: Node[] = [];
  const { tracked } = (tape = { nodes, tracked: new Set(params), read: new Set<Tensor>() });
  const grads = new Map<Tensor, Tensor>();
  try {
    const output = scope(f);
    tape = null;
    grads.set(output, start(output));
    for (let node = nodes.pop(); node; node = nodes.pop()) {
      sweep(node, grads, tracked);
      node.saved.forEach(release);
    }
    return { output, grads: params.map((p, i) => give(grads.get(p) ?? hold(absent(p, i)))) };
  } finally {
    tape = null;
    for (const node of nodes) node.saved.forEach(release);
  }
}

function sweep({ outputs, inputs, reduce }: Node, grads: Map<Tensor, Tensor>, tracked: Set<Tensor>): void {
  if (!outputs.some((output) => grads.has(output))) return;
  scope(() => {
    const dys = outputs.map((output) => grads.get(output) ?? filled(output, 0));
    const reduced = scope(() => reduce(dys[0]!));
    for (const [x, pullback] of inputs) {
      if (!tracked.has(x)) continue;
      const dx: Tensor = scope(() => pullback(dys, reduced));
      const sum = grads.get(x);
      if (sum) {
        grads.set(x, take(plus(sum, dx)));
        release(sum);
        if (!dys.includes(dx)) free(dx);
      } else {
        grads.set(x, dys.includes(dx) ? hold(dx) : take(dx)); // an op may hand its dy on as it is
      }
    }
  });
  for (const output of outputs) {
    const dy = grads.get(output);
    grads.delete(output);
    if (dy) release(dy);
  }
}

/** Between being computed and being handed over, a gradient lives on the tape's hold alone. */
function take(t: Tensor): Tensor {
  hold(t);
  free(t);
  return t;
}

function give(t: Tensor): Tensor {
  adopt(t);
  release(t);
  return t;
}

function filled(like: Tensor, value: number): Tensor {
  const y = new Tensor(like.device, like.shape, like.precision);
  fill({ y, value }, y.size);
  return y;
}

function plus(a: Tensor, b: Tensor): Tensor {
  const y = new Tensor(a.device, a.shape, a.precision);
  add({ a, b, y }, y.size);
  return y;
}

function missing(p: Tensor, i: number): never {
  throw new Error(`grad: the function does not depend on parameter ${i}, [${p.shape}]`);
}
