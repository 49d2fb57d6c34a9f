// The network of each subset of the contrasts, and the pairs of case and network to predict: subsets that
// chose the same network share its predictions.

import { MODALITIES, type Dataset, type Modality } from "../../data/datasets/datasets.ts";
import { ALL_SUBSETS, parseSubset, subsetName } from "../../data/datasets/subsets.ts";
import { type Candidate, choose } from "./candidates.ts";
import type { PlannedCase } from "./predictionPlan.ts";

/** A subset and the network that predict.js would choose with these contrasts alone. */
export interface SubsetChoice {
  subset: readonly Modality[];
  /** Null if each network needs more. */
  candidate: Candidate | null;
  why: string;
}

/** Chooses the network of each of the 15 subsets. */
export function chooseSubsets(candidates: readonly Candidate[]): SubsetChoice[] {
  const there = candidates.map(({ name, modalities }) => `${name} sees ${modalities.join(", ")}`).join("; ");
  return ALL_SUBSETS.map(parseSubset).map((subset) => {
    const chosen = choose(candidates, subset);
    if (chosen) return { subset, ...chosen };
    return { subset, candidate: null, why: `no network sees only ${subset.join(", ")}: ${there}` };
  });
}

/** The contrasts of a subset that a case lacks. */
export function lackedBy({ images }: Dataset["cases"][number], subset: readonly Modality[]): Modality[] {
  return subset.filter((modality) => !images[modality]);
}

/**
 * The distinct pairs of case and network, network by network. A network sees the same contrasts of a case in
 * every subset that chose it, so that one prediction serves them all.
 */
export function pairsOf(choices: readonly SubsetChoice[], cases: Dataset["cases"]): PlannedCase[] {
  const chosen = new Map<Candidate, SubsetChoice[]>();
  for (const choice of choices) {
    const { candidate } = choice;
    if (candidate) chosen.set(candidate, [...(chosen.get(candidate) ?? []), choice]);
  }
  return [...chosen].flatMap(([candidate, subsets]) =>
    cases
      .filter((files) => subsets.some(({ subset }) => !lackedBy(files, subset).length))
      .map(({ id }) => ({
        id,
        candidate,
        why: subsets.map(({ subset }) => subsetName(subset)).join(", "),
        available: MODALITIES.filter((m) => candidate.modalities.includes(m)),
      })),
  );
}

/** The content of choice.json: every subset's network and the reason, and the networks' checkpoints. */
export function choiceRecord(choices: readonly SubsetChoice[], candidates: readonly Candidate[]): object {
  return {
    subsets: choices.map(({ subset, candidate, why }) => ({
      subset: subsetName(subset),
      network: candidate?.name ?? null,
      sees: candidate?.modalities ?? null,
      why,
    })),
    networks: candidates.map(({ name, modalities, dice, members }) => ({
      name,
      sees: modalities,
      validationDice: dice,
      checkpoints: members.map(({ use, model, checksum }) => ({
        stage: use.stage,
        epoch: model.card?.epoch ?? null,
        checksum,
      })),
    })),
  };
}
