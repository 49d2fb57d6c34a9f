// A training as a folder keeps it: what is written down of it, when it is saved, and how it is stopped. Whatever ends
// the process, the folder holds a state from which the rest is the same to the bit: of an epoch first its line and
// the best network are written, then the state that says that it is over.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Params } from "../../model/networks/params.ts";
import type { Position } from "../../trainer/loop/position.ts";
import type { TrainEvent, Trainer } from "../../trainer/loop/trainer.ts";
import { readTensors } from "../../trainer/loop/state.ts";
import { saveState, stateNotes } from "../files/checkpoints.ts";
import { say } from "../terminal/console.ts";
import { parseInterval } from "../../trainer/settings/durations.ts";
import { appendLine, writeAtomically } from "../files/files.ts";
import { type ModelCard, saveModel } from "../files/models.ts";
import type { TrainConfig } from "../../trainer/settings/settings.ts";
import { FILES, SOMETIMES } from "../files/stageFolder.ts";
import { listenForStop, resumeCommand, StoppedError } from "../terminal/stopSignals.ts";

export interface KeptTraining {
  folder: string;
  trainer: Trainer;
  params: Params;
  config: TrainConfig;
  /** What checkpoints say of the network after so many epochs and steps. */
  card: (epoch: number, step: number) => ModelCard;
  /** Told of every event first. */
  tell: (event: TrainEvent) => Promise<void> | void;
}

/** Trains to the end and keeps it all. Throws a StoppedError when it was stopped, after it has been saved. */
export async function keepTraining({
  folder,
  trainer,
  params,
  config,
  card,
  tell,
}: KeptTraining): Promise<void> {
  const { optimizer, guard } = trainer;
  const saveEvery = parseInterval(config.saveEvery);
  const stop = listenForStop((signal) => {
    trainer.stop();
    say(`${signal}: finishing this step, then saving; once more to stop at once`);
  });
  let saved = { time: performance.now(), step: optimizer.steps };
  const isDue = ({ done }: Position) =>
    done === 0 ||
    trainer.stopping ||
    optimizer.steps - saved.step >= saveEvery.steps ||
    performance.now() - saved.time >= 1000 * saveEvery.seconds;
  try {
    for await (const event of trainer.run()) {
      await tell(event);
      if (event.type === "epoch") {
        const { epoch, step } = event.record;
        await appendLine(join(folder, FILES.metrics), JSON.stringify(event.record));
        if (event.best) await saveModel(join(folder, FILES.best), params, card(epoch, step));
      } else if (event.type === "rest" && isDue(event.position)) {
        const { position, data } = event;
        const tensors = await readTensors({ params, optimizer, guard });
        const notes = stateNotes(card(position.epoch - 1, optimizer.steps), config);
        await saveState(folder, { ...tensors, position, data }, notes);
        saved = { time: performance.now(), step: optimizer.steps };
      } else if (event.type === "skip" && event.why !== "overflow") {
        const { why, epoch, step, cases, losses } = event;
        const values = Object.fromEntries(
          Object.entries(losses).map(([name, value]) => [name, jsonNumber(value)]),
        );
        const line = { why, epoch, step, cases, losses: values };
        await appendLine(join(folder, SOMETIMES.badBatches), JSON.stringify(line));
        say(`  step ${step} left out: its ${why} is no number, on ${cases.join(", ")}`);
      } else if (event.type === "end") {
        if (event.reason === "request") throw stopped(stop.received ?? "SIGTERM", trainer);
        say(`  ${ENDINGS[event.reason]} after ${optimizer.steps} steps`);
      }
    }
  } finally {
    stop.close();
  }
}

const ENDINGS = {
  time: "the time of --max-time is up",
  patience: "no better validation within --patience: ended",
} as const;

function stopped(signal: "SIGINT" | "SIGTERM", { position, optimizer }: Trainer): StoppedError {
  const { epoch } = position;
  return new StoppedError(
    signal,
    `stopped by ${signal} and saved, after ${optimizer.steps} steps, in epoch ${epoch}; to go on:\n  ${resumeCommand()}`,
  );
}

/** JSON has no NaN and no infinity. */
function jsonNumber(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/**
 * Takes back what was written down after a state was saved, in the files of lines: epochs that it says are still to come,
 * and steps. What a crash left of a last line is dropped too.
 */
export async function rewind(folder: string, { epoch }: Position, steps: number): Promise<void> {
  await keepLines(join(folder, FILES.metrics), (line) => (line as { epoch: number }).epoch < epoch);
  await keepLines(join(folder, SOMETIMES.badBatches), (line) => (line as { step: number }).step <= steps);
}

async function keepLines(path: string, wanted: (line: unknown) => boolean): Promise<void> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (text === null) return;
  const kept = text.split("\n").filter((line) => line && isWanted(line, wanted));
  const result = kept.map((line) => `${line}\n`).join("");
  if (result !== text) await writeAtomically(path, result);
}

function isWanted(line: string, wanted: (line: unknown) => boolean): boolean {
  try {
    return wanted(JSON.parse(line));
  } catch {
    return false; // the end of it is missing
  }
}
