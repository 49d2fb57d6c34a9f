// The losses of segmentation and of ProtoKD: Wang et al., "Prototype knowledge distillation for medical
// segmentation with missing modality", ICASSP 2023 (arXiv 2303.09830), as the authors' code computes them.
//
// A loss is a record of terms, each a weight and a scalar on the GPU: total() is the sum to minimise, and the
// terms are logged.

import {
  classCounts,
  classWeights,
  commonClasses,
  cosineMaps,
  crossEntropy,
  klDivergence,
  likeliestClasses,
  meanSquaredError,
  prototypeDistance,
  prototypes,
  samples,
  segmentationLosses,
  type Tensor,
  type Term,
  weightedSum,
} from "../../engine/index.ts";
import type { BatchOutput } from "../networks/parts.ts";

/**
 * Terms of a loss by name; total() skips terms of weight 0. A scope or grad() frees their scalars: keep()
 * those that are read later.
 */
export type Terms = Readonly<Record<string, Term>>;

/** The tap that ProtoKD compares: the features of the decoder's last block. */
export const FEATURES = "D_1";

/**
 * The units of the kd term: the published code's mean over voxels and classes, or Hinton's T² · the mean over
 * voxels of the sum over classes (Hinton et al. 2015, arXiv 1503.02531, §2), whose gradient keeps its size
 * when T changes. A weight of 10 in published units is one of 0.025 in Hinton's at T = 10 and 4 classes.
 */
export const KD_UNITS = ["published", "hinton"] as const;
export type KdUnits = (typeof KD_UNITS)[number];

/** The weights of ProtoKD's terms, and the temperature that divides the logits in the kd term. */
export interface ProtokdWeights {
  kdWeight: number;
  prototypeWeight: number;
  temperature: number;
  /** By default "published". */
  kdUnits?: KdUnits;
  /** The classes of the prototypes: the label's (by default), or the teacher's prediction. */
  prototypes?: "label" | "teacher";
}

/** The published code's defaults (kd_weight, proto_weight and T). */
export const PROTOKD: Readonly<ProtokdWeights> = { kdWeight: 10, prototypeWeight: 0.1, temperature: 10 };

/**
 * Cross-entropy, its classes weighted by their rarity in the batch, and the batch's Dice loss, both of weight
 * 1. logits [N,C,D,H,W], label [N,D,H,W] of whole numbers in 0 … C-1.
 */
export function segmentationTerms(logits: Tensor, label: Tensor): Terms {
  const { crossEntropy, dice } = segmentationLosses(logits, label);
  return { crossEntropy: [1, crossEntropy], dice: [1, dice] };
}

/** The cross-entropy of segmentationTerms() alone. */
export function crossEntropyTerm(logits: Tensor, label: Tensor): Terms {
  const rarity = classWeights(classCounts(label, logits.shape[1]!));
  return { crossEntropy: [1, crossEntropy(logits, label, rarity)] };
}

/**
 * KL divergence of the student's softened prediction from the teacher's, the mean over voxels and classes,
 * without the usual factor T². Logits [N,C,D,H,W]; differentiated by the student's.
 */
export function pixelKd(student: Tensor, teacher: Tensor, temperature = PROTOKD.temperature): Tensor {
  return klDivergence(student, teacher, temperature);
}

/**
 * The mean squared difference of two networks' similarity maps: the cosine of each voxel's features and each
 * class's prototype, which is the mean of that network's features over the class's voxels in a sample.
 * Background is a class like the others. A class counts only if every sample has it; without any such class
 * the loss is 0. Features [N,F,D,H,W], label [N,D,H,W]; the gradient includes the path through the
 * prototypes.
 */
export function prototypeLoss(student: Tensor, teacher: Tensor, label: Tensor, classes: number): Tensor {
  return prototypeDistance(student, teacher, label, classCounts(label, classes));
}

/** prototypeLoss() of a batch whose features come in parts of a few samples. */
function slicedPrototypeLoss(
  student: readonly Tensor[],
  teacher: readonly Tensor[],
  label: Tensor,
  counts: Tensor,
): Tensor {
  const common = commonClasses(counts);
  const classes = counts.shape[1]!;
  let end = 0;
  const parts = student.map((features, i): Term => {
    const size = features.shape[0]!;
    const part = samples(label, end, (end += size));
    const maps = (f: Tensor) => cosineMaps(f, prototypes(f, part, classes));
    return [size / label.shape[0]!, meanSquaredError(maps(features), maps(teacher[i]!), common)];
  });
  return weightedSum(parts);
}

/**
 * A student's terms: the segmentation's, the divergence of the softened predictions (kd), and the distance of
 * the similarity maps (prototype). The teacher's output is a constant. The prototype term compares the tap
 * FEATURES of both outputs; with weight 0 it needs no taps.
 */
export function protokdTerms(
  student: BatchOutput,
  teacher: BatchOutput | null,
  label: Tensor,
  weights: ProtokdWeights = PROTOKD,
): Terms {
  const { kdWeight, prototypeWeight, temperature, prototypes: whose } = weights;
  const taught = kdWeight !== 0 ? { targets: teacher!.logits, temperature } : {};
  const { crossEntropy, dice, divergence, counts } = segmentationLosses(student.logits, label, taught);
  const maps = () =>
    whose === "teacher" ? predictedMaps(student, teacher!) : mapDistance(student, teacher!, label, counts);
  return {
    crossEntropy: [1, crossEntropy],
    dice: [1, dice],
    ...(divergence && { kd: [kdWeight, inUnits(divergence, student.logits, weights)] as const }),
    ...(prototypeWeight !== 0 && { prototype: [prototypeWeight, maps()] as const }),
  };
}

/**
 * The teacher's terms on scans without labels, each with its weight times `share`: as in protokdTerms(), with
 * prototypes of the classes that the teacher predicts.
 */
export function unlabelledTerms(
  student: BatchOutput,
  teacher: BatchOutput,
  share: number,
  weights: ProtokdWeights,
): Terms {
  const { kdWeight, prototypeWeight, temperature } = weights;
  const kd = () =>
    inUnits(klDivergence(student.logits, teacher.logits, temperature), student.logits, weights);
  return {
    ...(kdWeight !== 0 && { "unlabelled/kd": [share * kdWeight, kd()] as const }),
    ...(prototypeWeight !== 0 && {
      "unlabelled/prototype": [share * prototypeWeight, predictedMaps(student, teacher)] as const,
    }),
  };
}

/** A mean divergence over voxels and classes in the units of the kd term. */
function inUnits(mean: Tensor, { shape }: Tensor, { kdUnits, temperature }: ProtokdWeights): Tensor {
  return kdUnits === "hinton" ? weightedSum([[temperature ** 2 * shape[1]!, mean]]) : mean;
}

/** The distance of the similarity maps, with prototypes of the label's classes. */
function mapDistance(student: BatchOutput, teacher: BatchOutput, label: Tensor, counts: Tensor): Tensor {
  const [own, given] = [student.taps[FEATURES]!, teacher.taps[FEATURES]!];
  return own.length === 1 && given.length === 1
    ? prototypeDistance(own[0]!, given[0]!, label, counts)
    : slicedPrototypeLoss(own, given, label, counts);
}

/** The same, with prototypes of the classes that the teacher predicts. */
function predictedMaps(student: BatchOutput, teacher: BatchOutput): Tensor {
  const label = likeliestClasses(teacher.logits);
  return mapDistance(student, teacher, label, classCounts(label, teacher.logits.shape[1]!));
}

/** The scalar to minimise: Σ weight · term over the terms whose weight is not 0. */
export function total(terms: Terms): Tensor {
  return weightedSum(Object.values(terms).filter(([weight]) => weight !== 0));
}
