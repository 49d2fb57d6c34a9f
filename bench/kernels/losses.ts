// The losses at the shape of the logits and of the last features, and the optimizer over all parameters.

import {
  Adam,
  classCounts,
  classMeans,
  cosineMaps,
  crossEntropy,
  diceLoss,
  keep,
  klDivergence,
  meanSquaredError,
  prototypeDistance,
  prototypes,
  segmentationLosses,
  type SegmentationLosses,
  type Tensor,
  weightedSum,
} from "../../engine/index.ts";
import { VNET } from "../../model/networks/vnet.ts";
import { vnetShapes } from "../../model/networks/layers.ts";
import type { Array64 } from "../../test/support/gradcheck.ts";
import * as distances from "../../test/support/reference/distances.ts";
import * as reference from "../../test/support/reference/losses.ts";
import { labels, normal, sizeOf } from "../values.ts";
import { against, forward, type KernelCase, type Pass } from "./case.ts";

const CLASSES = VNET.classes;
const TEMPERATURE = 10;
const MODALITIES = 4; // a teacher's

type Function64 = Parameters<typeof against>[0];

/** The cases of a network with `filters` filters, on a patch [D,H,W]. */
export function lossCases(filters: number, patch: readonly number[]): KernelCase[] {
  const logits =
    (seed = 1) =>
    () =>
      normal([1, CLASSES, ...patch], seed);
  const features =
    (seed = 1) =>
    () =>
      normal([1, filters, ...patch], seed);
  const label = () => labels([1, ...patch], CLASSES);
  const weight = () => ({ shape: [CLASSES], data: Float32Array.of(0.1, 0.9, 0.8, 0.95) });
  const centres = () => normal([1, CLASSES, filters], 3);
  const one = (
    op: string,
    detail: string,
    inputs: KernelCase["inputs"],
    run: KernelCase["run"],
    reference: Function64,
    gradients: readonly Pass[],
  ): KernelCase => ({
    op,
    detail,
    size: patch,
    inputs,
    run,
    passes: [forward(inputs), ...gradients],
    check: against(reference),
  });
  const backward = (by: string, ...reads: string[]): Pass => ({ name: "backward", by: [by], reads });

  return [
    one(
      "classCounts",
      `${CLASSES} classes`,
      { label },
      ({ label }) => classCounts(label!, CLASSES),
      ({ label }) => counts(label!),
      [],
    ),
    one(
      "segmentationLosses",
      `${CLASSES} classes`,
      { logits: logits(), label, targets: logits(2) },
      ({ logits, label, targets }) => together(segmentationLosses(logits!, label!, { targets })),
      ({ logits, label, targets }) => togetherOf(logits!, label!, targets!),
      [backward("logits", "logits", "label", "targets")],
    ),
    one(
      "prototypeDistance",
      `${filters}, ${CLASSES} classes`,
      { student: features(), teacher: features(2), label },
      ({ student, teacher, label }) => {
        return prototypeDistance(student!, teacher!, label!, classCounts(label!, CLASSES));
      },
      ({ student, teacher, label }) => distanceOf(student!, teacher!, label!),
      [backward("student", "student", "label")],
    ),
    one(
      "crossEntropy",
      `${CLASSES} classes`,
      { logits: logits(), label, weight },
      ({ logits, label, weight }) => crossEntropy(logits!, label!, weight!),
      ({ logits, label, weight }) => reference.crossEntropy(logits!, label!, weight!),
      [backward("logits", "logits", "label")],
    ),
    one(
      "diceLoss",
      `${CLASSES} classes`,
      { logits: logits(), label },
      ({ logits, label }) => diceLoss(logits!, label!),
      ({ logits, label }) => reference.diceLoss(logits!, label!),
      [backward("logits", "logits", "label")],
    ),
    one(
      "klDivergence",
      `${CLASSES} classes`,
      { logits: logits(), targets: logits(2) },
      ({ logits, targets }) => klDivergence(logits!, targets!, TEMPERATURE),
      ({ logits, targets }) => reference.klDivergence(logits!, targets!, TEMPERATURE),
      [backward("logits", "logits", "targets")],
    ),
    one(
      "prototypes",
      `${filters}, ${CLASSES} classes`,
      { features: features(), label },
      ({ features, label }) => prototypes(features!, label!, CLASSES),
      ({ features, label }) => reference.prototypes(features!, label!, CLASSES),
      [backward("features", "label", "dy")],
    ),
    cosineCase(filters, patch, { features: features(), prototypes: centres }),
    one(
      "meanSquaredError",
      `${CLASSES} maps`,
      { a: logits(), b: logits(2), weight },
      ({ a, b, weight }) => meanSquaredError(a!, b!, weight),
      ({ a, b, weight }) => reference.meanSquaredError(a!, b!, weight),
      [backward("a", "a", "b", "weight")],
    ),
    one(
      "classMeans",
      `${filters}, ${CLASSES} classes`,
      { features: features(), label },
      ({ features, label }) => classMeans(features!, label!, CLASSES),
      ({ features, label }) => distances.classMeans(features!, label!, CLASSES),
      [backward("features", "label", "dy")],
    ),
    adamCase(filters, patch),
  ];
}

const [KD, RATIO] = [10, 2]; // different weights, so that the check would notice exchanged terms

function together({ crossEntropy, dice, divergence }: SegmentationLosses): Tensor {
  return weightedSum([
    [1, crossEntropy],
    [RATIO, dice],
    [KD, divergence!],
  ]);
}

function togetherOf(logits: Array64, label: Array64, targets: Array64): Array64 {
  const total = label.data.length;
  const weight = { shape: [CLASSES], data: counts(label).data.map((count) => 1 - count / total) };
  const entropy = reference.crossEntropy(logits, label, weight).data[0]!;
  const dice = reference.diceLoss(logits, label).data[0]!;
  const divergence = reference.klDivergence(logits, targets, TEMPERATURE).data[0]!;
  return { shape: [], data: Float64Array.of(entropy + RATIO * dice + KD * divergence) };
}

/** The prototype distance in float64, of a label that has every class. */
function distanceOf(student: Array64, teacher: Array64, label: Array64): Array64 {
  const maps = (f: Array64) => reference.cosineMaps(f, reference.prototypes(f, label, CLASSES));
  return reference.meanSquaredError(maps(student), maps(teacher));
}

/** Each voxel's gradient of the features is its own; that of the prototypes sums over all voxels. */
function cosineCase(filters: number, patch: readonly number[], inputs: KernelCase["inputs"]): KernelCase {
  const cosines: Function64 = ({ features, prototypes }) => reference.cosineMaps(features!, prototypes!);
  const [each, sum] = [against(cosines, "voxels"), against(cosines)];
  return {
    op: "cosineMaps",
    detail: `${filters}, ${CLASSES} classes`,
    size: patch,
    inputs,
    run: ({ features, prototypes }) => cosineMaps(features!, prototypes!),
    passes: [
      forward(inputs),
      { name: "dfeatures", by: ["features"], reads: ["features", "prototypes", "dy"] },
      { name: "dprototypes", by: ["prototypes"], reads: ["features", "prototypes", "dy"] },
    ],
    check: (given) => (given.pass.name === "dprototypes" ? sum : each)(given),
  };
}

function counts(label: Array64): Array64 {
  const data = new Float64Array(CLASSES);
  label.data.forEach((k) => data[k]!++);
  return { shape: [1, CLASSES], data };
}

const RATE = 1e-3;
const [DECAY, EPS] = [1e-5, 1e-8]; // Adam's defaults

/** One step of Adam over the network's parameters: it reads and writes each parameter and its two moments. */
function adamCase(filters: number, patch: readonly number[]): KernelCase {
  const shapes = vnetShapes({ ...VNET, modalities: MODALITIES, filters });
  const size = [...shapes.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
  const inputs = { parameter: () => normal([size], 1, 0.02), gradient: () => normal([size], 2) };
  let optimizer: Adam | null = null;
  return {
    op: "Adam",
    detail: `${size.toLocaleString("en")} parameters`,
    size: patch,
    inputs,
    run: ({ parameter, gradient }) => {
      optimizer ??= new Adam([keep(parameter!)]);
      optimizer.step([gradient!], RATE);
      return parameter!;
    },
    passes: [{ ...forward(inputs), state: 4 * size }],
    check: against(({ parameter, gradient }) => {
      const data = parameter!.data.map((p, i) => {
        const g = gradient!.data[i]! + DECAY * p; // in the first step the corrected moments are g and g²
        return p - (RATE * g) / (Math.abs(g) + EPS);
      });
      return { shape: [size], data };
    }),
    finish: () => optimizer?.free(),
  };
}
