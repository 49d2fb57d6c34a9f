// Trains a stage to its end and keeps it: what is saved when, and how it is paused and stopped. Whatever ends
// the process, the storage holds a state from which a resumed run ends with the same bits: at the end of an
// epoch first its record and the best network are written, then the state that says that the epoch is over.

import { GpuError } from "../../engine/index.ts";
import type { Position } from "../loop/position.ts";
import type { Ending, TrainEvent } from "../loop/options.ts";
import type { Stage } from "./stage.ts";
import type { SkippedStep, StageStorage } from "./storage.ts";

/**
 * How often a state is saved: after so many steps or seconds; and at the end of an epoch, after fewer
 * seconds.
 */
export interface Cadence {
  steps: number;
  seconds: number;
  epochSeconds: number;
}

export interface KeepOptions {
  storage: StageStorage;
  cadence: Cadence;
  /** Called with every event first. */
  show: (event: TrainEvent) => Promise<void> | void;
  /** Called when a state has been saved. */
  saved?: () => void;
  /**
   * At a checkpoint event: null to continue; else training waits for the function, which is called after
   * saving.
   */
  pause?: () => (() => Promise<void>) | null;
}

/**
 * Trains to the end. Returns the reason if it ended before its last epoch: after a "request" all is saved.
 * Throws the error of a case that can no longer be read, when the steps before are saved.
 */
export async function keepTraining(stage: Stage, options: KeepOptions): Promise<Ending | null> {
  const { storage, cadence, show, pause = () => null } = options;
  const { trainer } = stage;
  let last = { time: performance.now(), step: trainer.steps };
  let steps = trainer.steps; // at the last checkpoint event
  let unsaved: Extract<TrainEvent, { type: "checkpoint" }> | null = null;
  const save = async (event: NonNullable<typeof unsaved>) => {
    const beside = await stage.filesBeside(event.position.epoch - 1, trainer.steps);
    for (const [role, bytes] of Object.entries(beside)) await storage.saveBeside(role, bytes);
    await storage.saveState(await stage.stateFile(event));
    last = { time: performance.now(), step: trainer.steps };
    unsaved = null;
    options.saved?.();
  };
  const isDue = ({ done }: Position) => {
    const seconds = (performance.now() - last.time) / 1000;
    const ended = done === 0 && seconds >= cadence.epochSeconds;
    return (
      ended || trainer.stopping || trainer.steps - last.step >= cadence.steps || seconds >= cadence.seconds
    );
  };
  try {
    for await (const event of trainer.run()) {
      await show(event);
      if (event.type === "epoch") {
        const { epoch, step } = event.record;
        await storage.addEpoch(event.record);
        if (event.best) await storage.saveBest(await stage.modelFile(epoch, step));
      } else if (event.type === "checkpoint") {
        const wait = pause();
        unsaved = event;
        steps = trainer.steps;
        if (wait || isDue(event.position)) await save(event);
        await wait?.();
      } else if (event.type === "skip" && event.why !== "overflow") {
        await storage.addSkipped?.(skippedStep(event, event.why));
      } else if (event.type === "end") {
        if (unsaved) await save(unsaved);
        return event.reason;
      }
    }
  } catch (error) {
    const unchanged = trainer.steps === steps; // no step since, as where a case can no longer be read
    if (unsaved && unchanged && !(error instanceof GpuError)) await save(unsaved).catch(() => undefined);
    throw error;
  }
  if (unsaved) await save(unsaved);
  return null;
}

function skippedStep(
  { epoch, step, cases, losses }: Extract<TrainEvent, { type: "skip" }>,
  why: SkippedStep["why"],
): SkippedStep {
  const values = Object.entries(losses).map(([name, value]) => {
    return [name, Number.isFinite(value) ? value : String(value)] as const; // JSON has no NaN
  });
  return { why, epoch, step, cases, losses: Object.fromEntries(values) };
}
