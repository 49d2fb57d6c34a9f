// The networks that a stage starts from: its teacher, and the weights it goes on from. What makes one unfit is
// said before any data are read.

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Split } from "../../data/datasets/splits.ts";
import { checkPatch } from "../../model/networks/patch.ts";
import { describeVnet } from "../../model/files/published.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";
import { UsageError } from "../../trainer/errors.ts";
import { networkConfig, type TrainConfig } from "../../trainer/settings/config.ts";
import { channelsOf, readModel, type StoredModel } from "../files/models.ts";
import { FILES } from "../files/stageFolder.ts";

/** The teacher's file, if the stage has a teacher; throws a UsageError where it cannot teach this student. */
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

/** What is taken for granted of a teacher whose file does not say how its input was made; null if it does. */
export function assumption(model: StoredModel, { background }: TrainConfig): string | null {
  if (model.card) return null;
  const channels = channelsOf(model).join(", ");
  const known = `${model.path}: ${describeVnet(model.network)}, which does not say how its input was made`;
  return `${known}: taken to be ${channels}, and --background ${background} (the published code's is shifted)`;
}

/** What is said where a teacher learnt from cases that its student is tested on, as its folder tells; null where it did not. */
export async function trainedOn(teacher: string, tested: readonly string[]): Promise<string | null> {
  const text = await readFile(join(dirname(teacher), FILES.split), "utf8").catch(() => null);
  if (text === null) return null; // a file alone does not say
  const { train = [], val = [] } = JSON.parse(text) as Partial<Split>;
  const known = new Set([...train, ...val]);
  const shared = tested.filter((id) => known.has(id));
  if (!shared.length) return null;
  const cases = shared.length === 1 ? "a case" : `${shared.length} of ${tested.length} cases`;
  return (
    `--teacher ${teacher}: learnt from ${cases} that the student is tested on (${shared.slice(0, 3).join(", ")}` +
    `${shared.length > 3 ? ", ..." : ""}): the student's scores will be too good; a teacher of the same split has not seen them`
  );
}

/** The file of the first weights, if the stage starts from some; throws a UsageError where they are another network's. */
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

/** How each part of a network is asked for. */
const OPTIONS = {
  modalities: "a teacher sees all four modalities and a student one",
  filters: "say --filters VALUE",
  levels: "say --levels VALUE",
  norm: "say --norm VALUE",
} as const satisfies Partial<Record<keyof VnetConfig, string>>;
