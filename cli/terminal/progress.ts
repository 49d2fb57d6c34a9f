// What a user sees while something runs: a bar with losses, rate and remaining time on a terminal, and
// elsewhere plain lines, one an epoch and no more than one in ten seconds; with --json an object an epoch or case.

import cliProgress from "cli-progress";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import type { TrainEvent } from "../../trainer/loop/trainer.ts";
import { REGION_NAMES } from "../../model/scoring/regions.ts";
import { emit, isLively, say } from "./console.ts";

const PAUSE = 10_000; // ms between two plain lines that are not about a finished epoch
const RECENT = 60_000; // ms of which the rate is told

export interface Progress {
  show: (event: TrainEvent) => void;
  stop: () => void;
}

/** What is trained: a stage's name, its epochs, and the patches of a step. */
export interface Training {
  title: string;
  epochs: number;
  batch: number;
}

/** What --fast means, for those who read the output. */
export const FAST = "--fast: kernels run without bounds checks";

/** Shows a stage's training on stdout. */
export function trainingProgress(training: Training): Progress {
  const shown = isLively() ? bar(training) : lines(training);
  return {
    show(event) {
      if (event.type === "epoch") emit("epoch", { stage: training.title, ...event.record, best: event.best });
      shown.show(event);
    },
    stop: shown.stop,
  };
}

function bar({ title, epochs, batch }: Training): Progress {
  const format = `  ${title} {bar} {value}/{total} | epoch {epoch}/${epochs} | {losses} | {rate} | {left} left {scores}`;
  const single = new cliProgress.SingleBar({ format, hideCursor: true }, cliProgress.Presets.rect);
  const pace = new Pace();
  let scores = "";
  return {
    show(event) {
      if (event.type === "compile") compiling(event.done, event.kernels);
      else if (event.type === "step") {
        pace.step(event.step, performance.now());
        const payload = {
          epoch: event.epoch,
          losses: terms(event.losses),
          rate: rateText(pace, batch),
          left: leftText(pace, event.steps),
          scores,
        };
        if (!single.isActive) single.start(event.steps, event.step, payload);
        else single.update(event.step, payload);
      } else if (event.type === "epoch" && event.record.validation) {
        scores = `| ${validationText(event.record)}`;
      }
    },
    stop: () => single.stop(),
  };
}

function lines({ title, epochs, batch }: Training): Progress {
  const pace = new Pace();
  let last = performance.now();
  return {
    show(event) {
      const now = performance.now();
      if (event.type === "start") {
        say(`  ${title}: ${event.parameters.toLocaleString("en")} parameters, ${epochs} epochs`);
      } else if (event.type === "compile") {
        compiling(event.done, event.kernels);
      } else if (event.type === "step") {
        pace.step(event.step, now);
        if (now - last < PAUSE) return;
        last = now;
        const rest = `${rateText(pace, batch)}, ${leftText(pace, event.steps)} left`;
        say(`  step ${event.step}/${event.steps}: ${terms(event.losses)}, ${rest}`);
      } else if (
        event.type === "epoch" &&
        (event.record.validation || now - last > PAUSE || event.record.epoch === epochs)
      ) {
        last = now;
        const { epoch, losses, validation } = event.record;
        const scores = validation ? `; ${validationText(event.record)}${event.best ? " (best)" : ""}` : "";
        say(`  epoch ${epoch}/${epochs}: ${terms(losses)}${scores}`);
      }
    },
    stop: () => undefined,
  };
}

/** How fast steps were taken lately. The first one that is seen counts as none: what came before it is not known. */
export class Pace {
  #seen: { step: number; time: number }[] = [];

  /** Takes note of a step at a time in ms. */
  step(step: number, time: number): void {
    this.#seen.push({ step, time });
    while (this.#seen.length > 2 && time - this.#seen[1]!.time >= RECENT) this.#seen.shift();
  }

  /** Seconds a step; null before it can be told. */
  get seconds(): number | null {
    const [first, last] = [this.#seen[0], this.#seen.at(-1)];
    if (!first || !last || last.step === first.step) return null;
    return (last.time - first.time) / 1000 / (last.step - first.step);
  }

  /** Seconds that are left at this pace until `steps` are done; null before it can be told. */
  left(steps: number): number | null {
    return this.seconds === null ? null : this.seconds * (steps - this.#seen.at(-1)!.step);
  }
}

/** Patches a second, as 3.1 samples/s or, where slower than one, 0.25 samples/s. */
function rateText({ seconds }: Pace, batch: number): string {
  if (!seconds) return "- samples/s";
  const rate = batch / seconds;
  return `${rate < 1 ? rate.toPrecision(2) : rate.toFixed(1)} samples/s`;
}

function leftText(pace: Pace, steps: number): string {
  const left = pace.left(steps);
  return left === null ? "?" : duration(left);
}

/** Shows on stdout how many kernels are compiled: a line that grows on a terminal, and elsewhere one that says it begins. */
export function compiling(done: number, kernels: number): void {
  if (!isLively()) {
    if (done === 0) say(`  compiling ${kernels} kernels`);
  } else {
    process.stdout.write(done < kernels ? `\r  compiling ${kernels} kernels: ${done}` : "\r\x1b[K");
  }
}

/** Of predictions: called after each window, and when a case is written. */
export interface PredictionProgress {
  window: (id: string, done: number, all: number) => void;
  written: (id: string, seconds: number, windows: number) => void;
  stop: () => void;
}

/** Shows the prediction of `total` cases on stdout. */
export function predictionProgress(total: number): PredictionProgress {
  let cases = 0;
  if (!isLively()) {
    let last = performance.now();
    return {
      window(id, done, all) {
        const now = performance.now();
        if (now - last < PAUSE) return;
        last = now;
        say(`  ${id}: window ${done} of ${all}`);
      },
      written(id, seconds, windows) {
        last = performance.now();
        emit("case", { case: id, seconds, windows });
        say(`  ${id}: ${seconds.toFixed(1)} s, ${windows} windows (${++cases} of ${total})`);
      },
      stop: () => undefined,
    };
  }
  const format = "  {bar} {cases}/{all} | {id}: window {done}/{windows} | {eta_formatted} left";
  const single = new cliProgress.SingleBar({ format, hideCursor: true }, cliProgress.Presets.rect);
  const shown = (id: string, done: number, windows: number) => ({ id, done, windows, cases, all: total });
  single.start(total, 0, shown("", 0, 0));
  return {
    window: (id, done, all) => single.update(cases + done / all, shown(id, done, all)),
    written(id, _seconds, windows) {
      cases++;
      single.update(cases, shown(id, windows, windows));
    },
    stop: () => single.stop(),
  };
}

/** Seconds as 1:05:09 or 5:09. */
export function duration(seconds: number): string {
  const s = Math.round(seconds);
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

function terms(losses: Record<string, number>): string {
  const { total, ...rest } = losses;
  const parts = Object.entries(rest).map(([name, value]) => `${name} ${value.toPrecision(3)}`);
  return `loss ${total!.toFixed(3)} (${parts.join(", ")})`;
}

/** Dice of the regions, and the moving average of their mean once it is more than one validation's. */
function validationText({ validation, average }: EpochRecord): string {
  const scores = REGION_NAMES.map((region) => `${region} ${validation![region].toFixed(3)}`).join(" ");
  const moving =
    average === undefined || average === validation!.mean ? "" : `, average ${average.toFixed(3)}`;
  return `Dice ${scores}${moving}`;
}
