// Ops refuse arguments that they are not defined for at once, and say what they expected and what they got.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { adain } from "../../engine/ops/adain.ts";
import { add } from "../../engine/ops/add.ts";
import { binaryLosses } from "../../engine/ops/binaryLosses.ts";
import { contrastiveLoss } from "../../engine/ops/contrastiveLoss.ts";
import { batchNormEval, batchNormEvalRelu, batchNormRelu } from "../../engine/ops/batchNorm.ts";
import { channelRows } from "../../engine/ops/channelRows.ts";
import { channelSum } from "../../engine/ops/channelSum.ts";
import { classCounts, classWeights, commonClasses } from "../../engine/ops/classCounts.ts";
import { concat } from "../../engine/ops/concat.ts";
import { conv3d } from "../../engine/ops/conv3d.ts";
import { convTranspose3d } from "../../engine/ops/convTranspose3d.ts";
import { cosineMaps } from "../../engine/ops/cosineMaps.ts";
import { featureDivergence } from "../../engine/ops/featureDivergence.ts";
import { instanceNorm, instanceNormRelu } from "../../engine/ops/instanceNorm.ts";
import { klDivergence } from "../../engine/ops/klDivergence.ts";
import { leakyRelu, leakyReluSlope } from "../../engine/ops/activations.ts";
import { linear } from "../../engine/ops/linear.ts";
import { multiply } from "../../engine/ops/multiply.ts";
import { logSoftmax } from "../../engine/ops/logSoftmax.ts";
import { maskChannels } from "../../engine/ops/maskChannels.ts";
import { maskedSoftCrossEntropy } from "../../engine/ops/maskedSoftCrossEntropy.ts";
import { maxPool3d } from "../../engine/ops/maxPool3d.ts";
import { meanSquaredError } from "../../engine/ops/meanSquaredError.ts";
import { normaliseRows } from "../../engine/ops/normaliseRows.ts";
import { softCrossEntropy } from "../../engine/ops/softCrossEntropy.ts";
import { softTargets, columnMeans, meanEntropy } from "../../engine/ops/softTargets.ts";
import { prototypeDistance } from "../../engine/ops/prototypeDistance.ts";
import { likeliestClasses } from "../../engine/ops/likeliestClasses.ts";
import { prototypes } from "../../engine/ops/prototypes.ts";
import {
  regionLogits,
  regionMasks,
  regionProbabilities,
  regionsPresent,
} from "../../engine/ops/regionLogits.ts";
import { regionScores, scoreLoss } from "../../engine/ops/regionScores.ts";
import { scaleColumns } from "../../engine/ops/scaleColumns.ts";
import { samples } from "../../engine/ops/samples.ts";
import { segmentationLosses } from "../../engine/ops/segmentationLosses.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { stack } from "../../engine/ops/stack.ts";
import { angleLoss } from "../../engine/ops/angleLoss.ts";
import { mixtureDivergence } from "../../engine/ops/mixtureDivergence.ts";
import { normaliseChannels } from "../../engine/ops/normaliseChannels.ts";
import { teacherMixture } from "../../engine/ops/teacherMixture.ts";
import { teacherWeights } from "../../engine/ops/teacherWeights.ts";
import { weightedSum } from "../../engine/ops/weightedSum.ts";
import { grad, vjp } from "../../engine/autograd/tape.ts";
import { Tensor } from "../../engine/autograd/tensor.ts";
import { device } from "../support/gradcheck.ts";

const of = (...shape: number[]) => new Tensor(device, shape);
const volume = of(2, 3, 4, 4, 4);
const scalar = of();
const SEVEN = Array.from({ length: 7 }, () => [1, scalar] as const);

const REFUSALS: readonly (readonly [call: () => unknown, message: RegExp])[] = [
  [() => add(of(2, 3), of(3, 2)), /^add: shapes differ, \[2,3\] and \[3,2\]$/],
  [() => multiply(of(2, 3), of(3, 2)), /^multiply: shapes differ, \[2,3\] and \[3,2\]$/],
  [() => leakyReluSlope(of(2, 3), of(6)), /^leakyReluSlope: shapes differ, \[2,3\] and \[6\]$/],
  [() => adain(of(2, 3), of(2, 3)), /^adain: expected \[N,C,D,H,W\], got \[2,3\]$/],
  [
    () => adain(volume, of(2, 4, 4, 4, 4)),
    /^adain: expected the same samples and channels, got .*\[2,4,4,4,4\]$/,
  ],
  [() => angleLoss(of(2, 3), of(3, 2)), /^angleLoss: expected rows of one shape .*\[2,3\] and \[3,2\]$/],
  [() => angleLoss(of(3), of(3)), /^angleLoss: expected rows/],
  [() => normaliseChannels(of(2, 3)), /^normaliseChannels: expected \[N,C,D,H,W\], got \[2,3\]$/],
  [() => mixtureDivergence(volume, volume, 0), /^mixtureDivergence: expected a positive temperature, got 0$/],
  [() => mixtureDivergence(volume, of(2, 3, 4, 4, 5), 1), /^mixtureDivergence: expected logits of one shape/],
  [() => teacherMixture([], of(2, 1), 1), /^teacherMixture: expected logits of one shape, got nothing$/],
  [() => teacherMixture([volume, of(2, 3, 4, 4, 5)], of(2, 2), 1), /^teacherMixture: expected logits of one/],
  [() => teacherMixture([volume], of(2, 2), 1), /^teacherMixture: expected weights \[2,1\], got \[2,2\]$/],
  [() => teacherMixture([volume], of(2, 1), 0), /^teacherMixture: expected a positive temperature, got 0$/],
  [
    () => teacherWeights(of(2, 3), of(4, 2), of(3)),
    /^teacherWeights: expected .* got \[2,3\], \[4,2\] and \[3\]$/,
  ],
  [() => teacherWeights(of(2, 3), of(4, 3), of(2)), /^teacherWeights: expected .* and \[2\]$/],
  ...[softmax, logSoftmax, channelSum].flatMap((op) =>
    [of(5), of(0, 3), of(2, 0)].map((x) => [() => op(x), /: expected \[N,C,\.\.\.\], got \[/] as const),
  ),
  ...[of(5), of(0, 5)].map(
    (x) => [() => instanceNorm(x, of(5), of(5)), /expected x \[N,C,\.\.\.\]/] as const,
  ),
  [
    () => batchNormEval(volume, of(3), of(3), { mean: of(3), variance: of(2) }),
    /^batchNormEval: expected variance \[3\], got \[2\]$/,
  ],
  [() => instanceNormRelu(volume, of(3), of(2)), /^instanceNormRelu: expected bias \[3\], got \[2\]$/],
  ...([batchNormRelu, batchNormEvalRelu] as const).flatMap((op) => {
    const running = { mean: of(3), variance: of(3) };
    return [
      [() => op(volume, of(2), of(3), running), /Relu: expected weight \[3\], got \[2\]$/] as const,
      [
        () => op(volume, of(3), of(3), running, { skip: of(2, 3, 4, 4, 5) }),
        /Relu: expected a skip \[2,3,4,4,4\], got/,
      ] as const,
    ];
  }),
  [() => classCounts(of(5), 3), /^classCounts: expected a label \[N,D,H,W\], got \[5\]$/],
  [() => classCounts(of(2, 5), 0), /a positive number of classes, got 0/],
  [() => classCounts(of(2, 5), 1.5), /a positive number of classes, got 1.5/],
  [() => classWeights(of(3)), /^classWeights: expected counts \[N,C\], got \[3\]$/],
  [() => commonClasses(of(2, 3, 1)), /^commonClasses: expected counts \[N,C\], got \[2,3,1\]$/],
  ...[
    [-1, 1],
    [1, 1],
    [0, 3],
  ].map(
    ([from, to]) => [() => samples(volume, from!, to!), /^samples: expected 0 <= from < to <= N/] as const,
  ),
  [() => stack([]), /^stack: expected parts \[N,\.\.\.\] of one size, got nothing$/],
  [() => stack([of(2, 3), of(2, 4)]), /^stack: expected .* got \[2,3\], \[2,4\]$/],
  [() => concat(of(5), of(5)), /^concat: expected/],
  [() => concat(of(2, 3, 4), of(2, 3, 5)), /^concat: expected .* got \[2,3,4\] and \[2,3,5\]$/],
  [
    () => maskChannels(of(2, 3), of(2, 3)),
    /^maskChannels: expected x \[N,C,\.\.\.\] and mask \[N,C\], got \[2,3\]/,
  ],
  [() => maskChannels(of(2, 3, 4), of(3, 2)), /^maskChannels: expected .* got \[2,3,4\] and \[3,2\]$/],
  [() => cosineMaps(volume, of(2, 4, 5)), /^cosineMaps: expected .*\[2,4,5\]/],
  [() => cosineMaps(volume, of(1, 4, 3)), /^cosineMaps: expected .*\[1,4,3\]/],
  [() => klDivergence(volume, volume, 0), /^klDivergence: expected a positive temperature, got 0$/],
  [() => klDivergence(volume, volume, NaN), /a positive temperature, got NaN/],
  [() => leakyRelu(volume, 0), /^leakyRelu: the slope must be positive, got 0$/],
  [() => linear(of(2, 3, 1), of(4, 3)), /^linear: expected x \[N,I\] and weight \[O,I\]/],
  [() => linear(of(2, 3), of(4, 3, 1)), /^linear: expected x \[N,I\] and weight \[O,I\]/],
  [() => linear(of(3), of(4, 3)), /^linear: expected x \[N,I\]/],
  [() => maxPool3d(of(2, 3, 4, 4)), /^maxPool3d: expected \[N,C,D,H,W\]/],
  ...[
    [1, 2, 2],
    [2, 1, 2],
    [2, 2, 1],
  ].map((size) => [() => maxPool3d(of(1, 1, ...size)), /of at least 2 voxels each way/] as const),
  [() => meanSquaredError(of(3), of(3), of(1)), /one weight for each channel of \[3\]/],
  [() => prototypes(of(2, 3), of(2), 3), /^prototypes: expected \[N,C,D,H,W\], got \[2,3\]$/],
  [() => segmentationLosses(volume, of(2, 4, 4)), /^segmentationLosses: expected a label \[2,4,4,4\]/],
  [
    () => segmentationLosses(volume, of(2, 4, 4, 4), { targets: of(2, 3, 4, 4, 5) }),
    /^segmentationLosses: expected logits of one shape, got \[2,3,4,4,4\] and \[2,3,4,4,5\]$/,
  ],
  [
    () => segmentationLosses(volume, of(2, 4, 4, 4), { targets: volume, temperature: -1 }),
    /^segmentationLosses: expected a positive temperature, got -1$/,
  ],
  [
    () => prototypeDistance(volume, volume, of(2, 4, 4, 4), of(1, 3)),
    /^prototypeDistance: expected counts \[2,K\], got \[1,3\]$/,
  ],
  [
    () => prototypeDistance(volume, of(2, 3, 4, 4, 5), of(2, 4, 4, 4), of(2, 3)),
    /^prototypeDistance: expected a label \[2,4,4,5\]/,
  ],
  [() => weightedSum([]), /^weightedSum: expected at least one term, got none$/],
  [() => regionLogits(of(2, 3), [[1]]), /^regionLogits: expected \[N,C,D,H,W\], got \[2,3\]$/],
  ...[[], [0, 1, 2], [0, 0, 1, 2], [3], [-1], [0.5]].map(
    (region) =>
      [
        () => regionLogits(volume, [[1], region]),
        new RegExp(`^regionLogits: expected regions of some of the classes 0 to 2, got \\[${region}\\]$`),
      ] as const,
  ),
  [
    () => regionLogits(volume, []),
    /^regionLogits: expected 1 to 8 regions of at most 128 classes, got 0 of 3$/,
  ],
  [() => regionLogits(volume, Array<number[]>(9).fill([1])), /^regionLogits: expected 1 to 8 .* got 9 of 3$/],
  [() => regionLogits(of(1, 129, 1, 1, 1), [[0]]), /of at most 128 classes, got 1 of 129$/],
  [
    () => regionProbabilities(volume, [[1]], 0),
    /^regionProbabilities: expected a positive temperature, got 0$/,
  ],
  [() => regionProbabilities(volume, [[3]]), /^regionProbabilities: expected regions of some/],
  [() => regionMasks(of(5), [[1]], 3), /^regionMasks: expected a label \[N,D,H,W\], got \[5\]$/],
  [() => regionMasks(of(2, 5), [[3]], 3), /^regionMasks: expected regions of some/],
  [() => likeliestClasses(of(2, 3)), /^likeliestClasses: expected \[N,C,D,H,W\], got \[2,3\]$/],
  [() => binaryLosses(of(5), of(5)), /^binaryLosses: expected tensors of one shape .* got \[5\] and \[5\]$/],
  [() => binaryLosses(of(2, 3), of(3, 2)), /of one shape \[N,C,\.\.\.\], got \[2,3\] and \[3,2\]$/],
  ...[0, NaN].map(
    (temperature) =>
      [
        () => binaryLosses(volume, volume, { temperature }),
        new RegExp(`^binaryLosses: expected a positive temperature, got ${temperature}$`),
      ] as const,
  ),
  [
    () => featureDivergence(volume, of(2, 3, 4, 4, 5)),
    /^featureDivergence: expected one shape \[N,\.\.\.\], got .*\[2,3,4,4,5\]$/,
  ],
  [() => featureDivergence(of(), of()), /^featureDivergence: expected one shape .* got \[\] and \[\]$/],
  [() => channelRows(of(2, 3)), /^channelRows: expected \[N,C,D,H,W\], got \[2,3\]$/],
  [() => normaliseRows(of(5)), /^normaliseRows: expected \[N,\.\.\.\], got \[5\]$/],
  [() => normaliseRows(of(2, 5), 0), /^normaliseRows: expected a positive eps, got 0$/],
  [() => softCrossEntropy(of(5), of(5), 1), /^softCrossEntropy: expected \[N,K\], got \[5\]$/],
  [() => softCrossEntropy(of(2, 3), of(3, 2), 1), /^softCrossEntropy: expected q \[2,3\], got \[3,2\]$/],
  [
    () => softCrossEntropy(of(2, 3), of(2, 3), 0),
    /^softCrossEntropy: expected a positive temperature, got 0$/,
  ],
  [() => softTargets(of(5), of(5), 1), /^softTargets: expected \[N,K\], got \[5\]$/],
  [() => softTargets(of(2, 3), of(1, 2), 1), /^softTargets: expected a center \[1,3\], got \[1,2\]$/],
  [() => softTargets(of(2, 3), of(1, 3), 0), /^softTargets: expected a positive temperature, got 0$/],
  [() => columnMeans(of(2, 0)), /^columnMeans: expected \[N,K\], got \[2,0\]$/],
  [() => meanEntropy(of(2, 3, 1)), /^meanEntropy: expected \[N,K\], got \[2,3,1\]$/],
  [() => regionsPresent(of(5), [[1]]), /^regionsPresent: expected counts \[N,C\], got \[5\]$/],
  [() => regionsPresent(of(2, 3), [[3]]), /^regionsPresent: expected regions of some/],
  [() => regionScores(of(5), of(5), 1), /^regionScores: expected two tensors .* got \[5\] and \[5\]$/],
  [() => regionScores(of(2, 0), of(2, 0), 1), /^regionScores: expected two tensors .* got \[2,0\]/],
  [() => regionScores(of(2, 3), of(3, 2), 1), /^regionScores: .* got \[2,3\] and \[3,2\]$/],
  [() => regionScores(of(4, 3), of(4, 3), 3), /^regionScores: expected 4 rows to be .* samples, got 3$/],
  [() => regionScores(of(4, 3), of(4, 3), 0), /^regionScores: expected 4 rows to be .* samples, got 0$/],
  [() => regionScores(of(4, 3), of(4, 3), 0.5), /^regionScores: expected 4 rows .* samples, got 0.5$/],
  [() => regionScores(of(3, 3), of(3, 3), 1.5), /^regionScores: expected 3 rows .* samples, got 1.5$/],
  [() => scoreLoss(of(3), of(3)), /^scoreLoss: expected two tensors \[N,K\], got \[3\] and \[3\]$/],
  [() => scoreLoss(of(2, 0), of(2, 0)), /^scoreLoss: expected two tensors \[N,K\], got \[2,0\]/],
  [() => scoreLoss(of(2, 3), of(3, 2)), /^scoreLoss: .* got \[2,3\] and \[3,2\]$/],
  [() => scoreLoss(of(2, 3), of(2, 3), 0), /^scoreLoss: expected a positive least value, got 0$/],
  [() => scaleColumns(of(3), of(3)), /^scaleColumns: expected x \[N,K\] .* got \[3\] and \[3\]$/],
  [() => scaleColumns(of(2, 0), of(0)), /^scaleColumns: expected x .* got \[2,0\] and \[0\]$/],
  [() => scaleColumns(of(2, 3), of(2)), /^scaleColumns: expected x .* got \[2,3\] and \[2\]$/],
  [() => contrastiveLoss(of(5), of(5)), /^contrastiveLoss: expected tensors .* got \[5\] and \[5\]$/],
  [() => contrastiveLoss(of(2, 3), of(3, 3)), /of one shape \[N,\.\.\.\], got \[2,3\] and \[3,3\]$/],
  [() => contrastiveLoss(of(2, 3), of(2, 3), 0), /^contrastiveLoss: expected a positive margin, got 0$/],
  [
    () => maskedSoftCrossEntropy(volume, volume, of(2, 4, 4)),
    /^maskedSoftCrossEntropy: expected a label \[2,4,4,4\]/,
  ],
  [
    () => maskedSoftCrossEntropy(volume, of(2, 3, 4, 4, 5), of(2, 4, 4, 4)),
    /^maskedSoftCrossEntropy: expected logits of one shape, got \[2,3,4,4,4\] and \[2,3,4,4,5\]$/,
  ],
  ...[-0.1, 1.1, NaN].map(
    (clip) =>
      [
        () => maskedSoftCrossEntropy(volume, volume, of(2, 4, 4, 4), { clip }),
        new RegExp(`^maskedSoftCrossEntropy: expected a clip from 0 to 1, got ${clip}$`),
      ] as const,
  ),
  [() => weightedSum([...SEVEN, [1, of(1, 2)]]), /^weightedSum: expected scalars, got \[1,2\]$/],
  [() => weightedSum([[1, of(1, 2)]]), /^weightedSum: expected scalars, got \[1,2\]$/],
  [() => weightedSum([[Infinity, scalar]]), /^weightedSum: expected a finite weight, got Infinity$/],
  [() => conv3d(volume, of(2, 4, 3, 3, 3)), /^conv3d: weight .* takes 4 channels, x .* has 3$/],
  [() => conv3d(volume, of(2, 3, 3, 3, 2)), /expected a weight \[·,·,K,K,K\]/],
  [() => conv3d(volume, of(2, 3, 3, 3)), /expected a weight \[·,·,K,K,K\]/],
  [() => conv3d(volume, of(2, 3, 5, 5, 5)), /K of at most 4, got \[2,3,5,5,5\]/],
  [() => conv3d(volume, of(2, 3, 2, 2, 2), null, { stride: 3 }), /the stride must be 1 or 2, got 3$/],
  [
    () => conv3d(of(1, 1, 2, 4, 4), of(1, 1, 3, 3, 3), null, { padding: 0 }),
    /^conv3d: x \[1,1,2,4,4\] is smaller than the kernel of edge 3$/,
  ],
  [() => convTranspose3d(volume, of(2, 4, 2, 2, 2)), /^convTranspose3d: weight/],
  [() => convTranspose3d(volume, of(3, 2, 2, 2, 3)), /^convTranspose3d: expected a weight \[·,·,K,K,K\]/],
  [
    () => convTranspose3d(volume, of(3, 2, 2, 2, 2), null, { stride: 4 }),
    /^convTranspose3d: the stride must be/,
  ],
  [() => grad([of(2)], () => of(2)), /^grad: the function must return a scalar, got \[2\]$/],
  [() => vjp([of(2)], () => of(2), of(3)), /^vjp: the function returned \[2\], the cotangent is \[3\]$/],
  [() => grad([of(2)], () => scalar), /^grad: the function does not depend on parameter 0, \[2\]$/],
  [
    () => grad([scalar], () => grad([scalar], () => scalar).loss),
    /^grad: already recording; higher-order derivatives are not supported$/,
  ],
];

for (const [call, message] of REFUSALS) {
  test(`${call.toString().replace(/^\(\) => /, "")}: ${message.source}`, () => assert.throws(call, message));
}

test.run();
