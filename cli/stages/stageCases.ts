// The cases of a stage: all are read and checked once before training; those that fit stay in memory, and the
// others are read again ahead of their use.

import { readingBytes, cacheRoom, checkHostMemory, type HostDemand } from "../device/hostMemory.ts";
import { checkMemory } from "../device/memory.ts";
import { memoryLimit } from "../device/memoryLimit.ts";
import type { Modality } from "../../data/datasets/datasets.ts";
import { checkDisjoint, type CaseRecord } from "../../data/datasets/manifest.ts";
import type { Split } from "../../data/datasets/splits.ts";
import { compareRun } from "../../data/check/run.ts";
import type { CommonGrid } from "../../data/preparation/input.ts";
import type { SuppliedCase } from "../../data/preparation/supply.ts";
import { FOREGROUND_BYTES } from "../../data/sampling/foreground.ts";
import { bytesText, type Device } from "../../engine/index.ts";
import { loadOptions, networkModalities, type TrainConfig } from "../../trainer/settings/config.ts";
import {
  checkTrainedBeside,
  loadedModalities,
  type StreamPlan,
  streamsOf,
} from "../../trainer/stages/sources.ts";
import type { Demand } from "../../trainer/stages/memory.ts";
import { stageSplit } from "../../trainer/stages/stageSplit.ts";
import { casesOf, filesById, idsOf, type RunData } from "../files/cases.ts";
import { openCaseFolder } from "../files/caseFile.ts";
import { DataWorker, type FirstRead, type KeptCase } from "../files/dataWorkers.ts";
import { type FirstCase, inRun, loadRecordedCases, suppliedCase } from "../files/loadCases.ts";
import { channelsOf, frozenNetwork } from "../files/models.ts";
import { Room } from "../files/room.ts";
import { say } from "../terminal/console.ts";
import type { StageNetworks } from "./stageModels.ts";
import { openUnlabelled, readUnlabelled } from "./unlabelledCases.ts";

/** The cases of a stage, with the modalities that its networks need. */
export interface StageCases {
  /** The streams of the method, with their cases. */
  streams: readonly StreamPlan<KeptCase>[];
  validation: readonly SuppliedCase[];
  records: readonly CaseRecord[];
  modalities: readonly Modality[];
  /** The grid that all cases are turned to. */
  grid: CommonGrid;
  /** The findings of the check that training can live with. */
  warnings: string[];
  /** The cases of the split that the stage uses. */
  split: Split;
  /** Bytes of main memory that training takes. */
  hostBytes: number;
  /** Ends the thread that reads validation cases. */
  close(): Promise<void>;
}

/**
 * Reads the cases to train and to validate on, and says how many stay in memory. Those to test on are read
 * too: now is the time to find them broken, or to be the same scans as others under another name. Cases that
 * lack what the stage's network sees are not used. Throws a DataError with the problems of all cases, or if
 * none is left to train on; a UsageError or a GpuError, before the first case is read, where main memory or
 * the device's is too small.
 */
export async function readStageCases(
  { dataset, split: whole, modalities: there }: RunData,
  { frozen, init, initEncoder }: StageNetworks,
  config: TrainConfig,
  open: () => Promise<Device>,
): Promise<StageCases> {
  const taughtBy = [...frozen.values()].map((model) => channelsOf(model));
  const filesOf = filesById(dataset);
  const { split, required, about } = stageSplit(config, { split: whole, filesOf, taughtBy });
  about.forEach((line) => say(`  ${line}`));
  const modalities = loadedModalities(config, taughtBy, there);
  const scans = await openUnlabelled(config, [...networkModalities(config), ...taughtBy.flat()]);
  checkTrainedBeside(config, modalities, casesOf(dataset, split.train));
  const { layout, convention } = dataset;
  const unread = config.stage === "pretrain" && { labels: false };
  const { data, workers, cacheDir } = config;
  const preparation = loadOptions(config);
  const reading = { data, dataset: { layout, convention }, modalities, required, preparation, ...unread };
  if (cacheDir !== null) await openCaseFolder(cacheDir);
  const memory = new HostMemory(config, modalities, split.val.length > 0);
  await memory.checkFirst(open, modalities, (name) => frozenNetwork(frozen.get(name)!));
  const files = casesOf(dataset, idsOf(split));
  const trained = split.train.length;
  const used = trained + split.val.length;
  const more = config.foreground > 0 ? Math.max(1, workers) * FOREGROUND_BYTES : 0;
  const cache = { room: memory.room, folder: cacheDir, more };
  const groups = [
    { files: files.slice(0, trained), cache },
    { files: files.slice(trained, used), cache },
    { files: files.slice(used), cache: { room: new Room(0), folder: null, more } },
  ];
  let threads = 0;
  const read = await loadRecordedCases(reading, groups, (first) => (threads = memory.threads(first)));
  const records = read.map(({ record }) => record);
  checkDisjoint(split, records);
  const known = [...frozen.values(), init, initEncoder].flatMap((model) => model?.card?.grid ?? [])[0];
  const { grid, warnings } = compareRun(
    read.map(({ report }) => report),
    { trained, convention, patch: config.patch, known },
  );
  const how = { cache, threads, grid, config, labelled: records, split };
  const added = await readUnlabelled(scans, { modalities, preparation }, how);
  const repeated = [...read.slice(0, used), ...added.read]; // needed again and again
  const hostBytes = memory.report([...repeated, ...read.slice(used)], repeated.length, more);
  let reader: DataWorker | null = null;
  const worker = workers > 0 ? () => (reader ??= new DataWorker()) : undefined;
  const training = read.slice(0, trained).map((one) => inRun(one, grid));
  return {
    streams: streamsOf(training, config, modalities, added.cases),
    validation: read.slice(trained, used).map((one) => suppliedCase(inRun(one, grid), worker)),
    records: [...records, ...added.records],
    grid,
    warnings: [...warnings, ...added.warnings],
    split,
    modalities,
    hostBytes,
    close: async () => reader?.close(),
  };
}

/** The main memory of a stage: its limit, and the part of it for cases. */
class HostMemory {
  readonly room: Room;
  readonly #config: TrainConfig;
  readonly #limit = memoryLimit();
  readonly #demand: Pick<HostDemand, "config" | "channels" | "streams" | "validates">;

  constructor(config: TrainConfig, modalities: readonly Modality[], validates: boolean) {
    this.#config = config;
    const streams = streamsOf([], config, modalities).length;
    this.#demand = { config, channels: modalities.length, streams, validates };
    const { cache } = config;
    this.room = new Room(cache === null ? this.#limit / 2 : cache * 2 ** 30);
  }

  /** Throws a UsageError or a GpuError if training takes too much, without any case. */
  async checkFirst(
    open: () => Promise<Device>,
    modalities: readonly Modality[],
    frozen: Demand["frozen"],
  ): Promise<void> {
    const beside = checkHostMemory(this.#of([], 0, false), this.#limit);
    checkMemory(await open(), { config: this.#config, modalities, frozen }, beside);
  }

  /** How many threads read the cases before training; when the first case is known, as many as fit. */
  threads(first: FirstCase | null): number {
    const { workers, cache } = this.#config;
    if (!first || workers === 0) return Math.min(1, workers);
    const demand = this.#of([first], 0, true);
    const room = cacheRoom(cache, this.#limit, demand);
    this.room.leave(room);
    checkHostMemory({ ...demand, config: { ...this.#config, workers: 0 } }, this.#limit);
    const one = demand.reading + first.bytes;
    return Math.max(1, Math.min(workers, Math.floor((this.#limit - room) / one) - 1));
  }

  /** Says what training takes, and returns it. The first `used` cases are needed again. */
  report(read: readonly FirstRead[], used: number, more: number): number {
    const again = read.slice(0, used).filter((one) => "reading" in one.case);
    const all = read.slice(0, used).reduce((sum, { bytes }) => sum + bytes + more, 0);
    const rest = again.reduce((sum, { bytes }) => sum + bytes + more, 0);
    const taken = checkHostMemory(this.#of(read, all - rest, again.length > 0), this.#limit);
    say(
      `  main memory: ${bytesText(taken)} of ${bytesText(this.#limit)}, ${bytesText(all - rest)} for cases`,
    );
    if (again.length) {
      const from = this.#config.cacheDir === null ? "from their files" : `from ${this.#config.cacheDir}`;
      say(
        `  ${used - again.length} of ${used} cases stay in memory (--cache); the other ${again.length} ` +
          `(${bytesText(rest)}) are read again ${from} when they are needed`,
      );
    }
    const unwritten = again.find((one) => one.unwritten !== null)?.unwritten;
    if (unwritten) {
      const { cacheDir } = this.#config;
      say(
        `  --cache-dir ${cacheDir}: not every case could be written, and those are read from their files: ${unwritten}`,
      );
    }
    return taken;
  }

  /** The training's demand with these cases. */
  #of(read: readonly FirstCase[], kept: number, again: boolean): HostDemand {
    const reading = read.reduce((most, { record }) => Math.max(most, readingBytes(record)), 0);
    const bytes = read.reduce((most, one) => Math.max(most, one.bytes), 0);
    const voxels = read.reduce((most, one) => Math.max(most, one.voxels), 0);
    return { ...this.#demand, reading, prepared: { bytes, voxels }, kept, again };
  }
}
