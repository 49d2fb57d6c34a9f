// The engine's interface for the rest of the project.

export { Device, type DeviceOptions } from "./gpu/device.ts";
export { bytesText, GpuError, type GpuErrorKind } from "./gpu/errors.ts";
export { GradientGuard } from "./optim/gradientGuard.ts";
export { MovingAverage } from "./optim/movingAverage.ts";
export { Adam, adamW, cosineRate, decayRate, polyRate, Sgd, type Optimizer } from "./optim/optimizers.ts";
export type { Plan } from "./gpu/bindings.ts";
export type { Vec3 } from "./gpu/grid.ts";
export { type Lanes, lanesOf } from "./gpu/lanes.ts";
export { BYTES, type Precision } from "./gpu/operand.ts";
export { compile, plan } from "./gpu/plan.ts";
export { Profile, type ProfiledDispatch, type ProfileRow, profileRows } from "./gpu/profile.ts";
export { Random } from "./autograd/random.ts";
export { grad, partials, recompute, record, recordAll, vjp } from "./autograd/tape.ts";
export { free, keep, pack, scope, tensor, Tensor } from "./autograd/tensor.ts";
export { tune } from "./convolution/tune.ts";
export { type ByClass, isChoice, type Tuned } from "./convolution/classes.ts";
export type { Abilities, Choice } from "./convolution/row.ts";
export {
  candidates,
  defaultTuning,
  isTuning,
  KERNELS,
  type Tuning,
  tuningOf,
  withTuning,
} from "./convolution/tuning.ts";
export { gelu, leakyRelu, leakyReluSlope, relu, sigmoid, tanh } from "./ops/activations.ts";
export { adain } from "./ops/adain.ts";
export { add } from "./ops/add.ts";
export { batchNorm, batchNormEval, batchNormEvalRelu, batchNormRelu, type Running } from "./ops/batchNorm.ts";
export { cast } from "./ops/cast.ts";
export { channelSum } from "./ops/channelSum.ts";
export { fill } from "./ops/fill.ts";
export { instanceNorm, type InstanceNormOptions, instanceNormRelu } from "./ops/instanceNorm.ts";
export { logSoftmax } from "./ops/logSoftmax.ts";
export { meanSquaredError } from "./ops/meanSquaredError.ts";
export { softmax } from "./ops/softmax.ts";
export { classCounts, classWeights, commonClasses } from "./ops/classCounts.ts";
export { conv3d, conv3dWithMoments, type ConvOptions } from "./ops/conv3d.ts";
export { convTranspose3d, type ConvTransposeOptions } from "./ops/convTranspose3d.ts";
export { cosineMaps } from "./ops/cosineMaps.ts";
export { crossEntropy } from "./ops/crossEntropy.ts";
export { diceLoss } from "./ops/diceLoss.ts";
export { klDivergence } from "./ops/klDivergence.ts";
export { likeliestClasses } from "./ops/likeliestClasses.ts";
export {
  regionLogits,
  regionMasks,
  regionProbabilities,
  type Regions,
  regionsPresent,
} from "./ops/regionLogits.ts";
export { samples } from "./ops/samples.ts";
export { stack } from "./ops/stack.ts";
export { prototypeDistance } from "./ops/prototypeDistance.ts";
export { prototypes } from "./ops/prototypes.ts";
export { segmentationLosses, type SegmentationLosses } from "./ops/segmentationLosses.ts";
export { weightedSum, type Term } from "./ops/weightedSum.ts";
export { concat } from "./ops/concat.ts";
export { featureDivergence } from "./ops/featureDivergence.ts";
export { globalAveragePool } from "./ops/globalAveragePool.ts";
export { maskChannels } from "./ops/maskChannels.ts";
export { multiply } from "./ops/multiply.ts";
export { maxPool3d } from "./ops/maxPool3d.ts";
export { upsampleNearest } from "./ops/upsampleNearest.ts";
export { upsampleTrilinear } from "./ops/upsampleTrilinear.ts";
export { binaryLosses, type BinaryLosses } from "./ops/binaryLosses.ts";
export { barlowTwins } from "./ops/barlowTwins.ts";
export { channelRows } from "./ops/channelRows.ts";
export { channelStatistics } from "./ops/channelStatistics.ts";
export { ABSENT_CLASSES, classLevelKl, type ClassLevelOptions, type Labelled } from "./ops/classLevelKl.ts";
export { classMeans } from "./ops/classMeans.ts";
export { contrastiveLoss } from "./ops/contrastiveLoss.ts";
export { linear } from "./ops/linear.ts";
export { maskedSoftCrossEntropy } from "./ops/maskedSoftCrossEntropy.ts";
export { normaliseRows } from "./ops/normaliseRows.ts";
export { statisticsL2 } from "./ops/statisticsL2.ts";
export { angleLoss } from "./ops/angleLoss.ts";
export { mixtureDivergence } from "./ops/mixtureDivergence.ts";
export { normaliseChannels } from "./ops/normaliseChannels.ts";
export { teacherMixture } from "./ops/teacherMixture.ts";
export { teacherWeights } from "./ops/teacherWeights.ts";
export { softCrossEntropy } from "./ops/softCrossEntropy.ts";
export { columnMeans, meanEntropy, softTargets } from "./ops/softTargets.ts";
export { regionScores, scoreLoss } from "./ops/regionScores.ts";
export { scaleColumns } from "./ops/scaleColumns.ts";
