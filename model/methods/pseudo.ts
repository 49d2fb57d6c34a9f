import { likeliestClasses } from "../../engine/index.ts";
import { segmentationTerms, type Terms } from "../losses/losses.ts";
import { method } from "./method.ts";
import { deeplySupervised, segmentation } from "./segmentation.ts";
import { besideLabelled, unlabelled, unlabelledIn, unlabelledWeight } from "./unlabelled.ts";

/**
 * Pseudo-labels: on scans without labels the student learns from the classes that the teacher predicts.
 */
export const pseudo = method({
  name: "pseudo",
  title: "pseudo-labels",
  source: "Lee, ICML workshop on challenges in representation learning 2013",
  formula: `L = L_seg + unlabelledWeight · L_seg of a second batch, of the scans of --unlabelled
its label is the teacher's likeliest class in each voxel`,
  verified:
    "Lee's network labels for itself, with a weight that rises. Our choices: the teacher of all contrasts labels " +
    "for the student, every voxel counts, the weight is constant, and auxiliary heads learn from labels alone.",
  settings: { unlabelled, unlabelledWeight },
  needsUnlabelled: true,
  networks: ({ network }) => ({ student: { spec: network, group: "main" }, teacher: { frozen: "teacher" } }),
  deployed: "student",
  streams: besideLabelled,
  step({ networks: { student, teacher }, batch, settings, update }) {
    const { paired } = batch;
    const scans = unlabelledIn(batch, settings);
    const predicted = scans && likeliestClasses(teacher.run(scans).logits);
    update("main", () => {
      const own = student.run(paired);
      const terms = deeplySupervised(segmentation(own, paired), own, paired);
      if (!scans) return terms;
      const { crossEntropy, dice } = segmentationTerms(student.run(scans).logits, predicted!);
      const weighted = (term: Terms[string]) => [settings.unlabelledWeight * term[0], term[1]] as const;
      return {
        ...terms,
        "unlabelled/crossEntropy": weighted(crossEntropy!),
        "unlabelled/dice": weighted(dice!),
      };
    });
  },
});
