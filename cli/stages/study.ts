// Runs the arms of a study. Several processes, also on other machines, may share one --out: each takes an
// arm that nobody works on, by the lock of the arm's folder, and waits for the others at the end.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { sha256 } from "../../data/digest.ts";
import { DataError } from "../../data/errors.ts";
import type { Device } from "../../engine/index.ts";
import { decodeSafetensors } from "../../model/files/safetensors.ts";
import { methodOf, PLAIN } from "../../model/methods/index.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { resultsOf, type ArmRecord } from "../../trainer/experiments/armRecord.ts";
import { type Arm, armTitle, BASELINE, setName, takesUnlabelled } from "../../trainer/experiments/study.ts";
import type { Finished } from "../../trainer/experiments/studyRows.ts";
import { stageName, type TrainConfig } from "../../trainer/settings/config.ts";
import { yieldedStages } from "../../trainer/settings/eachContrast.ts";
import { armKey, countedSettings, readEvidence, writeEvidence } from "../files/evidence.ts";
import { BusyError, lockFolder } from "../files/lock.ts";
import { isFinished } from "../files/sameRun.ts";
import { FILES } from "../files/stageFolder.ts";
import type { StudyData } from "../files/studyData.ts";
import { readRecords } from "../files/ownFiles.ts";
import { readSummary } from "../prediction/evaluation.ts";
import { say } from "../terminal/console.ts";
import { resolveExperiment, stagesOf } from "./experiment.ts";
import { train } from "./training.ts";
import type { CommandFlags } from "./trainFlags.ts";
import { readFile } from "../terminal/userFile.ts";

/** Where a study runs, and with what. */
export interface Place {
  open: () => Promise<Device>;
  out: string;
  evidence: string;
  version: string;
  /** The settings of all arms. */
  settings: Readonly<Record<string, unknown>>;
  dataOf: (arm: Pick<Arm, "set">) => StudyData;
}

/** An arm with the name of its record, and the settings that its stages have. */
interface Planned {
  arm: Arm;
  key: string;
  flags: CommandFlags;
  student: TrainConfig;
  /** The stage of its teacher; null without one. */
  teacher: TrainConfig | null;
}

const DIVERGED = new Set(["DivergedError", "CollapseError", "NonFiniteError"]);
const PAUSE = 2000; // ms between two looks at arms that other processes train
const TWIN_SEED = 1000; // is added to the student's, for a twin must be drawn from another one

/** Resolves the settings of arms. Throws a UsageError, which names the arm, before anything is trained. */
export async function planArms(arms: readonly Arm[], place: Place): Promise<Planned[]> {
  const planned: Planned[] = [];
  for (const arm of arms) {
    try {
      planned.push(await planArm(arm, place));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(`${armTitle(arm)}, ${arm.modality}: ${error.message}`, { cause: error });
    }
  }
  return planned;
}

async function planArm(arm: Arm, place: Place): Promise<Planned> {
  const { method, modality, seed, control } = arm;
  const { data, split, unlabelled, recorded } = place.dataOf(arm);
  const shared = { ...place.settings, data, seed, ...(split !== null && { split }) };
  const seen = methodOf(method).eachContrast ? "all" : modality;
  const beside = unlabelled !== null && takesUnlabelled(method) && { unlabelled };
  const flags: CommandFlags = { ...shared, ...beside, ...arm.settings, methods: method, modality: seen };
  const controlled = { ...flags, ...(control !== "none" && { control }) };
  const twin = { ...shared, methods: PLAIN, modality, seed: seed + TWIN_SEED };
  const taught = control === "twin" ? twin : flags;
  const stages = stagesOf(await resolveExperiment({ ...taught, out: place.out }));
  const teacher =
    control === "twin" ? stages.at(-1)! : (stages.find(({ stage }) => stage === "teacher") ?? null);
  const given = { ...controlled, ...(teacher && { teacher: join(place.out, "teacher") }) };
  const student = stagesOf(await resolveExperiment({ ...given, out: place.out })).at(-1)!;
  const settings = countedSettings(student);
  const key = await armKey(
    arm,
    recorded,
    teacher ? { ...settings, teacher: countedSettings(teacher) } : settings,
  );
  return { arm, key, flags: controlled, student, teacher };
}

/** The arms that are finished, and the errors of those whose training diverged. */
export interface Outcome {
  finished: Finished[];
  failed: Error[];
}

/**
 * Trains the arms that have no record yet, and writes their records. Waits for arms that another process
 * trains. An arm that diverges does not stop the others.
 */
export async function runArms(planned: readonly Planned[], place: Place): Promise<Outcome> {
  const records = new Map<string, ArmRecord>();
  const failed = new Map<string, Error>();
  const look = async ({ key }: Planned) => {
    const record = await readEvidence(place.evidence, key);
    if (record) records.set(key, record);
    return record !== null;
  };
  for (const one of planned) await look(one);
  if (records.size) say(`${records.size} of ${planned.length} arms finished before`);
  const isOpen = ({ key }: Planned) => !records.has(key) && !failed.has(key);
  for (let waited = false; planned.some(isOpen);) {
    let busy = 0;
    for (const one of planned.filter(isOpen)) {
      if (await look(one)) continue;
      const out = join(place.out, "arms", one.key);
      const isOurs = await claimed(out, async () => {
        if (await look(one)) return;
        say(`arm ${planned.indexOf(one) + 1} of ${planned.length}: ${wordsOf(one.arm)}`);
        const found = await runArm(one, out, place).catch((error: Error) => failure(error, one.arm));
        if (found instanceof Error) failed.set(one.key, found);
        else await writeEvidence(place.evidence, one.key, found);
        await look(one);
      });
      if (!isOurs) busy++;
    }
    if (busy === 0) continue;
    if (!waited) say(`waiting for ${busy === 1 ? "an arm" : `${busy} arms`} of other processes`);
    waited = true;
    await sleep(PAUSE);
  }
  const finished = planned.flatMap(({ arm, key }) => {
    const record = records.get(key);
    return record ? [{ arm, record }] : [];
  });
  return { finished, failed: [...failed.values()] };
}

/** Returns the error of a training that diverged, with the arm's name; throws any other. */
function failure(error: Error, arm: Arm): Error {
  if (!DIVERGED.has(error.name)) throw error;
  error.message = `${wordsOf(arm)}: ${error.message}`;
  say(error.message);
  return error;
}

/** Runs `work` while this process has the folder's lock; returns false where another has it. */
async function claimed(folder: string, work: () => Promise<void>): Promise<boolean> {
  let unlock: () => Promise<void>;
  try {
    unlock = await lockFolder(folder);
  } catch (error) {
    if (error instanceof BusyError) return false;
    throw error;
  }
  try {
    await work();
  } finally {
    await unlock();
  }
  return true;
}

/** Trains an arm's stages as `train --stage all` does, its teacher in a folder that other arms use too. */
async function runArm({ arm, flags, teacher }: Planned, out: string, place: Place): Promise<ArmRecord> {
  const path = teacher && (await sharedTeacher(teacher, arm, place));
  const stages = stagesOf(
    await resolveExperiment({ ...flags, out, ...(path !== null && { teacher: path }) }),
  );
  for (const stage of stages) await train(place.open, stage, { unfinished: "continue" });
  const yielded = yieldedStages(stages.at(-1)!);
  const own = yielded.find(({ modality }) => modality === arm.modality) ?? yielded[0]!;
  const folder = join(out, stageName(own));
  const summary = await readSummary(folder);
  if (!summary)
    throw new DataError(`${join(folder, FILES.summary)}: expected the scores of a stage, got no file`);
  const { name, method, control, modality, seed } = arm;
  return {
    format: "protokd arm 1",
    version: place.version,
    name,
    method,
    settings: countedSettings(stages.at(-1)!),
    control,
    modality,
    seed,
    data: place.dataOf(arm).recorded,
    weights: await tensorsDigest(join(folder, FILES.best)),
    ...resultsOf(summary, await readRecords(join(out, stageName(stages.at(-1)!)))),
  };
}

/** Trains a teacher unless it is there, or waits for the process that trains it; returns its file. */
async function sharedTeacher(teacher: TrainConfig, arm: Arm, place: Place): Promise<string> {
  const { seed, modality } = teacher;
  const as: Arm = {
    ...BASELINE,
    role: "report",
    control: "none",
    set: arm.set,
    seed,
    modality: modality ?? "teacher",
  };
  const key = await armKey(as, place.dataOf(arm).recorded, countedSettings(teacher));
  const out = join(place.out, "teachers", key);
  while (
    !(await claimed(out, async () => {
      if (await isFinished(join(out, stageName(teacher)))) return;
      await train(place.open, { ...teacher, out }, { unfinished: "continue" });
    }))
  )
    await sleep(PAUSE);
  return join(out, stageName(teacher), FILES.best);
}

function wordsOf(arm: Arm): string {
  return `${armTitle(arm)}, ${arm.modality}, seed ${arm.seed}, ${setName(arm.set, [arm.set])}`;
}

/** The SHA-256 of a checkpoint's tensors by their names: its other content may differ between two runs. */
async function tensorsDigest(path: string): Promise<string> {
  const { tensors } = decodeSafetensors(await readFile(path), path);
  const parts = Object.keys(tensors)
    .sort()
    .map(async (name) => `${name} ${await sha256(tensors[name]!.data as Float32Array)}`);
  return sha256(new TextEncoder().encode((await Promise.all(parts)).join("\n")));
}
