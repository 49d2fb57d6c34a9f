// Trains in the worker: stage after stage, saved in the browser's own storage so that a reload or a crash
// costs seconds; paused, stopped, and resumed on a new device where the old one is lost.

import { APART } from "../../data/datasets/patients.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { chooseSlice, greysOf } from "../../data/preparation/slices.ts";
import type { Device } from "../../engine/index.ts";
import type { Values } from "../../model/networks/params.ts";
import type { TrainEvent } from "../../trainer/loop/options.ts";
import {
  checkBatch,
  isClassifierStage,
  networkModalities,
  type TrainConfig,
} from "../../trainer/settings/config.ts";
import { keepTraining } from "../../trainer/stages/keep.ts";
import { Stage } from "../../trainer/stages/stage.ts";
import type { Study } from "../segment/segmentation.ts";
import { CancelledError } from "../ui/explain.ts";
import { survivingLoss } from "../worker/gpu.ts";
import type { Models } from "../worker/models.ts";
import { encoderFor, keepEncoder } from "./keptEncoder.ts";
import { keepRun, KeptStage, keptNetworks, saveRun, teacherOf, trainedName } from "./keptRun.ts";
import { loadStage, samplersOf, type StageCases, withContrasts } from "./loadStage.ts";
import { stagesOf } from "./pageSettings.ts";
import type { KeptRun, SliceNews, TrainNews } from "./trainProtocol.ts";

/** Saves within an epoch, and at the ends of epochs. */
const CADENCE = { steps: Infinity, seconds: 15, epochSeconds: 3 };

type Tell = (news: TrainNews) => void;

/** A stage that is about to be trained. */
interface Asked {
  name: string;
  config: TrainConfig;
  cases: StageCases;
  /** Id of the network that teaches; null for a stage without a teacher. */
  teacher: string | null;
  /** The encoder that it begins with; null for one that is drawn. */
  encoder: Readonly<Record<string, Values>> | null;
  study: Study;
  tell: Tell;
}

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

  resume(): void {
    this.#paused?.end();
    this.#paused = null;
  }

  /** Ends the run after the step in progress; it is saved, and can be resumed later. */
  stop(): void {
    this.#stopped = true;
    this.#current?.trainer.stop();
    this.resume();
  }

  /**
   * Saves a new run in place of the one before, with the network that teaches a student alone; see keepRun().
   * Throws a UsageError, with all as it was, where the encoder to begin with does not fit.
   */
  async keep(
    run: Pick<KeptRun, "settings" | "data">,
    from: { bytes: Uint8Array<ArrayBuffer>; name: string } | null,
    study: Study,
  ): Promise<KeptRun> {
    if (run.settings.initEncoder)
      for (const asked of stagesOf(run.settings).values())
        await encoderFor((await withContrasts(study, asked, [])).config);
    const alone = run.settings.stages === "student" ? teacherOf(run.settings) : null;
    return keepRun(run, from, alone === null ? null : await this.#models.file(alone));
  }

  /**
   * Trains all stages of a run, from where it was saved. Throws a CancelledError when it was stopped; a
   * DataError for cases that cannot be trained on.
   */
  async run(run: KeptRun, study: Study, tell: Tell): Promise<void> {
    this.#stopped = false;
    this.#paused = null;
    const configs = stagesOf({ patients: APART, ...run.settings }); // an older page saved none
    for (const entry of run.stages) {
      const { stage: name } = entry;
      if (!entry.done) {
        const asked = configs.get(name)!;
        const students = [...configs.values()].flatMap((one) =>
          one.stage === "student" ? [networkModalities(one)] : [],
        );
        const { config, notes } = await withContrasts(study, asked, students);
        checkBatch(config);
        const teacher = config.stage === "teacher" ? null : teacherOf(run.settings);
        tell({ type: "doing", what: `${name}: reading the cases` });
        const teachers = teacher === null ? [] : [this.#models.use(teacher)];
        const encoder = await encoderFor(config);
        const cases = await loadStage(study, config, teachers, encoder?.card);
        tell({ type: "findings", lines: [...notes, ...cases.warnings] });
        const stage = { name, config, cases, teacher, study, tell };
        await survivingLoss(
          (device) => this.#train(device, { ...stage, encoder: encoder?.values ?? null }),
          () => tell({ type: "lost", stage: name }),
        );
        if (config.stage === "pretrain") await keepEncoder((await (await KeptStage.open(name)).best())!);
        entry.done = true;
        await saveRun(run);
      }
      const segments = run.settings.stages !== "pretrain" && !isClassifierStage(name);
      if (segments)
        for (const network of await (await KeptStage.open(name)).networks(name))
          await this.#models.add(network.bytes, network.name);
      tell({ type: "stageDone", stage: name, model: segments ? trainedName(name) : null });
    }
  }

  /** Takes up the trained networks of the saved run. */
  async addKept(): Promise<void> {
    for (const { name, bytes } of await keptNetworks()) await this.#models.add(bytes, name);
  }

  async #train(device: Device, asked: Asked): Promise<void> {
    const { name, config, cases, teacher, encoder, study, tell } = asked;
    const storage = await KeptStage.open(name);
    const found = (await storage.state())?.value ?? null;
    if (found && !(await storage.best())) found.position.best = null; // imported without a best one
    const history = await storage.history(found?.position.epoch ?? 1);
    let slice: SliceNews | null = null;
    const stage = new Stage(device, {
      config,
      modalities: cases.modalities,
      validation: cases.validation,
      ...samplersOf(cases, config, found),
      labels: study.dataset.convention,
      grid: cases.grid,
      frozen: () => this.#models.frozen(teacher!),
      initEncoder: encoder,
      state: found && { ...found, path: name },
      validated: (prepared, classes, i) => {
        if (i === 0) slice = sliceOf(prepared, classes);
      },
    });
    this.#current = stage;
    const news = new StageNews(stage, device, tell);
    try {
      const ended = await keepTraining(stage, {
        storage,
        cadence: CADENCE,
        show: (event) => {
          if (this.#stopped) stage.trainer.stop();
          news.show(event);
          if (event.type === "start") for (const record of history) news.epoch(record);
          if (event.type === "epoch" && slice) tell({ type: "slice", stage: name, slice });
          if (event.type === "epoch") slice = null;
        },
        saved: () => tell({ type: "saved", stage: name, step: stage.trainer.steps }),
        pause: () => this.#pause(tell),
      });
      if (ended === "request")
        throw new CancelledError(`${name}: saved after ${stage.trainer.steps} steps; it can be resumed.`);
      if (ended) tell({ type: "doing", what: `${name}: ${ENDINGS[ended]}` });
    } finally {
      this.#current = null;
      stage.free();
    }
  }

  /** Waits for the end of a pause; null without one. */
  #pause(tell: Tell): (() => Promise<void>) | null {
    const paused = this.#paused;
    if (!paused) return null;
    return async () => {
      tell({ type: "paused", on: true });
      await paused.over;
      tell({ type: "paused", on: false });
    };
  }
}

const ENDINGS = {
  time: "ended: its time is up",
  patience: "ended: no better validation within the patience",
} as const;

/** A stage's events as news for the page. */
class StageNews {
  readonly #stage: Stage;
  readonly #device: Device;
  readonly #tell: Tell;
  #rate = 0;
  #since = { time: performance.now(), step: 0 };

  constructor(stage: Stage, device: Device, tell: Tell) {
    this.#stage = stage;
    this.#device = device;
    this.#tell = tell;
  }

  epoch(record: Extract<TrainNews, { type: "epoch" }>["record"], best = false): void {
    this.#tell({ type: "epoch", stage: this.#stage.name, record, best });
  }

  show(event: TrainEvent): void {
    const { name: stage, config, stepsPerEpoch, trainer } = this.#stage;
    if (event.type === "start") {
      const steps = config.epochs * stepsPerEpoch;
      this.#tell({ type: "stage", stage, parameters: event.parameters, steps, resumed: trainer.steps });
    } else if (event.type === "compile") {
      this.#tell({ type: "doing", what: `${stage}: compiling kernels, ${event.done} of ${event.kernels}` });
      this.#restart();
    } else if (event.type === "step") {
      const { type, step, steps, epoch, losses, observed } = event;
      const seconds = (performance.now() - this.#since.time) / 1000;
      if (step > this.#since.step && seconds > 0)
        this.#rate = ((step - this.#since.step) * config.batch) / seconds;
      const { bytes } = this.#device;
      const news = { type, stage, step, steps, epoch, losses, samplesPerSecond: this.#rate, bytes };
      this.#tell({ ...news, ...(observed && { observed }) });
    } else if (event.type === "skip") {
      this.#tell({ type: "doing", what: `${stage}: step ${event.step} skipped: ${event.why} not finite` });
    } else if (event.type === "epoch") {
      this.epoch(event.record, event.best);
    } else if (event.type === "checkpoint") this.#restart();
  }

  /** Begins to measure the rate anew: steps are reported some at a time. */
  #restart(): void {
    this.#since = { time: performance.now(), step: this.#stage.trainer.steps };
  }
}

/** The axial slice with the most tumour in the label; the image is the last modality. */
function sliceOf({ id, images, channels, size, label }: Case, classes: Uint8Array): SliceNews {
  const [depth, height, width] = size;
  const area = height * width;
  const from = chooseSlice(label!, size) * area;
  const last = (channels.length - 1) * depth * area;
  return {
    case: id,
    height,
    width,
    image: Uint8Array.from(greysOf(images.subarray(last + from, last + from + area)), Math.round),
    prediction: classes.slice(from, from + area),
    label: label!.slice(from, from + area),
  };
}
