import {
  contrastiveLoss,
  globalAveragePool,
  linear,
  maskedSoftCrossEntropy,
  normaliseRows,
  relu,
  type Tensor,
} from "../../engine/index.ts";
import { FEATURES, type Terms } from "../losses/losses.ts";
import { whole } from "../networks/parts.ts";
import { UsageError } from "../settings/errors.ts";
import { number, share } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import { method, type NetworkSpec, type OwnTensor } from "./method.ts";
import { deeplySupervised, segmentation } from "./segmentation.ts";
import { temperature } from "./settings.ts";

const EMBEDDED = 16; // numbers of an embedding

/**
 * PMKL: the student learns the teacher's soft labels where the teacher is right and better than the student,
 * and an embedding of its features that tells the cases of a batch apart as the teacher's does.
 * Its formula and what is verified are in its fields below.
 */
export const pmkl = method({
  name: "pmkl",
  title: "PMKL",
  source: "Chen et al., IEEE TMI 2021",
  formula: `L = L_seg + maskedWeight · L_mkd + contrastiveWeight · L_con
L_mkd = Σ_v w (-Σ_c softmax(z_t / T) log max(softmax(z_s / T), clip)) / Σ_v w
        w = max(0, CE_s - CE_t) where the teacher's class is the label's, else 0; 0 where no w is positive
L_con = 1/N² (Σ_i ‖a_i - b_i‖² + Σ_{i≠j} max(0, margin - ‖a_i - b_j‖)²), of N cases
        a = MLP_s(mean of D_1 over voxels), divided by its length; b the same of the teacher`,
  verified:
    "Verified in the authors' code (github.com/cchen-cc/PMKL): both terms, their weights, T, clip, " +
    "margin, the sizes 32 and 16 of the two MLPs without biases, and that both are trained with the " +
    "student. Our choices: a mean over all voxels where the authors flatten a map, 0 where they divide 0 " +
    "by 0, and how the MLPs are drawn.",
  settings: {
    maskedWeight: row(number(), {
      help: "weight of the teacher's soft labels where it is right and better than the student",
      default: 0.5,
      page: { label: "Weight of masked labels" },
      teaches: true,
    }),
    contrastiveWeight: row(number(), {
      help: "weight of the contrast between the cases of a batch",
      default: 0.5,
      page: { label: "Weight of contrast" },
      teaches: true,
    }),
    temperature,
    probabilityClip: row(share(), {
      help: "least probability of the student that is compared; below it nothing is learned",
      default: 0.005,
      page: { label: "Least probability" },
    }),
    contrastiveMargin: row(number(1e-3, 1e3), {
      help: "distance beyond which embeddings of different cases no longer repel",
      default: 1,
      page: { label: "Margin of contrast" },
    }),
  },
  leastBatch: ({ contrastiveWeight }) => (contrastiveWeight === 0 ? 1 : 2),
  networks: ({ network }) => ({ student: { spec: network, group: "main" }, teacher: { frozen: "teacher" } }),
  deployed: "student",
  own: ({ network, settings }) =>
    settings.contrastiveWeight === 0 ? {} : metrics(network.config.filters, ["student", "teacher"]),
  step({ networks: { student, teacher }, own: metric, batch: { paired }, settings, update }) {
    const { maskedWeight, contrastiveWeight, temperature, probabilityClip, contrastiveMargin } = settings;
    if (contrastiveWeight !== 0) checkFeatures(student.spec, teacher.spec);
    const taps = contrastiveWeight === 0 ? [] : [FEATURES];
    const guide = maskedWeight === 0 && contrastiveWeight === 0 ? null : teacher.run(paired, { taps });
    const embed = (who: string, parts: readonly Tensor[]) =>
      normaliseRows(embedding(parts, metric[`metric/${who}/w1`]!, metric[`metric/${who}/w2`]!));
    update("main", () => {
      const own = student.run(paired, { taps });
      const options = { temperature, clip: probabilityClip };
      const terms: Terms = {
        ...segmentation(own, paired),
        ...(maskedWeight !== 0 && {
          masked: [maskedWeight, maskedSoftCrossEntropy(own.logits, guide!.logits, paired.label, options)],
        }),
        ...(contrastiveWeight !== 0 && {
          contrastive: [
            contrastiveWeight,
            contrastiveLoss(
              embed("student", own.taps[FEATURES]!),
              embed("teacher", guide!.taps[FEATURES]!),
              contrastiveMargin,
            ),
          ],
        }),
      };
      return deeplySupervised(terms, own, paired);
    });
  },
});

/** w2 · max(0, w1 · f), with f the mean over voxels of features that come in parts [n,F,D,H,W] → [N,E]. */
export function embedding(parts: readonly Tensor[], w1: Tensor, w2: Tensor): Tensor {
  return linear(relu(linear(whole(parts.map(globalAveragePool)), w1)), w2);
}

/** The layers F → 2E → E of an MLP for each of these names. */
function metrics(features: number, names: readonly string[]): Record<string, OwnTensor> {
  const layer = (outputs: number, inputs: number): OwnTensor => {
    return { shape: [outputs, inputs], init: { uniform: inputs ** -0.5 }, group: "main" };
  };
  return Object.fromEntries(
    names.flatMap((name) => [
      [`metric/${name}/w1`, layer(2 * EMBEDDED, features)],
      [`metric/${name}/w2`, layer(EMBEDDED, 2 * EMBEDDED)],
    ]),
  );
}

/** Throws a UsageError if two networks' features have different widths. */
function checkFeatures({ config: student }: NetworkSpec, { config: teacher }: NetworkSpec): void {
  if (student.filters === teacher.filters) return;
  throw new UsageError(
    `--teacher: PMKL embeds features of one width: expected ${student.filters} filters, got ${teacher.filters}: ` +
      "train a teacher of this width, or use --contrastive-weight 0",
  );
}
