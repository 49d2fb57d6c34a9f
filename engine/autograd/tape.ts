// Reverse-mode differentiation over a tape that exists only while grad() runs its function.
//
// The tape is in the order of execution, so backwards it is a topological order: at a node, all consumers of
// its output are done, and the gradient of the output is complete. After the node's own pullbacks nothing
// needs its tensors again, so the node releases its holds: activations are recycled as the sweep passes them.

import { shader } from "../gpu/shader.ts";
import { adopt, free, hold, release, scope, Tensor } from "./tensor.ts";

const { forward: add } = await shader("add");
const { forward: fill } = await shader("fill");

/** The result that the pullbacks of an op share: one tensor, or several by name. */
type Reduced = Tensor | Readonly<Record<string, Tensor>>;

/** A tensor that an op read, and the pullback from a gradient of the op's output to one of that tensor. */
export type Input<R extends Reduced = Tensor> = readonly [
  x: Tensor,
  pullback: (dy: Tensor, reduced: R) => Tensor,
];

/** The same for an op with several outputs: its pullback takes a gradient of each of them. */
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
  /** Null while recompute() only asks which tensors a function reads. */
  nodes: Node[] | null;
  /** Tensors that the parameters lead to. */
  tracked: Set<Tensor>;
  /** Tracked tensors that ops have read, where there are no nodes. */
  read: Set<Tensor>;
}

let tape: Tape | null = null;
let repeating = false;

/** Returns whether recompute() is running a function again, for the backward pass. */
export function isRepetition(): boolean {
  return repeating;
}

/**
 * Records how `output` was computed. `saved` are the tensors whose values the pullbacks read: they live until
 * the backward pass has read them. `reduce` computes from dy what several pullbacks need: it runs once, every
 * pullback gets its result as second argument, and those of its tensors that no pullback returns are then
 * freed.
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

/**
 * The same for an op with several outputs. Pullbacks get a gradient of each, 0 for an output that nothing
 * used.
 */
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
 * Gradient checkpointing: keeps no intermediates of f and runs f again during backward. f must return a new
 * tensor, compute the same bits each time, and read only `inputs` and tensors of the program. An op that
 * changes its inputs, as batch norm changes its running statistics, does so only where isRepetition() is
 * false. Without a tape this is scope(f). Chen et al., "Training deep nets with sublinear memory cost", 2016.
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
    inputs,
    reduce,
  );
}

/** The gradients of ⟨f(), cotangent⟩ by `sources`, with isRepetition() true while f runs. */
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
    free(output); // those that read it did so the first time
    return hold(cotangent);
  };
  return pull(sources, again, start, (x) => filled(x, 0)).grads;
}

/**
 * The scalar `f()` and its gradients by `params`, in order, times the scalar `seed` if there is one. Throws
 * where f returns no scalar, and where it does not depend on a parameter.
 */
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
 * The gradients of the scalar `f()` by `sources`, in order, times the scalar `seed` if there is one; 0 for a
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

/** `f()` of any shape, and the gradients of ⟨f(), cotangent⟩ by `params`. Throws where the shapes differ. */
export function vjp(params: readonly Tensor[], f: () => Tensor, cotangent: Tensor) {
  return pull(params, f, (output) => {
    if (`${output.shape}` === `${cotangent.shape}`) return hold(cotangent);
    throw new Error(`vjp: the function returned [${output.shape}], the cotangent is [${cotangent.shape}]`);
  });
}

/**
 * f() and gradients by `params`; `start` gives the gradient of f(), `absent` that of a parameter f() does not
 * depend on.
 */
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
        grads.set(x, dys.includes(dx) ? hold(dx) : take(dx)); // a pullback may return its dy itself
      }
    }
  });
  for (const output of outputs) {
    const dy = grads.get(output);
    grads.delete(output);
    if (dy) release(dy);
  }
}

/** Takes a gradient out of its scope: only the tape's hold keeps it, until give(). */
function take(t: Tensor): Tensor {
  hold(t);
  free(t);
  return t;
}

/** Hands a gradient over to the caller's scope. */
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
