// Optimizers, each over all its parameters in a few dispatches: parameters, gradients and moments are packed
// into a few large buffers, and the tensors that the network uses become views of them. Each step is given
// its learning rate.

import type { GradientGuard } from "./gradientGuard.ts";
import { shader } from "../gpu/shader.ts";
import { fill } from "../ops/fill.ts";
import { free, keep, pack, type Tensor, unpack } from "../autograd/tensor.ts";

const adam = await shader("adam");
const sgd = await shader("sgd");

/** An optimizer over some parameters, which it owns until it is freed. Throws where the list is empty. */
export interface Optimizer {
  readonly params: readonly Tensor[];
  /**
   * Updates the parameters in place; `grads` are in the order of `params`. A `guard` scales and clips the
   * gradients, and skips a step whose gradients are not all finite: no parameter or moment changes, but the
   * step counts.
   */
  step(grads: readonly Tensor[], rate: number, guard?: GradientGuard | null): void;
  /** The state to store in a checkpoint, beside `steps`: for each name a tensor for each parameter. */
  readonly moments: Readonly<Record<string, readonly Tensor[]>>;
  /** Steps done; set it when resuming. */
  steps: number;
  /** Frees gradients and moments, after the last step. Another optimizer may then take the parameters. */
  free(): void;
}

/** Multiples of the learning rate, one for each parameter; 1 unless given. */
interface Rates {
  rates?: readonly number[];
}

interface AdamOptions extends Rates {
  beta1?: number;
  beta2?: number;
  eps?: number;
  decay?: number;
  shrinkage?: number;
}

/** Parameters that fit one binding together, with their gradients and moments. */
interface Group {
  parameter: Tensor;
  gradient: Tensor;
  views: readonly Tensor[]; // the part of `gradient` of each parameter
  moments: readonly Tensor[];
  rate: number; // a multiple of the learning rate
}

/**
 * Adam with L2 regularisation added to the gradient, as torch.optim.Adam; the defaults are those of ProtoKD's
 * code. Kingma & Ba, ICLR 2015. Each step also subtracts rate · `shrinkage` of every parameter: see adamW().
 */
export class Adam implements Optimizer {
  readonly params: readonly Tensor[];
  readonly moments: Readonly<Record<"mean" | "square", readonly Tensor[]>>;
  steps = 0;
  readonly #groups: readonly Group[];
  readonly #options: { beta1: number; beta2: number; eps: number; decay: number };
  readonly #shrinkage: number;

  constructor(
    params: readonly Tensor[],
    { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, decay = 1e-5, shrinkage = 0, rates }: AdamOptions = {},
  ) {
    this.params = params;
    this.#options = { beta1, beta2, eps, decay };
    this.#shrinkage = shrinkage;
    this.moments = { mean: zeros(params), square: zeros(params) };
    this.#groups = groups(params, [this.moments.mean, this.moments.square], rates);
  }

  step(grads: readonly Tensor[], rate: number, guard: GradientGuard | null = null): void {
    this.steps++;
    const { beta1, beta2 } = this.#options;
    const size = rate / (1 - beta1 ** this.steps);
    const root = Math.sqrt(1 - beta2 ** this.steps);
    collect(this.#groups, grads, guard);
    for (const { gradient, parameter, moments, rate: multiple } of this.#groups) {
      const [mean, square] = moments as [Tensor, Tensor];
      const config = {
        ...this.#options,
        size: multiple * size,
        root,
        shrink: multiple * rate * this.#shrinkage,
      };
      adam.step(
        { ...config, gradient, mean, square, parameter, ...guarding(guard, gradient) },
        parameter.size,
      );
    }
  }

  free(): void {
    freeAll(this.params, this.moments, this.#groups);
  }
}

/**
 * Adam with decoupled weight decay, as torch.optim.AdamW, with its default `decay`: each step first subtracts
 * rate · decay of every parameter, and the gradient has no decay. Loshchilov & Hutter, ICLR 2019.
 */
export function adamW(
  params: readonly Tensor[],
  { decay = 1e-2, ...options }: { beta1?: number; beta2?: number; eps?: number; decay?: number } = {},
): Adam {
  return new Adam(params, { ...options, decay: 0, shrinkage: decay });
}

/** Stochastic gradient descent with Nesterov momentum; the defaults are nnU-Net's. */
export class Sgd implements Optimizer {
  readonly params: readonly Tensor[];
  readonly moments: Readonly<Record<"velocity", readonly Tensor[]>>;
  steps = 0;
  readonly #groups: readonly Group[];
  readonly #options: { momentum: number; decay: number };

  constructor(
    params: readonly Tensor[],
    { momentum = 0.99, decay = 3e-5, rates }: { momentum?: number; decay?: number } & Rates = {},
  ) {
    this.params = params;
    this.#options = { momentum, decay };
    this.moments = { velocity: zeros(params) };
    this.#groups = groups(params, [this.moments.velocity], rates);
  }

  step(grads: readonly Tensor[], rate: number, guard: GradientGuard | null = null): void {
    this.steps++;
    collect(this.#groups, grads, guard);
    for (const { gradient, parameter, moments, rate: multiple } of this.#groups) {
      const velocity = moments[0]!;
      const args = { gradient, velocity, parameter, rate: multiple * rate, ...guarding(guard, gradient) };
      sgd.step({ ...args, ...this.#options }, parameter.size);
    }
  }

  free(): void {
    freeAll(this.params, this.moments, this.#groups);
  }
}

/**
 * The "poly" learning rate base · (1 - done)^power, `done` from 0 to 1; power 0.9 as in ProtoKD and nnU-Net.
 */
export function polyRate(base: number, done: number, power = 0.9): number {
  return base * (1 - Math.min(1, done)) ** power;
}

function zeros(params: readonly Tensor[]): Tensor[] {
  return params.map((p) => keep(fill(p.device, p.shape, 0)));
}

/** Packs the parameters, and gradients and moments likewise, into as few buffers as bindings allow. */
function groups(
  params: readonly Tensor[],
  moments: readonly (readonly Tensor[])[],
  rates: readonly number[] = params.map(() => 1),
): Group[] {
  if (!params.length) throw new Error("optimizer: expected at least one parameter to train, got none");
  const { largest } = params[0]!.device;
  const result: Group[] = [];
  for (let begin = 0, end = 0; begin < params.length; begin = end) {
    for (let bytes = 0; end < params.length; end++) {
      bytes += 4 * params[end]!.size + 256;
      if (end > begin && (bytes > largest || rates[end] !== rates[begin])) break;
    }
    const views = zeros(params.slice(begin, end));
    result.push({
      parameter: pack(params.slice(begin, end)),
      moments: moments.map((list) => pack(list.slice(begin, end))),
      gradient: pack(views),
      views,
      rate: rates[begin]!,
    });
  }
  return result;
}

function freeAll(params: readonly Tensor[], moments: Optimizer["moments"], groups: readonly Group[]): void {
  for (const list of [...Object.values(moments), ...groups.map(({ views }) => views)]) list.forEach(free);
  unpack(params);
}

/** A guard as a kernel's arguments; without one the gradient is bound instead, and not read. */
function guarding(guard: GradientGuard | null, gradient: Tensor) {
  return { guard: guard?.state ?? gradient, guarded: guard !== null };
}

/** Copies the gradients into the groups' buffers, and has the guard check them. */
function collect(groups: readonly Group[], grads: readonly Tensor[], guard: GradientGuard | null): void {
  let i = 0;
  for (const { views } of groups) {
    for (const { device, buffer, storage, size } of views) {
      const { buffer: from, storage: source } = grads[i++]!;
      device.copy(from, source.offset, buffer, storage.offset, 4 * size);
    }
  }
  guard?.check(groups.map(({ gradient }) => gradient));
}
