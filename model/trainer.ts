// One training loop for every stage and method: sample, forward, loss, gradient, step. It is an async
// generator of events and knows neither Node nor a page; whoever runs it decides what to show and save.

import { Adam, compile, free, grad, LossScale, plan, polyRate, scope, Sgd, tensor } from "../engine/index.ts";
import type { Device, Optimizer, Tensor } from "../engine/index.ts";
import { Ledger } from "./ledger.ts";
import { PROTOKD, total, type Weights } from "./losses.ts";
import type { Method } from "./methods/index.ts";
import { type Network, touch } from "./network.ts";
import type { EpochRecord } from "./records.ts";
import type { Region } from "./regions.ts";
import { forwardBatch, samplesTogether } from "./slices.ts";

/** What the loop is fed with: a few patches of all modalities that are loaded. */
export interface TrainBatch {
  /** [N, modalities, D, H, W] */
  images: Float32Array;
  /** Classes, [N, D, H, W] */
  label: Uint8Array;
  /** The ids of the N cases. */
  cases: string[];
}

/** Mean Dice over the validation cases. */
export type Scores = Record<Region | "mean", number>;

export interface TrainOptions {
  device: Device;
  network: Network;
  method: Method;
  /** A trained network that sees all modalities of the batches; null where the method needs none. */
  teacher: Network | null;
  /** Which of the batches' modalities the network sees, by index. */
  channels: readonly number[];
  patch: readonly [number, number, number];
  epochs: number;
  stepsPerEpoch: number;
  next: () => TrainBatch;
  optimizer?: "adam" | "sgd";
  /** Learning rate at the start. */
  rate?: number;
  /** How it goes on: it decays with the power 0.9 of what is left, epoch by epoch, or stays. */
  schedule?: Schedule;
  /** L2 regularisation, added to the gradient. */
  decay?: number;
  weights?: Weights;
  /** Called after every `validateEvery`-th epoch from `validateFrom` on (both 1 by default), and the last. */
  validate?: (network: Network) => Promise<Scores>;
  validateEvery?: number;
  validateFrom?: number;
  /** Milliseconds from any start: a loop without a clock of its own can be repeated. */
  now?: () => number;
}

export type Schedule = "poly" | "constant";

export type TrainEvent =
  | { type: "start"; parameters: number }
  | { type: "compile"; done: number; kernels: number }
  | { type: "step"; epoch: number; step: number; steps: number; losses: Record<string, number>; rate: number }
  | { type: "epoch"; record: EpochRecord; best: boolean };

/** The defaults of ProtoKD's published code (Adam, weight decay, rate; methods of Wang et al. §1.9). */
export const TRAINING = { optimizer: "adam", rate: 1e-3, decay: 1e-5, schedule: "poly" } as const;

/** A loss that is no number. The parameters may be spoilt; a checkpoint from before is good. */
export class DivergedError extends Error {
  override readonly name = "DivergedError";
}

export class Trainer {
  readonly optimizer: Optimizer;
  /** Of gradients in half precision. */
  readonly scale: LossScale | null;
  readonly #options: Required<Omit<TrainOptions, "validate">> & Pick<TrainOptions, "validate">;

  /** Makes the parameters, by a first forward pass, and the optimizer's state. */
  constructor(options: TrainOptions) {
    this.#options = {
      ...{ ...TRAINING, weights: PROTOKD, validateEvery: 1, validateFrom: 1, now: () => 0 },
      ...options,
    };
    const { device, network, patch, teacher, method } = this.#options;
    if (method.teacher && !teacher) throw new Error(`method ${method.name}: expected a teacher, got none`);
    touch(device, network, patch);
    if (teacher) touch(device, teacher, patch);
    const { optimizer, decay } = this.#options;
    const params = network.params.trained;
    this.scale = network.precision === "f16" ? new LossScale(device) : null;
    this.optimizer = optimizer === "adam" ? new Adam(params, { decay }) : new Sgd(params, { decay });
  }

  /**
   * Trains, after all kernels have been compiled. Steps are told in order, some at a time, when their losses are read;
   * at the end of an epoch all is done, and parameters may be read and saved.
   */
  async *run(): AsyncGenerator<TrainEvent> {
    const { device, network, epochs, stepsPerEpoch, rate, schedule, next, now } = this.#options;
    const { validate, validateEvery, validateFrom } = this.#options;
    yield { type: "start", parameters: network.params.count };
    let first: TrainBatch | null = next();
    yield* this.#compile(first);
    const ledger = new Ledger<Noted>(device, now);
    try {
      let best = -Infinity;
      for (let epoch = 1; epoch <= epochs; epoch++) {
        const started = now();
        const sums: Record<string, number> = {};
        const epochRate = schedule === "poly" ? polyRate(rate, (epoch - 1) / epochs) : rate;
        for (let i = 0; i < stepsPerEpoch; i++) {
          this.#step(first ?? next(), epochRate, ledger);
          first = null;
          if (!ledger.due && i < stepsPerEpoch - 1) continue;
          for (const { step: noted, losses: read } of await ledger.read()) {
            const { lossScale = 1, ...losses } = read;
            check(noted, losses, lossScale);
            for (const [name, value] of Object.entries(losses))
              sums[name] = (sums[name] ?? 0) + value / stepsPerEpoch;
            const { step } = noted;
            yield { type: "step", epoch, step, steps: epochs * stepsPerEpoch, losses, rate: epochRate };
          }
        }
        const regular = epoch >= validateFrom && epoch % validateEvery === 0;
        const due = validate && (regular || epoch === epochs);
        const validation = due ? await validate(network) : undefined;
        const seconds = (now() - started) / 1000;
        const record: EpochRecord = {
          ...{ epoch, step: this.optimizer.steps, seconds, rate: epochRate, losses: sums },
          ...(validation && { validation }),
        };
        // Ties go to the later epoch, as in the published code; without validation the last is the best.
        const better = validation ? validation.mean >= best : !validate;
        if (better && validation) best = validation.mean;
        yield { type: "epoch", record, best: better };
      }
    } finally {
      ledger.free();
    }
  }

  /** Lets go of the optimizer's state, after the run. The network stays. */
  free(): void {
    this.optimizer.free();
    this.scale?.free();
  }

  /** Compiles what a step on `batch` and a validation will run. Memory that is too small is found here too. */
  async *#compile(batch: TrainBatch): AsyncGenerator<TrainEvent> {
    const { device, network, patch, validate } = this.#options;
    const { steps } = this.optimizer;
    const planned = plan(device, () => this.#step(batch, 0, null));
    this.optimizer.steps = steps;
    if (validate) for (const [key, pipeline] of touch(device, network, patch)) planned.set(key, pipeline);
    const kernels = planned.size;
    if (kernels) yield { type: "compile", done: 0, kernels };
    for await (const done of compile(device, planned)) yield { type: "compile", done, kernels };
  }

  /** Records one update; its losses go to the ledger. */
  #step(batch: TrainBatch, rate: number, ledger: Ledger<Noted> | null): void {
    const { device, network, method, teacher, channels, patch, weights } = this.#options;
    const { cases } = batch;
    const N = cases.length;
    const guiding = method.teacher ? teacher : null;
    const together = samplesTogether(device, { trained: network, teacher: guiding }, N, patch);
    const label = tensor(device, [N, ...patch], batch.label);
    const images = tensor(device, [N, batch.images.length / batch.label.length, ...patch], batch.images);
    const seen = pick(images, batch.images, channels);
    scope(() => {
      device.phase = "teacher forward";
      const guide = guiding && forwardBatch(guiding, images, "eval", together); // outside grad(): nothing is taped
      const { grads } = grad(
        this.optimizer.params,
        () => {
          device.phase = "student forward";
          const output = forwardBatch(network, seen, "train", together);
          device.phase = "losses";
          const terms = method.terms(output, guide, label, weights);
          const loss = total(terms);
          const scalars = Object.entries(terms).map(([name, [, term]]) => [name, term] as const);
          ledger?.note(
            { step: this.optimizer.steps + 1, cases },
            {
              total: loss,
              ...Object.fromEntries(scalars),
              ...(this.scale && { lossScale: this.scale.seed }),
            },
          );
          device.phase = "backward";
          return loss;
        },
        this.scale?.seed,
      );
      device.phase = "optimizer";
      this.optimizer.step(grads, rate, this.scale);
      this.scale?.update();
    });
    device.phase = "";
    [label, images, seen].forEach(free);
  }
}

/** What is remembered of a step until its losses are read. */
interface Noted {
  step: number;
  cases: string[];
}

/** Throws unless all losses of a step are numbers, and its gradients were at a scale of at least 1. */
function check({ step, cases }: Noted, losses: Record<string, number>, lossScale: number): void {
  if (lossScale < 1) {
    throw new DivergedError(
      `step ${step}: gradients overflow half precision even unscaled, on ${cases.join(", ")}: ` +
        "lower the learning rate, or train with --precision f32",
    );
  }
  if (Object.values(losses).every(Number.isFinite)) return;
  throw new DivergedError(
    `step ${step}: the loss is no number (${JSON.stringify(losses)}), on ${cases.join(", ")}: ` +
      "lower the learning rate, or look at these cases",
  );
}

/** The chosen channels of a batch; all of them are the batch itself. */
function pick(images: Tensor, data: Float32Array, channels: readonly number[]): Tensor {
  const [N, M, ...patch] = images.shape as [number, number, ...number[]];
  const voxels = patch.reduce((a, b) => a * b, 1);
  const picked = new Float32Array(N * channels.length * voxels);
  for (let n = 0; n < N; n++) {
    for (const [i, m] of channels.entries()) {
      picked.set(
        data.subarray((n * M + m) * voxels, (n * M + m + 1) * voxels),
        (n * channels.length + i) * voxels,
      );
    }
  }
  return tensor(images.device, [N, channels.length, ...patch], picked);
}
