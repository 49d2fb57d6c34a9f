// What the rest of the project may import from the engine.

export { Device, type DeviceOptions } from "./device.ts";
export { bytesText, GpuError, type GpuErrorKind } from "./errors.ts";
export { Adam, polyRate, Sgd, type Optimizer } from "./optim.ts";
export { Profile, type ProfileRow } from "./profile.ts";
export { Random } from "./random.ts";
export { grad, record, vjp } from "./tape.ts";
export { free, keep, pack, scope, tensor, Tensor } from "./tensor.ts";
export { add } from "./ops/add.ts";
export { batchNorm, batchNormEval, type Running } from "./ops/batchNorm.ts";
export { channelSum } from "./ops/channelSum.ts";
export { fill } from "./ops/fill.ts";
export { instanceNorm } from "./ops/instanceNorm.ts";
export { leakyRelu } from "./ops/leakyRelu.ts";
export { logSoftmax } from "./ops/logSoftmax.ts";
export { meanSquaredError } from "./ops/meanSquaredError.ts";
export { relu } from "./ops/relu.ts";
export { softmax } from "./ops/softmax.ts";
export { classCounts, classWeights, commonClasses } from "./ops/classCounts.ts";
export { conv3d, type ConvOptions } from "./ops/conv3d.ts";
export { convTranspose3d, type ConvTransposeOptions } from "./ops/convTranspose3d.ts";
export { cosineMaps } from "./ops/cosineMaps.ts";
export { crossEntropy } from "./ops/crossEntropy.ts";
export { diceLoss } from "./ops/diceLoss.ts";
export { klDivergence } from "./ops/klDivergence.ts";
export { prototypes } from "./ops/prototypes.ts";
export { weightedSum, type Term } from "./ops/weightedSum.ts";
