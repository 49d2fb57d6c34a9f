// The students of a run that teach another one: which are missing, how each is trained, and reading them.

import { join } from "node:path";
import { subsetName } from "../../data/datasets/subsets.ts";
import { titleOf } from "../../model/methods/index.ts";
import { checkPatch } from "../../model/networks/patch.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { stageName, type TrainConfig } from "../../trainer/settings/config.ts";
import { ROWS } from "../../trainer/settings/settings.ts";
import { teachingStudents } from "../../trainer/settings/teachers.ts";
import { exists } from "../files/files.ts";
import { channelsOf, readModel, type StoredModel } from "../files/models.ts";
import { isFinished } from "../files/sameRun.ts";
import { FILES, readConfig } from "../files/stageFolder.ts";
import { shellWords } from "../terminal/stopSignals.ts";
import { flagOf, resolveConfig } from "./trainFlags.ts";

/** Throws a UsageError that names the students that teach and are not trained, and how to train each. */
export async function checkStudents(config: TrainConfig): Promise<void> {
  const missing: string[] = [];
  for (const student of teachingStudents(config)) {
    const folder = join(config.out, stageName(student));
    if ((await isFinished(folder)) && (await exists(join(folder, FILES.best)))) continue;
    const begun = (await readConfig(folder)) !== null;
    const how = begun ? "is not finished; to resume it" : "is missing; to train it";
    missing.push(`${folder}: ${how}:\n    ${await trainCommandOf(student)}${begun ? " --resume" : ""}`);
  }
  if (!missing.length) return;
  const several = missing.length > 1 ? `${missing.length} of its teachers` : "one of its teachers";
  throw new UsageError(
    `--teachers: ${titleOf(config.method)} learns from other students of this run, and ${several} must be ` +
      `trained first (--stage all does it, too):\n  ${missing.join("\n  ")}`,
  );
}

/** The command line that trains a stage with these settings. */
async function trainCommandOf(config: TrainConfig): Promise<string> {
  const { stage, method, modality, data, out } = config;
  const named = { stage, modality, method, data, out };
  const usual = await resolveConfig({ ...named, modality: modality! });
  const flags = ROWS.flatMap(([name, row]): string[] => {
    const [value, other] = [config[name], name in named ? null : usual[name]];
    if (row.flag === false || value === null || JSON.stringify(value) === JSON.stringify(other)) return [];
    if (row.argument === null) return [`--${value === true ? "" : "no-"}${flagOf(name)}`];
    return [`--${flagOf(name)}`, String(value)];
  });
  return `node cli/train.js ${shellWords(flags)}`;
}

/**
 * Reads a student that teaches in a stage. Throws a UsageError where it does not see what its folder says, or
 * cannot take the stage's patches.
 */
export async function readStudent(config: TrainConfig, stage: string): Promise<StoredModel> {
  const path = join(config.out, stage, FILES.best);
  const model = await readModel(path);
  const refuse = (why: string): never => {
    throw new UsageError(`--teachers: ${path}: ${why}`);
  };
  const seen = subsetName(channelsOf(model));
  if (`student_${seen}` !== stage) refuse(`expected a network for the folder ${stage}, got one of ${seen}`);
  checkFrozen(model, config, refuse);
  return model;
}

/** Refuses a frozen network that was trained on other intensities, or cannot take the stage's patches. */
export function checkFrozen(
  { card, network }: StoredModel,
  { background, patch }: TrainConfig,
  refuse: (why: string) => never,
): void {
  if (card && card.background !== background)
    refuse(`was trained with --background ${card.background}: give it here too`);
  try {
    checkPatch(patch, network.levels);
  } catch (error) {
    refuse((error as Error).message);
  }
}
