// Files to watch a training with: TensorBoard's events, metrics.csv, progress.png and progress.svg. They are
// made from metrics.jsonl, except for the losses of single steps.

import { join } from "node:path";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { EpochHistory } from "../../trainer/loop/thinned.ts";
import type { TrainEvent } from "../../trainer/loop/trainer.ts";
import { writeAtomically } from "../files/files.ts";
import { BusyError } from "../files/lock.ts";
import { readRecords } from "../files/ownFiles.ts";
import { warn } from "../terminal/console.ts";
import { MetricsFile } from "./metricsCsv.ts";
import { progressSvg } from "./progressChart.ts";
import { rasterise } from "./rasterise.ts";
import { FILES } from "../files/stageFolder.ts";
import { EventFile, type Scalar } from "./tensorboard.ts";

const STEPS = 10; // TensorBoard gets the losses of every tenth step
const FLUSH = 10_000; // the most ms that TensorBoard's events wait in memory
const SHARE = 10; // drawing takes at most 1/SHARE of the time: it skips short epochs
const SCALE = 1.5; // pixels of progress.png per unit of progress.svg

/** TensorBoard's tags in ProtoKD's published code; other terms keep their own names. */
const LOSS_TAGS: Readonly<Record<string, string>> = {
  total: "loss/loss",
  crossEntropy: "loss/ce_loss",
  dice: "loss/dice_loss",
  kd: "loss/kd_loss",
  prototype: "loss/proto_loss",
};
const DICE_TAGS: Readonly<Record<string, string>> = {
  WT: "val/dice_wt",
  TC: "val/dice_co",
  ET: "val/dice_ec",
  mean: "val/dice_mean",
};

export interface StageLogOptions {
  /** The title of the pictures. */
  title: string;
  /** Patches per step, for the rate. */
  batch: number;
}

/** Writes the files of one training. One that cannot be written is a warning, and ends no training. */
export class StageLog {
  readonly #folder: string;
  readonly #options: StageLogOptions;
  readonly #csv: MetricsFile;
  readonly #history = new EpochHistory();
  readonly #failed = new Set<string>();
  #events: EventFile | null = null;
  #step = 0; // of the last epoch
  #flushed = performance.now();
  #drawn = -Infinity;
  #cost = 0; // ms that the last pictures took
  #stale = false;

  private constructor(folder: string, options: StageLogOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#csv = new MetricsFile(folder);
  }

  /** Continues after `step` steps and the epochs in the folder's metrics.jsonl (empty for a new training). */
  static async begin(folder: string, step: number, options: StageLogOptions): Promise<StageLog> {
    const log = new StageLog(folder, options);
    const records = await readRecords(folder);
    for (const record of records) log.#history.add(record);
    log.#step = records.at(-1)?.step ?? 0;
    log.#stale = records.length > 0;
    await log.#try(FILES.tensorboard, async () => {
      log.#events = await EventFile.begin(join(folder, FILES.tensorboard), step + 1);
    });
    if (records.length) await log.#try(FILES.csv, () => log.#csv.write(records));
    return log;
  }

  /** Notes one event of the training. */
  async note(event: TrainEvent): Promise<void> {
    if (event.type === "step" && (event.step % STEPS === 0 || event.step === 1)) {
      this.#events?.scalars(event.step, [
        ...lossScalars(event.losses),
        ...observedScalars(event.observed),
        { tag: "train/learning_rate", value: event.lr },
      ]);
      if (performance.now() - this.#flushed > FLUSH) await this.#flush();
    } else if (event.type === "epoch") {
      const { record } = event;
      const samples = (record.step - this.#step) * this.#options.batch;
      this.#step = record.step;
      this.#history.add(record);
      this.#events?.scalars(record.step, epochScalars(record, samples));
      await this.#flush();
      await this.#try(FILES.csv, () => this.#csv.add(record));
      this.#stale = true;
      if (performance.now() - this.#drawn >= SHARE * this.#cost) await this.#draw();
    }
  }

  /** Writes all that is pending: call it at the end, also after an error. */
  async close(): Promise<void> {
    await this.#flush();
    if (this.#stale) await this.#draw();
  }

  async #flush(): Promise<void> {
    this.#flushed = performance.now();
    const events = this.#events;
    if (!events) return;
    this.#events = null; // where this fails, a part of an event may be in the file, and readers end there
    await this.#try(FILES.tensorboard, async () => {
      await events.flush();
      this.#events = events;
    });
  }

  async #draw(): Promise<void> {
    const started = performance.now();
    await this.#try(FILES.progressSvg, async () => {
      const svg = progressSvg(this.#options.title, this.#history.records)!; // not null after an epoch
      await writeAtomically(join(this.#folder, FILES.progressSvg), svg);
      await writeAtomically(join(this.#folder, FILES.progress), await rasterise(svg, SCALE));
      this.#stale = false;
    });
    this.#drawn = performance.now();
    this.#cost = this.#drawn - started;
  }

  /**
   * Writes one of the files, and no more of it after a failure; a resumed training makes it anew. Throws a
   * BusyError where another process took over the folder.
   */
  async #try(file: string, write: () => Promise<void>): Promise<void> {
    if (this.#failed.has(file)) return;
    try {
      await write();
    } catch (error) {
      if (error instanceof BusyError) throw error;
      this.#failed.add(file);
      const why = error instanceof Error ? error.message : String(error);
      warn(`${join(this.#folder, file)}: no longer updated (${why}); the training goes on`);
    }
  }
}

/** Losses of a step or an epoch by tag, with the sum that the published code calls seg_loss. */
export function lossScalars(losses: Readonly<Record<string, number>>): Scalar[] {
  const { crossEntropy, dice } = losses;
  const sum = crossEntropy === undefined || dice === undefined ? [] : [crossEntropy + dice];
  return [
    ...Object.entries(losses).map(([name, value]) => ({ tag: LOSS_TAGS[name] ?? `loss/${name}`, value })),
    ...sum.map((value) => ({ tag: "loss/seg_loss", value })),
  ];
}

/** Numbers that nothing minimises; their names are the tags. */
function observedScalars(observed: Readonly<Record<string, number>> = {}): Scalar[] {
  return Object.entries(observed).map(([tag, value]) => ({ tag, value }));
}

/** The values of an epoch of `samples` patches: means of its losses, validation, time, memory. */
function epochScalars(record: EpochRecord, samples: number): Scalar[] {
  const { epoch, seconds, losses, observed, validation, average, waited, skipped, gpuBytes, score } = record;
  const known: Record<string, number | undefined> = {
    [`${tagOf("mean", score)}_moving_average`]: average,
    "train/epoch": epoch,
    "train/seconds_per_epoch": seconds,
    "train/samples_per_second": seconds > 0 ? samples / seconds : undefined,
    "train/seconds_waited_for_data": waited,
    "train/skipped_steps": skipped,
    "train/gpu_mib": gpuBytes === undefined ? undefined : gpuBytes / 2 ** 20,
  };
  return [
    ...[...lossScalars(losses), ...observedScalars(observed)].map(({ tag, value }) => {
      return { tag: `epoch_${tag}`, value };
    }),
    ...Object.entries(validation ?? {}).map(([name, value]) => ({ tag: tagOf(name, score), value })),
    ...Object.entries(known).flatMap(([tag, value]) => (value === undefined ? [] : [{ tag, value }])),
  ];
}

/** The tag of a validation's score: by default nnU-Net users' names of Dice. */
function tagOf(name: string, score?: string): string {
  return score === undefined ? DICE_TAGS[name]! : `val/${score.toLowerCase()}_${name.toLowerCase()}`;
}
