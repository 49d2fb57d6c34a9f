// One training loop for every stage and method: sample, forward, loss, gradient, step. It is an async
// generator of events and knows neither Node nor a page; whoever runs it decides what to show and save.

import { Adam, compile, free, grad, GradientGuard, keep, plan } from "../../engine/index.ts";
import { type Optimizer, polyRate, scope, Sgd, type Tensor } from "../../engine/index.ts";
import { uploadBatch } from "./batches.ts";
import { asides, superviseLevels } from "../../model/losses/deepSupervision.ts";
import { diverged, overflow } from "./diverged.ts";
import { type Entry, Ledger } from "./lossReader.ts";
import { total } from "../../model/losses/losses.ts";
import { touch } from "../../model/networks/network.ts";
import { beginning, judge, nextEpoch, over, type Position } from "./position.ts";
import type { EpochRecord } from "./records.ts";
import { forwardBatch, samplesTogether } from "../../model/networks/parts.ts";
import { type Ending, LOOP, type ResolvedOptions, type TrainBatch } from "./options.ts";
import type { Scores, TrainEvent, TrainOptions } from "./options.ts";

export * from "./options.ts";

export class Trainer {
  readonly optimizer: Optimizer;
  /** Leaves out steps that would spoil the parameters. */
  readonly guard: GradientGuard;
  readonly #options: ResolvedOptions;
  readonly #position: Position;
  #peeked: { batch: TrainBatch; data: unknown } | null = null;
  #stopping = false;

  /** Makes the parameters, by a first forward pass, and the optimizer's state. */
  constructor({ position = beginning(), ...options }: TrainOptions) {
    this.#position = structuredClone(position);
    this.#options = { ...LOOP, ...options };
    const { device, network, patch, teacher, method } = this.#options;
    if (method.teacher && !teacher) throw new Error(`method ${method.name}: expected a teacher, got none`);
    touch(device, network, patch);
    if (teacher) touch(device, teacher, patch);
    const { optimizer, decay, momentum } = this.#options;
    const params = network.params.trained;
    this.guard = new GradientGuard(device, { clip: this.#options.clip, scaled: network.precision === "f16" });
    this.optimizer =
      optimizer === "adam" ? new Adam(params, { decay }) : new Sgd(params, { decay, momentum });
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
    const { device, network, now } = this.#options;
    const at = this.#position;
    const ledger = new Ledger<Noted>(device, now);
    yield { type: "start", parameters: network.params.count };
    let reason: Ending | "epochs" | null = over(at, this.#options);
    if (!reason) {
      yield* this.#compile(await this.#peek());
      if (at.epoch === 1 && at.done === 0) yield this.#rest();
    }
    try {
      while (!reason) {
        const early = yield* this.#steps(ledger);
        reason = early ?? ((yield* this.#endEpoch()) ? over(at, this.#options) : "request");
      }
      if (reason === "time" && !(yield* this.#endEarly())) reason = "request";
      if (reason === "request") yield this.#rest();
      if (reason !== "epochs") yield { type: "end", reason };
    } finally {
      ledger.free();
    }
  }

  /** The rest of an epoch's steps; returns why it ended before them, if it did. */
  async *#steps(ledger: Ledger<Noted>): AsyncGenerator<TrainEvent, "time" | "request" | null> {
    const { stepsPerEpoch, now, maxSeconds } = this.#options;
    const at = this.#position;
    let began = now();
    for (let recorded = at.done; at.done < stepsPerEpoch;) {
      const asked = now();
      const batch = await this.#next();
      at.waited += (now() - asked) / 1000;
      this.#step(batch, this.#rate, ledger);
      recorded++;
      const late = maxSeconds > 0 && at.total + (now() - began) / 1000 >= maxSeconds;
      if (!ledger.due && !late && !this.#stopping && recorded < stepsPerEpoch) continue;
      for (const entry of await ledger.read()) {
        at.done++;
        const event = this.#account(entry);
        yield event;
        if (event.type === "skip") this.#checkSkipped(event);
      }
      const seconds = (now() - began) / 1000;
      began = now();
      at.seconds += seconds;
      at.total += seconds;
      if (this.#stopping) return "request";
      yield this.#rest();
      if (late && at.done < stepsPerEpoch) return "time";
    }
    return null;
  }

  /** What to tell of a step whose losses are known. */
  #account({ step: { step, cases }, losses: read }: Entry<Noted>): TrainEvent {
    const at = this.#position;
    const { epochs, stepsPerEpoch, network } = this.#options;
    const { scale = 1, finite, norm, ...losses } = read;
    const { epoch } = at;
    const numbers = Object.values(losses).every(Number.isFinite);
    if (finite && numbers) {
      at.skippedInRow = 0;
      at.counted++;
      for (const [name, value] of Object.entries(losses)) at.sums[name] = (at.sums[name] ?? 0) + value;
      return { type: "step", epoch, step, steps: epochs * stepsPerEpoch, losses, rate: this.#rate };
    }
    at.skipped++;
    const why = !numbers ? "loss" : network.precision === "f16" && scale >= 1 ? "overflow" : "gradient";
    if (why !== "overflow") at.skippedInRow++;
    return { type: "skip", why, epoch, step, cases, losses: { ...losses, norm: norm! } };
  }

  /** Throws where too many steps in a row were left out, or gradients overflow whatever the scale. */
  #checkSkipped({ why, ...skip }: Extract<TrainEvent, { type: "skip" }>): void {
    const { network, maxSkipped } = this.#options;
    if (why === "overflow") return;
    if (why === "gradient" && network.precision === "f16") throw overflow(skip.step, skip.cases);
    if (this.#position.skippedInRow >= maxSkipped) throw diverged(skip, why, maxSkipped);
  }

  /** Validates if it is time, tells of the epoch, and goes on to the next; false if validating was stopped. */
  async *#endEpoch(): AsyncGenerator<TrainEvent, boolean> {
    const { network, epochs, now, validate, validateEvery, validateFrom, bestBy } = this.#options;
    const at = this.#position;
    const began = now();
    const regular = at.epoch >= validateFrom && at.epoch % validateEvery === 0;
    const last = at.epoch === epochs || (at.best === null && over(at, this.#options) === "time");
    const validation = validate && (regular || last) ? await validate(network) : undefined;
    if (validation === null) return false;
    const seconds = (now() - began) / 1000;
    at.seconds += seconds;
    at.total += seconds;
    const { better, ...standing } = validation ? judge(at, validation.mean, bestBy) : { better: !validate };
    Object.assign(at, standing);
    const event: TrainEvent = { type: "epoch", record: this.#record(validation), best: better };
    Object.assign(at, nextEpoch(at));
    yield event;
    yield this.#rest();
    return true;
  }

  /**
   * Of a run whose time is up within an epoch, and that has no best network: its last one is. The position stays, so
   * that a run that is given more time goes on as if it had never ended. False if validating was stopped.
   */
  async *#endEarly(): AsyncGenerator<TrainEvent, boolean> {
    const { network, validate } = this.#options;
    const at = this.#position;
    if (at.done === 0 || (validate && at.best !== null)) return true;
    const validation = await validate?.(network);
    if (validation === null) return false;
    yield { type: "epoch", record: this.#record(validation), best: true };
    return true;
  }

  /** The epoch so far, for metrics.jsonl. */
  #record(validation?: Scores): EpochRecord {
    const { epoch, seconds, waited, skipped, sums, counted, average } = this.#position;
    const losses = Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / counted]));
    const scores = validation && { validation, ...(average !== null && { average }) };
    return {
      epoch,
      step: this.optimizer.steps,
      seconds,
      losses,
      rate: this.#rate,
      waited,
      skipped,
      gpuBytes: this.#options.device.peakBytes,
      ...scores,
    };
  }

  get #rate(): number {
    const { rate, schedule, epochs } = this.#options;
    return schedule === "poly" ? polyRate(rate, (this.#position.epoch - 1) / epochs) : rate;
  }

  /** The batch that comes next, which stays the next one. */
  async #peek(): Promise<TrainBatch> {
    const data = this.#options.data?.();
    this.#peeked = { batch: await this.#options.next(), data };
    return this.#peeked.batch;
  }

  async #next(): Promise<TrainBatch> {
    const batch = this.#peeked?.batch ?? (await this.#options.next());
    this.#peeked = null;
    return batch;
  }

  #rest(): TrainEvent {
    const data = this.#peeked ? this.#peeked.data : this.#options.data?.();
    return { type: "rest", position: this.position, data };
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
    const planned = plan(device, () => this.rehearse(batch));
    if (validate) for (const [key, pipeline] of touch(device, network, patch)) planned.set(key, pipeline);
    const kernels = planned.size;
    if (kernels) yield { type: "compile", done: 0, kernels };
    for await (const done of compile(device, planned)) yield { type: "compile", done, kernels };
  }

  /** A step at a rate of 0 that is not counted, on a device that only plans or counts. */
  rehearse(batch: TrainBatch): void {
    const { steps } = this.optimizer;
    this.#step(batch, 0, null);
    this.optimizer.steps = steps;
  }

  /** Records one update; its losses go to the ledger. */
  #step(batch: TrainBatch, rate: number, ledger: Ledger<Noted> | null): void {
    const { device, network, method, teacher, channels, patch, weights } = this.#options;
    const { cases } = batch;
    const N = cases.length;
    const guiding = method.teacher ? teacher : null;
    const together = samplesTogether(device, { trained: network, teacher: guiding }, N, patch);
    const levels = asides(network.config).length;
    const { label, below, images, seen } = uploadBatch(device, batch, { patch, channels, levels });
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
          const terms = superviseLevels(method.terms(output, guide, label, weights), output, below);
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
    [label, ...below, images, seen, ...Object.values(scalars)].forEach(free);
  }
}

/** What is remembered of a step until its losses are read. */
interface Noted {
  step: number;
  cases: string[];
}
