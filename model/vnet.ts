// The V-Net variant of ProtoKD's published code: stages of [conv 3³ → norm → ReLU], strided convolutions
// down, transposed ones up, skips that are added; no residuals. Tensors have the published checkpoints' names.

import { add, batchNorm, batchNormEval, conv3d, convTranspose3d } from "../engine/index.ts";
import { instanceNorm, relu, scope, type Tensor } from "../engine/index.ts";
import type { Output } from "./losses.ts";
import type { Params } from "./params.ts";

export interface VnetConfig {
  /** Channels of the input. */
  modalities: number;
  classes: number;
  /** Channels at full resolution; they double at each level. */
  filters: number;
  /** Resolutions: each level halves the volume. */
  levels: number;
  norm: "instance" | "batch";
}

/** The published network's sizes, but for the norm (theirs is batch). */
export const VNET: Omit<VnetConfig, "modalities"> = { classes: 4, filters: 16, levels: 5, norm: "instance" };

/** `train`: batch norms use the batch's statistics and update the running ones. `eval`: they use the latter. */
export type Mode = "train" | "eval";

/** x [N,M,D,H,W], each of D, H, W a multiple of 2^(levels-1) → features [N,filters,D,H,W] and logits [N,classes,D,H,W]. */
export function vnet(params: Params, x: Tensor, config: VnetConfig, mode: Mode): Output {
  const { modalities, classes, filters, levels, norm } = config;
  check(x, config);
  const width = (level: number) => filters * 2 ** level;
  const layer = (name: string, y: Tensor) => relu(normalise(params, name, y, norm, mode));

  /** `depth` times conv 3³ → norm → ReLU. */
  const stage = (name: string, y: Tensor, inputs: number, outputs: number, depth: number): Tensor => {
    for (let i = 0; i < depth; i++) {
      const channels = i ? outputs : inputs;
      const before = y;
      y = scope(() => {
        const weight = params.uniform(
          `${name}.conv.${3 * i}.weight`,
          [outputs, channels, 3, 3, 3],
          27 * channels,
        );
        return layer(`${name}.conv.${3 * i + 1}`, conv3d(before, weight));
      });
    }
    return y;
  };

  const down = (name: string, y: Tensor, inputs: number): Tensor =>
    scope(() => {
      const weight = params.uniform(`${name}.conv.0.weight`, [2 * inputs, inputs, 2, 2, 2], 8 * inputs);
      const bias = params.uniform(`${name}.conv.0.bias`, [2 * inputs], 8 * inputs);
      return layer(`${name}.conv.1`, conv3d(y, weight, bias, { stride: 2 }));
    });

  /** PyTorch takes a transposed convolution's fan to be its outputs. */
  const up = (name: string, y: Tensor, outputs: number, skip: Tensor): Tensor =>
    scope(() => {
      const weight = params.uniform(`${name}.conv.0.weight`, [2 * outputs, outputs, 2, 2, 2], 8 * outputs);
      const bias = params.uniform(`${name}.conv.0.bias`, [outputs], 8 * outputs);
      return add(layer(`${name}.conv.1`, convTranspose3d(y, weight, bias)), skip);
    });

  const skips: Tensor[] = [];
  for (let level = 0; level < levels; level++) {
    if (level > 0) x = down(`block_${NUMBERS[level - 1]}_dw`, x, width(level - 1));
    x = stage(`block_${NUMBERS[level]}`, x, level ? width(level) : modalities, width(level), depth(level));
    skips.push(x);
  }
  for (let level = levels - 2; level >= 0; level--) {
    x = up(`block_${NUMBERS[2 * levels - 3 - level]}_up`, x, width(level), skips[level]!);
    x = stage(`block_${NUMBERS[2 * levels - 2 - level]}`, x, width(level), width(level), depth(level));
  }
  const head = params.uniform("out_conv.weight", [classes, filters, 1, 1, 1], filters);
  return { features: x, logits: conv3d(x, head, params.uniform("out_conv.bias", [classes], filters)) };
}

/** Throws unless the network can halve such a patch [D,H,W] levels-1 times, and leave more than one voxel. */
export function checkPatch(patch: readonly number[], levels: number): void {
  const step = 2 ** (levels - 1);
  if (patch.length === 3 && patch.every((s) => s > 0 && s % step === 0) && patch.some((s) => s > step))
    return;
  throw new Error(
    `patch: ${levels} levels need three multiples of ${step}, not all ${step} themselves, got ${patch.join(",")}`,
  );
}

const NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"];

/** Convolutions of a stage: 1, 2, 3, 3, 3 on the way down, and the same on the way up. */
function depth(level: number): number {
  return Math.min(level + 1, 3);
}

function normalise(params: Params, name: string, x: Tensor, norm: VnetConfig["norm"], mode: Mode): Tensor {
  const channels = [x.shape[1]!];
  const weight = params.constant(`${name}.weight`, channels, 1);
  const bias = params.constant(`${name}.bias`, channels, 0);
  if (norm === "instance") return instanceNorm(x, weight, bias);
  const running = {
    mean: params.statistic(`${name}.running_mean`, channels, 0),
    variance: params.statistic(`${name}.running_var`, channels, 1),
  };
  return (mode === "train" ? batchNorm : batchNormEval)(x, weight, bias, running);
}

function check(x: Tensor, { modalities, levels }: VnetConfig): void {
  if (levels < 2 || levels > 6) throw new Error(`vnet: levels must be 2 to 6, got ${levels}`);
  if (x.shape.length !== 5 || x.shape[1] !== modalities) {
    throw new Error(`vnet: expected an input [N,${modalities},D,H,W], got [${x.shape}]`);
  }
  checkPatch(x.shape.slice(2), levels);
}
