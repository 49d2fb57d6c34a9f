// One training loop for every stage and method: sample, forward, loss, gradient, step. It is an async
// generator of events and knows neither Node nor a page; whoever runs it decides what to show and save.

import {
  Adam,
  compile,
  free,
  grad,
  GradientGuard,
  keep,
  plan,
  polyRate,
  scope,
  Sgd,
  tensor,
} from "../engine/index.ts";
import type { Optimizer, Tensor } from "../engine/index.ts";
import { type Entry, Ledger } from "./ledger.ts";
import { PROTOKD, total } from "./losses.ts";
import { touch } from "./network.ts";
import { beginning, nextEpoch, type Position } from "./position.ts";
import type { EpochRecord } from "./records.ts";
import { forwardBatch, samplesTogether } from "./slices.ts";
import {
  type Ending,
  type TrainBatch,
  type TrainEvent,
  TRAINING,
  type TrainOptions,
} from "./trainOptions.ts";

export * from "./trainOptions.ts";

/** Steps in a row that may be left out before training ends. */
const MOST_SKIPPED = 3;

/** Losses or gradients that are no numbers, again and again. No such step changed the parameters. */
export class DivergedError extends Error {
  override readonly name = "DivergedError";
}

export class Trainer {
  readonly optimizer: Optimizer;
  /** Leaves out steps that would spoil the parameters. */
  readonly guard: GradientGuard;
  readonly #options: Required<Omit<TrainOptions, "validate" | "position">> & Pick<TrainOptions, "validate">;
  readonly #position: Position;
  #stopping = false;

  /** Makes the parameters, by a first forward pass, and the optimizer's state. */
  constructor({ position = beginning(), ...options }: TrainOptions) {
    this.#position = structuredClone(position);
    this.#options = {
      ...{ ...TRAINING, weights: PROTOKD, validateEvery: 1, validateFrom: 1, now: () => 0 },
      ...{ clip: 0, patience: 0, maxSeconds: 0 },
      ...options,
    };
    const { device, network, patch, teacher, method } = this.#options;
    if (method.teacher && !teacher) throw new Error(`method ${method.name}: expected a teacher, got none`);
    touch(device, network, patch);
    if (teacher) touch(device, teacher, patch);
    const { optimizer, decay } = this.#options;
    const params = network.params.trained;
    this.guard = new GradientGuard(device, { clip: this.#options.clip, scaled: network.precision === "f16" });
    this.optimizer = optimizer === "adam" ? new Adam(params, { decay }) : new Sgd(params, { decay });
  }

  /** Ends the run after the step in progress: it rests, and says so. */
  stop(): void {
    this.#stopping = true;
  }

  /** Whether stop() was called: the next rest is the last. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /**
   * Trains, after all kernels have been compiled. Steps are told in order, some at a time, when their losses are read;
   * then, and at the end of an epoch, all is done, and parameters may be read and saved: it rests.
   */
  async *run(): AsyncGenerator<TrainEvent> {
    const { device, network, epochs, next, now, patience } = this.#options;
    const at = this.#position;
    yield { type: "start", parameters: network.params.count };
    if (at.epoch > epochs) return;
    let first: TrainBatch | null = await next();
    yield* this.#compile(first);
    const ledger = new Ledger<Noted>(device, now);
    const ready = async () => {
      const began = now();
      const batch = first ?? (await next());
      first = null;
      at.waited += (now() - began) / 1000;
      return batch;
    };
    try {
      while (at.epoch <= epochs) {
        const reason = yield* this.#steps(ledger, ready);
        if (reason === "request") return yield { type: "end", reason };
        yield* this.#endEpoch();
        if (reason) return yield { type: "end", reason };
        if (patience && at.idle >= patience) return yield { type: "end", reason: "patience" };
      }
    } finally {
      ledger.free();
    }
  }

  /** The rest of an epoch's steps; returns why it ended before them, if it did. */
  async *#steps(
    ledger: Ledger<Noted>,
    next: () => Promise<TrainBatch>,
  ): AsyncGenerator<TrainEvent, Ending | null> {
    const { epochs, stepsPerEpoch, rate, schedule, now, maxSeconds } = this.#options;
    const at = this.#position;
    const { epoch } = at;
    const epochRate = schedule === "poly" ? polyRate(rate, (epoch - 1) / epochs) : rate;
    let began = now();
    for (let recorded = at.done; at.done < stepsPerEpoch;) {
      this.#step(await next(), epochRate, ledger);
      recorded++;
      const late = maxSeconds > 0 && at.total + (now() - began) / 1000 >= maxSeconds;
      if (!ledger.due && !late && !this.#stopping && recorded < stepsPerEpoch) continue;
      for (const entry of await ledger.read()) {
        at.done++;
        yield this.#account(entry, epochRate);
      }
      const seconds = (now() - began) / 1000;
      began = now();
      at.seconds += seconds;
      at.total += seconds;
      if (at.done < stepsPerEpoch) yield { type: "rest", position: this.position };
      if (this.#stopping) {
        if (at.done === stepsPerEpoch) yield { type: "rest", position: this.position };
        return "request";
      }
      if (late) return "time";
    }
    return null;
  }

  /** What to tell of a step whose losses are known; throws where too many in a row were left out. */
  #account({ step: { step, cases }, losses: read }: Entry<Noted>, rate: number): TrainEvent {
    const at = this.#position;
    const { epochs, stepsPerEpoch, network } = this.#options;
    const { scale = 1, finite, norm, ...losses } = read;
    const { epoch } = at;
    const numbers = Object.values(losses).every(Number.isFinite);
    if (finite && numbers) {
      at.skippedInRow = 0;
      at.counted++;
      for (const [name, value] of Object.entries(losses)) at.sums[name] = (at.sums[name] ?? 0) + value;
      return { type: "step", epoch, step, steps: epochs * stepsPerEpoch, losses, rate };
    }
    at.skipped++;
    if (network.precision === "f16" && numbers) {
      if (scale < 1) {
        throw new DivergedError(
          `step ${step}: gradients overflow half precision even unscaled, on ${cases.join(", ")}: ` +
            "lower the learning rate, or train with --precision f32",
        );
      }
    } else if (++at.skippedInRow === MOST_SKIPPED) {
      throw new DivergedError(
        `step ${step}: ${numbers ? "the gradient" : "the loss"} is no number for the ${MOST_SKIPPED}rd time in a ` +
          `row (${JSON.stringify(losses)}), now on ${cases.join(", ")}; those steps changed nothing: ` +
          "lower the learning rate, or look at these cases",
      );
    }
    return { type: "skip", epoch, step, cases, losses: { ...losses, norm: norm! } };
  }

  /** Validates if it is time, tells of the epoch, and goes on to the next. */
  async *#endEpoch(): AsyncGenerator<TrainEvent> {
    const { device, network, epochs, rate, schedule, now, stepsPerEpoch } = this.#options;
    const { validate, validateEvery, validateFrom } = this.#options;
    const at = this.#position;
    const { epoch } = at;
    const began = now();
    const regular = epoch >= validateFrom && epoch % validateEvery === 0;
    const due = validate && (regular || epoch === epochs || at.done < stepsPerEpoch);
    const validation = due ? await validate(network) : undefined;
    const seconds = at.seconds + (now() - began) / 1000;
    at.total += seconds - at.seconds;
    // Ties go to the later epoch, as in the published code; without validation the last is the best.
    const better = validation ? validation.mean >= (at.best ?? -Infinity) : !validate;
    if (validation) {
      at.idle = better ? 0 : at.idle + 1;
      if (better) at.best = validation.mean;
      at.average = at.average === null ? validation.mean : 0.9 * at.average + 0.1 * validation.mean;
    }
    const losses = Object.fromEntries(Object.entries(at.sums).map(([name, sum]) => [name, sum / at.counted]));
    const record: EpochRecord = {
      ...{ epoch, step: this.optimizer.steps, seconds, losses },
      rate: schedule === "poly" ? polyRate(rate, (epoch - 1) / epochs) : rate,
      ...{ waited: at.waited, skipped: at.skipped },
      gpuBytes: device.peakBytes,
      ...(validation && { validation, average: at.average! }),
    };
    Object.assign(at, nextEpoch(at));
    yield { type: "epoch", record, best: better };
    yield { type: "rest", position: this.position };
  }

  /** Where the run is, when it rests. */
  get position(): Position {
    return structuredClone(this.#position);
  }

  /** Lets go of the optimizer's state, after the run. The network stays. */
  free(): void {
    this.optimizer.free();
    this.guard.free();
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
    const scalars: Record<string, Tensor> = {};
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
          scalars["total"] = keep(loss); // read after the step, with what the guard says of it
          for (const [name, [, term]] of Object.entries(terms)) scalars[name] = keep(term);
          device.phase = "backward";
          return loss;
        },
        this.guard.seed,
      );
      device.phase = "optimizer";
      this.optimizer.step(grads, rate, this.guard);
      ledger?.note({ step: this.optimizer.steps, cases }, { ...scalars, ...this.guard.verdict });
    });
    device.phase = "";
    [label, images, seen, ...Object.values(scalars)].forEach(free);
  }
}

/** What is remembered of a step until its losses are read. */
interface Noted {
  step: number;
  cases: string[];
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
