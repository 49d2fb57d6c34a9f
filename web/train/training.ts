// Trains in the worker: stage after stage, kept in the browser's own storage so that a reload or a crash costs seconds,
// paused, stopped, and on a new device where the old one is lost.

import type { Device } from "../../engine/index.ts";
import { cardMetadata } from "../../model/files/card.ts";
import { checkFinite } from "../../trainer/loop/diverged.ts";
import { encodeSealed } from "../../model/files/seal.ts";
import type { TrainEvent } from "../../trainer/loop/trainer.ts";
import { encodeTraining, readTensors } from "../../trainer/loop/state.ts";
import { CancelledError } from "../ui/explain.ts";
import { settingsNote } from "./fileSettings.ts";
import { survivingLoss } from "../worker/gpu.ts";
import { keepRun, KeptStage, keptNetworks, saveRun, teacherOf, trainedName } from "./keptRun.ts";
import type { Models } from "../worker/models.ts";
import type { Study } from "../segment/segmentation.ts";
import { type Guide, loadStage, Stage, type StageCases } from "./stage.ts";
import type { KeptRun, TrainNews } from "./trainProtocol.ts";

const SAVE_MS = 15_000; // between two saves within an epoch, and
const EPOCH_MS = 3_000; // between two at the ends of epochs

type Tell = (news: TrainNews) => void;
type Rest = Extract<TrainEvent, { type: "rest" }>;

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

  /** Keeps a new run in place of the one before, with the network that teaches a student alone; see keepRun(). */
  async keep(
    run: Pick<KeptRun, "settings" | "data">,
    from: { bytes: Uint8Array<ArrayBuffer>; name: string } | null,
  ): Promise<KeptRun> {
    const alone = run.settings.stages === "student" ? teacherOf(run.settings) : null;
    return keepRun(run, from, alone === null ? null : await this.#models.file(alone));
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
        const guide = stage === "teacher" ? null : teacherOf(run.settings);
        tell({ type: "doing", what: `${stage}: reading the cases` });
        const sees = guide === null ? null : this.#models.use(guide).modalities;
        const cases = await loadStage(study, stage, run.settings, sees);
        await survivingLoss(
          (device) => this.#train(device, { run, stage, cases, guide, study, tell }),
          () => tell({ type: "lost", stage }),
        );
        entry.done = true;
        await saveRun(run);
      }
      const best = await (await KeptStage.open(stage)).best();
      if (best) await this.#models.add(best, trainedName(stage));
      tell({ type: "stageDone", stage, model: trainedName(stage) });
    }
  }

  /** Takes up the networks of a run that is kept, as far as they are trained. */
  async addKept(): Promise<void> {
    for (const { name, bytes } of await keptNetworks()) await this.#models.add(bytes, name);
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
    const kept = await KeptStage.open(name);
    const state = (await kept.state())?.value ?? null;
    if (state && !(await kept.best())) state.position.best = null; // of a file: its best network is elsewhere
    const history = await kept.history(state?.position.epoch ?? 1);
    const guide: Guide | null = guideId
      ? { network: this.#models.on(device, guideId), modalities: this.#models.use(guideId).modalities }
      : null;
    const stage = new Stage(device, { name, settings, cases, guide, state });
    this.#current = stage;
    const { trainer, params } = stage;
    const labels = study.dataset.convention;
    let [saved, rate, since] = [performance.now(), 0, { time: performance.now(), step: 0 }];
    const save = async ({ position, data }: Rest) => {
      const { optimizer, guard } = trainer;
      const tensors = await readTensors({ params, optimizer, guard });
      const card = stage.card(position.epoch - 1, optimizer.steps, labels);
      const notes = { ...cardMetadata(card), ...settingsNote(name, settings) };
      await kept.saveState(await encodeTraining({ ...tensors, position, data }, notes));
      await kept.saveHistory(history);
      saved = performance.now();
      tell({ type: "saved", stage: name, step: optimizer.steps });
    };
    let rest: Rest | null = null;
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
            await kept.saveBest(await encodeSealed(tensors, metadata));
          }
          tell({ type: "epoch", stage: name, record: event.record, best: event.best });
          const slice = stage.takeSlice();
          if (slice) tell({ type: "slice", stage: name, slice });
        } else if (event.type === "rest") {
          rest = event;
          const age = performance.now() - saved;
          const late = age > SAVE_MS || (event.position.done === 0 && age > EPOCH_MS);
          if (this.#stopped) trainer.stop();
          if (late || this.#paused || this.#stopped) {
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
