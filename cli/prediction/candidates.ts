// The models that predict.js chooses from: --model names a checkpoint, a stage's folder, or a whole run,
// whose stages differ by name. From a run, each case gets the best model that its modalities allow.

import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Modality, MODALITIES } from "../../data/datasets/datasets.ts";
import { CheckpointError } from "../../model/errors.ts";
import type { Postprocessing } from "../../model/inference/postprocess.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { exists } from "../files/files.ts";
import { type ModelUse, readModel, type StoredModel } from "../files/models.ts";
import { readPostprocessing } from "./postprocessing.ts";
import { FILES } from "../files/stageFolder.ts";

/** One checkpoint, and how to use it. */
export interface Member {
  model: StoredModel;
  use: ModelUse;
  /** Mean Dice over the validation cases when it was saved; null if not recorded. */
  dice: number | null;
  /** The rule chosen on its validation cases; null if none was. */
  postprocessing: Postprocessing | null;
  /** The first digits of its file's SHA-256. */
  checksum: string;
}

/** A model to choose from: one checkpoint, or several whose probabilities are averaged. */
export interface Candidate {
  name: string;
  /** All modalities that its members see, in channel order. */
  modalities: Modality[];
  members: Member[];
  /** The mean of its members'; null if one of them has none. */
  dice: number | null;
  /** Its members' rule if they share one; null if they differ, or have none. */
  postprocessing: Postprocessing | null;
}

/** A candidate and the reason for its choice. */
export interface Chosen {
  candidate: Candidate;
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
    const dice = members.map((member) => member.dice);
    const rules = new Set(members.map(({ postprocessing }) => JSON.stringify(postprocessing)));
    candidates.push({
      name,
      modalities: MODALITIES.filter((m) => members.some(({ use }) => use.modalities.includes(m))),
      members,
      dice: dice.every((d) => d !== null) ? dice.reduce((sum, d) => sum + d, 0) / dice.length : null,
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
    .filter(({ modalities }) => modalities.every((m) => available.includes(m)))
    .sort(
      (a, b) =>
        b.modalities.length - a.modalities.length ||
        (b.dice ?? -1) - (a.dice ?? -1) ||
        (a.name < b.name ? -1 : 1),
    );
  const [candidate, ...others] = allowed;
  if (!candidate) return null;
  const rivals = others.filter(({ modalities }) => modalities.length === candidate.modalities.length);
  const sees = candidate.modalities.join(", ");
  if (candidates.length === 1) return { candidate, why: "the only one given" };
  if (!rivals.length)
    return { candidate, why: others.length ? `it sees ${sees}` : "the only one that these allow" };
  const score = ({ dice }: Candidate) => (dice === null ? "unknown" : dice.toFixed(3));
  const beaten = rivals.map((rival) => `${rival.name} ${score(rival)}`).join(", ");
  return { candidate, why: `Dice in validation ${score(candidate)}; ${beaten}` };
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

/** The best checkpoints of a run's stages, also those in its folders of seeds and folds. */
async function stagesOf(run: string): Promise<string[]> {
  const folders = (await readdir(run, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
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
  return {
    model,
    use: useOf(model),
    dice: model.card && (await validationDice(path, model.card.epoch)),
    postprocessing: await readPostprocessing(path),
    checksum: createHash("sha256").update(bytes).digest("hex").slice(0, 16),
  };
}

/** The mean validation Dice of the checkpoint's epoch, from the stage's metrics.jsonl. */
async function validationDice(checkpoint: string, epoch: number): Promise<number | null> {
  const text = await readFile(join(dirname(checkpoint), FILES.metrics), "utf8").catch(() => "");
  for (const line of text.split("\n")) {
    try {
      const record = JSON.parse(line) as EpochRecord;
      if (record.epoch === epoch) return record.validation?.mean ?? null;
    } catch {
      continue; // an empty line, or one that is being written
    }
  }
  return null;
}

/** The name of a checkpoint's stage, which is its folder's. */
function stageOf(checkpoint: string): string {
  return basename(dirname(resolve(checkpoint)));
}

function nameOf(checkpoint: string): string {
  return basename(checkpoint) === FILES.best ? stageOf(checkpoint) : basename(checkpoint);
}
