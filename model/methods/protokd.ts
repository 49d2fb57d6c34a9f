import { FEATURES, protokdTerms, unlabelledTerms } from "../losses/losses.ts";
import { method } from "./method.ts";
import { deeplySupervised } from "./segmentation.ts";
import { kdUnits, kdWeight, prototypeWeight, temperature } from "./settings.ts";
import { besideLabelled, prototypes, unlabelled, unlabelledIn, unlabelledWeight } from "./unlabelled.ts";

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
          and each class's prototype, the mean of the features over the class's voxels in a sample; the class is the
          label's, or with --prototypes teacher the one that the teacher predicts
with --unlabelled: L + unlabelledWeight · (kdWeight · L_kd + prototypeWeight · L_proto) of a second batch, of scans
without labels, where the class is always the one that the teacher predicts`,
  verified:
    "All terms, weights and their gradients equal those of the published code. Prototypes of the teacher's " +
    "prediction and the batch of scans without labels are our choices.",
  settings: { kdWeight, kdUnits, prototypeWeight, temperature, prototypes, unlabelled, unlabelledWeight },
  networks: ({ network }) => ({ student: { spec: network, group: "main" }, teacher: { frozen: "teacher" } }),
  deployed: "student",
  streams: besideLabelled,
  step({ networks: { student, teacher }, batch, settings, update }) {
    const { paired } = batch;
    const { kdWeight, prototypeWeight } = settings;
    const taps = prototypeWeight === 0 ? [] : [FEATURES];
    const guide = kdWeight === 0 && prototypeWeight === 0 ? null : teacher.run(paired, { taps });
    const scans = guide && unlabelledIn(batch, settings);
    const explained = scans && teacher.run(scans, { taps });
    update("main", () => {
      const own = student.run(paired, { taps });
      const terms = deeplySupervised(protokdTerms(own, guide, paired.label, settings), own, paired);
      if (!scans) return terms;
      const { unlabelledWeight: share } = settings;
      return { ...terms, ...unlabelledTerms(student.run(scans, { taps }), explained!, share, settings) };
    });
  },
});
