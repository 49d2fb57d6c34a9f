import { protokdTerms } from "../losses/losses.ts";
import { method } from "./method.ts";
import { deeplySupervised } from "./segmentation.ts";
import { kdUnits, kdWeight, temperature } from "./settings.ts";

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
        or in Hinton's units T² times the mean over voxels of the sum over classes`,
  verified:
    "The published units are those of ProtoKD's code, whose weight of 10 at T 10 is 0.025 in Hinton's units; " +
    "Hinton's are from his paper.",
  settings: { kdWeight, kdUnits, temperature },
  networks: ({ network }) => ({ student: { spec: network, group: "main" }, teacher: { frozen: "teacher" } }),
  deployed: "student",
  step({ networks: { student, teacher }, batch: { paired }, settings, update }) {
    const guide = settings.kdWeight === 0 ? null : teacher.run(paired);
    update("main", () => {
      const own = student.run(paired);
      const terms = protokdTerms(own, guide, paired.label, { ...settings, prototypeWeight: 0 });
      return deeplySupervised(terms, own, paired);
    });
  },
});
