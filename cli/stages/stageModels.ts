// The networks that a stage starts from: those of earlier stages that its method needs, and first weights.
// Whatever makes one unfit is said before any data are read.

import { dirname, join } from "node:path";
import {
  listed,
  patientCount,
  patientNote,
  type PatientOf,
  patientsBy,
} from "../../data/datasets/patients.ts";
import { subsetName } from "../../data/datasets/subsets.ts";
import type { Split } from "../../data/datasets/splits.ts";
import { describeVnet } from "../../model/files/published.ts";
import {
  classifies,
  frozenStages,
  methodOf,
  type NetworkSpec,
  rolesOf,
  TEACHER,
  titleOf,
} from "../../model/methods/index.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { SETTINGS_NOTE } from "../../trainer/loop/state.ts";
import { networkConfig, networkModalities, runOf, type TrainConfig } from "../../trainer/settings/config.ts";
import { checkTwin } from "../../trainer/settings/controls.ts";
import { checkEncoder, sizeRemedies } from "../../trainer/stages/firstEncoder.ts";
import type { FoundState } from "../files/checkpoints.ts";
import { fileChecksum, realPath } from "../files/inputs.ts";
import { channelsOf, frozenNetwork, readEncoder, readModel, type StoredModel } from "../files/models.ts";
import { FILES } from "../files/stageFolder.ts";
import { checkFrozen, readStudent } from "./students.ts";
import { readFile } from "../terminal/userFile.ts";

/** The networks that a stage starts from. */
export interface StageNetworks {
  /** Those of earlier stages, by their names. */
  frozen: ReadonlyMap<string, StoredModel>;
  init: StoredModel | null;
  /** The encoder of the first weights. */
  initEncoder: StoredModel | null;
  /** The SHA-256 of their files, by their names; those of the first weights are "init", "initEncoder". */
  checksums: Record<string, string>;
}

/** Reads the networks that a stage starts from. Throws a UsageError where one of them does not fit. */
export async function readNetworks(config: TrainConfig): Promise<StageNetworks> {
  const frozen = new Map<string, StoredModel>();
  const run = runOf(config, networkModalities(config));
  for (const stage of frozenStages(methodOf(config.method), run))
    frozen.set(stage, await readFrozen(config, stage));
  checkSizes(config, frozen);
  const first = { init: await readInit(config), initEncoder: await readInitEncoder(config) };
  const checksums: Record<string, string> = {};
  for (const [name, model] of [...frozen, ...Object.entries(first)])
    if (model) checksums[name] = (await fileChecksum(model.path))!;
  return { frozen, ...first, checksums };
}

/** Throws a UsageError where the sizes of the networks do not fit together. */
function checkSizes(config: TrainConfig, frozen: ReadonlyMap<string, StoredModel>): void {
  const method = methodOf(config.method);
  const run = runOf(config, networkModalities(config));
  const specs = Object.entries(rolesOf(method, run)).flatMap(([name, role]): [string, NetworkSpec][] => {
    if ("spec" in role) return [[name, role.spec]];
    return "frozen" in role ? [[name, frozenNetwork(frozen.get(role.frozen)!).spec]] : [];
  });
  method.own?.(run, Object.fromEntries(specs));
}

/** Reads the network of an earlier stage: of --teacher, or in a folder of the same run. */
async function readFrozen(config: TrainConfig, stage: string): Promise<StoredModel> {
  if (stage !== TEACHER) return readStudent(config, stage);
  const model = await readTeacher(config);
  if (model) return model;
  throw new UsageError(`--teacher: the method ${config.method} needs one`);
}

/** The teacher's network, if one is given. Throws a UsageError where it cannot teach this student. */
export async function readTeacher(config: TrainConfig): Promise<StoredModel | null> {
  const { teacher, teacherModality } = config;
  if (teacher === null) return null;
  const model = await readModel(teacher);
  const refuse = (why: string): never => {
    throw new UsageError(`--teacher ${teacher}: ${why}`);
  };
  const { modalities } = model.network;
  if (config.control === "twin") checkTwin(model.card, config, refuse);
  else if (modalities < 2) {
    const of = model.card ? `got one of ${model.card.modalities.join(", ")}` : "got one of 1 channel";
    refuse(`expected a network of several modalities, ${of}`);
  }
  const seen = channelsOf(model);
  const needed = networkModalities(config);
  if (!needed.every((modality) => seen.includes(modality)))
    refuse(`expected one that sees ${needed.join(", ")}, got one of ${seen.join(", ")}`);
  if (teacherModality !== null && subsetName(seen) !== teacherModality)
    refuse(`sees ${seen.join(", ")}, and not ${teacherModality} as --teacher-modality has it`);
  checkFrozen(model, config, refuse);
  return model;
}

/**
 * Lines that the user should read: the patients of the split; what is assumed about the networks; test cases,
 * or other time points of their patients, that a network was trained on from which the stage starts.
 */
export async function warnings(
  config: TrainConfig,
  { frozen, init, initEncoder }: StageNetworks,
  { split, state }: { split: Split; state: FoundState | null },
): Promise<string[]> {
  const patientOf = patientsBy(config.patients);
  const lines: (string | null)[] = [patientNote(split, patientOf)];
  for (const [stage, model] of frozen) {
    const flag = stage === TEACHER ? "--teacher" : "--teachers";
    const leak = { flag, path: model.path, remedy: "use a teacher of the same split" };
    lines.push(assumption(model, config), await leakWarning(leak, split.test, patientOf));
  }
  const remedy = "give it the same split, with --split";
  for (const [flag, model] of [["--init", init] as const, ["--init-encoder", initEncoder] as const])
    if (model) lines.push(await leakWarning({ flag, path: model.path, remedy }, split.test, patientOf));
  if (state?.imported) {
    const from = { flag: "--resume-from", path: state.path, remedy };
    lines.push(await leakWarning(from, split.test, patientOf), undividedWarning(state, config, split));
  }
  return lines.filter((line) => line !== null);
}

/** A warning where a training of an older version, which divided cases otherwise, is resumed elsewhere. */
function undividedWarning(
  { path, metadata }: FoundState,
  { patients }: TrainConfig,
  split: Split,
): string | null {
  const settings = JSON.parse(metadata[SETTINGS_NOTE] ?? "{}") as Partial<TrainConfig>;
  const count = patientCount([...split.train, ...split.val, ...split.test], patientsBy(patients));
  if (settings.patients !== undefined || count === null) return null;
  return (
    `--resume-from ${path}: comes from a version that divided cases without regard to patients (here ${count}): ` +
    "it may have been trained on test cases; --patients none divides them as that version did"
  );
}

/** The assumptions about a network whose file does not say how its input was made; null where it does. */
function assumption(model: StoredModel, { background }: TrainConfig): string | null {
  if (model.card) return null;
  const channels = channelsOf(model).join(", ");
  const known = `${model.path}: ${describeVnet(model.network)}, which does not say how its input was made`;
  return `${known}: taken to be ${channels}, and --background ${background} (the published code's is shifted)`;
}

/**
 * A warning where a network was trained on test cases of a stage that starts from it, or on other cases of
 * their patients, by the split in its file's folder; null where it was not.
 */
async function leakWarning(
  { flag, path, remedy }: { flag: string; path: string; remedy: string },
  tested: readonly string[],
  patientOf: PatientOf,
): Promise<string | null> {
  const folder = dirname(await realPath(path));
  const text = await readFile(join(folder, FILES.split), "utf8").catch(() => null);
  if (text === null) return null; // a file alone does not say
  const { train = [], val = [], test = [] } = JSON.parse(text) as Partial<Split>;
  const known = new Set([...train, ...val.filter((id) => !test.includes(id))]); // a fold tests its val cases
  const patients = new Set([...known].map(patientOf));
  const same = tested.filter((id) => known.has(id));
  const shared = tested.filter((id) => patients.has(patientOf(id)));
  if (!shared.length) return null;
  const seen = shared.length === 1 ? "a case" : `${shared.length} of ${tested.length} cases`;
  const cases = same.length === shared.length ? seen : `${seen}, or other cases of their patients,`;
  return (
    `${flag} ${path}: trained on ${cases} that ${flag.startsWith("--teacher") ? "the student" : "this stage"} is tested on (${listed(shared)}): ` +
    `its scores will be too good; ${remedy}`
  );
}

/** The file of the first weights, if one is given. Throws a UsageError where it holds another network. */
export async function readInit(config: TrainConfig): Promise<StoredModel | null> {
  if (config.init === null) return null;
  if (classifies(config.method))
    throw new UsageError(
      `--init ${config.init}: ${titleOf(config.method)} trains a classifier: give its encoder's first weights with --init-encoder`,
    );
  const model = await readModel(config.init);
  const wanted = networkConfig(config);
  const remedies = sizeRemedies(model.network, wanted);
  if (!remedies.length) return model;
  throw new UsageError(
    `--init ${config.init}: expected ${describeVnet(wanted)}, got ${describeVnet(model.network)}: ${remedies.join(", ")}`,
  );
}

/** The file of the encoder's first weights, if one is given. Throws a UsageError where it does not fit. */
export async function readInitEncoder(config: TrainConfig): Promise<StoredModel | null> {
  const { initEncoder } = config;
  if (initEncoder === null) return null;
  const refuse = (why: string): never => {
    throw new UsageError(`--init-encoder ${initEncoder}: ${why}`);
  };
  if (config.init !== null) refuse("use --init or --init-encoder, not both");
  const model = await readEncoder(initEncoder);
  checkEncoder(model, config, refuse);
  return model;
}
