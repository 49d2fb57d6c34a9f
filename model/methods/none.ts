import { method } from "./method.ts";
import { deeplySupervised, segmentation } from "./segmentation.ts";

/** Plain supervision: a teacher, or a student alone. */
export const none = method({
  name: "none",
  title: "alone",
  source: "cross-entropy and Dice, as in the published code of Wang et al., ICASSP 2023 (arXiv 2303.09830)",
  formula: "L_seg = weighted cross-entropy + Dice, over the four classes",
  verified: "Both terms equal those of the published code.",
  settings: {},
  networks: ({ network }) => ({ student: { spec: network, group: "main" } }),
  deployed: "student",
  step({ networks: { student }, batch: { paired }, update }) {
    update("main", () => {
      const own = student.run(paired);
      return deeplySupervised(segmentation(own, paired), own, paired);
    });
  },
});
