// The terms of distillation methods, made of our ops, by the names of the golden cases. Sizes come from the
// tensors, weights and temperatures from cases.json.

import * as engine from "../../engine/index.ts";
import { fill, type Regions, type Tensor, tensor, type Term, weightedSum } from "../../engine/index.ts";
import { coarseLabels, withCoarse } from "../../model/losses/deepSupervision.ts";
import { classLoss, gradientPenalty, mean, meanAbsoluteError } from "../../model/losses/adversarial.ts";
import { crossEntropyTerm, total } from "../../model/losses/losses.ts";
import { type DesdHead, desdHead, exchanged } from "../../model/methods/desd.ts";
import { embedding } from "../../model/methods/pmkl.ts";
import { inputGradient, judged } from "../../model/networks/critic.ts";
import { gated } from "../../model/networks/twoStream.ts";
import { device } from "../support/gradcheck.ts";
import type { OpCase } from "./folder.ts";

type Tensors = Readonly<Record<string, Tensor>>;

/** The attributes of cases.json; a case has those that its op needs. */
interface Attributes {
  temperature: number;
  student_temperature: number;
  reduction: "voxel" | "element";
  /** True where the loss is multiplied by T². */
  t2: boolean;
  regions: Regions;
  smooth: number;
  lambda: number;
  alpha: number;
  eps: number;
  lam: number;
  levels: number;
  teachers: number;
  norm: "instance" | "batch";
  clip: number;
  margin: number;
  tau_teacher: number;
  tau_student: number;
  center_momentum: number;
  momentum: number;
  /** How classes that a batch lacks count. */
  absent: "uniform" | "skip";
  scale: number;
  modalities: readonly string[];
  slope: number;
  penalty: number;
  layers: number;
}

type Run = (tensors: Tensors, attributes: Attributes, golden: OpCase) => Tensor;

const RUNS: Readonly<Record<string, Run>> = {
  kd: ({ zs, zt }, { temperature, reduction, t2 }) => {
    const classes = reduction === "voxel" ? zs!.shape[1]! : 1; // our mean is over voxels and classes
    const factor = classes * (t2 ? temperature ** 2 : 1);
    return weightedSum([[factor, engine.klDivergence(zs!, zt!, temperature)]]);
  },
  region_logits: ({ z }, { regions }) => engine.regionLogits(z!, regions),
  kdnet_gt: ({ z, y }, attributes) => weightedSum(groundTruth(z!, y!, attributes)),
  kdnet_kd: ({ zs, zt }, attributes) => weightedSum(softened(zs!, zt!, attributes)),
  kdnet_bottleneck: ({ fs, ft }) => engine.featureDivergence(fs!, ft!),
  kdnet_total: ({ zs, zt, fs, ft, y }, attributes) => {
    const { lambda, alpha } = attributes;
    const times = (factor: number, terms: Term[]) => terms.map(([w, term]): Term => [factor * w, term]);
    return weightedSum([
      ...times(lambda, softened(zs!, zt!, attributes)),
      ...times(1 - lambda, groundTruth(zs!, y!, attributes)),
      [alpha, engine.featureDivergence(fs!, ft!)],
    ]);
  },
  ummkd_kl: ({ za, zb, ya, yb }, attributes) => classLevel([za!, ya!], [zb!, yb!], attributes),
  ummkd_shared: (t, attributes) => {
    const net = (x: Tensor, weight: Tensor, bias: Tensor) => {
      const features = engine.instanceNormRelu(engine.conv3d(x, t["weight"]!), weight, bias);
      return engine.conv3d(features, t["head"]!, t["bias"]!);
    };
    const [a, b] = [net(t["xa"]!, t["ga"]!, t["ba"]!), net(t["xb"]!, t["gb"]!, t["bb"]!)];
    return classLevel([a, t["ya"]!], [b, t["yb"]!], attributes);
  },
  ummkd_pairs: (t, attributes) => {
    const labelled = attributes.modalities.map((name) => [t[`z${name}`]!, t[`y${name}`]!] as const);
    const pairs = labelled.flatMap((a, i) => labelled.slice(i + 1).map((b) => classLevel(a, b, attributes)));
    return weightedSum(pairs.map((pair): Term => [1 / pairs.length, pair]));
  },
  normalise_rows: ({ x }, { eps }) => engine.normaliseRows(x!, eps),
  pmkl_kd: ({ zs, zt, y }, { temperature, clip }) =>
    engine.maskedSoftCrossEntropy(zs!, zt!, y!, { temperature, clip }),
  pmkl_contrastive: ({ a, b }, { margin }) => contrast(a!, b!, margin),
  pmkl_embedding: ({ fs, ft, w1, w2, v1, v2 }, { margin }) =>
    contrast(embedding([fs!], w1!, w2!), embedding([ft!], v1!, v2!), margin),
  barlow_voxels: ({ fs, ft }, { lam, eps }) =>
    engine.barlowTwins(engine.channelRows(fs!), engine.channelRows(ft!), { lambda: lam, eps }),
  barlow_pooled: ({ fs, ft }, { lam, eps }) => {
    const [a, b] = [engine.globalAveragePool(fs!), engine.globalAveragePool(ft!)];
    return engine.barlowTwins(a, b, { lambda: lam, eps });
  },
  deep_cross_entropy: ({ y, ...logits }, { levels }, golden) => {
    const [batch, ...patch] = y!.shape as [number, number, number, number];
    const below = coarseLabels(Uint8Array.from(golden.in["y"]!.data), patch, levels - 1);
    const labels = below.map(({ shape, data }) => tensor(device, [batch, ...shape], data));
    const [finest, ...coarse] = Array.from({ length: levels }, (_, level) => logits[`z${level}`]!);
    const output = { logits: finest!, taps: {}, coarse };
    return total(withCoarse(crossEntropyTerm(finest!, y!), output, labels, crossEntropyTerm));
  },
  adain: ({ fs, ft }, { eps }) => engine.adain(ft!, fs!, eps),
  adain_head: ({ fs, ft, w, b }, { eps }) => {
    const judged = (features: Tensor) => engine.conv3d(features, w!, b!);
    return engine.meanSquaredError(judged(engine.adain(ft!, fs!, eps)), judged(ft!));
  },
  adain_tail: (t, { eps, norm }) => {
    const [weight, bias] = [t["g"]!, t["b"]!];
    const judged = (features: Tensor) => {
      const x = engine.conv3d(features, t["w1"]!);
      const y =
        norm === "instance"
          ? engine.instanceNormRelu(x, weight, bias)
          : engine.batchNormEvalRelu(x, weight, bias, { mean: t["mean"]!, variance: t["variance"]! });
      return engine.conv3d(y, t["w2"]!, t["b2"]!);
    };
    return engine.meanSquaredError(judged(engine.adain(t["ft"]!, t["fs"]!, eps)), judged(t["ft"]!));
  },
  amtml_weights: ({ beta, theta, W }) => engine.teacherWeights(beta!, theta!, W!),
  amtml_kd: (t, attributes) => mixtureTerm(t["zs"]!, mixture(t["beta"]!, t, attributes), attributes),
  amtml_angle: ({ s, t }) => engine.angleLoss(s!, t!),
  amtml_angle_classes: ({ zs, q, y }, attributes) => classAngles(zs!, q!, y!, attributes),
  amtml_hint: ({ fs, ft, w }) => hint(fs!, ft!, w!),
  amtml_regulariser: ({ theta, W }) => weightedSum(squares([theta!, W!])),
  amtml_total: (t, attributes) => {
    const [zs, label] = [t["zs"]!, t["y"]!];
    const q = mixture(engine.globalAveragePool(t["fb"]!), t, attributes);
    const { crossEntropy, dice } = engine.segmentationLosses(zs, label);
    return weightedSum([
      [1 - attributes.alpha, crossEntropy],
      [1 - attributes.alpha, dice],
      [1, mixtureTerm(zs, q, attributes)],
      [1, classAngles(zs, q, label, { ...attributes, eps: 1e-5 })],
      [1, hint(t["fs"]!, t["ft"]!, t["w"]!)],
      ...squares([t["theta"]!, t["W"]!]),
    ]);
  },
  weight_norm_linear: ({ x, v }) => engine.linear(x!, engine.normaliseRows(v!)),
  desd_head: ({ x, ...head }) => desdHead(x!, head as DesdHead),
  desd_loss: ({ t, center, ...levels }, { tau_teacher, tau_student, center_momentum }) => {
    const targets = exchanged(engine.softTargets(t!, center!, tau_teacher));
    const losses = Object.values(levels).map((s) => engine.softCrossEntropy(s, targets, tau_student));
    new engine.MovingAverage([[center!, engine.columnMeans(t!)]]).update(center_momentum);
    return weightedSum(losses.map((loss): Term => [1 / losses.length, loss]));
  },
  ema: ({ student, teacher }, { momentum }) => {
    const average = engine.stack([teacher!]);
    new engine.MovingAverage([[average, student!]]).update(momentum);
    return average;
  },
  leaky_relu_slope: ({ g, a }, { slope }) => engine.leakyReluSlope(g!, a!, slope),
  l1: ({ a, b }) => meanAbsoluteError(a!, b!),
  attention_gate: ({ own, other, w, wa, ba }) =>
    gated(own!, other!, { value: w!, attention: wa!, bias: ba! }),
  uagan_input_gradient: (t, { layers }) => gradientBy(t["x"]!, t, layers),
  uagan_gradient_penalty: (t, { layers }) => gradientPenalty(gradientBy(t["x"]!, t, layers)),
  uagan_r1: (t, { layers }) => {
    const gradient = gradientBy(t["x"]!, t, layers);
    const zeros = fill(device, gradient.shape, 0);
    const squares = engine.meanSquaredError(gradient, zeros);
    return weightedSum([[gradient.size / gradient.shape[0]! / 2, squares]]);
  },
  uagan_discriminator: (t, { layers }, golden) => weightedSum(criticTerms(t, layers, golden)),
  uagan_discriminator_total: (t, { layers, penalty }, golden) => {
    const steepness = gradientPenalty(gradientBy(t["mixed"]!, t, layers));
    return weightedSum([...criticTerms(t, layers, golden), [penalty, steepness]]);
  },
  uagan_generator: (t, { layers }, golden) => {
    const { realness, contrasts } = judged(t["fake"]!, criticOf(t, layers));
    return weightedSum([
      [-1, mean(realness)],
      [1, classLoss(contrasts, [...golden.in["c"]!.data])],
    ]);
  },
  wsd_scores: ({ zc, zd }, { scale }) => engine.regionScores(zc!, zd!, zc!.shape[0]!, scale),
  wsd_teacher: ({ zc, zd, y }, { scale, clip }) =>
    engine.scoreLoss(engine.regionScores(zc!, zd!, y!.shape[0]!, scale), y!, clip),
  wsd_stage2: ({ x, scale, y, s }) => presenceLosses(x!, scale!, y!, s!),
  wsd_student: ({ f, w, b, scale, y, s }) =>
    presenceLosses(engine.linear(engine.globalAveragePool(f!), w!, b!), scale!, y!, s!),
  wsd_stage1: ({ fs, ft }) => weightedSum([[fs!.shape[1]! / 2, engine.meanSquaredError(fs!, ft!)]]),
};

/** A method's computation of a case from its inputs; null where we have no op for it. */
export function methodRun(golden: OpCase): ((tensors: Tensors) => Tensor) | null {
  const attributes = golden.attributes as unknown as Attributes;
  const run = RUNS[String(golden.attributes["op"])];
  return run ? (tensors) => run(tensors, attributes, golden) : null;
}

/** The tensors of a golden critic; a case without contrasts gets a head of zeros. */
function criticOf(t: Tensors, layers: number) {
  const all = (name: string) => Array.from({ length: layers }, (_, l) => t[`${name}${l}`]!);
  const realness = t["wr"]!;
  return { kernels: all("w"), biases: all("b"), realness, contrasts: t["wc"] ?? oneRow(realness) };
}

function oneRow({ shape }: Tensor): Tensor {
  return fill(device, [1, shape[1]!], 0);
}

function gradientBy(x: Tensor, t: Tensors, layers: number): Tensor {
  const tensors = criticOf(t, layers);
  return inputGradient(judged(x, tensors).inner, tensors);
}

/** UAGAN's terms of the critic without the penalty. */
function criticTerms(t: Tensors, layers: number, golden: OpCase): Term[] {
  const tensors = criticOf(t, layers);
  const real = judged(t["x"]!, tensors);
  return [
    [-1, mean(real.realness)],
    [1, mean(judged(t["fake"]!, tensors).realness)],
    [1, classLoss(real.contrasts, [...golden.in["c"]!.data])],
  ];
}

/** WSD's terms of a student's logits x [N,K], against bits and the teacher's scores. */
function presenceLosses(x: Tensor, scale: Tensor, bits: Tensor, scores: Tensor): Tensor {
  const term = (logits: Tensor, targets: Tensor): Term => [
    x.shape[1]!,
    engine.binaryLosses(logits, targets).crossEntropy,
  ];
  return weightedSum([term(x, bits), term(engine.scaleColumns(x, scale), scores)]);
}

/** AMTML's mixture of the teachers' predictions. */
function mixture(pooled: Tensor, t: Tensors, { teachers, temperature }: Attributes): Tensor {
  const logits = Array.from({ length: teachers }, (_, m) => t[`z${m + 1}`]!);
  const weights = engine.teacherWeights(pooled, t["theta"]!, t["W"]!);
  return engine.teacherMixture(logits, weights, temperature);
}

function mixtureTerm(student: Tensor, q: Tensor, { temperature, alpha }: Attributes): Tensor {
  return weightedSum([[2 * alpha * temperature ** 2, engine.mixtureDivergence(student, q, temperature)]]);
}

function classAngles(student: Tensor, q: Tensor, label: Tensor, { temperature, eps }: Attributes): Tensor {
  const rows = (p: Tensor) => engine.prototypes(p, label, p.shape[1]!, eps);
  return engine.angleLoss(rows(engine.softmax(student, temperature)), rows(q));
}

function hint(student: Tensor, teacher: Tensor, weight: Tensor): Tensor {
  const widened = engine.conv3d(engine.normaliseChannels(student), weight);
  return engine.meanSquaredError(widened, engine.normaliseChannels(teacher));
}

/** 0.1 Σ x² of each tensor. */
function squares(tensors: readonly Tensor[]): Term[] {
  return tensors.map((x) => [0.1 * x.size, engine.meanSquaredError(x, fill(device, x.shape, 0))]);
}

/** PMKL's contrast of rows of any length. */
function contrast(a: Tensor, b: Tensor, margin: number): Tensor {
  return engine.contrastiveLoss(engine.normaliseRows(a), engine.normaliseRows(b), margin);
}

/** KD-Net's terms of a student's regions beside the label's. */
function groundTruth(logits: Tensor, label: Tensor, { regions, smooth }: Attributes): Term[] {
  const masks = engine.regionMasks(label, regions, logits.shape[1]!);
  const losses = engine.binaryLosses(engine.regionLogits(logits, regions), masks, { smooth });
  return [
    [1, losses.crossEntropy],
    [1, losses.dice],
  ];
}

/** KD-Net's terms of a student's regions beside a teacher's. */
function softened(student: Tensor, teacher: Tensor, attributes: Attributes): Term[] {
  const { regions, smooth, temperature, student_temperature } = attributes;
  const targets = engine.regionProbabilities(teacher, regions, temperature);
  const losses = engine.binaryLosses(engine.regionLogits(student, regions), targets, {
    temperature: student_temperature,
    smooth,
  });
  return [
    [1, losses.crossEntropy],
    [1, losses.dice],
  ];
}

function classLevel(
  a: readonly [logits: Tensor, label: Tensor],
  b: readonly [logits: Tensor, label: Tensor],
  { temperature, absent, eps }: Attributes,
): Tensor {
  const labelled = ([logits, label]: typeof a) => ({ logits, label });
  return engine.classLevelKl(labelled(a), labelled(b), { temperature, absent, eps });
}
