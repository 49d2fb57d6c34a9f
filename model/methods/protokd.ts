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
  formula: `L = L_seg + kdWeight · L_kd + prototypeWeight · L_proto
L_kd    as in kd
L_proto = the mean squared difference of the similarity maps of D_1: the cosine of each voxel's features
          and each class's prototype, the mean of the features over the class's voxels in a sample`,
  verified: "All terms, weights and their gradients equal those of the published code.",
  settings: { kdWeight, kdUnits, prototypeWeight, temperature },
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
