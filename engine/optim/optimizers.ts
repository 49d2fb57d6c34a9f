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
  /** The parameters that step() updates, in the order of `params`: all, unless some are held. */
  readonly moving: readonly Tensor[];
  /**
   * Until the next call, step() leaves these parameters and their moments as they are; the guard does not see
   * them. Throws for one that was not among those to `hold` when the optimizer was made, or for all.
   */
  hold(params: readonly Tensor[]): void;
  /**
   * Updates the parameters in place; `grads` are in the order of `moving`. A `guard` scales and clips the
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

interface Packing {
  /** Multiples of the learning rate, one for each parameter; 1 unless given. */
  rates?: readonly number[];
  /** Parameters that hold() may be given: they share no buffer. */
  holdable?: readonly Tensor[];
  /** Parameters without L2 regularisation. */
  undecayed?: readonly Tensor[];
}

interface AdamOptions extends Packing {
  beta1?: number;
  beta2?: number;
  eps?: number;
  decay?: number;
  shrinkage?: number;
}

/** Parameters that fit one binding together, with their gradients and moments. */
interface Group {
  params: readonly Tensor[];
  parameter: Tensor;
  gradient: Tensor;
  views: readonly Tensor[]; // the part of `gradient` of each parameter
  moments: readonly Tensor[];
  rate: number; // a multiple of the learning rate
  decays: boolean;
}

/**
 * Adam with L2 regularisation added to the gradient, as torch.optim.Adam; the defaults are those of ProtoKD's
 * code. Kingma & Ba, ICLR 2015. Each step also subtracts rate · `shrinkage` of every parameter: see adamW().
 */
export class Adam implements Optimizer {
  readonly params: readonly Tensor[];
  readonly moments: Readonly<Record<"mean" | "square", readonly Tensor[]>>;
  steps = 0;
  readonly #packs: Packs;
  readonly #options: { beta1: number; beta2: number; eps: number; decay: number };
  readonly #shrinkage: number;

  constructor(
    params: readonly Tensor[],
    { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, decay = 1e-5, shrinkage = 0, ...packing }: AdamOptions = {},
  ) {
    this.params = params;
    this.#options = { beta1, beta2, eps, decay };
    this.#shrinkage = shrinkage;
    this.moments = { mean: zeros(params), square: zeros(params) };
    this.#packs = new Packs(params, [this.moments.mean, this.moments.square], packing);
  }

  get moving(): readonly Tensor[] {
    return this.#packs.moving;
  }

  hold(params: readonly Tensor[]): void {
    this.#packs.hold(params);
  }

  step(grads: readonly Tensor[], rate: number, guard: GradientGuard | null = null): void {
    this.steps++;
    const { beta1, beta2 } = this.#options;
    const size = rate / (1 - beta1 ** this.steps);
    const root = Math.sqrt(1 - beta2 ** this.steps);
    for (const group of this.#packs.collect(grads, guard)) {
      const { gradient, parameter, moments, rate: multiple, decays } = group;
      const [mean, square] = moments as [Tensor, Tensor];
      const config = {
        ...this.#options,
        ...(!decays && { decay: 0 }),
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
    this.#packs.free(this.params, this.moments);
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
  readonly #packs: Packs;
  readonly #options: { momentum: number; decay: number };

  constructor(
    params: readonly Tensor[],
    { momentum = 0.99, decay = 3e-5, ...packing }: { momentum?: number; decay?: number } & Packing = {},
  ) {
    this.params = params;
    this.#options = { momentum, decay };
    this.moments = { velocity: zeros(params) };
    this.#packs = new Packs(params, [this.moments.velocity], packing);
  }

  get moving(): readonly Tensor[] {
    return this.#packs.moving;
  }

  hold(params: readonly Tensor[]): void {
    this.#packs.hold(params);
  }

  step(grads: readonly Tensor[], rate: number, guard: GradientGuard | null = null): void {
    this.steps++;
    for (const group of this.#packs.collect(grads, guard)) {
      const { gradient, parameter, moments, rate: multiple, decays } = group;
      const velocity = moments[0]!;
      const args = { gradient, velocity, parameter, rate: multiple * rate, ...guarding(guard, gradient) };
      sgd.step({ ...args, ...this.#options, ...(!decays && { decay: 0 }) }, parameter.size);
    }
  }

  free(): void {
    this.#packs.free(this.params, this.moments);
  }
}

/**
 * The "poly" learning rate base · (1 - done)^power, `done` from 0 to 1; power 0.9 as in ProtoKD and nnU-Net.
 */
export function polyRate(base: number, done: number, power = 0.9): number {
  return base * (1 - Math.min(1, done)) ** power;
}

/**
 * The learning rate that rises from 0 to `base` over the first tenth, and falls back to 0 along half a
 * cosine; `done` from 0 to 1. Loshchilov & Hutter, ICLR 2017, with the warm-up of DINO (Caron et al., 2021).
 */
export function cosineRate(base: number, done: number, warmup = 0.1): number {
  if (done < warmup) return (base * done) / warmup;
  return (base * (1 + Math.cos((Math.PI * (Math.min(1, done) - warmup)) / (1 - warmup)))) / 2;
}

/**
 * The learning rate that stays at `base` and, over the last 40 %, falls along a line towards a hundredth of
 * it; `done` from 0 to 1. The schedule of UAGAN's code (Yuan et al., MICCAI 2019).
 */
export function decayRate(base: number, done: number): number {
  return base * (1 - (0.99 * Math.max(0, Math.min(1, done) - 0.6)) / 0.4);
}

function zeros(params: readonly Tensor[]): Tensor[] {
  return params.map((p) => keep(fill(p.device, p.shape, 0)));
}

/** Parameters in as few buffers as bindings allow, their gradients and moments likewise. */
class Packs {
  readonly #all: readonly Group[];
  readonly #holdable: ReadonlySet<Tensor>;
  #moving: readonly Group[];

  constructor(
    params: readonly Tensor[],
    moments: readonly (readonly Tensor[])[],
    { rates = params.map(() => 1), holdable = [], undecayed = [] }: Packing,
  ) {
    if (!params.length) throw new Error("optimizer: expected at least one parameter to train, got none");
    const { largest } = params[0]!.device;
    const all: Group[] = [];
    const alone = (this.#holdable = new Set(holdable));
    const apart = (i: number, begin: number) =>
      rates[i] !== rates[begin] ||
      undecayed.includes(params[i]!) !== undecayed.includes(params[begin]!) ||
      alone.has(params[i]!) ||
      alone.has(params[begin]!);
    for (let begin = 0, end = 0; begin < params.length; begin = end) {
      for (let bytes = 0; end < params.length; end++) {
        bytes += 4 * params[end]!.size + 256;
        if (end > begin && (bytes > largest || apart(end, begin))) break;
      }
      const views = zeros(params.slice(begin, end));
      all.push({
        params: params.slice(begin, end),
        parameter: pack(params.slice(begin, end)),
        moments: moments.map((list) => pack(list.slice(begin, end))),
        gradient: pack(views),
        views,
        rate: rates[begin]!,
        decays: !undecayed.includes(params[begin]!),
      });
    }
    this.#all = this.#moving = all;
  }

  get moving(): readonly Tensor[] {
    return this.#moving.flatMap(({ params }) => params);
  }

  hold(held: readonly Tensor[]): void {
    if (held.some((param) => !this.#holdable.has(param)))
      throw new Error("optimizer: expected parameters that can be held, got another");
    const moving = this.#all.filter(({ params: [first] }) => !held.includes(first!));
    if (!moving.length) throw new Error("optimizer: expected at least one parameter to train, got none");
    this.#moving = moving;
  }

  /** Copies the gradients into the moving groups' buffers, has the guard check them, returns these groups. */
  collect(grads: readonly Tensor[], guard: GradientGuard | null): readonly Group[] {
    let i = 0;
    for (const { views } of this.#moving) {
      for (const { device, buffer, storage, size } of views) {
        const { buffer: from, storage: source } = grads[i++]!;
        device.copy(from, source.offset, buffer, storage.offset, 4 * size);
      }
    }
    guard?.check(this.#moving.map(({ gradient }) => gradient));
    return this.#moving;
  }

  /** Frees gradients and moments. */
  free(params: readonly Tensor[], moments: Optimizer["moments"]): void {
    for (const list of [...Object.values(moments), ...this.#all.map(({ views }) => views)])
      list.forEach(free);
    unpack(params);
  }
}

/** A guard as a kernel's arguments; without one the gradient is bound instead, and not read. */
function guarding(guard: GradientGuard | null, gradient: Tensor) {
  return { guard: guard?.state ?? gradient, guarded: guard !== null };
}
