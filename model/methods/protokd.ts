import { FEATURES, protokdTerms } from "../losses/losses.ts";
import { method } from "./method.ts";
import { deeplySupervised } from "./segmentation.ts";
import { kdUnits, kdWeight, prototypeWeight, temperature } from "./settings.ts";

/**
 * Pixel-wise and prototype distillation: the student learns the teacher's predictions and similarity maps.
 */
export const protokd = method({
  name: "protokd",
  title: "ProtoKD",
  source: "Wang et al., ICASSP 2023 (arXiv 2303.09830)",
  settings: { kdWeight, kdUnits, prototypeWeight, temperature },
  comparedWith: ["none", "kd"],
  networks: ({ network }) => ({ student: { spec: network, group: "main" }, teacher: { frozen: "teacher" } }),
  deployed: "student",
  step({ networks: { student, teacher }, batch: { paired }, settings, update }) {
    const { kdWeight, prototypeWeight } = settings;
    const taps = prototypeWeight === 0 ? [] : [FEATURES];
    const guide = kdWeight === 0 && prototypeWeight === 0 ? null : teacher.run(paired, { taps });
    update("main", () => {
      const own = student.run(paired, { taps });
      return deeplySupervised(protokdTerms(own, guide, paired.label, settings), own, paired);
    });
  },
});
