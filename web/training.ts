// Trains in the worker: stage after stage, kept in the browser's own storage so that a reload or a crash costs seconds,
// paused, stopped, and on a new device where the old one is lost.

import type { Device } from "../engine/index.ts";
import { cardMetadata } from "../model/card.ts";
import { checkFinite } from "../model/diverged.ts";
import { METHODS } from "../model/methods/index.ts";
import type { EpochRecord } from "../model/records.ts";
import { encodeSealed } from "../model/seal.ts";
import type { TrainEvent } from "../model/trainer.ts";
import { decodeTraining, encodeTraining, readTensors } from "../model/trainingState.ts";
import { CancelledError } from "./explain.ts";
import { survivingLoss } from "./gpu.ts";
import type { Models } from "./models.ts";
import { forgetFolder, keptFolder, read, readJson, TwoSlots, write, writeJson } from "./opfs.ts";
import type { Study } from "./segmentation.ts";
import { type Guide, loadStage, Stage, type StageCases, stagesOf } from "./stage.ts";
import type { KeptRun, TrainNews } from "./trainProtocol.ts";

const RUN = "run"; // one is kept
const FILES = {
  run: "run.json",
  history: "history.json",
  best: "best.safetensors",
  state: "state.safetensors",
};
const SAVE_MS = 15_000; // between two saves within an epoch, and
const EPOCH_MS = 3_000; // between two at the ends of epochs

type Tell = (news: TrainNews) => void;

export class Training {
  readonly #models: Models;
  #current: Stage | null = null;
  #stopped = false;
  #paused: { over: Promise<void>; end: () => void } | null = null;

  constructor(models: Models) {
    this.#models = models;
  }

  pause(): void {
    if (this.#paused) return;
    let end = () => {};
    const over = new Promise<void>((resolve) => (end = resolve));
    this.#paused = { over, end };
  }

  goOn(): void {
    this.#paused?.end();
    this.#paused = null;
  }

  /** Ends the run after the step in progress; it is saved, and can go on later. */
  stop(): void {
    this.#stopped = true;
    this.#current?.trainer.stop();
    this.goOn();
  }

  /**
   * Trains all stages of a run, from where it is kept. Throws a CancelledError when it was stopped; a DataError for cases
   * that cannot be trained on.
   */
  async run(run: KeptRun, study: Study, tell: Tell): Promise<void> {
    this.#stopped = false;
    this.#paused = null;
    for (const entry of run.stages) {
      const { stage } = entry;
      if (!entry.done) {
        const { method, teacher } = run.settings;
        const taught = stage !== "teacher" && METHODS[method]!.teacher;
        const guide = taught ? (teacher ?? trainedName("teacher")) : null;
        tell({ type: "doing", what: `${stage}: reading the cases` });
        const sees = guide === null ? null : this.#models.use(guide).modalities;
        const cases = await loadStage(study, stage, run.settings, sees);
        await survivingLoss(
          (device) => this.#train(device, { run, stage, cases, guide, study, tell }),
          () =>
            tell({ type: "doing", what: `${stage}: the GPU was lost; going on from the last checkpoint` }),
        );
        entry.done = true;
        await writeJson(await keptFolder(RUN), FILES.run, run);
      }
      const best = await read(await keptFolder(RUN, stage), FILES.best);
      if (best) await this.#models.add(best, trainedName(stage));
      tell({ type: "stageDone", stage, model: trainedName(stage) });
    }
  }

  /** Takes up the networks of a run that is kept, as far as they are trained. */
  async addKept(): Promise<void> {
    for (const { stage } of (await keptRun())?.stages ?? []) {
      const best = await read(await keptFolder(RUN, stage), FILES.best);
      if (best) await this.#models.add(best, trainedName(stage));
    }
  }

  async #train(
    device: Device,
    options: {
      run: KeptRun;
      stage: string;
      cases: StageCases;
      guide: string | null;
      study: Study;
      tell: Tell;
    },
  ): Promise<void> {
    const { run, stage: name, cases, guide: guideId, study, tell } = options;
    const { settings } = run;
    const folder = await keptFolder(RUN, name);
    const slots = stateSlots(folder);
    const state = (await slots.newest())?.value ?? null;
    const guide: Guide | null = guideId
      ? { network: this.#models.on(device, guideId), modalities: this.#models.use(guideId).modalities }
      : null;
    const stage = new Stage(device, { name, settings, cases, guide, state });
    this.#current = stage;
    const { trainer, params } = stage;
    const history = ((await readJson<EpochRecord[]>(folder, FILES.history)) ?? []).filter(
      ({ epoch }) => epoch < (state?.position.epoch ?? 1),
    );
    const labels = study.dataset.convention;
    let [saved, rate, since] = [performance.now(), 0, { time: performance.now(), step: 0 }];
    const save = async ({ position, data }: TrainEvent & { type: "rest" }) => {
      const { optimizer, guard } = trainer;
      const tensors = await readTensors({ params, optimizer, guard });
      const card = stage.card(position.epoch - 1, optimizer.steps, labels);
      await slots.write(await encodeTraining({ ...tensors, position, data }, cardMetadata(card)));
      await writeJson(folder, FILES.history, history);
      saved = performance.now();
      tell({ type: "saved", stage: name, step: optimizer.steps });
    };
    let rest: (TrainEvent & { type: "rest" }) | null = null;
    try {
      for await (const event of trainer.run()) {
        if (event.type === "start") {
          const steps = settings.epochs * stage.stepsPerEpoch;
          const resumed = trainer.optimizer.steps;
          tell({ type: "stage", stage: name, parameters: event.parameters, steps, resumed });
          for (const record of history) tell({ type: "epoch", stage: name, record, best: false });
        } else if (event.type === "compile") {
          tell({ type: "doing", what: `${name}: compiling kernels, ${event.done} of ${event.kernels}` });
          since = { time: performance.now(), step: trainer.optimizer.steps };
        } else if (event.type === "step") {
          const seconds = (performance.now() - since.time) / 1000;
          if (event.step > since.step && seconds > 0)
            rate = ((event.step - since.step) * settings.batch) / seconds;
          const { step, steps, epoch, losses } = event;
          const { bytes } = device;
          tell({ type: "step", stage: name, step, steps, epoch, losses, samplesPerSecond: rate, bytes });
        } else if (event.type === "skip") {
          tell({
            type: "doing",
            what: `${name}: step ${event.step} left out: its ${event.why} is no number`,
          });
        } else if (event.type === "epoch") {
          history.push(event.record);
          if (event.best) {
            const { epoch, step } = event.record;
            const tensors = await params.read();
            checkFinite(tensors, name);
            const metadata = cardMetadata(stage.card(epoch, step, labels));
            await write(folder, FILES.best, await encodeSealed(tensors, metadata));
          }
          tell({ type: "epoch", stage: name, record: event.record, best: event.best });
          const slice = stage.takeSlice();
          if (slice) tell({ type: "slice", stage: name, slice });
        } else if (event.type === "rest") {
          rest = event;
          const age = performance.now() - saved;
          if (this.#stopped) trainer.stop();
          if (
            age > SAVE_MS ||
            (event.position.done === 0 && age > EPOCH_MS) ||
            this.#paused ||
            this.#stopped
          ) {
            await save(event);
            rest = null;
          }
          await this.#pause(tell);
          since = { time: performance.now(), step: trainer.optimizer.steps };
        } else if (event.reason === "request") {
          throw new CancelledError(
            `${name}: saved after ${trainer.optimizer.steps} steps; it can go on from there.`,
          );
        }
      }
      if (rest) await save(rest);
    } finally {
      this.#current = null;
      stage.free();
    }
  }

  async #pause(tell: Tell): Promise<void> {
    if (!this.#paused) return;
    tell({ type: "paused", on: true });
    await this.#paused.over;
    tell({ type: "paused", on: false });
  }
}

/** The name of a network that was trained here. */
export function trainedName(stage: string): string {
  return `${stage} (trained here)`;
}

/** Forgets what is kept, and keeps this run from its beginning, or from the bytes of a state of its first stage. */
export async function keepRun(
  { settings, data }: Pick<KeptRun, "settings" | "data">,
  from: { bytes: Uint8Array<ArrayBuffer>; name: string } | null,
): Promise<KeptRun> {
  if (from) await decodeTraining(from.bytes, from.name); // before what is kept goes
  await forgetFolder(RUN);
  const stages = stagesOf(settings).map((stage) => ({ stage, done: false, step: 0 }));
  const run: KeptRun = { settings, data, stages };
  if (from) await stateSlots(await keptFolder(RUN, stages[0]!.stage)).write(from.bytes);
  await writeJson(await keptFolder(RUN), FILES.run, run);
  return run;
}

/** The run that is kept, with what is done of it; null where none is. */
export async function keptRun(): Promise<KeptRun | null> {
  const run = await readJson<KeptRun>(await keptFolder(RUN), FILES.run);
  for (const entry of run?.stages ?? []) {
    const found = await stateSlots(await keptFolder(RUN, entry.stage)).newest();
    entry.step = found?.value.step ?? 0;
  }
  return run;
}

/** A checkpoint of a stage that is kept; null where there is none yet. */
export async function keptFile(
  stage: string,
  which: "best" | "latest",
): Promise<Uint8Array<ArrayBuffer> | null> {
  const folder = await keptFolder(RUN, stage);
  return which === "best" ? read(folder, FILES.best) : ((await stateSlots(folder).newest())?.bytes ?? null);
}

function stateSlots(folder: FileSystemDirectoryHandle) {
  const check = async (bytes: Uint8Array, name: string) => {
    const state = await decodeTraining(bytes, name);
    const card = JSON.parse(state.metadata["card"] ?? "{}") as { step?: number };
    return { ...state, step: card.step ?? 0 };
  };
  return new TwoSlots(folder, FILES.state, { check, order: ({ step }) => step });
}
