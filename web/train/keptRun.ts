// The run that the browser keeps, one at a time, in the page's own files: its settings and where its cases
// are from, and for each stage the state to resume, the best network and the epochs so far.

import { append } from "../../engine/values.ts";
import { DataError } from "../../data/errors.ts";
import { INPUT } from "../../data/preparation/input.ts";
import { contrastsOf, soleCheckpoint, soleStage } from "../../model/files/card.ts";
import { usesTeacher } from "../../model/methods/index.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { decodeTraining, type TrainingState } from "../../trainer/loop/state.ts";
import { OldStateError } from "../../model/errors.ts";
import { APART, AUTO } from "../../data/datasets/patients.ts";
import { checkAny } from "../../trainer/settings/anyContrasts.ts";
import { DEFAULTS, isClassifierStage } from "../../trainer/settings/config.ts";
import type { StageStorage } from "../../trainer/stages/storage.ts";
import {
  forgetFolder,
  keptFolder,
  namesIn,
  read,
  readJson,
  TwoSlots,
  write,
  writeJson,
} from "../worker/opfs.ts";
import { stagesOf } from "./pageSettings.ts";
import type { KeptRun } from "./trainProtocol.ts";

const RUN = "run";
const FILES = {
  run: "run.json",
  teacher: "teacher.safetensors", // a student's, that was not trained in the same run
  history: "history.json",
  best: "best.safetensors",
  beside: "_last.safetensors", // after the role of a network that is trained beside the stage's own
  state: "state.safetensors",
};

type Bytes = Uint8Array<ArrayBuffer>;
type State = TrainingState & { step: number };

/** The storage of one stage. */
export class KeptStage implements StageStorage {
  readonly #folder: FileSystemDirectoryHandle;
  readonly #slots: TwoSlots<State>;
  #history: EpochRecord[] = [];

  private constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
    const check = async (bytes: Uint8Array, name: string): Promise<State> => {
      const state = await decodeTraining(bytes, name);
      const card = JSON.parse(state.metadata["card"] ?? "{}") as { step?: number };
      return { ...state, step: card.step ?? 0 };
    };
    this.#slots = new TwoSlots(folder, FILES.state, { check, order: ({ step }) => step });
  }

  static async open(stage: string): Promise<KeptStage> {
    return new KeptStage(await keptFolder(RUN, stage));
  }

  /**
   * The newest state that is whole, with its file; null where none is. The save after the next one replaces
   * it.
   */
  state(): Promise<{ value: State; bytes: Bytes } | null> {
    return this.#slots.newest();
  }

  saveState(bytes: Bytes): Promise<void> {
    return this.#slots.write(bytes);
  }

  /** The best network so far; null before there is one. */
  best(): Promise<Bytes | null> {
    return read(this.#folder, FILES.best);
  }

  saveBest(bytes: Bytes): Promise<void> {
    return write(this.#folder, FILES.best, bytes);
  }

  saveBeside(role: string, bytes: Bytes): Promise<void> {
    return write(this.#folder, role + FILES.beside, bytes);
  }

  /**
   * The best network so far, of one that sees each of several contrasts alone that of each; and the latest of
   * those that are trained beside it. Empty for a stage that classifies: the page has no use for its network.
   */
  async networks(stage: string): Promise<{ name: string; bytes: Bytes }[]> {
    if (isClassifierStage(stage)) return [];
    const best = await this.best();
    const found: { name: string; bytes: Bytes | null }[] = [];
    const contrasts = best ? contrastsOf(best, stage) : null;
    if (!contrasts) found.push({ name: trainedName(stage), bytes: best });
    for (const contrast of contrasts ?? []) {
      const bytes = await soleCheckpoint(best!, stage, INPUT, contrast);
      found.push({ name: trainedName(soleStage(stage, contrast)), bytes });
    }
    for (const file of await namesIn(this.#folder)) {
      if (!file.endsWith(FILES.beside)) continue;
      const role = file.slice(0, -FILES.beside.length);
      found.push({ name: trainedName(`${stage}_${role}`), bytes: await read(this.#folder, file) });
    }
    return found.flatMap(({ name, bytes }) => (bytes ? [{ name, bytes }] : []));
  }

  /** The epochs before `epoch`, after which addEpoch() adds more. */
  async history(epoch: number): Promise<EpochRecord[]> {
    const all = (await readJson<EpochRecord[]>(this.#folder, FILES.history)) ?? [];
    this.#history = all.filter((record) => record.epoch < epoch);
    return [...this.#history];
  }

  addEpoch(record: EpochRecord): Promise<void> {
    this.#history.push(record);
    return writeJson(this.#folder, FILES.history, this.#history);
  }
}

/**
 * Deletes the saved run, and saves this one: from its beginning, or from a state of its first stage in a
 * file. `teacher` are the bytes of the network that teaches a student alone. Throws a CheckpointError for a
 * file without a state, a DataError where nothing is left to train, a UsageError for settings that do not fit
 * together.
 */
export async function keepRun(
  { settings, data }: Pick<KeptRun, "settings" | "data">,
  from: { bytes: Bytes; name: string } | null,
  teacher: Bytes | null,
): Promise<KeptRun> {
  const state = from && (await decodeTraining(from.bytes, from.name)); // before anything is deleted
  const epochs = settings.epochs ?? DEFAULTS.epochs;
  if (state && state.position.epoch > epochs) {
    throw new DataError(`${from!.name}: has been trained for all of its ${epochs} epochs`);
  }
  const configs = stagesOf(settings);
  for (const config of configs.values()) checkAny(config);
  await forgetRun();
  const stages = [...configs.keys()].map((stage) => ({ stage, done: false, step: 0 }));
  const patients = from ? APART : AUTO; // a file without this setting began without regard to patients
  const run: KeptRun = { settings: { patients, ...settings }, data, stages };
  if (from) await (await KeptStage.open(stages[0]!.stage)).saveState(from.bytes);
  if (teacher) await write(await keptFolder(RUN), FILES.teacher, teacher);
  await saveRun(run);
  return run;
}

/** The saved run with the steps done so far; null without one. */
export async function keptRun(): Promise<KeptRun | null> {
  const run = await readJson<KeptRun>(await keptFolder(RUN), FILES.run);
  for (const entry of run?.stages ?? []) {
    const stage = await KeptStage.open(entry.stage);
    const state = await stage.state().catch((error: unknown) => {
      if (error instanceof OldStateError) entry.old = true;
      else throw error;
    });
    entry.step = state?.value.step ?? 0;
  }
  return run;
}

/** Saves which stages of the run are done. */
export async function saveRun(run: KeptRun): Promise<void> {
  await writeJson(await keptFolder(RUN), FILES.run, run);
}

/** Deletes the saved run, the networks too. */
export function forgetRun(): Promise<void> {
  return forgetFolder(RUN);
}

/**
 * The name of the network that a student of this run learns from; null where none of its stages has a
 * teacher.
 */
export function teacherOf(settings: KeptRun["settings"]): string | null {
  const { stages, method, teacher, selfTaught } = settings;
  if (stages === "teacher" || stages === "pretrain" || selfTaught || !usesTeacher(method, { ...settings }))
    return null;
  return stages === "both" ? trainedName("teacher") : teacher;
}

/** The trained networks of the saved run, by their names; a pretraining's encoder is kept elsewhere. */
export async function keptNetworks(): Promise<{ name: string; bytes: Bytes }[]> {
  const run = await readJson<KeptRun>(await keptFolder(RUN), FILES.run);
  if (!run || run.settings.stages === "pretrain") return [];
  const taught = await read(await keptFolder(RUN), FILES.teacher);
  const found = taught ? [{ name: teacherOf(run.settings) ?? "", bytes: taught }] : [];
  for (const { stage } of run.stages) append(found, await (await KeptStage.open(stage)).networks(stage));
  return found;
}

/** A checkpoint of a saved stage; null before there is one. */
export async function keptFile(stage: string, which: "best" | "latest"): Promise<Bytes | null> {
  const kept = await KeptStage.open(stage);
  return which === "best" ? kept.best() : ((await kept.state())?.bytes ?? null);
}

/** The name of a network that was trained here. */
export function trainedName(stage: string): string {
  return `${stage} (trained here)`;
}
