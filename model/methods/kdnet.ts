import {
  binaryLosses,
  featureDivergence,
  regionLogits,
  regionProbabilities,
  type Tensor,
} from "../../engine/index.ts";
import type { Terms } from "../losses/losses.ts";
import { whole } from "../networks/parts.ts";
import { UsageError } from "../settings/errors.ts";
import { number, optional } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import { method, type NetworkSpec } from "./method.ts";
import { deeplySupervised, REGION_CLASSES, scaled, segmentation as labelTerms } from "./segmentation.ts";
import { segmentation, softWeight, temperature } from "./settings.ts";
import { bottleneckOf } from "./taps.ts";

/**
 * KD-Net: the student learns the teacher's probabilities of the regions and the distribution of its
 * bottleneck. Its formula and what is verified are in its fields below.
 */
export const kdnet = method({
  name: "kdnet",
  title: "KD-Net",
  source: "Hu et al., MICCAI 2020 (arXiv 2106.09564)",
  formula: `L = (1 - softWeight) · L_seg + softWeight · L_soft + bottleneckWeight · L_bn
L_soft = Dice with squared denominators + binary cross-entropy of sigmoid(l_s / Ts) and sigmoid(l_t / T),
         with l the logits of the overlapping regions WT, TC, ET
L_bn   = KL(softmax(teacher's bottleneck) ‖ softmax(student's)), each over all elements of a sample
L_seg  with --segmentation regions is the paper's: L_soft with the label as target`,
  verified:
    "The authors published no code. The weights, T and the normalisation of the bottlenecks are recalled and " +
    "not verified; that both sides have a temperature, and L_seg on the four classes, are our choices.",
  settings: {
    temperature,
    softWeight,
    bottleneckWeight: row(number(), {
      help: "weight of the bottlenecks' divergence",
      default: 10,
      teaches: true,
      page: { label: "Weight of bottlenecks" },
    }),
    /** Divides the student's region logits; null for the teacher's temperature. */
    studentTemperature: row(optional(number(1e-3, 1e3)), {
      help: "divides the student's region logits; 1 leaves them, as in generalised distillation",
      default: null,
      defaultHelp: "--temperature",
      page: { label: "Student's temperature" },
    }),
    segmentation,
  },
  defaults: { temperature: 5 },
  networks: ({ network }) => ({ student: { spec: network, group: "main" }, teacher: { frozen: "teacher" } }),
  deployed: "student",
  step({ networks: { student, teacher }, batch: { paired }, settings, update }) {
    const { temperature, softWeight, bottleneckWeight, studentTemperature, segmentation: labels } = settings;
    if (bottleneckWeight !== 0) checkBottlenecks(student.spec, teacher.spec);
    const bottleneck = bottleneckOf(student.spec);
    const taps = bottleneckWeight === 0 ? [] : [bottleneck];
    const guide = softWeight === 0 && bottleneckWeight === 0 ? null : teacher.run(paired, { taps });
    const targets = softWeight === 0 ? null : regionProbabilities(guide!.logits, REGION_CLASSES, temperature);
    update("main", () => {
      const own = student.run(paired, { taps });
      const terms: Terms = {
        ...(softWeight < 1 && scaled(labelTerms(own, paired, labels), 1 - softWeight)),
        ...(targets && softTerms(own.logits, targets, softWeight, studentTemperature ?? temperature)),
        ...(bottleneckWeight !== 0 && {
          bottleneck: [
            bottleneckWeight,
            featureDivergence(whole(own.taps[bottleneck]!), whole(guide!.taps[bottleneck]!)),
          ] as const,
        }),
      };
      return deeplySupervised(terms, own, paired, labels);
    });
  },
});

/**
 * Dice and binary cross-entropy of the student's regions and the teacher's probabilities [N,3,D,H,W], a
 * constant.
 */
function softTerms(logits: Tensor, targets: Tensor, weight: number, temperature: number): Terms {
  const { crossEntropy, dice } = binaryLosses(regionLogits(logits, REGION_CLASSES), targets, { temperature });
  return { softCrossEntropy: [weight, crossEntropy], softDice: [weight, dice] };
}

/** Throws a UsageError if two networks' bottlenecks have different shapes. */
function checkBottlenecks({ config: student }: NetworkSpec, { config: teacher }: NetworkSpec): void {
  if (student.filters === teacher.filters && student.levels === teacher.levels) return;
  throw new UsageError(
    `--teacher: KD-Net compares bottlenecks of one shape: expected ${student.filters} filters and ${student.levels} ` +
      `levels, got ${teacher.filters} and ${teacher.levels}: train a teacher of these sizes, or use --bottleneck-weight 0`,
  );
}
