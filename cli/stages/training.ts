// Trains a stage for train.js: finds or trains its teacher first, locks its folder, and keeps, resumes or
// refuses what the folder holds.

import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Device } from "../../engine/index.ts";
import { frozenStages, methodOf } from "../../model/methods/index.ts";
import { over } from "../../trainer/loop/position.ts";
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
import { say } from "../terminal/console.ts";
import { exists, removeTemporaries } from "../files/files.ts";
import { lockFolder } from "../files/lock.ts";
import { writeModelCard } from "../report/modelCard.ts";
import { makePhantom } from "../files/phantomFolder.ts";
import { writeReport } from "../report/runReport.ts";
import { readInit, readTeacher, TEACHER } from "./stageModels.ts";
import { trainStage } from "./stage.ts";
import { FILES, finished, held, readConfig } from "../files/stageFolder.ts";

/** How a stage's folder that exists already is treated. */
export interface Existing {
  /** A finished one of the same settings is kept, or not. */
  finished?: "keep" | "replace";
  /** With "resume" there must be a state; "continue" starts without one. */
  unfinished?: "refuse" | "replace" | "resume" | "continue";
  /** A training state from elsewhere, with which a new folder begins. */
  from?: string | undefined;
}

/**
 * Trains the stage of `config`, and before it a teacher where one is needed and none is found; returns the
 * configuration with its teacher. `open` is called when all has been checked. Nobody else writes to a stage's
 * folder meanwhile. Throws a StoppedError when it was stopped, with all saved.
 */
export async function train(
  open: () => Promise<Device>,
  config: TrainConfig,
  existing: Existing = {},
): Promise<TrainConfig> {
  if (!(await exists(config.data)) && config.data === PHANTOM.folder) {
    await makePhantom({ out: config.data, ...PHANTOM, report: say });
  }
  await readInit(config);
  if (needsTeacher(config)) config = { ...config, teacher: await findTeacher(config) };
  if (needsTeacher(config)) {
    say("no teacher has been trained on these data: training one first");
    const teacher = teacherOf(config);
    if (existing.unfinished === "resume") existing = { ...existing, unfinished: "continue" };
    await train(open, teacher, { ...existing, from: undefined });
    config = { ...config, teacher: join(config.out, stageName(teacher), FILES.best) };
  }
  await readTeacher(config); // is it there, and can it teach?
  const folder = join(config.out, stageName(config));
  const unlock = await lockFolder(folder, say);
  try {
    await trainLocked(open, config, existing);
  } finally {
    await unlock();
  }
  return config;
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
      `--resume-from: ${folder} holds a run already: resume that with --resume, replace it with --overwrite, ` +
        "or choose another --out",
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
      say(`${folder}: already trained with these settings; --overwrite trains it again`);
      return;
    }
  } else if (resuming && (begun || (unfinished === "resume" && !recorded))) {
    state = await readState(folder, say);
  } else if (resuming && found.length) {
    say(`${folder}: no state had been saved: starting again`);
  } else if (unfinished === "refuse" && found.length) {
    throw new UsageError(
      `${folder}: holds an unfinished run: resume it with --resume, replace it with --overwrite, ` +
        "or choose another --out",
    );
  }
  await trainStage(open, state && !state.imported ? { ...config, tuning: recorded!.tuning } : config, state);
  const shown = config.teacher ? [...(await teacherStage(config)), config] : [config];
  await writeModelCard(config);
  await writeReport(join(folder, FILES.report), `ProtoKD: ${stageName(config)}`, shown);
}

/**
 * The last teacher trained on the same cases of the same data, with the same background: under --out, or in a
 * run beside it. One of another fold has seen the student's test cases.
 */
async function findTeacher(student: TrainConfig): Promise<string | null> {
  const { out, data, background, split, fold, patients } = student;
  const beside = (await readdir(join(out, "..")).catch(() => [])).map((name) => join(out, "..", name));
  let last: { path: string; time: number } | null = null;
  for (const run of new Set([out, ...beside])) {
    const config = await readConfig(join(run, "teacher"));
    if (!config || resolve(config.data) !== resolve(data) || config.background !== background) continue;
    if (config.fold !== fold || config.split !== split || config.patients !== patients) continue;
    if (!(await finished({ ...config, out: run }))) continue;
    const path = join(run, "teacher", FILES.best);
    const time = (await stat(path).catch(() => null))?.mtimeMs ?? 0;
    if (time && (!last || time > last.time)) last = { path, time };
    if (run === out && last) break; // a run's own teacher comes first
  }
  if (last) say(`teacher: ${last.path}`);
  return last?.path ?? null;
}

/** The teacher's own stage, where its folder is at hand, for the report. */
export async function teacherStage({ teacher, out }: TrainConfig): Promise<TrainConfig[]> {
  const folder = resolve(teacher!, "..");
  const config = basename(folder) === "teacher" ? await readConfig(folder) : null;
  return config ? [{ ...config, out: folder === resolve(out, "teacher") ? out : resolve(folder, "..") }] : [];
}
