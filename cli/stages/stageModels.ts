// The networks that a stage starts from: those of earlier stages that its method needs, and first weights.
// Whatever makes one unfit is said before any data are read.

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Split } from "../../data/datasets/splits.ts";
import { describeVnet } from "../../model/files/published.ts";
import { frozenStages, methodOf } from "../../model/methods/index.ts";
import type { VnetConfig } from "../../model/networks/layers.ts";
import { checkPatch } from "../../model/networks/patch.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { networkConfig, networkModalities, runOf, type TrainConfig } from "../../trainer/settings/config.ts";
import { channelsOf, readModel, type StoredModel } from "../files/models.ts";
import { FILES } from "../files/stageFolder.ts";

/** The networks that a stage starts from. */
export interface StageNetworks {
  /** Those of earlier stages, by their names. */
  frozen: ReadonlyMap<string, StoredModel>;
  init: StoredModel | null;
}

/** The stage of the network that --teacher names. */
export const TEACHER = "teacher";

/** Reads the networks that a stage starts from. Throws a UsageError where one of them does not fit. */
export async function readNetworks(config: TrainConfig): Promise<StageNetworks> {
  const frozen = new Map<string, StoredModel>();
  const run = runOf(config, networkModalities(config));
  for (const stage of frozenStages(methodOf(config.method), run))
    frozen.set(stage, await readFrozen(config, stage));
  return { frozen, init: await readInit(config) };
}

/** Reads the network of an earlier stage: of --teacher, or in a folder of the same run. */
async function readFrozen(config: TrainConfig, stage: string): Promise<StoredModel> {
  if (stage !== TEACHER) return readModel(join(config.out, stage, FILES.best));
  const model = await readTeacher(config);
  if (model) return model;
  throw new UsageError(`--teacher: the method ${config.method} needs one`);
}

/** The teacher's network, if one is given. Throws a UsageError where it cannot teach this student. */
export async function readTeacher({
  teacher,
  patch,
  modality,
  background,
}: TrainConfig): Promise<StoredModel | null> {
  if (teacher === null) return null;
  const model = await readModel(teacher);
  const refuse = (why: string): never => {
    throw new UsageError(`--teacher ${teacher}: ${why}`);
  };
  const { modalities, levels } = model.network;
  if (modalities < 2) {
    const of = model.card ? `got one of ${model.card.modalities.join(", ")}` : "got one of 1 channel";
    refuse(`expected a network of several modalities, ${of}`);
  }
  const seen = channelsOf(model);
  if (!seen.some((m) => m === modality))
    refuse(`expected one that sees ${modality}, got one of ${seen.join(", ")}`);
  if (model.card && model.card.background !== background)
    refuse(`was trained with --background ${model.card.background}: give it here too`);
  try {
    checkPatch(patch, levels);
  } catch (error) {
    refuse((error as Error).message);
  }
  return model;
}

/**
 * Lines about the networks that the user should read: assumptions, and test cases that a teacher was trained
 * on.
 */
export async function warnings(
  config: TrainConfig,
  { frozen }: StageNetworks,
  { test }: Split,
): Promise<string[]> {
  const lines: (string | null)[] = [];
  for (const model of frozen.values()) {
    lines.push(assumption(model, config), await leakWarning(model.path, test));
  }
  return lines.filter((line) => line !== null);
}

/** The assumptions about a network whose file does not say how its input was made; null where it does. */
function assumption(model: StoredModel, { background }: TrainConfig): string | null {
  if (model.card) return null;
  const channels = channelsOf(model).join(", ");
  const known = `${model.path}: ${describeVnet(model.network)}, which does not say how its input was made`;
  return `${known}: taken to be ${channels}, and --background ${background} (the published code's is shifted)`;
}

/**
 * A warning where a teacher was trained on test cases of its student, by its folder's split; null where it
 * was not.
 */
async function leakWarning(teacher: string, tested: readonly string[]): Promise<string | null> {
  const text = await readFile(join(dirname(teacher), FILES.split), "utf8").catch(() => null);
  if (text === null) return null; // a file alone does not say
  const { train = [], val = [] } = JSON.parse(text) as Partial<Split>;
  const known = new Set([...train, ...val]);
  const shared = tested.filter((id) => known.has(id));
  if (!shared.length) return null;
  const cases = shared.length === 1 ? "a case" : `${shared.length} of ${tested.length} cases`;
  return (
    `--teacher ${teacher}: trained on ${cases} that the student is tested on (${shared.slice(0, 3).join(", ")}` +
    `${shared.length > 3 ? ", ..." : ""}): the student's scores will be too good; use a teacher of the same split`
  );
}

/** The file of the first weights, if one is given. Throws a UsageError where it holds another network. */
export async function readInit(config: TrainConfig): Promise<StoredModel | null> {
  if (config.init === null) return null;
  const model = await readModel(config.init);
  const wanted = networkConfig(config);
  const differing = (Object.keys(OPTIONS) as (keyof typeof OPTIONS)[]).filter(
    (key) => model.network[key] !== wanted[key],
  );
  if (!differing.length) return model;
  const remedies = differing.map((key) => OPTIONS[key].replace("VALUE", String(model.network[key])));
  throw new UsageError(
    `--init ${config.init}: expected ${describeVnet(wanted)}, got ${describeVnet(model.network)}: ${remedies.join(", ")}`,
  );
}

/** The flag for each part of a network. */
const OPTIONS = {
  modalities: "a teacher sees all four modalities and a student one",
  filters: "use --filters VALUE",
  levels: "use --levels VALUE",
  norm: "use --norm VALUE",
} as const satisfies Partial<Record<keyof VnetConfig, string>>;
