import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { recordAll } from "../autograd/tape.ts";
import { free, scope, Tensor } from "../autograd/tensor.ts";
import { classCounts, classWeights } from "./classCounts.ts";
import { crossEntropy } from "./crossEntropy.ts";
import { diceLoss } from "./diceLoss.ts";
import { checkTargets, klDivergence } from "./klDivergence.ts";

const kernel = await shader("segmentationLosses");
const { SUMS, CHUNK, TILE } = kernel.constants; // sums of a sample; voxels of a workgroup, forward and back

/** The scalars of segmentationLosses(), and the classCounts() of the label, [N,C]. */
export type SegmentationLosses = { crossEntropy: Tensor; dice: Tensor; divergence?: Tensor; counts: Tensor };

const MOST = 4; // classes that one invocation holds

/**
 * crossEntropy() with the classWeights() of the label, diceLoss() and, with a teacher's logits as `targets`,
 * klDivergence(). Reads the logits [N,C,D,H,W] once, and once more for the gradients; with more than four
 * classes it runs those ops one by one. label [N,D,H,W] of whole numbers in 0 … C-1.
 */
export function segmentationLosses(
  logits: Tensor,
  label: Tensor,
  {
    targets,
    temperature = 10,
    smooth = 1e-5,
  }: { targets?: Tensor; temperature?: number; smooth?: number } = {},
): SegmentationLosses {
  const { batch, channels: classes, voxels } = extent("segmentationLosses", logits, label);
  const chunks = Math.ceil(voxels / CHUNK);
  if (targets) checkTargets("segmentationLosses", logits, targets, temperature);
  if (classes > MOST) {
    return scope(() => {
      const counts = classCounts(label, classes);
      return {
        crossEntropy: crossEntropy(logits, label, classWeights(counts)),
        dice: diceLoss(logits, label, smooth),
        ...(targets && { divergence: klDivergence(logits, targets, temperature) }),
        counts,
      };
    });
  }
  const { device } = logits;
  const config = { classes, taught: !!targets, voxels, smoothing: smooth, cooling: 1 / temperature };
  const read = { ...config, logits, label, targets: targets ?? logits }; // logits are not read
  const sums = new Tensor(device, [batch, chunks, SUMS]);
  const totals = new Tensor(device, [batch, SUMS]);
  const counts = new Tensor(device, [batch, classes]);
  const coefficients = new Tensor(device, [3, 4]);
  const [entropy, dice, divergence] = [0, 1, 2].map(() => new Tensor(device, [])) as [Tensor, Tensor, Tensor];
  kernel.partial({ ...read, sums }, { groups: [chunks, batch, 1], work: 60 * logits.size });
  kernel.combine({ ...config, sums, totals }, { groups: [batch, 1, 1], work: sums.size });
  kernel.finish({ ...config, totals, counts, coefficients, crossEntropy: entropy, dice, divergence }, 1);
  [sums, totals].forEach(free);
  const backward = ([dCrossEntropy, dDice, dDivergence]: readonly Tensor[]) => {
    const dlogits = new Tensor(device, logits.shape);
    const dlosses = { dCrossEntropy: dCrossEntropy!, dDice: dDice!, dDivergence: dDivergence ?? dDice! };
    const groups = [Math.ceil(voxels / TILE), batch, 1] as const;
    kernel.backward({ ...read, coefficients, ...dlosses, dlogits }, { groups, work: 60 * logits.size });
    return dlogits;
  };
  const outputs = [entropy, dice, ...(targets ? [divergence] : [])];
  recordAll(outputs, [[logits, backward]], [logits, label, read.targets, coefficients]);
  free(coefficients);
  if (!targets) free(divergence);
  return { crossEntropy: entropy, dice, ...(targets && { divergence }), counts };
}
