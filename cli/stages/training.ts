// Trains a stage for train.js: finds or trains its teacher first, locks its folder, and keeps, resumes or
// refuses what the folder holds.

import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { isEach, subsetName } from "../../data/datasets/subsets.ts";
import type { Version } from "../../data/phantom/phantom.ts";
import type { Device } from "../../engine/index.ts";
import { frozenStages, methodOf, TEACHER } from "../../model/methods/index.ts";
import { over } from "../../trainer/loop/position.ts";
import { openRunData } from "../files/cases.ts";
import { fileChecksum, readInputs } from "../files/inputs.ts";
import { readImported } from "../files/imported.ts";
import { type FoundState, hasState, readState } from "../files/checkpoints.ts";
import { UsageError } from "../../model/settings/errors.ts";
import {
  limits,
  networkModalities,
  PHANTOM,
  runOf,
  stageName,
  teacherOf,
  type TrainConfig,
} from "../../trainer/settings/config.ts";
import { yieldedStages } from "../../trainer/settings/eachContrast.ts";
import { teachingStudents } from "../../trainer/settings/teachers.ts";
import { say } from "../terminal/console.ts";
import { exists, removeTemporaries } from "../files/files.ts";
import { ifSound } from "../files/ownFiles.ts";
import { lockFolder } from "../files/lock.ts";
import { writeModelCard } from "../report/modelCard.ts";
import { makePhantom, phantomVersion } from "../files/phantomFolder.ts";
import { writeReport } from "../report/runReport.ts";
import { checkResults } from "../report/stageResults.ts";
import { readInit, readInitEncoder, readTeacher } from "./stageModels.ts";
import { trainStage } from "./stage.ts";
import { checkStudents } from "./students.ts";
import { withAnyContrasts, withContrasts, withTeachers } from "./teacherSees.ts";
import { checkYielded } from "./yielded.ts";
import { finished, isFinished, taughtOn } from "../files/sameRun.ts";
import { FILES, held, readConfig } from "../files/stageFolder.ts";

/** How a stage's folder that exists already is treated. */
export interface Existing {
  /** A finished one of the same settings is kept, or not. */
  finished?: "keep" | "replace";
  /** With "resume" there must be a state; "continue" starts without one. */
  unfinished?: "refuse" | "replace" | "resume" | "continue";
  /** A training state from elsewhere, with which a new folder begins. */
  from?: string | undefined;
  /** The version of the phantom to train on; without it the one that is there, or a new one. */
  phantom?: Version | undefined;
}

/**
 * Trains the stage of `config`, and before it a teacher where one is needed and none is found; returns the
 * configuration with its teacher and the names of --teachers. `open` is called when all has been checked.
 * Nobody else writes to a stage's folder meanwhile. Throws a StoppedError when it was stopped, with all
 * saved; a UsageError where a student that teaches is missing.
 */
export async function train(
  open: () => Promise<Device>,
  config: TrainConfig,
  existing: Existing = {},
): Promise<TrainConfig> {
  if (resolve(config.data) === resolve(PHANTOM.folder)) await havePhantom(config.data, existing.phantom);
  else if (existing.phantom !== undefined)
    throw new UsageError(
      `--phantom: trains on ${PHANTOM.folder}, not on ${config.data}: use it without --data`,
    );
  const replace = existing.unfinished === "replace";
  config = await withTeachers(await withAnyContrasts(config));
  if (config.stage === "teacher") config = await withContrasts(config, { replace });
  await readInit(config);
  await checkStudents(config);
  await readInitEncoder(config);
  if (needsTeacher(config)) config = { ...config, teacher: await findTeacher(config, existing) };
  if (needsTeacher(config)) {
    say("no teacher has been trained on these data: training one first");
    const students = [networkModalities(config)];
    const teacher = await withContrasts(teacherOf(config), { students, replace });
    if (existing.unfinished === "resume") existing = { ...existing, unfinished: "continue" };
    await train(open, teacher, { ...existing, from: undefined });
    config = { ...config, teacher: join(config.out, stageName(teacher), FILES.best) };
  }
  await readTeacher(config); // is it there, and can it teach?
  if (config.stage === "student") config = { ...config, teacherModality: null }; // its file says it
  const folder = join(config.out, stageName(config));
  const unlock = await lockFolder(folder, say);
  try {
    await trainLocked(open, config, existing);
  } finally {
    await unlock();
  }
  return config;
}

/** Makes the default phantom if the folder is missing. Throws a UsageError if it holds another version. */
async function havePhantom(folder: string, version: Version | undefined): Promise<void> {
  if (!(await exists(folder)))
    return makePhantom({ out: folder, ...PHANTOM, ...(version && { version }), report: say });
  const found = version && (await phantomVersion(folder));
  if (found === version) return;
  const remedy = `move the folder away, or leave --phantom out to train on what it holds`;
  const holds = found === undefined ? "other data" : `version ${found}`;
  throw new UsageError(`${folder}: expected a phantom of version ${version}, got ${holds}; ${remedy}`);
}

/** Tells whether the method needs the network of the stage "teacher", and no file is given. */
function needsTeacher(config: TrainConfig): boolean {
  const run = runOf(config, networkModalities(config));
  return config.teacher === null && frozenStages(methodOf(config.method), run).includes(TEACHER);
}

async function trainLocked(
  open: () => Promise<Device>,
  config: TrainConfig,
  existing: Existing,
): Promise<void> {
  const folder = join(config.out, stageName(config));
  const { finished: done = "keep", unfinished = "refuse" } = existing;
  for (const place of [folder, join(folder, FILES.predictions)]) {
    const stray = await removeTemporaries(place);
    if (stray.length) say(`${place}: removed unfinished ${stray.join(", ")}`);
  }
  const found = await held(folder);
  const recorded = await readConfig(folder);
  if (found.length && !recorded) {
    throw new UsageError(
      `${folder}: holds ${found[0]}, but no run: choose another --out, for nothing here is deleted`,
    );
  }
  if (existing.from !== undefined && found.length && unfinished !== "replace") {
    throw new UsageError(
      `--resume-from: ${folder} holds a run already: resume that with --resume, or choose another --out; ` +
        "--overwrite would delete that training",
    );
  }
  const resuming = unfinished === "resume" || unfinished === "continue";
  const begun = await hasState(folder);
  let state: FoundState | null = null;
  if (existing.from !== undefined) {
    state = await readImported(existing.from);
  } else if (done !== "replace" && (await finished(config))) {
    if (resuming && begun) state = await readState(folder, say);
    if (!state || over(state.position, limits(config))) {
      await checkResults(folder);
      say(`${folder}: already trained with these settings; --overwrite deletes that training and repeats it`);
      return;
    }
  } else if (resuming && (begun || (unfinished === "resume" && !recorded))) {
    state = await readState(folder, say);
  } else if (resuming && found.length) {
    say(`${folder}: no state had been saved: starting again`);
  } else if (unfinished === "refuse" && found.length) {
    throw new UsageError(
      `${folder}: holds an unfinished run: resume it with --resume, or choose another --out; ` +
        "--overwrite would delete that training",
    );
  }
  await checkYielded(config);
  await trainStage(open, state && !state.imported ? { ...config, tuning: recorded!.tuning } : config, state);
  const teachers = await teacherStages(config);
  const networks = yieldedStages(config);
  for (const own of networks) {
    await writeModelCard(own);
    await reportOn(own, [...teachers, own]);
  }
  if (isEach(config.modality)) await reportOn(config, [config, ...networks]); // last: then all is done
}

/** Writes the report of a stage, with others beside it, into its folder. */
function reportOn(config: TrainConfig, shown: readonly TrainConfig[]): Promise<void> {
  const path = join(config.out, stageName(config), FILES.report);
  return writeReport(path, `ProtoKD: ${stageName(config)}`, shown);
}

/**
 * The teacher that the student in this folder began with; otherwise the one under --out, or the last in a run
 * beside it. They see the student's contrasts, and were trained on the same cases of the same data, with the
 * same background: one of another fold has seen the student's test cases.
 */
async function findTeacher(config: TrainConfig, { unfinished }: Existing): Promise<string | null> {
  const { out } = config;
  const own = join(out, stageName(config));
  const begunWith = unfinished === "replace" ? undefined : (await readInputs(own))?.networks[TEACHER];
  const recorded = (await readConfig(own))?.teacher;
  if (begunWith !== undefined && recorded && (await fileChecksum(recorded)) === begunWith) return recorded;
  const data = await openRunData(config, unfinished === "replace" ? null : own, () => undefined);
  const beside = (await readdir(join(out, "..")).catch(() => [])).map((name) => join(out, "..", name));
  let best: { path: string; rank: number } | null = null;
  for (const run of new Set([out, ...beside])) {
    const folder = join(run, "teacher");
    const fits = async () => {
      const found = await readConfig(folder);
      if (!found || found.background !== config.background || !(await isFinished(folder))) return false;
      return canTeach(found, config) && taughtOn({ folder, config: found }, config, data);
    };
    const here = run === out; // a damaged run beside this one does not matter
    if (!(here ? await fits() : await ifSound(fits))) continue;
    const path = join(folder, FILES.best);
    const time = (await stat(path).catch(() => null))?.mtimeMs;
    if (time === undefined) continue;
    const same = begunWith !== undefined && (await fileChecksum(path)) === begunWith;
    const rank = same ? Infinity : run === out ? Number.MAX_VALUE : time;
    if (!best || rank > best.rank) best = { path, rank };
    if (same || (run === out && begunWith === undefined)) break;
  }
  if (best) say(`teacher: ${best.path}`);
  return best?.path ?? null;
}

/** Tells whether a teacher sees what a student sees, and the contrasts that --teacher-modality names. */
function canTeach(teacher: TrainConfig, student: TrainConfig): boolean {
  const seen = networkModalities(teacher);
  const { teacherModality: wanted } = student;
  if (wanted !== null && wanted !== subsetName(seen)) return false;
  return networkModalities(student).every((modality) => seen.includes(modality));
}

/** The stages of a student's teachers, where their folders are at hand, for the report. */
export async function teacherStages(config: TrainConfig): Promise<TrainConfig[]> {
  const { teacher, out } = config;
  const students = await Promise.all(
    teachingStudents(config).map(async (student) => {
      const recorded = await readConfig(join(out, stageName(student)));
      return recorded ? [{ ...recorded, out }] : [];
    }),
  );
  const folder = teacher === null ? null : resolve(teacher, "..");
  const isStage = folder !== null && basename(folder) === TEACHER;
  const found = isStage ? await ifSound(() => readConfig(folder)) : null;
  if (!found) return students.flat();
  return [
    { ...found, out: folder === resolve(out, TEACHER) ? out : resolve(folder!, "..") },
    ...students.flat(),
  ];
}
