import { protokdTerms, unlabelledTerms } from "../losses/losses.ts";
import { method } from "./method.ts";
import { deeplySupervised } from "./segmentation.ts";
import { kdUnits, kdWeight, temperature } from "./settings.ts";
import { besideLabelled, unlabelled, unlabelledIn, unlabelledWeight } from "./unlabelled.ts";

/**
 * Pixel-wise distillation: the student learns the teacher's softened prediction. A baseline of ProtoKD's
 * paper.
 */
export const kd = method({
  name: "kd",
  title: "pixel KD",
  source: "Hinton et al., 2015 (arXiv 1503.02531)",
  formula: `L = L_seg + kdWeight · L_kd
L_kd  = KL(softmax(z_t / T) ‖ softmax(z_s / T)): the published code's mean over voxels and classes,
        or in Hinton's units T² times the mean over voxels of the sum over classes
with --unlabelled: L + unlabelledWeight · kdWeight · L_kd of a second batch, of scans without labels`,
  verified:
    "The published units are those of ProtoKD's code, whose weight of 10 at T 10 is 0.025 in Hinton's units; " +
    "Hinton's are from his paper. The batch of scans without labels is our choice.",
  settings: { kdWeight, kdUnits, temperature, unlabelled, unlabelledWeight },
  networks: ({ network }) => ({ student: { spec: network, group: "main" }, teacher: { frozen: "teacher" } }),
  deployed: "student",
  streams: besideLabelled,
  step({ networks: { student, teacher }, batch, settings, update }) {
    const { paired } = batch;
    const weights = { ...settings, prototypeWeight: 0 };
    const guide = weights.kdWeight === 0 ? null : teacher.run(paired);
    const scans = guide && unlabelledIn(batch, settings);
    const explained = scans && teacher.run(scans);
    update("main", () => {
      const own = student.run(paired);
      const terms = deeplySupervised(protokdTerms(own, guide, paired.label, weights), own, paired);
      if (!scans) return terms;
      const { unlabelledWeight: share } = settings;
      return { ...terms, ...unlabelledTerms(student.run(scans), explained!, share, weights) };
    });
  },
});
