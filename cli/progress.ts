// What a user sees while something runs: a bar with losses, rate and remaining time on a terminal, and
// elsewhere plain lines, one an epoch and no more than one in ten seconds.

import cliProgress from "cli-progress";
import type { TrainEvent } from "../model/trainer.ts";
import { REGION_NAMES } from "../model/regions.ts";

const PAUSE = 10_000; // ms between two plain lines that are not about a finished epoch

export interface Progress {
  show: (event: TrainEvent) => void;
  stop: () => void;
}

/** What --fast means, for those who read the output. */
export const FAST = "--fast: kernels run without bounds checks";

/** Shows a stage's training on stdout. */
export function trainingProgress(title: string, epochs: number): Progress {
  return process.stdout.isTTY ? bar(title, epochs) : lines(title, epochs);
}

function bar(title: string, epochs: number): Progress {
  const format = `  ${title} {bar} {value}/{total} | epoch {epoch}/${epochs} | {losses} | {rate} s/step | {eta_formatted} left {scores}`;
  const single = new cliProgress.SingleBar(
    { format, hideCursor: true, etaBuffer: 20 },
    cliProgress.Presets.rect,
  );
  let scores = "";
  let began = performance.now(); // when the first step did: losses are told some steps at a time
  return {
    show(event) {
      if (event.type === "compile") {
        compiling(event.done, event.kernels);
        began = performance.now();
      } else if (event.type === "step") {
        const now = performance.now();
        const payload = {
          epoch: event.epoch,
          losses: terms(event.losses),
          rate: ((now - began) / 1000 / event.step).toFixed(2),
          scores,
        };
        if (event.step === 1 || !single.isActive) single.start(event.steps, event.step, payload);
        else single.update(event.step, payload);
      } else if (event.type === "epoch" && event.record.validation) {
        scores = `| Dice ${dice(event.record.validation)}`;
      }
    },
    stop: () => single.stop(),
  };
}

function lines(title: string, epochs: number): Progress {
  const started = performance.now();
  let last = started;
  return {
    show(event) {
      const now = performance.now();
      if (event.type === "start") {
        console.log(`  ${title}: ${event.parameters.toLocaleString("en")} parameters, ${epochs} epochs`);
      } else if (event.type === "compile") {
        compiling(event.done, event.kernels);
      } else if (event.type === "step" && now - last > PAUSE) {
        last = now;
        const left = ((now - started) / event.step / 1000) * (event.steps - event.step);
        console.log(`  step ${event.step}/${event.steps}: ${terms(event.losses)}, ${duration(left)} left`);
      } else if (
        event.type === "epoch" &&
        (event.record.validation || now - last > PAUSE || event.record.epoch === epochs)
      ) {
        last = now;
        const { epoch, losses, validation } = event.record;
        const scores = validation ? `; Dice ${dice(validation)}${event.best ? " (best)" : ""}` : "";
        console.log(`  epoch ${epoch}/${epochs}: ${terms(losses)}${scores}`);
      }
    },
    stop: () => undefined,
  };
}

/** Shows on stdout how many kernels are compiled: a line that grows on a terminal, and elsewhere one that says it begins. */
export function compiling(done: number, kernels: number): void {
  if (!process.stdout.isTTY) {
    if (done === 0) console.log(`  compiling ${kernels} kernels`);
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
  if (!process.stdout.isTTY) {
    let last = performance.now();
    return {
      window(id, done, all) {
        const now = performance.now();
        if (now - last < PAUSE) return;
        last = now;
        console.log(`  ${id}: window ${done} of ${all}`);
      },
      written(id, seconds, windows) {
        last = performance.now();
        console.log(`  ${id}: ${seconds.toFixed(1)} s, ${windows} windows (${++cases} of ${total})`);
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

function dice(scores: Record<(typeof REGION_NAMES)[number] | "mean", number>): string {
  return REGION_NAMES.map((region) => `${region} ${scores[region].toFixed(3)}`).join(" ");
}
