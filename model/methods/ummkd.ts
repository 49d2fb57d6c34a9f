import { ABSENT_CLASSES, classLevelKl, type Labelled, type Term, weightedSum } from "../../engine/index.ts";
import type { Terms } from "../losses/losses.ts";
import { choice, number } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import { method } from "./method.ts";
import { deeplySupervised, segmentation } from "./segmentation.ts";
import { temperature, unpaired } from "./settings.ts";

/**
 * UMMKD: one network learns every contrast alone, from batches of different patients. The contrasts share all
 * kernels and have norms of their own, and their predictions for a class are drawn together.
 * Its formula and what is verified are in its fields below.
 */
export const ummkd = method({
  name: "ummkd",
  title: "UMMKD",
  source: "Dou et al., IEEE Transactions on Medical Imaging 39(7), 2020 (arXiv 2001.03111)",
  formula: `L = Σ_m L_seg(m) + klWeight · the mean over pairs (a, b) of contrasts of L_kl(a, b)
L_kl(a, b) = the mean over classes k of ½ KL(p_k^a ‖ p_k^b) + ½ KL(p_k^b ‖ p_k^a)
p_k^m = softmax(the mean of the logits over the voxels of class k in the batch of contrast m / temperature)`,
  verified:
    "L_kl with both sides differentiated, its weight of 0.5 and temperature of 2, and norms of its own for " +
    "each modality equal those of the authors' code (2D, CT and MRI). There a class that a batch lacks has " +
    "the uniform distribution (--absent-classes uniform); to skip it is our choice, and so are more than two " +
    "contrasts, L_seg, and the V-Net. The authors' 3D code trains without L_kl. Not yet tuned.",
  eachContrast: true,
  settings: {
    klWeight: row(number(), {
      help: "weight of the divergence of the contrasts' predictions for each class",
      default: 0.5,
      page: { label: "Weight of the class KL" },
    }),
    temperature,
    absentClasses: row(choice(ABSENT_CLASSES, "how"), {
      help: "classes that a batch lacks: skip them, or compare them as uniform distributions, as the source does",
      default: "skip",
    }),
    normBanks: row(choice(["each", "shared"], "whose"), {
      help: "norm parameters: a bank for each contrast, or one that all contrasts share",
      default: "each",
    }),
    unpaired,
  },
  defaults: { modality: "each", temperature: 2 },
  networks: ({ network, settings }) => ({
    student: {
      spec: settings.normBanks === "each" ? { ...network, banks: network.modalities } : network,
      group: "main",
    },
  }),
  deployed: "student",
  streams: ({ network: { modalities }, settings }) =>
    Object.fromEntries(
      modalities.map((sees, i) => [
        sees,
        settings.unpaired ? { sees, patients: (index: number) => index % modalities.length === i } : { sees },
      ]),
    ),
  step({ networks: { student }, batch, settings, update }) {
    const { klWeight, temperature, absentClasses, normBanks } = settings;
    const { modalities } = student.spec;
    update("main", () => {
      const terms: Record<string, Term> = {};
      const labelled: Labelled[] = [];
      for (const contrast of modalities) {
        const own = batch[contrast]!;
        const how = normBanks === "each" ? { domain: contrast } : {};
        const output = student.run(own.images([contrast]), how);
        Object.assign(terms, of(contrast, deeplySupervised(segmentation(output, own), output, own)));
        labelled.push({ logits: output.logits, label: own.label });
      }
      if (klWeight === 0 || labelled.length === 1) return terms;
      const options = { temperature, absent: absentClasses };
      const pairs = labelled.flatMap((a, i) => labelled.slice(i + 1).map((b) => classLevelKl(a, b, options)));
      const mean = weightedSum(pairs.map((pair) => [1 / pairs.length, pair]));
      return { ...terms, kl: [klWeight, mean] };
    });
  },
});

/** A contrast's terms by names of their own. */
function of(contrast: string, terms: Terms): Terms {
  return Object.fromEntries(Object.entries(terms).map(([name, term]) => [`${contrast}.${name}`, term]));
}
