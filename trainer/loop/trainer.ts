// The training loop of all stages and methods: draws batches, takes the method's step, validates, and tells
// when a checkpoint can be saved. It is an async generator of events; the caller shows and saves.

import { compile, plan } from "../../engine/index.ts";
import { streamsOf } from "../../model/methods/index.ts";
import { initialise } from "../../model/networks/network.ts";
import { CollapseError, diverged, overflow } from "./diverged.ts";
import { Draws } from "./draws.ts";
import { asWhole } from "./lacking.ts";
import { Learner, type Noted, VERDICT } from "./learner.ts";
import { LossReader, type Read } from "./lossReader.ts";
import { meansRead } from "./observations.ts";
import {
  type Batches,
  type Ending,
  LOOP,
  type ResolvedOptions,
  type TrainEvent,
  type TrainOptions,
} from "./options.ts";
import { Phases, type Place } from "./phases.ts";
import {
  addLosses,
  beginning,
  judge,
  meanLosses,
  meanObserved,
  nextEpoch,
  OBSERVED,
  over,
  type Position,
  stepsDone,
} from "./position.ts";
import type { EpochRecord, Scores, Validation } from "./records.ts";

export * from "./options.ts";

export class Trainer {
  readonly learner: Learner;
  /** Steps taken, skipped ones included. */
  steps: number;
  readonly #options: ResolvedOptions;
  readonly #position: Position;
  readonly #phases: Phases;
  readonly #draws: Draws;
  #stopping = false;

  /** Makes the parameters and the optimizers' states. Throws if a stream of the method has no source. */
  constructor({ position = beginning(), ...options }: TrainOptions) {
    this.#position = structuredClone(position);
    this.#options = { ...LOOP, ...options };
    const { method, run, epochs, stepsPerEpoch, sources } = this.#options;
    const missing = Object.keys(streamsOf(method, run)).find((name) => !sources[name]);
    if (missing !== undefined)
      throw new Error(`method ${method.name}: expected batches of the stream ${missing}, got none`);
    this.#phases = new Phases(method.phases?.(run, epochs), epochs);
    this.#draws = new Draws(sources);
    this.steps = stepsDone(this.#position, stepsPerEpoch);
    this.learner = new Learner(this.#options);
    this.learner.updates = this.#position.updates;
  }

  /** Ends the run after the step in progress, with a checkpoint event. */
  stop(): void {
    this.#stopping = true;
  }

  /** True after stop(): the next checkpoint event is the last. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /**
   * Compiles all kernels, then trains. Events of steps come in order, a few at a time, when their losses are
   * read; then, and after an epoch, comes a checkpoint event: until the next event no work is in flight.
   */
  async *run(): AsyncGenerator<TrainEvent> {
    const { device, now } = this.#options;
    const at = this.#position;
    const reader = new LossReader<Noted>(device, now);
    yield { type: "start", parameters: this.learner.deployed.params.count };
    let reason: Ending | "epochs" | null = over(at, this.#options);
    if (!reason) {
      this.#beginPhase();
      yield* this.#compile(asWhole(await this.#draws.peek()));
      if (at.epoch === 1 && at.done === 0) yield this.#checkpoint();
    }
    try {
      while (!reason) {
        const early = yield* this.#steps(reader);
        reason = early ?? ((yield* this.#endEpoch()) ? over(at, this.#options) : "request");
        if (!reason) this.#beginPhase();
      }
      if (reason === "time" && !(yield* this.#endEarly())) reason = "request";
      if (reason === "request") yield this.#checkpoint();
      if (reason !== "epochs") yield { type: "end", reason };
    } finally {
      reader.free();
    }
  }

  /** Takes the remaining steps of an epoch; returns the reason if training ends before the last one. */
  async *#steps(reader: LossReader<Noted>): AsyncGenerator<TrainEvent, "time" | "request" | null> {
    const { stepsPerEpoch, now, maxSeconds } = this.#options;
    const at = this.#position;
    let began = now();
    for (let recorded = at.done; at.done < stepsPerEpoch;) {
      const asked = now();
      const [drawn] = await Promise.allSettled([this.#draws.next()]);
      at.waited += (now() - asked) / 1000;
      const failed = drawn.status === "rejected";
      if (!failed) {
        this.learner.step(drawn.value, this.#place(), reader);
        this.steps++;
        recorded++;
      }
      const late = maxSeconds > 0 && at.total + (now() - began) / 1000 >= maxSeconds;
      if (!failed && !reader.due && !late && !this.#stopping && recorded < stepsPerEpoch) continue;
      for (const read of await reader.read()) {
        at.done++;
        const event = this.#account(read);
        yield event;
        if (event.type === "skip") this.#checkSkipped(event);
        else if (event.type === "step") this.#checkObserved(event);
      }
      const seconds = (now() - began) / 1000;
      began = now();
      at.seconds += seconds;
      at.total += seconds;
      if (this.#stopping) return "request";
      yield this.#checkpoint();
      if (failed) throw drawn.reason; // after the checkpoint of the steps before
      if (late && at.done < stepsPerEpoch) return "time";
    }
    return null;
  }

  /** Updates the position by a step's losses, and returns the step's event. */
  #account({ step: { step, cases, groups, observed: counts }, values }: Read<Noted>): TrainEvent {
    const at = this.#position;
    const { epochs, stepsPerEpoch } = this.#options;
    const isLoss = (name: string) => !name.startsWith(VERDICT) && !name.startsWith(OBSERVED);
    const losses = Object.fromEntries(Object.entries(values).filter(([name]) => isLoss(name)));
    const observed = meansRead(values, counts);
    const verdict = (group: string, what: string) => values[`${VERDICT}${group}/${what}`]!;
    const bad = groups.find((group) => !verdict(group, "finite"));
    const finite = Object.values(losses).every(Number.isFinite);
    const { epoch } = at;
    if (bad === undefined && finite) {
      at.skippedInRow = 0;
      addLosses(at, losses, observed);
      const steps = epochs * stepsPerEpoch;
      return { type: "step", epoch, step, steps, losses, ...observed, lr: this.#lr(step) };
    }
    at.skipped++;
    const group = bad ?? groups[0]!;
    const overflows = this.learner.half && verdict(group, "scale") >= 1;
    const why = !finite ? "loss" : overflows ? "overflow" : "gradient";
    if (why !== "overflow") at.skippedInRow++;
    return { type: "skip", why, epoch, step, cases, losses: { ...losses, norm: verdict(group, "norm") } };
  }

  /** Throws a DivergedError after too many skipped steps in a row, or if unscaled gradients overflow. */
  #checkSkipped({ why, ...skip }: Extract<TrainEvent, { type: "skip" }>): void {
    const { maxBadSteps } = this.#options;
    if (why === "overflow") return;
    if (why === "gradient" && this.learner.half) throw overflow(skip.step, skip.cases);
    if (this.#position.skippedInRow >= maxBadSteps) throw diverged(skip, why, maxBadSteps);
  }

  /** Throws a CollapseError if what the step observed says that the training cannot go well any more. */
  #checkObserved({ step, steps, observed }: Extract<TrainEvent, { type: "step" }>): void {
    const why = observed && this.#options.method.judge?.(observed, (step - 1) / steps);
    if (why) throw new CollapseError(`step ${step}: ${why}`);
  }

  /** Validates if it is time, and moves to the next epoch; false if validation was stopped. */
  async *#endEpoch(): AsyncGenerator<TrainEvent, boolean> {
    const { epochs, now, validate, validateEvery, validateFrom, bestBy, method } = this.#options;
    const at = this.#position;
    const began = now();
    const regular = at.epoch >= validateFrom && at.epoch % validateEvery === 0;
    const last = at.epoch === epochs || (at.best === null && over(at, this.#options) === "time");
    const validation = validate && (regular || last) ? await validate(this.learner.deployed) : undefined;
    if (validation === null) return false;
    const gradients = validation && (await this.learner.shares(await this.#draws.peek(), this.#place()));
    const seconds = (now() - began) / 1000;
    at.seconds += seconds;
    at.total += seconds;
    const { better, ...standing } = validation
      ? judge(at, validation.mean, bestBy, method.score?.better)
      : { better: !validate };
    Object.assign(at, standing, !this.#phases.isLast(at.epoch) && { idle: 0 });
    const record = { ...this.#record(validation), ...(gradients && { gradients }) };
    Object.assign(at, nextEpoch(at));
    yield { type: "epoch", record, best: better };
    yield this.#checkpoint();
    return true;
  }

  /**
   * If time is up within an epoch and there is no best network, validates the last one, which becomes it. The
   * position stays, so that a run with more time continues as if it had never ended. False if validation was
   * stopped.
   */
  async *#endEarly(): AsyncGenerator<TrainEvent, boolean> {
    const { validate } = this.#options;
    const at = this.#position;
    if (at.done === 0 || (validate && at.best !== null)) return true;
    const validation = await validate?.(this.learner.deployed);
    if (validation === null) return false;
    yield { type: "epoch", record: this.#record(validation), best: true };
    return true;
  }

  /** The record of the epoch so far, for metrics.jsonl. */
  #record(validation?: Validation): EpochRecord {
    const { epoch, seconds, waited, skipped, average } = this.#position;
    const losses = meanLosses(this.#position);
    const observed = meanObserved(this.#position);
    const { score } = this.#options.method;
    const { contrasts, precision, ...mean } = validation ?? {};
    const scores = validation && {
      validation: mean as Scores,
      ...(contrasts && { contrasts }),
      ...(precision && { precision }),
      ...(average !== null && { average }),
      ...(score && { score: score.name }),
    };
    return {
      epoch,
      step: this.steps,
      seconds,
      losses,
      ...(Object.keys(observed).length > 0 && { observed }),
      rate: this.#lr(this.steps),
      waited,
      skipped,
      gpuBytes: this.#options.device.peakBytes,
      ...scores,
    };
  }

  /** The first group's learning rate in a step of this epoch, counted from 1. */
  #lr(step: number): number {
    const [first] = this.learner.groups.values();
    return first!.lr(this.#place(step - 1));
  }

  /** Holds what the epoch's phase holds, and resets the networks that it starts anew, if it begins here. */
  #beginPhase(): void {
    const at = this.#position;
    this.learner.hold(this.#phases.at(at.epoch));
    if (at.done > 0) return;
    const names = this.#phases.restarting(at.epoch);
    this.learner.restart(names);
    if (names.includes(this.#options.method.deployed ?? "") || this.#phases.forgets(at.epoch))
      Object.assign(at, { best: null, idle: 0, average: null });
  }

  #checkpoint(): TrainEvent {
    return { type: "checkpoint", position: this.position, data: this.#draws.state() };
  }

  /** The position of the run, at a checkpoint event. */
  get position(): Position {
    return { ...structuredClone(this.#position), updates: this.learner.updates };
  }

  /** Frees the optimizers' states and the method's own tensors, but not the networks. */
  free(): void {
    this.learner.free();
  }

  /** Compiles the kernels of a step and of a validation. Throws a GpuError if memory is too small. */
  async *#compile(batches: Batches): AsyncGenerator<TrainEvent> {
    const { device, patch, validate } = this.#options;
    const planned = plan(device, () => {
      this.rehearse(batches);
      if (validate) this.learner.rehearseShares(batches, this.#place());
    });
    if (validate)
      for (const [key, made] of initialise(device, this.learner.deployed, patch)) planned.set(key, made);
    const kernels = planned.size;
    if (kernels) yield { type: "compile", done: 0, kernels };
    for await (const done of compile(device, planned)) yield { type: "compile", done, kernels };
  }

  /** Takes a step with learning rate 0 that does not count, on a device that only plans or counts. */
  rehearse(batches: Batches): void {
    this.learner.hold(this.#phases.at(this.#position.epoch));
    this.learner.step(batches, this.#place(), null);
  }

  /** The place in this epoch after so many steps. */
  #place(steps = this.steps): Place {
    return this.#phases.place(this.#position.epoch, steps, this.#options.stepsPerEpoch);
  }
}
