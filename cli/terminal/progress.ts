// Progress of training and prediction: on a terminal a bar with losses, rate and remaining time; elsewhere
// plain lines, one per epoch and at most one in ten seconds; with --json an object per epoch or case.

import cliProgress from "cli-progress";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import type { TrainEvent } from "../../trainer/loop/trainer.ts";
import { DICE } from "../../model/methods/method.ts";
import { REGION_NAMES } from "../../model/scoring/regions.ts";
import { emit, isLively, overwrite, say, visible } from "./console.ts";

const PAUSE = 10_000; // ms between two lines about steps or windows
const RECENT = 60_000; // ms over which the rate is averaged

export interface Progress {
  show: (event: TrainEvent) => void;
  stop: () => void;
}

/** The stage whose training is shown. */
interface Stage {
  title: string;
  epochs: number;
  /** Patches per step. */
  batch: number;
}

/** The line that a command prints when it runs with --fast. */
export const FAST = "--fast: kernels run without bounds checks";

/** Shows a stage's training on stdout. */
export function trainingProgress(stage: Stage): Progress {
  const shown = isLively() ? bar(stage) : lines(stage);
  return {
    show(event) {
      if (event.type === "epoch") emit("epoch", { stage: stage.title, ...event.record, best: event.best });
      shown.show(event);
    },
    stop: shown.stop,
  };
}

function bar({ title, epochs, batch }: Stage): Progress {
  const format = `  ${visible(title)} {bar} {value}/{total} | epoch {epoch}/${epochs} | {losses} | {rate} | {left} left {scores}`;
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
          losses: terms(event),
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

function lines({ title, epochs, batch }: Stage): Progress {
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
        const speed = `${rateText(pace, batch)}, ${leftText(pace, event.steps)} left`;
        say(`  step ${event.step}/${event.steps}: ${terms(event)}, ${speed}`);
      } else if (
        event.type === "epoch" &&
        (event.record.validation || now - last > PAUSE || event.record.epoch === epochs)
      ) {
        last = now;
        const { epoch, validation } = event.record;
        const scores = validation ? `; ${validationText(event.record)}${event.best ? " (best)" : ""}` : "";
        say(`  epoch ${epoch}/${epochs}: ${terms(event.record)}${scores}`);
      }
    },
    stop: () => undefined,
  };
}

/** How fast the last steps were. The first step only starts the clock. */
export class Pace {
  #seen: { step: number; time: number }[] = [];

  /** Notes that a step ended at `time`, in ms. */
  step(step: number, time: number): void {
    this.#seen.push({ step, time });
    while (this.#seen.length > 2 && time - this.#seen[1]!.time >= RECENT) this.#seen.shift();
  }

  /** Seconds per step; null before two steps were seen. */
  get seconds(): number | null {
    const [first, last] = [this.#seen[0], this.#seen.at(-1)];
    if (!first || !last || last.step === first.step) return null;
    return (last.time - first.time) / 1000 / (last.step - first.step);
  }

  /** Seconds until `steps` are done at this pace; null before two steps were seen. */
  left(steps: number): number | null {
    return this.seconds === null ? null : this.seconds * (steps - this.#seen.at(-1)!.step);
  }
}

/** Patches per second: "3.1 samples/s", or below one "0.25 samples/s". */
function rateText({ seconds }: Pace, batch: number): string {
  if (!seconds) return "- samples/s";
  const rate = batch / seconds;
  return `${rate < 1 ? rate.toPrecision(2) : rate.toFixed(1)} samples/s`;
}

function leftText(pace: Pace, steps: number): string {
  const left = pace.left(steps);
  return left === null ? "?" : duration(left);
}

/** Shows the compiling of kernels on stdout: a line that counts them, or off a terminal one at the start. */
export function compiling(done: number, kernels: number): void {
  if (!isLively()) {
    if (done === 0) say(`  compiling ${kernels} kernels`);
  } else {
    overwrite(done < kernels ? `  compiling ${kernels} kernels: ${done}` : "");
  }
}

/** Progress of predictions: called after each window, and when a case is written. */
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
  const shown = (id: string, done: number, windows: number) => ({
    id: visible(id),
    done,
    windows,
    cases,
    all: total,
  });
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

/** The loss with its terms, and what the step observed. */
function terms({ losses, observed = {} }: Pick<EpochRecord, "losses" | "observed">): string {
  const { total, ...rest } = losses;
  const named = (values: Record<string, number>) =>
    Object.entries(values).map(([name, value]) => `${name} ${value.toPrecision(3)}`);
  return [`loss ${total!.toFixed(3)} (${named(rest).join(", ")})`, ...named(observed)].join(", ");
}

/**
 * The scores of the regions, mostly Dice, and from the second validation on the moving average of their mean.
 */
function validationText({ validation, average, precision, score = DICE.name }: EpochRecord): string {
  const scores = REGION_NAMES.map((region) => `${region} ${validation![region].toFixed(3)}`).join(" ");
  const moving =
    average === undefined || average === validation!.mean ? "" : `, average ${average.toFixed(3)}`;
  const beside = precision ? `, mAP ${precision.mean.toFixed(3)}` : "";
  return `${score} ${scores}${moving}${beside}`;
}
