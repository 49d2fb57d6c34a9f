// One training loop for every stage and method: sample, forward, loss, gradient, step. It is an async
// generator of events and knows neither Node nor a page; whoever runs it decides what to show and save.

import { Adam, free, grad, keep, polyRate, scope, Sgd, tensor } from "../engine/index.ts";
import type { Device, Optimizer, Tensor } from "../engine/index.ts";
import { type Output, PROTOKD, type Terms, total, type Weights } from "./losses.ts";
import type { Method } from "./methods/index.ts";
import { type Params } from "./params.ts";
import type { EpochRecord } from "./records.ts";
import type { Region } from "./regions.ts";
import { type Mode, vnet, type VnetConfig } from "./vnet.ts";

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

/** A network with its parameters. */
export interface Network {
  params: Params;
  config: VnetConfig;
}

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
    this.optimizer = optimizer === "adam" ? new Adam(params, { decay }) : new Sgd(params, { decay });
  }

  /** Trains. What it yields is done: parameters may be read and saved between two events. */
  async *run(): AsyncGenerator<TrainEvent> {
    const { network, epochs, stepsPerEpoch, rate, schedule, next, now } = this.#options;
    const { validate, validateEvery, validateFrom } = this.#options;
    yield { type: "start", parameters: network.params.count };
    let best = -Infinity;
    for (let epoch = 1; epoch <= epochs; epoch++) {
      const started = now();
      const sums: Record<string, number> = {};
      const epochRate = schedule === "poly" ? polyRate(rate, (epoch - 1) / epochs) : rate;
      for (let i = 0; i < stepsPerEpoch; i++) {
        const batch = next();
        const losses = await this.#step(batch, epochRate);
        for (const [name, value] of Object.entries(losses))
          sums[name] = (sums[name] ?? 0) + value / stepsPerEpoch;
        const step = this.optimizer.steps;
        yield { type: "step", epoch, step, steps: epochs * stepsPerEpoch, losses, rate: epochRate };
      }
      const regular = epoch >= validateFrom && epoch % validateEvery === 0;
      const due = validate && (regular || epoch === epochs);
      const validation = due ? await validate(network) : undefined;
      const record: EpochRecord = {
        ...{
          epoch,
          step: this.optimizer.steps,
          seconds: (now() - started) / 1000,
          rate: epochRate,
          losses: sums,
        },
        ...(validation && { validation }),
      };
      // Ties go to the later epoch, as in the published code; without validation the last is the best.
      const better = validation ? validation.mean >= best : !validate;
      if (better && validation) best = validation.mean;
      yield { type: "epoch", record, best: better };
    }
  }

  /** Lets go of the optimizer's state, after the run. The network stays. */
  free(): void {
    this.optimizer.free();
  }

  /** One update, and its losses by term. */
  async #step(batch: TrainBatch, rate: number): Promise<Record<string, number>> {
    const { device, network, method, teacher, channels, patch, weights } = this.#options;
    const N = batch.cases.length;
    const label = tensor(device, [N, ...patch], batch.label);
    const images = tensor(device, [N, batch.images.length / batch.label.length, ...patch], batch.images);
    const seen = pick(images, batch.images, channels);
    let terms: Terms = {};
    const loss = scope(() => {
      const guide = method.teacher ? forward(teacher!, images, "eval") : null; // outside grad(): nothing is taped
      const { loss, grads } = grad(this.optimizer.params, () => {
        terms = method.terms(forward(network, seen, "train"), guide, label, weights);
        for (const [, term] of Object.values(terms)) keep(term);
        return total(terms);
      });
      this.optimizer.step(grads, rate);
      return loss;
    });
    const losses: Record<string, number> = { total: await loss.item() };
    for (const [name, [, term]] of Object.entries(terms)) {
      losses[name] = await term.item();
      free(term);
    }
    [loss, label, images, seen].forEach(free);
    if (Object.values(losses).every(Number.isFinite)) return losses;
    throw new DivergedError(
      `step ${this.optimizer.steps}: the loss is no number (${JSON.stringify(losses)}), on ${batch.cases.join(", ")}: ` +
        "lower the learning rate, or look at these cases",
    );
  }
}

/** Runs a network as part of what surrounds it: under grad() it is taped, elsewhere not. */
export function forward({ params, config }: Network, x: Tensor, mode: Mode): Output {
  return scope(() => vnet(params, x, config, mode));
}

/** Makes a network's parameters and compiles its kernels: a forward pass on nothing. */
export function touch(device: Device, network: Network, patch: readonly number[]): void {
  const { modalities } = network.config;
  const size = modalities * patch.reduce((a, b) => a * b, 1);
  const x = tensor(device, [1, modalities, ...patch], new Float32Array(size));
  scope(() => void forward(network, x, "eval"));
  free(x);
  network.params.checkUsed();
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
