import {
  adain as restyled,
  batchNormRelu,
  conv3d,
  fill,
  meanSquaredError,
  samples,
  scope,
  statisticsL2,
  type Tensor,
  type Term,
  weightedSum,
} from "../../engine/index.ts";
import { largest } from "../../engine/values.ts";
import type { Terms } from "../losses/losses.ts";
import type { BatchOutput } from "../networks/parts.ts";
import { UsageError } from "../settings/errors.ts";
import { number, text } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import { method, type NetworkSpec, type OwnTensor, type Runnable } from "./method.ts";
import { deeplySupervised, segmentation } from "./segmentation.ts";
import { levelOf, widthOf } from "./taps.ts";

/** The outputs of the decoders to compare: D_1 is the input of the last convolution. */
const TAPS = /^D_[1-9](,D_[1-9])*$/;

/**
 * AdaIN-KD: the student's features get the teacher's statistics, as far as the teacher's own last layers
 * notice them.
 * Its formula and what is verified are in its fields below.
 */
export const adain = method({
  name: "adain",
  title: "AdaIN-KD",
  source: "Yang et al. 2020 (arXiv 2003.04289)",
  formula: `L = L_seg + statisticsWeight · L_SM + adainWeight · L_A, both the mean over the taps
L_SM = the mean over samples and channels of (μ_s - μ_t)² + (σ_s - σ_t)²
L_A  = the mean over logits of (tail(σ_s (F_t - μ_t) / σ_t + μ_s) - tail(F_t))²`,
  verified:
    "μ and σ = √(variance + 1e-5) are those of a channel of a sample; tail() is the rest of the frozen " +
    "teacher after the tap. The gradient reaches the student through μ_s and σ_s alone. The formulas are " +
    "those of the paper's abstract and of others' code; the authors published none. The weights and the " +
    "taps are our choices, not the paper's, and not yet tuned. Where the widths of a tap differ, a " +
    "trained connector of 1³ convolution, batch norm and ReLU widens the student's features, as in the " +
    "authors' later code (SRRL). A tail with instance norm hardly judges: behind a convolution it removes " +
    "any shift of the channels' means and any common scale. So the tap is D_1, behind which there is only " +
    "the last convolution; deeper ones need a teacher with batch norm.",
  settings: {
    statisticsWeight: row(number(), {
      help: "weight of the difference of the features' means and deviations",
      default: 1,
      page: { label: "Weight of statistics" },
      teaches: true,
    }),
    adainWeight: row(number(), {
      help: "weight of the difference that those statistics make to the teacher's prediction",
      default: 1,
      page: { label: "Weight of the teacher's view" },
      teaches: true,
    }),
    adainTaps: row(
      text("taps", {
        expected: "outputs of the decoder's levels, like D_1 or D_1,D_2",
        isValid: (names) => TAPS.test(names),
      }),
      {
        help: "outputs of the decoder to compare, from full resolution (D_1) on; below it with --norm batch alone",
        default: "D_1",
        page: { label: "Compared outputs" },
      },
    ),
  },
  networks({ network, selfTaught = false }) {
    if (selfTaught) throw new UsageError("--teacher self: AdaIN-KD needs a teacher that does not change");
    return { student: { spec: network, group: "main" }, teacher: { frozen: "teacher" } };
  },
  deployed: "student",
  own: ({ settings }, { student, teacher }) =>
    Object.fromEntries(
      tapsOf(settings)
        .filter((tap) => widthOf(student, tap) !== widthOf(teacher, tap))
        .flatMap((tap) => connectorTensors(tap, widthOf(student, tap), widthOf(teacher, tap))),
    ),
  step({ networks: { student, teacher }, own, batch: { paired }, settings, update }) {
    const taps = tapsOf(settings);
    taps.forEach((tap) => checkTap(tap, student.spec, teacher.spec));
    const guide = taps.length ? teacher.run(paired, { taps: [...taps, ...skipsAfter(taps)] }) : null;
    update("main", () => {
      const output = student.run(paired, { taps });
      const terms = {
        ...segmentation(output, paired),
        ...(guide && statisticsTerms(output, guide, { teacher, own, taps, settings })),
      };
      return deeplySupervised(terms, output, paired);
    });
  },
});

interface Compared {
  teacher: Runnable;
  own: Readonly<Record<string, Tensor>>;
  taps: readonly string[];
  settings: Weights;
}

interface Weights {
  statisticsWeight: number;
  adainWeight: number;
}

/** The taps to compare; none where both weights are 0. */
function tapsOf({ statisticsWeight, adainWeight, adainTaps }: Weights & { adainTaps: string }): string[] {
  return statisticsWeight === 0 && adainWeight === 0 ? [] : [...new Set(adainTaps.split(","))];
}

/** The encoder's outputs that the teacher's tails add. */
function skipsAfter(taps: readonly string[]): string[] {
  return Array.from({ length: largest(taps.map(levelOf)) - 1 }, (_, i) => `E_${i + 1}`);
}

/** L_SM and L_A, the mean over taps and samples. Features may come in parts of a few samples. */
function statisticsTerms(
  student: BatchOutput,
  guide: BatchOutput,
  { teacher, own, taps, settings: { statisticsWeight, adainWeight } }: Compared,
): Terms {
  const batch = guide.logits.shape[0]!;
  const apart: Term[] = [];
  const judged: Term[] = [];
  for (const tap of taps) {
    let from = 0;
    for (const [i, given] of guide.taps[tap]!.entries()) {
      const size = given.shape[0]!;
      const features = connected(student.taps[tap]![i]!, tap, own);
      const share = size / batch / taps.length;
      if (statisticsWeight !== 0) apart.push([share, statisticsL2(features, given)]);
      if (adainWeight !== 0) {
        const skips = Object.fromEntries(skipsAfter([tap]).map((name) => [name, guide.taps[name]![i]!]));
        const { logits } = teacher.tail(tap, restyled(given, features), skips);
        const wanted = size === batch ? guide.logits : samples(guide.logits, from, from + size);
        judged.push([share, meanSquaredError(logits, wanted)]);
      }
      from += size;
    }
  }
  return {
    ...(apart.length && { statistics: [statisticsWeight, weightedSum(apart)] as const }),
    ...(judged.length && { adain: [adainWeight, weightedSum(judged)] as const }),
  };
}

/** The tensors of a connector from `inputs` to `outputs` channels. */
function connectorTensors(tap: string, inputs: number, outputs: number): [string, OwnTensor][] {
  const vector = (value: number): OwnTensor => ({ shape: [outputs], init: { value }, group: "main" });
  const kernel = { shape: [outputs, inputs, 1, 1, 1], init: { uniform: inputs ** -0.5 }, group: "main" };
  return [
    [`${tap}.kernel`, kernel],
    [`${tap}.weight`, vector(1)],
    [`${tap}.bias`, vector(0)],
  ];
}

/** The student's features in the teacher's width. */
function connected(x: Tensor, tap: string, own: Readonly<Record<string, Tensor>>): Tensor {
  const [kernel, weight, bias] = ["kernel", "weight", "bias"].map((name) => own[`${tap}.${name}`]);
  if (!kernel || !weight || !bias) return x;
  return scope(() => {
    const { device, shape } = weight;
    const unused = { mean: fill(device, shape, 0), variance: fill(device, shape, 1) }; // running statistics
    return batchNormRelu(conv3d(x, kernel), weight, bias, unused);
  });
}

/** Throws a UsageError where a network lacks a tap, or where the teacher's tail cannot judge. */
function checkTap(tap: string, student: NetworkSpec, teacher: NetworkSpec): void {
  const levels = Math.min(student.config.levels, teacher.config.levels);
  if (levelOf(tap) >= levels)
    throw new UsageError(`--adain-taps ${tap}: decoders of ${levels} levels have D_1 to D_${levels - 1}`);
  if (levelOf(tap) > 1 && teacher.config.norm === "instance")
    throw new UsageError(
      `--adain-taps ${tap}: the teacher's instance norm removes the shifts and common scales that its layers ` +
        "should judge: use D_1, or train a teacher with --norm batch",
    );
}
