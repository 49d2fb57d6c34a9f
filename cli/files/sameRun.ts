// Tells whether a stage's folder holds the wanted run. Paths may be spelt differently, and
// files may have moved: data, split and networks are compared by their content.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type CaseRecord, compareFiles, parseManifest } from "../../data/datasets/manifest.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { differences, stageName, type TrainConfig } from "../../trainer/settings/config.ts";
import { ROWS, type SettingName } from "../../trainer/settings/settings.ts";
import { openRunData, type RunData } from "./cases.ts";
import { changedFiles } from "./changedFiles.ts";
import { exists } from "./files.ts";
import { fileChecksum, type Inputs, readInputs, realPath } from "./inputs.ts";
import { detail, FILES, readConfig, writeRecords } from "./stageFolder.ts";
import { readFile } from "../terminal/userFile.ts";

/** A stage's folder, the configuration in it, and its inputs; these are null in an older version's folder. */
interface Recorded {
  folder: string;
  config: TrainConfig;
  inputs: Inputs | null;
  /** Opens the data of the wanted run, once. */
  open: () => Promise<RunData>;
}

/** Returns the difference of a setting in words, or null. */
type Compare = (before: Recorded, now: TrainConfig) => string | null | Promise<string | null>;

/**
 * Tells whether `out` holds this stage, finished: its report comes last. Throws a UsageError where it holds
 * another run, a DataError where data or split cannot be read.
 */
export async function finished(config: TrainConfig): Promise<boolean> {
  const folder = join(config.out, stageName(config));
  const found = await readConfig(folder);
  if (!found) return false;
  let opened: Promise<RunData> | null = null;
  const open = () => (opened ??= openRunData(config, folder, () => undefined)); // warnings come with training
  const recorded = { folder, config: found, inputs: await readInputs(folder), open };
  const done = await isFinished(folder);
  const lines = await differencesOf(recorded, config);
  if (done && !lines.length) lines.push(...(await changedData(recorded, config)));
  if (!lines.length) return done;
  throw new UsageError(
    `${folder}: holds another run, which differs in ${lines.join(", ")}: to ${done ? "keep" : "resume"} that ` +
      `run, use its settings and files again (its settings: --config ${join(folder, FILES.config)}); for this ` +
      `one, choose another --out; ${LOSES}`,
  );
}

/** Tells whether a stage's folder holds a finished run. */
export function isFinished(folder: string): Promise<boolean> {
  return exists(join(folder, FILES.report));
}

const LOSES = "--overwrite would delete the training in this folder";

/** How the settings are compared that name files. The others are compared by their values. */
const BY_CONTENT: { [Name in SettingName]?: Compare } = {
  data: async ({ folder, config, inputs }, now) => {
    if (await samePlace({ config, inputs }, now)) return null;
    // changedData() or resume() compare the files with the manifest
    return (await exists(join(folder, FILES.manifest))) ? null : changed("data", config, now);
  },
  split: async ({ folder, config, inputs, open }, now) => {
    if (!(await exists(now.data)) && (await samePlace({ config, inputs }, now))) return null;
    const before = await readSplit(folder);
    if (!before) return (await sameFile(config.split, now.split)) ? null : changed("split", config, now);
    const cases = changedCases(before, await open());
    const remedy = now.fold === null ? `; the run's own cases: --split ${join(folder, FILES.split)}` : "";
    return cases && `${cases}${remedy}`;
  },
  unlabelled: async ({ config }, now) =>
    (await sameFile(config.unlabelled, now.unlabelled)) ? null : changed("unlabelled", config, now),
  teacher: (before, now) => changedNetwork("teacher", before, now),
  init: (before, now) => changedNetwork("init", before, now),
  initEncoder: (before, now) => changedNetwork("initEncoder", before, now),
};

/** The settings that differ, with what they were and are: `lr (0.003 → 0.01)`. */
async function differencesOf(recorded: Recorded, now: TrainConfig): Promise<string[]> {
  const differing = new Set<string>(differences(now, recorded.config));
  const lines: (string | null)[] = [];
  for (const [name] of ROWS) {
    const compare = BY_CONTENT[name];
    if (compare) lines.push(await compare(recorded, now));
    else if (differing.has(name)) lines.push(changed(name, recorded.config, now));
    differing.delete(name);
  }
  // the rest are settings of another version, which the table does not have
  for (const name of differing) lines.push(changed(name as SettingName, recorded.config, now));
  for (const [stage, checksum] of Object.entries(recorded.inputs?.networks ?? {})) {
    if (stage in BY_CONTENT) continue;
    const path = join(now.out, stage, FILES.best);
    if ((await fileChecksum(path)) !== checksum) lines.push(`the network ${path}, which changed since`);
  }
  return lines.filter((line) => line !== null);
}

function changed(name: SettingName, before: TrainConfig, now: TrainConfig): string {
  const shown = (config: TrainConfig) => JSON.stringify(config[name]) ?? "nothing";
  return `${name} (${shown(before)} → ${shown(now)})`;
}

/** Compares the networks of these settings by the bytes of their files. */
async function changedNetwork(
  name: "teacher" | "init" | "initEncoder",
  { config, inputs }: Recorded,
  now: TrainConfig,
) {
  const [before, path] = [config[name], now[name]];
  if (before === null || path === null) return before === path ? null : changed(name, config, now);
  const known = inputs?.networks[name] ?? (await fileChecksum(before));
  const checksum = await fileChecksum(path);
  if (known !== null && checksum !== null && known === checksum) return null;
  if (!(await sameFile(before, path))) return changed(name, config, now);
  return checksum !== null && known !== null ? `${name} (${path}, whose content changed since)` : null;
}

async function sameFile(a: string | null, b: string | null): Promise<boolean> {
  return a === b || (a !== null && b !== null && (await realPath(a)) === (await realPath(b)));
}

/** Tells whether a run's data are in the folder that it was trained with, however that is spelt. */
async function samePlace(
  { config, inputs }: Pick<Recorded, "config" | "inputs">,
  now: TrainConfig,
): Promise<boolean> {
  return (inputs?.data ?? (await realPath(config.data))) === (await realPath(now.data));
}

/** Returns a line that names the data files of a finished run that changed since; none without such files. */
async function changedData(recorded: Recorded, now: TrainConfig): Promise<string[]> {
  const { folder, config, inputs, open } = recorded;
  if (!(await exists(now.data))) return [];
  const moved = !(await samePlace(recorded, now));
  const files = await changedFiles(join(folder, FILES.manifest), await open(), now.data, moved);
  if (!files.length) return [];
  const places = moved ? `${inputs?.data ?? config.data} → ${now.data}: ` : "";
  return [`data (${places}${named(files)} changed since)`];
}

/** The content of a stage's split.json; null where none can be read. */
async function readSplit(folder: string): Promise<Record<string, unknown> | null> {
  try {
    return JSON.parse(await readFile(join(folder, FILES.split), "utf8")) as Record<string, unknown> | null;
  } catch {
    return null;
  }
}

/** Returns the differences between a split.json and a run's cases in words, or null. */
function changedCases(before: Record<string, unknown>, data: RunData): string | null {
  const lines = Object.entries({ absent: [], ...detail(data) }).flatMap(([key, now]) => {
    const old = before[key] ?? (key === "absent" ? [] : undefined);
    if (JSON.stringify(old) === JSON.stringify(now)) return [];
    if (!Array.isArray(old) || !Array.isArray(now))
      return `${key} (${String(old ?? "not recorded")} → ${String(now)})`;
    const without = (a: readonly unknown[], b: readonly unknown[]) => {
      const kept = new Set(b);
      return named(a.filter((id) => !kept.has(id)));
    };
    const [gone, added] = [without(old, now), without(now, old)];
    if (!gone && !added) return `${key} (the same in another order)`;
    return `${key} (${[gone && `without ${gone}`, added && `with ${added}`].filter(Boolean).join(", ")})`;
  });
  return lines.length ? lines.join(", ") : null;
}

/** Names with commas between, the first few of many. */
function named(names: readonly unknown[]): string {
  const more = names.length > 5 ? ` and ${names.length - 5} more` : "";
  return names.slice(0, 5).join(", ") + more;
}

/** Tells whether a teacher was trained on the cases of `data`, the data of the run `now`. */
export async function taughtOn(
  { folder, config }: { folder: string; config: TrainConfig },
  now: TrainConfig,
  data: RunData,
): Promise<boolean> {
  const before = await readSplit(folder);
  const sorted = (ids: unknown) => JSON.stringify(Array.isArray(ids) ? [...(ids as string[])].sort() : null);
  const { split } = data;
  if (
    !before ||
    (["train", "val", "test"] as const).some((set) => sorted(before[set]) !== sorted(split[set]))
  )
    return false;
  if (await samePlace({ config, inputs: await readInputs(folder) }, now)) return true;
  return !(await changedFiles(join(folder, FILES.manifest), data, now.data, true)).length;
}

/**
 * Prepares a folder for resuming: removes the results of its best network so far, and writes the settings,
 * inputs and manifest that it is resumed with. Returns lines for the user. Throws a UsageError where the
 * cases or their files have changed since it began.
 */
export async function resume(
  folder: string,
  config: TrainConfig,
  { data, files, networks }: { data: RunData; files: readonly CaseRecord[]; networks: Inputs["networks"] },
): Promise<string[]> {
  const refuse = (what: string): never => {
    const remedy = "restore them, or train in another --out";
    throw new UsageError(`--resume: ${folder} began with other ${what}: ${remedy}; ${LOSES}`);
  };
  const cases = changedCases((await readSplit(folder)) ?? {}, data);
  if (cases) refuse(`cases: ${cases}`);
  const manifest = await readFile(join(folder, FILES.manifest), "utf8").catch(() => null);
  const before = manifest === null ? [] : parseManifest(manifest);
  const scansOf = (records: readonly CaseRecord[]) =>
    records.flatMap(({ id, unlabelled }) => (unlabelled ? id : []));
  const scans = scansOf(files).join(", ");
  if (scans !== scansOf(before).join(", "))
    refuse(`scans in ${config.unlabelled}: expected ${scansOf(before).join(", ")}, got ${scans}`);
  const { changed, repacked } = compareFiles(before, files);
  const folders = [config.data, ...(scans ? [config.unlabelled] : [])].join(", ");
  if (changed.length) refuse(`files: ${named(changed)} changed since (in ${folders})`);
  for (const name of [FILES.report, FILES.summary, FILES.postprocessing, FILES.card])
    await rm(join(folder, name), { force: true });
  await writeRecords(folder, config, files, networks);
  if (!repacked.length) return [];
  return [`other bytes than before, but the same voxels, so training continues: ${named(repacked)}`];
}
