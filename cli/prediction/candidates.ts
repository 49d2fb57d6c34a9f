// The models that predict.js chooses from: --model names a checkpoint, a stage's folder, or a whole run,
// whose stages differ by name. From a run, each case gets the best model that its modalities allow. A model
// sees a fixed set of modalities, or takes any of its own (`any` in its card).

import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Modality, MODALITIES } from "../../data/datasets/datasets.ts";
import { subsetName } from "../../data/datasets/subsets.ts";
import { CheckpointError } from "../../model/errors.ts";
import type { Postprocessing } from "../../model/inference/postprocess.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { exists } from "../files/files.ts";
import { readRecords } from "../files/ownFiles.ts";
import { type ModelUse, readModel, type StoredModel } from "../files/models.ts";
import { readPostprocessing } from "./postprocessing.ts";
import { readSubsetScores, type SubsetScores } from "./subsetScores.ts";
import { FILES } from "../files/stageFolder.ts";
import { isClassifierStage, isEachStage } from "../../trainer/settings/config.ts";
import { readFile } from "../terminal/userFile.ts";

/** One checkpoint, and how to use it. */
export interface Member {
  model: StoredModel;
  use: ModelUse;
  /** Mean Dice over the validation cases; null if not recorded, as where it takes any of its modalities. */
  dice: number | null;
  /** The same for each subset, of a network that takes any of its modalities; null if not recorded. */
  subsetScores: SubsetScores | null;
  /** The rule chosen on its validation cases; null if none was. */
  postprocessing: Postprocessing | null;
  /** The first digits of its file's SHA-256. */
  checksum: string;
}

/** A model to choose from: one checkpoint, or several whose probabilities are averaged. */
export interface Candidate {
  name: string;
  /** All modalities that its members can see, in channel order. */
  modalities: Modality[];
  members: Member[];
  /** Its members' rule if they share one; null if they differ, or have none. */
  postprocessing: Postprocessing | null;
}

/** A candidate, the modalities that its members see of a case, in channel order, and the reason. */
export interface Chosen {
  candidate: Candidate;
  sees: Modality[];
  why: string;
}

/**
 * The candidates in the paths of --model. Checkpoints and stages' folders together make one candidate, the
 * mean of all; in runs, stages of the same name make one (a run over several seeds or folds has them in
 * seed_N and fold_N). `useOf` decides how to use a checkpoint. Throws a CheckpointError for one that is
 * missing or damaged, a UsageError for runs beside checkpoints.
 */
export async function readCandidates(
  paths: readonly string[],
  useOf: (model: StoredModel) => ModelUse,
): Promise<Candidate[]> {
  const found = await Promise.all(paths.map(checkpointsOf));
  const runs = found.filter(({ run }) => run).length;
  if (runs > 0 && runs < found.length) {
    throw new UsageError(
      "--model: expected folders of runs, or checkpoints, got both: name the stages' folders",
    );
  }
  const files = found.flatMap(({ checkpoints }) => checkpoints);
  const names = runs ? [...new Set(files.map(stageOf))] : [[...new Set(files.map(nameOf))].join(" + ")];
  const candidates: Candidate[] = [];
  for (const name of names) {
    const members: Member[] = [];
    for (const file of files)
      if (!runs || stageOf(file) === name) members.push(await readMember(file, useOf));
    const rules = new Set(members.map(({ postprocessing }) => JSON.stringify(postprocessing)));
    candidates.push({
      name,
      modalities: MODALITIES.filter((m) => members.some(({ use }) => use.modalities.includes(m))),
      members,
      postprocessing: rules.size === 1 ? members[0]!.postprocessing : null,
    });
  }
  return candidates;
}

/**
 * The best candidate for a case with these modalities: the one that sees most of them and, among equals, the
 * one with the highest Dice on the validation cases. Null if each needs more.
 */
export function choose(candidates: readonly Candidate[], available: readonly Modality[]): Chosen | null {
  const allowed = candidates
    .flatMap((candidate) => {
      const sees = seenOf(candidate, available);
      return sees ? [{ candidate, sees, dice: validatedDice(candidate, sees) }] : [];
    })
    .sort(
      (a, b) =>
        b.sees.length - a.sees.length ||
        (b.dice ?? -1) - (a.dice ?? -1) ||
        (a.candidate.name < b.candidate.name ? -1 : 1),
    );
  const [first, ...others] = allowed;
  if (!first) return null;
  const { candidate, sees, dice } = first;
  const rivals = others.filter((other) => other.sees.length === sees.length);
  if (candidates.length === 1) return { candidate, sees, why: "the only one given" };
  if (!rivals.length) {
    const why = others.length ? `it sees ${sees.join(", ")}` : "the only one that these allow";
    return { candidate, sees, why };
  }
  const score = (value: number | null) => (value === null ? "unknown" : value.toFixed(3));
  const beaten = rivals.map((rival) => `${rival.candidate.name} ${score(rival.dice)}`).join(", ");
  return { candidate, sees, why: `Dice in validation ${score(dice)}; ${beaten}` };
}

/** The modalities that a candidate sees of a case with these; null if it needs more. */
function seenOf({ members, modalities }: Candidate, available: readonly Modality[]): Modality[] | null {
  const there = (modality: Modality) => available.includes(modality);
  const fits = members.every(({ use }) =>
    use.any ? use.modalities.some(there) : use.modalities.every(there),
  );
  return fits ? modalities.filter(there) : null;
}

/** How to prepare a case for a network, where its candidate sees these modalities of the case. */
export function useWith(use: ModelUse, sees: readonly Modality[]): ModelUse {
  return use.any ? { ...use, modalities: use.modalities.filter((m) => sees.includes(m)) } : use;
}

/** Mean Dice over the validation cases where a network's candidate sees these modalities; null if unknown. */
export function memberDice({ use, dice, subsetScores }: Member, sees: readonly Modality[]): number | null {
  if (!use.any) return dice;
  return subsetScores?.subsets[subsetName(useWith(use, sees).modalities)]?.mean ?? null;
}

/** The mean of the members' validated Dice with these modalities; null if one of them is unknown. */
export function validatedDice({ members }: Candidate, sees: readonly Modality[]): number | null {
  const dice = members.map((member) => memberDice(member, sees));
  return dice.every((d) => d !== null) ? dice.reduce((sum, d) => sum + d, 0) / dice.length : null;
}

/** Tells whether a candidate sees different modalities in different cases. */
export function takesAny({ members }: Candidate): boolean {
  return members.some(({ use }) => use.any);
}

/** The modalities that a candidate needs, in words: "t1, t2", or "any of t1, t2". */
export function needsText({ members }: Candidate): string {
  const fixed = MODALITIES.filter((m) => members.some(({ use }) => !use.any && use.modalities.includes(m)));
  const any = members.filter(({ use }) => use.any).map(({ use }) => `any of ${use.modalities.join(", ")}`);
  return [...(fixed.length ? [fixed.join(", ")] : []), ...new Set(any)].join(" and ");
}

/** The checkpoints that a path stands for; `run` is true for the folder of a run. */
async function checkpointsOf(path: string): Promise<{ run: boolean; checkpoints: string[] }> {
  const found = await stat(path).catch(() => null);
  if (!found?.isDirectory()) return { run: false, checkpoints: [path] }; // readModel() checks that it is one
  const own = join(path, FILES.best);
  if (await exists(own)) return { run: false, checkpoints: [own] };
  const checkpoints = await stagesOf(path);
  if (checkpoints.length) return { run: true, checkpoints };
  throw new CheckpointError(
    `${path}: expected a checkpoint, or the folder of a run or a stage, got a folder without any ` +
      `${FILES.best}: train one with --out ${path}`,
  );
}

/**
 * The best checkpoints of a run's stages, also those in its folders of seeds and folds. A network that sees
 * each of several contrasts alone has its checkpoints in the stages of these; one that classifies is skipped.
 */
async function stagesOf(run: string): Promise<string[]> {
  const folders = (await readdir(run, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith(".") && !isEachStage(entry.name))
    .filter(({ name }) => !isClassifierStage(name))
    .map(({ name }) => name)
    .sort();
  const lists = folders.map(async (name) => {
    const best = join(run, name, FILES.best);
    if (await exists(best)) return [best];
    return /^(seed|fold)_\w+$/.test(name) ? stagesOf(join(run, name)) : [];
  });
  return (await Promise.all(lists)).flat();
}

async function readMember(path: string, useOf: (model: StoredModel) => ModelUse): Promise<Member> {
  const model = await readModel(path);
  const bytes = await readFile(path);
  const { card } = model;
  return {
    model,
    use: useOf(model),
    dice: card && !card.any && card.role === undefined ? await validationDice(path, card.epoch) : null,
    subsetScores: card?.any ? await readSubsetScores(path) : null,
    postprocessing: await readPostprocessing(path),
    checksum: createHash("sha256").update(bytes).digest("hex").slice(0, 16),
  };
}

/** The mean validation Dice of the checkpoint's epoch, from the stage's metrics.jsonl. */
async function validationDice(checkpoint: string, epoch: number): Promise<number | null> {
  const records = await readRecords(dirname(checkpoint));
  return records.find((record) => record.epoch === epoch)?.validation?.mean ?? null;
}

/** The name of a checkpoint's stage, which is its folder's. */
function stageOf(checkpoint: string): string {
  return basename(dirname(resolve(checkpoint)));
}

function nameOf(checkpoint: string): string {
  return basename(checkpoint) === FILES.best ? stageOf(checkpoint) : basename(checkpoint);
}
