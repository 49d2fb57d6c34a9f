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
  settings: { kdWeight, kdUnits, temperature },
  comparedWith: ["none"],
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
