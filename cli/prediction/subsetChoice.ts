// The network of each subset of the contrasts, and the pairs of case and network to predict: subsets in which
// a network sees the same contrasts share its predictions.

import type { Dataset, Modality } from "../../data/datasets/datasets.ts";
import { ALL_SUBSETS, parseSubset, subsetName } from "../../data/datasets/subsets.ts";
import { type Candidate, choose, needsText, takesAny, validatedDice } from "./candidates.ts";
import type { PlannedCase } from "./predictionPlan.ts";
import { resultName } from "./subsetResults.ts";

/** A subset and the network that predict.js would choose with these contrasts alone. */
export interface SubsetChoice {
  subset: readonly Modality[];
  /** Null if each network needs more. */
  candidate: Candidate | null;
  /** The contrasts that it sees of a case with these; none without a candidate. */
  sees: readonly Modality[];
  why: string;
}

/** Chooses the network of each of the 15 subsets. */
export function chooseSubsets(candidates: readonly Candidate[]): SubsetChoice[] {
  const there = candidates.map((one) => `${one.name} sees ${needsText(one)}`).join("; ");
  return ALL_SUBSETS.map(parseSubset).map((subset) => {
    const chosen = choose(candidates, subset);
    if (chosen) return { subset, ...chosen };
    return { subset, candidate: null, sees: [], why: `no network sees only ${subset.join(", ")}: ${there}` };
  });
}

/** The contrasts of a subset that a case lacks. */
export function lackedBy({ images }: Dataset["cases"][number], subset: readonly Modality[]): Modality[] {
  return subset.filter((modality) => !images[modality]);
}

/**
 * The distinct pairs of case and network, network by network. Where a network sees the same contrasts of a
 * case in several subsets that chose it, one prediction serves them all.
 */
export function pairsOf(choices: readonly SubsetChoice[], cases: Dataset["cases"]): PlannedCase[] {
  const chosen = new Map<
    string,
    { candidate: Candidate; sees: Modality[]; subsets: SubsetChoice["subset"][] }
  >();
  for (const { candidate, sees, subset } of choices) {
    if (!candidate) continue;
    const name = resultName({ candidate, sees });
    const { subsets } = chosen.get(name) ?? { subsets: [] };
    chosen.set(name, { candidate, sees: [...sees], subsets: [...subsets, subset] });
  }
  return [...chosen.values()].flatMap(({ candidate, sees, subsets }) =>
    cases
      .filter((files) => subsets.some((subset) => !lackedBy(files, subset).length))
      .map(({ id }) => {
        const why = subsets.map(subsetName).join(", ");
        return { id, candidate, sees, why, available: sees, more: null };
      }),
  );
}

/** The content of choice.json: every subset's network and the reason, and the networks' checkpoints. */
export function choiceRecord(choices: readonly SubsetChoice[], candidates: readonly Candidate[]): object {
  return {
    subsets: choices.map(({ subset, candidate, sees, why }) => ({
      subset: subsetName(subset),
      network: candidate?.name ?? null,
      sees: candidate && sees,
      why,
    })),
    networks: candidates.map((candidate) => ({
      name: candidate.name,
      sees: candidate.modalities,
      ...(takesAny(candidate) && { needs: needsText(candidate) }),
      validationDice: validatedDice(candidate, candidate.modalities),
      checkpoints: candidate.members.map(({ use, model, checksum }) => ({
        stage: use.stage,
        epoch: model.card?.epoch ?? null,
        checksum,
      })),
    })),
  };
}
